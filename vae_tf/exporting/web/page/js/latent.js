/** The point in the latent space that the whole page looks at. */

/** Tells its listeners by "move", with who moved it as `detail`. */
export class Latent extends EventTarget {
  constructor({ low, high, centre }) {
    super();
    Object.assign(this, { low, high, centre });
    this.z = Float32Array.from(centre);
  }

  get size() {
    return this.z.length;
  }

  move(z, by = null) {
    this.z = Float32Array.from(z);
    this.dispatchEvent(new CustomEvent("move", { detail: by }));
  }

  /** Moves the point, and the range of its coordinates, by `step`, which listeners find here. */
  shift(step, by) {
    this.step = step;
    const moved = (values) => values.map((value, i) => value + step[i]);
    for (const name of ["low", "high", "centre"]) this[name] = moved(this[name]);
    this.move(moved(this.z), by);
  }

  /** Moves some coordinates: `{index: value}`. */
  change(coordinates, by = null) {
    const z = this.z.slice();
    for (const [index, value] of Object.entries(coordinates)) z[index] = value;
    this.move(z, by);
  }

  /** Returns `value` within the range of coordinate `index`. */
  clamp(index, value) {
    return Math.min(this.high[index], Math.max(this.low[index], value));
  }
}

/** Returns the point at `t` of the line from `a` to `b`. */
export function mix(a, b, t) {
  return a.map((value, i) => (1 - t) * value + t * b[i]);
}

/** Returns `value` as text with a proper minus sign. */
export function number(value, digits = 2) {
  const text = value.toFixed(digits);
  return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", "");
}

/** Returns `z` as text, cut short where it is long. */
export function vector(z) {
  const shown = Array.from(z.slice(0, 4), (value) => number(value));
  return `(${shown.join(", ")}${z.length > 4 ? ", …" : ""})`;
}

/** Returns a function that runs `work` on the newest argument it got, never twice at once. */
export function newest(work, failed) {
  let waiting = null;
  let busy = false;
  return async (argument) => {
    waiting = { argument };
    if (busy) return;
    busy = true;
    while (waiting) {
      const { argument: next } = waiting;
      waiting = null;
      try {
        await work(next);
      } catch (error) {
        failed(error);
      }
    }
    busy = false;
  };
}
