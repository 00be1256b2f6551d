/** From the folder `model/` to a page that works, or to one sentence about why it does not. */

import { PageError, openBundle } from "./bundle.js";
import { compare } from "./compare.js";
import { generate } from "./generate.js";
import { Format } from "./image.js";
import { interpolate } from "./interpolate.js";
import { Latent, newest, vector } from "./latent.js";
import { Pad } from "./pad.js";
import { reconstruct } from "./reconstruct.js";
import { sliders } from "./sliders.js";

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
  const format = new Format(bundle.content.image);
  const latent = new Latent(bundle.content.latent);
  const shown = {}; // what is on the canvases, as the model gave it
  const status = root.querySelector("#status");
  const page = { root, bundle, format, latent, shown, failed, say: (t) => (status.textContent = t) };

  describe(bundle.content);
  root.querySelector("#boot").hidden = true;
  root.querySelector("#panels").hidden = false;
  sliders(page);
  const pictured = picture(page);
  await generate(page); // moves the point to the first seed's
  await pictured;
  if (latent.size > 1) new Pad(page);
  else root.querySelector("#left").hidden = true;
  await Promise.all([interpolate(page), reconstruct(page), compare(page)]);
  globalThis.explorer = { bundle, latent, shown }; // for the console, and for tests
}

/** Keeps the large picture at the image of the present point. */
function picture({ bundle, format, latent, shown, failed }) {
  const canvas = root.querySelector("#picture");
  const caption = root.querySelector("#z");
  format.fit(canvas);
  const show = newest(async (z) => {
    const image = await bundle.decode(z);
    format.draw(canvas, image);
    Object.assign(shown, { z, image });
    notice.hidden = true;
  }, failed);
  const update = () => {
    caption.textContent = vector(latent.z);
    return show(latent.z);
  };
  latent.addEventListener("move", update);
  return update();
}

function describe({ name, facts, latent, image }) {
  const [height, width] = image.shape;
  const size = latent.centre.length;
  root.title = `${name} · latent explorer`;
  root.querySelector("#subtitle").textContent =
    `${name} · ${size} latent variable${size === 1 ? "" : "s"} · ${height} × ${width} pixels`;
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
