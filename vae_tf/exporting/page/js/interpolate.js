/** The straight line between two points of the latent space. */

import { seedIn } from "./generate.js";
import { mix, newest, number } from "./latent.js";

const IMAGES = 9;

export function interpolate({ root, bundle, format, latent, say, failed }) {
  const strip = root.querySelector("#strip");
  const position = root.querySelector("#position");
  const ends = [latent.z.slice(), latent.z.slice()];
  format.fit(strip, IMAGES);

  const draw = newest(async () => {
    const points = Array.from({ length: IMAGES }, (_, i) => mix(...ends, i / (IMAGES - 1)));
    let place = 0;
    for await (const images of bundle.decodeMany(points)) {
      for (const image of images) format.draw(strip, image, place++ * format.width);
    }
  }, failed);

  const forms = [...root.querySelectorAll("#interpolate form")];
  const set = forms.map((form, end) => {
    const field = form.querySelector("input");
    const fromSeed = async () => {
      const value = seedIn(field);
      if (value === null) return;
      ends[end] = (await bundle.generate(value, 1)).z;
      await draw();
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      fromSeed().catch(failed);
    });
    form.querySelector("[type=button]").addEventListener("click", () => {
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

  if (bundle.has("generate", "decoder")) return Promise.all(set.map((fromSeed) => fromSeed()));
  for (const form of forms) {
    form.querySelector("label").hidden = form.querySelector("[type=submit]").hidden = true;
  }
  ends[0] = Float32Array.from(latent.low);
  ends[1] = Float32Array.from(latent.high);
  return draw();
}
