/** The straight line between two points of the latent space. */

import { seedIn } from "./generate.js";
import { mix, newest, number } from "./latent.js";

const IMAGES = 9;

export function interpolate({ root, bundle, format, latent, shown, say, failed }) {
  const strip = root.querySelector("#strip");
  const position = root.querySelector("#position");
  const ends = (shown.ends = [latent.z.slice(), latent.z.slice()]);
  const step = format.width + Math.ceil(format.width / 14); // with the gap between images
  strip.width = IMAGES * step - (step - format.width);
  strip.height = format.height;

  const draw = newest(async () => {
    const points = Array.from({ length: IMAGES }, (_, i) => mix(...ends, i / (IMAGES - 1)));
    let place = 0;
    for await (const images of bundle.decodeMany(points)) {
      for (const image of images) format.draw(strip, image, place++ * step);
    }
  }, failed);

  latent.addEventListener("move", ({ detail }) => {
    if (detail !== "condition") return;
    ends.forEach((end, i) => (ends[i] = end.map((value, k) => value + latent.step[k])));
    draw();
  });

  const forms = [...root.querySelectorAll("#interpolate form")];
  const set = forms.map((form, end) => {
    const field = form.querySelector("input");
    const fromSeed = async () => {
      const value = seedIn(field);
      if (value === null) return;
      ends[end] = (await bundle.generate(value, 1)).z;
      await draw();
    };
    field.addEventListener("change", () => fromSeed().catch(failed));
    form.addEventListener("submit", (event) => event.preventDefault());
    form.querySelector("button").addEventListener("click", () => {
      ends[end] = latent.z.slice();
      draw();
      say(`The line now ${end ? "ends" : "starts"} at the current point`);
    });
    return fromSeed;
  });
  position.addEventListener("input", () => {
    latent.move(mix(...ends, position.valueAsNumber), "interpolate");
    say(`${number(position.valueAsNumber)} of the way`);
  });

  if (bundle.has("generate")) return Promise.all(set.map((fromSeed) => fromSeed()));
  forms.forEach((form) => (form.querySelector("label").hidden = true));
  ends[0] = Float32Array.from(latent.low);
  ends[1] = Float32Array.from(latent.high);
  return draw();
}
