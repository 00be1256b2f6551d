/** A slider for each latent variable, those that change the image most first. */

import { number } from "./latent.js";

const FIRST = 8; // as many are shown at once

export function sliders({ root, bundle, latent, say }) {
  const { order } = bundle.content.latent;
  const list = root.querySelector("#sliders");
  const rows = order.map(row);
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

  const update = () => rows.forEach(({ index, input, output }) => {
    input.value = latent.z[index];
    output.textContent = number(latent.z[index]);
  });
  latent.addEventListener("move", update);
  update();

  function row(index) {
    const label = document.createElement("label");
    const name = document.createElement("span");
    const input = document.createElement("input");
    const output = document.createElement("output");
    label.className = "slider";
    name.innerHTML = `z<sub>${index + 1}</sub>`;
    const [low, high] = [latent.low[index], latent.high[index]];
    Object.assign(input, { type: "range", min: low, max: high, step: (high - low) / 200 });
    input.dataset.latent = index;
    input.setAttribute("aria-label", `Latent variable ${index + 1}`);
    input.addEventListener("input", () => {
      latent.change({ [index]: input.valueAsNumber }, "sliders");
      say(`z${index + 1} ${number(input.valueAsNumber)}`);
    });
    label.append(name, input, output);
    return { index, label, input, output };
  }
}
