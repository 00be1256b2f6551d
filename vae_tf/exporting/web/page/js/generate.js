/** Draws from the prior by seed and temperature, through the model's own `generate`. */

import { newest, number, vector } from "./latent.js";

/** Returns the integer in `field`; null, with the browser's own message, if it holds none. */
export function seedIn(field) {
  return field.reportValidity() ? field.valueAsNumber : null;
}

const CARDS = 6; // of rows of a table

export function generate({ root, bundle, format, latent, shown, say, failed }) {
  const form = root.querySelector("#generate-form");
  const seed = root.querySelector("#seed");
  const temperature = root.querySelector("#temperature");
  const output = root.querySelector("#temperature-value");
  if (!bundle.has("generate")) {
    form.hidden = temperature.parentElement.hidden = true;
    root.querySelector("#generate-help").textContent =
      `This model cannot make up anything here. ${bundle.content.generate.reason ?? ""}`;
    return;
  }

  const list = root.querySelector("#cards");
  const cards = newest(async (first) => {
    if (!format.fill) return;
    shown.rows = Object.assign([], { first });
    for (let i = 0; i < CARDS; i++) {
      const drawn = await bundle.generate((first + i) | 0, temperature.valueAsNumber);
      const card = list.children[i] ?? list.appendChild(root.createElement("dl"));
      card.className = "card";
      format.fill(card, drawn.image);
      shown.rows.push(drawn.image);
    }
  }, failed);
  latent.addEventListener("move", ({ detail }) => {
    if (detail === "condition" && seed.validity.valid) cards(seed.valueAsNumber);
  });

  const draw = async () => {
    const value = seedIn(seed);
    if (value === null) return;
    try {
      const { z } = await bundle.generate(value, temperature.valueAsNumber);
      latent.move(z, "generate");
      cards(value);
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
