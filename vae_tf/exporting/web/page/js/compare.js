/** The decoder in float32 and in int8, on the same point. */

import { newest } from "./latent.js";

export function compare({ root, bundle, format, latent, shown, failed }) {
  const { decoder, int8 } = bundle.content.models;
  if (!int8) return;
  const [first, second, difference] = ["#float32", "#int8", "#difference"].map((id) =>
    root.querySelector(id));
  [first, second, difference].forEach((canvas) => format.fit(canvas));
  root.querySelector("#compare").hidden = false;
  root.querySelector("#float32-size").textContent = kilobytes(decoder.bytes);
  root.querySelector("#int8-size").textContent = kilobytes(int8.bytes);
  const note = root.querySelector("#compare-note");
  const span = format.white - format.black;

  const show = newest(async (z) => {
    const { asked } = bundle;
    const [exact, rounded] = [await bundle.decode(z), await bundle.decode(z, "int8")];
    const errors = exact.map((value, i) => Math.abs(value - rounded[i]));
    const largest = errors.reduce((a, b) => Math.max(a, b), 0);
    format.draw(first, exact);
    format.draw(second, rounded);
    format.draw(difference, errors.map((e) => format.black + (span * e) / (largest || 1)));
    Object.assign(shown, { int8: rounded, comparedAt: [z, asked], largestDifference: largest });
    const share = ((100 * largest) / span).toFixed(1);
    note.textContent = `largest difference: ${share} % of full brightness`;
  }, failed);
  latent.addEventListener("move", () => show(latent.z));
  return show(latent.z);
}

function kilobytes(bytes) {
  return `${Math.round(bytes / 1000).toLocaleString("en")} kB`;
}
