/** What a conditional model is asked for: buttons for classes, sliders for other numbers. */

import { newest, number } from "./latent.js";
import { slider } from "./sliders.js";

const BUTTONS = 12; // of more classes there is a list to choose from
const REACH = 3; // of other numbers, which are to have a spread of about 1 in training

export async function condition({ root, bundle, latent, say, failed }) {
  const { conditions } = bundle.content;
  if (!conditions.length) return;
  const panel = root.querySelector("#condition");
  panel.hidden = false;
  // A prior for each class has it in a place of its own: point and map go from one to the other.
  const middle = async () => bundle.has("generate")
    ? (await bundle.generate(0, 0)).z
    : latent.z.map(() => 0);
  let before = await middle();
  const follow = newest(async () => {
    const now = await middle();
    latent.shift(now.map((value, i) => value - before[i]), "condition");
    before = now;
  }, failed);
  for (const spec of conditions) {
    const name = conditions.length > 1 ? spec.name.replaceAll("_", " ") : "";
    const set = (place, value, text) => {
      bundle.condition[spec.name][place] = value;
      follow();
      say(`${name || "Asked for"} ${text}`);
    };
    const group = root.createElement("fieldset");
    group.append(Object.assign(root.createElement("legend"), { textContent: name }));
    group.setAttribute("aria-label", name || "The class or number to ask for");
    group.append(...(spec.range ? classes(spec, set) : numbers(spec, set)));
    panel.append(group);
  }
}

function classes({ name, range: [, last], words }, set) {
  const texts = words ?? Array.from({ length: last + 1 }, (_, i) => i);
  if (texts.length > BUTTONS) {
    const select = document.createElement("select");
    select.setAttribute("aria-label", name);
    select.append(...texts.map((text, i) => new Option(text, i)));
    select.addEventListener("change", () => set(0, Number(select.value), texts[select.value]));
    return [select];
  }
  const buttons = texts.map((text, i) => {
    const button = document.createElement("button");
    Object.assign(button, { type: "button", textContent: text });
    button.addEventListener("click", () => {
      press(button);
      set(0, i, text);
    });
    return button;
  });
  const press = (pressed) => buttons.forEach((button) =>
    button.setAttribute("aria-pressed", String(button === pressed)));
  press(buttons[0]);
  return buttons;
}

function numbers({ name, shape, dtype }, set) {
  const size = shape.reduce((a, b) => a * b, 1);
  return Array.from({ length: size }, (_, place) => {
    const text = size > 1 ? String(place + 1) : "";
    const step = dtype === "int32" ? 1 : 0.05;
    const { label, show } = slider(text, `${name} ${text}`, -REACH, REACH, step, (value) => {
      show(value);
      set(place, value, number(value));
    });
    show(0);
    return label;
  });
}
