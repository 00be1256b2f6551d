/** The pad: two coordinates of z to drag on, with the images they decode to behind. */

import { number } from "./latent.js";

const STEPS = 40; // of the arrow keys, from one end to the other
const REST = 150; // ms; a slower model draws what is behind only once the point rests
const DIRECTIONS = {
  Home: [0, 0], ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1],
};

export class Pad {
  #bundle;
  #format;
  #latent;
  #say;
  #failed;
  #drawing = 0;
  #behind = "";
  #slow = false;

  constructor({ root, bundle, format, latent, say, failed }) {
    this.#bundle = bundle;
    this.#format = format;
    this.#latent = latent;
    this.#say = say;
    this.#failed = failed;
    this.pad = root.querySelector("#pad");
    this.marker = root.querySelector("#marker");
    this.canvas = root.querySelector("#manifold");
    this.axes = bundle.content.latent.order.slice(0, 2).sort((a, b) => a - b);
    // Two latents never change what is behind; with more it is drawn at each move.
    const most = latent.size === 2 ? 20 : 10;
    this.side = Math.max(5, Math.min(most, Math.floor(560 / Math.max(format.height, format.width))));
    this.canvas.width = this.side * (format.width + format.gap);
    this.canvas.height = this.side * (format.height + format.gap);
    this.extent = root.querySelector("#extent");
    this.#select(root);
    this.#listen();
    latent.addEventListener("move", () => this.#show());
    this.#show();
  }

  #select(root) {
    root.querySelector("#axes").hidden = this.#latent.size <= 2 && !this.#format.modelled;
    const shaded = root.querySelector("#shaded");
    this.#format.modelled?.forEach(({ name }, i) => shaded.add(new Option(name, i)));
    shaded.addEventListener("change", () => {
      this.#format.shaded = Number(shaded.value);
      this.#show();
    });
    ["#across", "#up"].forEach((id, axis) => {
      const select = root.querySelector(id);
      for (let i = 0; i < this.#latent.size; i++) select.add(new Option(`z${i + 1}`, i));
      select.value = this.axes[axis];
      select.addEventListener("change", () => {
        const chosen = Number(select.value);
        // The same axis twice would be a line: then the two change places.
        if (this.axes[1 - axis] === chosen) this.axes[1 - axis] = this.axes[axis];
        this.axes[axis] = chosen;
        root.querySelector("#across").value = this.axes[0];
        root.querySelector("#up").value = this.axes[1];
        this.#show();
      });
    });
  }

  #listen() {
    const drag = (event) => {
      const box = this.pad.getBoundingClientRect();
      const share = [(event.clientX - box.left) / box.width, (box.bottom - event.clientY) / box.height];
      this.#moveTo(this.axes.map((index, i) => this.#value(index, share[i])));
    };
    this.pad.addEventListener("pointerdown", (event) => {
      this.pad.setPointerCapture(event.pointerId);
      drag(event);
    });
    this.pad.addEventListener("pointermove", (event) => {
      if (this.pad.hasPointerCapture(event.pointerId)) drag(event);
    });
    this.pad.addEventListener("keydown", (event) => {
      const direction = DIRECTIONS[event.key];
      if (!direction || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const { low, high, centre, z } = this.#latent;
      const steps = event.shiftKey ? 5 : 1;
      this.#moveTo(this.axes.map((index, i) => event.key === "Home"
        ? centre[index]
        : z[index] + (direction[i] * steps * (high[index] - low[index])) / STEPS));
    });
  }

  #value(index, share) {
    const { low, high } = this.#latent;
    return low[index] + share * (high[index] - low[index]);
  }

  #moveTo(values) {
    const entries = this.axes.map((index, i) => [index, this.#latent.clamp(index, values[i])]);
    this.#latent.change(Object.fromEntries(entries), "pad");
    this.#say(entries.map(([index, value]) => `z${index + 1} ${number(value)}`).join(", "));
  }

  #show() {
    const { low, high, z } = this.#latent;
    const share = this.axes.map((i) => (this.#latent.clamp(i, z[i]) - low[i]) / (high[i] - low[i]));
    this.marker.style.left = `${100 * share[0]}%`;
    this.marker.style.top = `${100 * (1 - share[1])}%`;
    const [across, up] = this.axes.map((i) => `z${i + 1} from ${number(low[i], 1)} to ` +
      number(high[i], 1));
    this.extent.textContent = `Across ${across}, up ${up}.`;
    const others = z.map((value, i) => (this.axes.includes(i) ? 0 : value));
    const behind = [this.axes, others, this.#bundle.asked, this.#format.shaded].join(" ");
    if (behind !== this.#behind) {
      this.#behind = behind;
      this.#draw().catch(this.#failed);
    }
  }

  /** Draws the images behind, and gives up when it is called again. */
  async #draw() {
    const drawing = ++this.#drawing;
    if (this.#slow) await new Promise((rest) => setTimeout(rest, REST));
    if (drawing !== this.#drawing) return;
    const begun = performance.now();
    const cells = Array.from({ length: this.side ** 2 }, (_, i) => [
      i % this.side, Math.floor(i / this.side),
    ]);
    const points = cells.map(([column, row]) => {
      const z = this.#latent.z.slice();
      z[this.axes[0]] = this.#value(this.axes[0], (column + 0.5) / this.side);
      z[this.axes[1]] = this.#value(this.axes[1], 1 - (row + 0.5) / this.side);
      return z;
    });
    const queue = cells.values();
    let since = begun;
    for await (const images of this.#bundle.decodeMany(points)) {
      if (drawing !== this.#drawing) return;
      for (const image of images) {
        const [column, row] = queue.next().value;
        const x = column * (this.#format.width + this.#format.gap);
        const y = row * (this.#format.height + this.#format.gap);
        this.#format.draw(this.canvas, image, x, y);
      }
      if (performance.now() - since > 12) {
        await new Promise(requestAnimationFrame); // the page stays alive
        since = performance.now();
      }
    }
    this.#slow = performance.now() - begun > REST;
  }
}
