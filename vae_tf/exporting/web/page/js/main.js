/** From the folder `model/` to a page that works, or to one sentence about why it does not. */

import { PageError, openBundle } from "./bundle.js";
import { compare } from "./compare.js";
import { condition } from "./condition.js";
import { generate } from "./generate.js";
import { Format } from "./image.js";
import { interpolate } from "./interpolate.js";
import { Latent, newest, number } from "./latent.js";
import { Pad } from "./pad.js";
import { reconstruct } from "./reconstruct.js";
import { FIRST, sliders } from "./sliders.js";
import { Rows } from "./table.js";

const root = document;
const notice = root.querySelector("#notice");

function failed(error) {
  const ours = error instanceof PageError;
  notice.textContent = ours ? error.message : `Something in this page failed: ${error.message}`;
  notice.hidden = false;
  root.querySelector("#boot").hidden = true;
  if (!ours) console.error(error);
}

async function start() {
  const bundle = await openBundle("model");
  const { columns, image } = bundle.content;
  const format = columns ? new Rows(columns) : new Format(image);
  root.body.className = columns ? "rows" : "images"; // which words and panels are for
  const latent = new Latent(bundle.content.latent);
  const shown = {}; // what is on the canvases, as the model gave it
  const status = root.querySelector("#status");
  const page = { root, bundle, format, latent, shown, failed, say: (t) => (status.textContent = t) };

  describe(bundle.content);
  root.querySelector("#boot").hidden = true;
  root.querySelector("#panels").hidden = false;
  await condition(page);
  sliders(page);
  const pictured = picture(page);
  await generate(page); // moves the point to the first seed's
  await pictured;
  if (latent.size > 1) new Pad(page);
  else root.querySelector("#left").hidden = true;
  if (!columns) await Promise.all([interpolate(page), reconstruct(page), compare(page)]);
  globalThis.explorer = { bundle, format, latent, shown }; // for the console, and for tests
}

/** Keeps the large picture, or the card, at the present point, and the numbers beside it. */
function picture({ bundle, format, latent, shown, failed }) {
  const canvas = root.querySelector("#picture");
  const card = root.querySelector("#card");
  const numbers = root.querySelector("#z");
  format.fit(canvas);
  const show = newest(async (z) => {
    const { asked } = bundle;
    const image = await bundle.decode(z);
    if (format.fill) format.fill(card, image);
    else format.draw(canvas, image);
    Object.assign(shown, { at: [z, asked], image });
    notice.hidden = true;
  }, failed);
  const first = bundle.content.latent.order.slice(0, FIRST);
  const update = () => {
    numbers.replaceChildren(...first.map((index) => {
      const text = `z${index + 1} ${number(latent.z[index])}`;
      return Object.assign(root.createElement("span"), { textContent: text });
    }));
    return show(latent.z);
  };
  latent.addEventListener("move", update);
  return update();
}

function describe({ name, facts, latent, image, columns }) {
  const size = latent.centre.length;
  const numbers = size === 1 ? "one number, z1" : `${size} numbers, z1 ${size > 2 ? "to" : "and"} z${size}`;
  const what = columns
    ? `rows of ${columns.length} columns`
    : `pictures of ${image.shape[0]} × ${image.shape[1]} pixels`;
  root.title = `${name} · explorer`;
  root.querySelector("#subtitle").textContent = `${name}: ${what}, each made from ${numbers}`;
  const list = root.querySelector("#facts-list");
  for (const { name: term, value } of facts) {
    const [pair, dt, dd] = ["div", "dt", "dd"].map((tag) => root.createElement(tag));
    dt.textContent = term;
    dd.textContent = value;
    pair.append(dt, dd);
    list.append(pair);
  }
}

start().catch(failed);
