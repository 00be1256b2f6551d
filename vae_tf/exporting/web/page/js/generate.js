/** Draws from the prior by seed and temperature, through the model's own `generate`. */

import { number, vector } from "./latent.js";

/** Returns the integer in `field`; null, with the browser's own message, if it holds none. */
export function seedIn(field) {
  return field.reportValidity() ? field.valueAsNumber : null;
}

export function generate({ root, bundle, latent, say, failed }) {
  const form = root.querySelector("#generate-form");
  const seed = root.querySelector("#seed");
  const temperature = root.querySelector("#temperature");
  const output = root.querySelector("#temperature-value");
  if (!bundle.has("generate")) {
    form.hidden = temperature.parentElement.hidden = true;
    const none = root.querySelector("#generate-none");
    none.textContent = `No draws from the prior here. ${bundle.content.generate.reason ?? ""}`;
    none.hidden = false;
    return;
  }

  const draw = async () => {
    const value = seedIn(seed);
    if (value === null) return;
    try {
      const { z } = await bundle.generate(value, temperature.valueAsNumber);
      latent.move(z, "generate");
      say(`Seed ${value}: z is ${vector(z)}`);
    } catch (error) {
      failed(error);
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    draw();
  });
  root.querySelector("#next-seed").addEventListener("click", () => {
    const next = (seed.valueAsNumber + 1) | 0; // after the largest int32 comes the smallest
    seed.value = next;
    draw();
  });
  temperature.addEventListener("input", () => {
    output.textContent = number(temperature.valueAsNumber);
    draw();
  });
  return draw();
}
