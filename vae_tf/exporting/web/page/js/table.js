/** Rows of a table: the model's numbers as values in the units and words of its columns. */

import { Format } from "./image.js";

/** What the model means by its numbers, one for each column that varies. */
export class Rows extends Format {
  constructor(columns) {
    super({ shape: [1, 1, 1], range: [0, 1] }); // a row is a pixel where there is no room for more
    this.columns = columns.filter(({ kind }) => kind !== "ignore");
    this.modelled = this.columns.filter(({ kind }) => kind !== "constant");
    this.shaded = 0; // the column whose value is the brightness of that pixel
    this.gap = 0;
  }

  /** Returns the value of each column, as `Table.decode` has them. */
  values(row) {
    let place = 0;
    return this.columns.map((column) => column.kind === "constant"
      ? column.values[0] ?? null
      : valueOf(column, row[place++]));
  }

  pixels(row) {
    const { kind, values, loc, scale } = this.modelled[this.shaded];
    const [low, high] = values.length ? [0, values.length - 1]
      : kind === "count" ? [0, Math.exp(loc + 2 * scale)] : [-2, 2];
    return super.pixels([(row[this.shaded] - low) / (high - low)]);
  }

  /** Fills `list`, a <dl>, with the values of `row`. */
  fill(list, row) {
    list.replaceChildren(...this.values(row).map((value, i) => {
      const [pair, name, text] = ["div", "dt", "dd"].map((tag) => document.createElement(tag));
      name.textContent = name.title = this.columns[i].name;
      text.textContent = typeof value === "number" && !Number.isInteger(value)
        ? Number(value.toPrecision(4))
        : value;
      pair.append(name, text);
      return pair;
    }));
  }
}

function valueOf({ kind, values, loc, scale, whole }, x) {
  if (kind === "binary" || kind === "category") {
    return values[Math.min(Math.max(nearest(x), 0), values.length - 1)];
  }
  let value = kind === "count" ? x : x * scale + loc;
  if (kind === "positive") value = Math.exp(value);
  return whole ? nearest(value) : value;
}

/** Returns the nearest whole number, of two the even one, as NumPy does. */
function nearest(value) {
  const up = Math.round(value);
  return Math.abs(value % 1) === 0.5 && up % 2 ? up - 1 : up;
}
