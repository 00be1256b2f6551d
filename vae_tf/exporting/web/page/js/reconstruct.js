/** An image through encoder and decoder: from a file, drawn, or the one on show. */

import { newest } from "./latent.js";

const SIDE = 280; // pixels of the longer side of the canvas to draw on

export function reconstruct({ root, bundle, format, latent, shown, say, failed }) {
  const panel = root.querySelector("#reconstruct");
  if (!bundle.has("encode")) {
    panel.hidden = true;
    return;
  }
  const [sketch, input, output] = ["#sketch", "#input", "#reconstruction"].map((id) =>
    root.querySelector(id));
  const invert = root.querySelector("#invert");
  const file = root.querySelector("#file");
  [input, output].forEach((canvas) => format.fit(canvas));
  const distance = root.querySelector("#distance");
  let latest = null; // image that went through
  let pixels = null; // of the file or the drawing, before it became `input`

  const show = newest(async ({ image, from }) => {
    const { asked } = bundle;
    format.draw(input, image);
    const { z_mean: z } = await bundle.encode(image);
    const decoded = await bundle.decode(z);
    format.draw(output, decoded);
    const kept = format.clamp(decoded);
    const errors = image.map((value, i) => Math.abs(value - kept[i]));
    const share = errors.reduce((a, b) => a + b) / errors.length / (format.white - format.black);
    distance.textContent = `${(100 * share).toFixed(1)} % off, on average over the pixels`;
    Object.assign(shown, { input: image, reconstruction: decoded, distance: share, reconstructedAs: asked });
    latest = image;
    if (!from) return;
    latent.move(z, "reconstruct");
    say(`Reconstructed ${from}`);
  }, failed);
  const showPixels = (from) => show({ image: format.fromPixels(pixels, invert.checked), from });

  latent.addEventListener("move", ({ detail }) =>
    detail === "condition" && latest && show({ image: latest }));

  const pen = drawing(sketch, format, root, () => {
    pixels = pen.pixels();
    invert.checked = false;
    showPixels("the drawing");
  });

  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    if (!chosen) return;
    try {
      pixels = await format.readFile(chosen);
      pen.clear();
      await showPixels(chosen.name);
    } catch (error) {
      failed(error);
    }
    file.value = ""; // so that the same file can be chosen again
  });
  invert.addEventListener("change", () => pixels && showPixels("the inverted image"));
  root.querySelector("#use-shown").addEventListener("click", () => {
    pixels = format.pixels(shown.image);
    pen.clear();
    show({ image: format.clamp(shown.image), from: "the picture you are at" });
  });
  root.querySelector("#clear").addEventListener("click", () => {
    pen.clear();
    pixels = latest = null;
    distance.textContent = "";
    [input, output].forEach((canvas) => format.fit(canvas)); // which empties them
    say("Cleared");
  });
  return show({ image: format.clamp(shown.image) }); // an example, which moves nothing
}

/** Returns the pen on `canvas`; `drawn` is called at each of its strokes. */
function drawing(canvas, { height, width, channels }, root, drawn) {
  const scale = SIDE / Math.max(height, width);
  canvas.width = Math.round(scale * width);
  canvas.height = Math.round(scale * height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const colour = root.querySelector("#colour");
  root.querySelector("#colour-label").hidden = channels < 3;
  let last = null;

  const clear = () => {
    context.fillStyle = "black";
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  const stroke = (event) => {
    const box = canvas.getBoundingClientRect();
    const point = [
      ((event.clientX - box.left) / box.width) * canvas.width,
      ((event.clientY - box.top) / box.height) * canvas.height,
    ];
    context.strokeStyle = channels < 3 ? "white" : colour.value;
    context.lineWidth = Math.max(SIDE / 12, 1.5 * scale); // what survives the resizing
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(...(last ?? point));
    context.lineTo(...point);
    context.stroke();
    last = point;
    drawn();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (canvas.hasPointerCapture(event.pointerId)) stroke(event);
  });
  clear();
  return { clear, pixels: () => context.getImageData(0, 0, canvas.width, canvas.height) };
}
