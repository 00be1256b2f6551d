/** A slider for each latent variable, those that change the image most first. */

import { number } from "./latent.js";

export const FIRST = 8; // as many are shown at once

export function sliders({ root, bundle, latent, say }) {
  const { order } = bundle.content.latent;
  const list = root.querySelector("#sliders");
  const rows = order.map((index) => {
    const [low, high] = [latent.low[index], latent.high[index]];
    const name = `z<sub>${index + 1}</sub>`;
    const made = slider(name, `Number ${index + 1}`, low, high, (high - low) / 200, (value) => {
      latent.change({ [index]: value }, "sliders");
      say(`z${index + 1} ${number(value)}`);
    });
    made.input.dataset.latent = index;
    return made;
  });
  list.append(...rows.map(({ label }) => label));

  const toggle = root.querySelector("#show-all");
  toggle.hidden = order.length <= FIRST;
  const show = (all) => {
    rows.forEach(({ label }, place) => (label.hidden = !all && place >= FIRST));
    toggle.textContent = all ? `Show the first ${FIRST}` : `Show all ${order.length}`;
    toggle.setAttribute("aria-expanded", String(all));
  };
  toggle.addEventListener("click", () => show(toggle.getAttribute("aria-expanded") === "false"));
  show(false);

  const update = () => rows.forEach(({ input, show }, place) => {
    const index = order[place];
    Object.assign(input, { min: latent.low[index], max: latent.high[index] });
    show(latent.z[index]);
  });
  latent.addEventListener("move", update);
  update();
}

/** Returns a slider's `label`, its `input`, and `show`, which sets its value; `changed` gets it. */
export function slider(text, spoken, low, high, step, changed) {
  const [label, name, input, output] = ["label", "span", "input", "output"].map((tag) =>
    document.createElement(tag));
  label.className = "slider";
  name.innerHTML = text;
  Object.assign(input, { type: "range", min: low, max: high, step });
  input.setAttribute("aria-label", spoken);
  input.addEventListener("input", () => changed(input.valueAsNumber));
  label.append(name, input, output);
  const show = (value) => {
    input.value = value;
    output.textContent = number(value);
  };
  return { label, input, show };
}
