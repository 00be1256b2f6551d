/** The exported model in the page: `model/model.json`, its LiteRT files, and LiteRT.js. */

import { Tensor, loadAndCompile, loadLiteRt, supportsFeature } from "@litertjs/core";

/** What went wrong, in words for the one who looks at the page. */
export class PageError extends Error {}

/** Returns the `Bundle` in `folder`, its models compiled. */
export async function openBundle(folder) {
  if (typeof WebAssembly !== "object") {
    throw new PageError("This browser has no WebAssembly, without which the model cannot run.");
  }
  const [content] = await Promise.all([
    get(`${folder}/model.json`).then((response) => response.json()),
    loadRuntime(),
  ]);
  const compiled = {};
  for (const [role, { file }] of Object.entries(content.models)) {
    const bytes = new Uint8Array(await (await get(`${folder}/${file}`)).arrayBuffer());
    try {
      compiled[role] = await loadAndCompile(bytes, { accelerator: "wasm" });
    } catch (error) {
      throw new PageError(`The model file ${file} cannot be used: ${error.message}`);
    }
  }
  return new Bundle(content, compiled);
}

async function get(path) {
  let response;
  try {
    response = await fetch(path, { cache: "no-cache" }); // a page built anew has new models
  } catch {
    throw new PageError(`The file ${path} could not be fetched; is the web server still there?`);
  }
  if (!response.ok) {
    throw new PageError(`The file ${path} is missing here (HTTP ${response.status}).`);
  }
  return response;
}

/** Returns the bytes that were compressed into the file at `path`. */
async function unpacked(path) {
  const bytes = await (await get(path)).arrayBuffer();
  const [first, second] = new Uint8Array(bytes);
  if (first !== 0x1f || second !== 0x8b) return bytes; // a server's header had it unpacked already
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")))
    .arrayBuffer();
}

async function loadRuntime() {
  const aborted = new Promise((_, reject) => {
    // Emscripten would write the runtime's chatter to the console, and not reject when it aborts.
    globalThis.Module = { print() {}, printErr() {}, onAbort: reject };
  });
  const compat = (await supportsFeature("relaxedSimd")) ? "" : "_compat";
  const file = new URL(`../litert/wasm/litert_wasm${compat}_internal`, import.meta.url).href;
  try {
    globalThis.Module.wasmBinary = await unpacked(`${file}.wasm.gz`);
    await Promise.race([loadLiteRt(`${file}.js`), aborted]);
  } catch (error) {
    const reason = error?.message ?? (typeof error === "string" ? error : "its files are missing");
    throw new PageError(`LiteRT.js, which runs the model, could not start: ${reason}`);
  }
}

/** Arrays are flat Float32Arrays: an image is H * W * C numbers, z is L numbers. */
class Bundle {
  #compiled;

  constructor(content, compiled) {
    this.content = content;
    this.#compiled = compiled;
    /** By name, what the model is asked for; all it answers is conditional on it. */
    this.condition = Object.fromEntries(content.conditions.map(({ name, dtype, shape }) => {
      const size = shape.reduce((a, b) => a * b, 1);
      return [name, dtype === "int32" ? new Int32Array(size) : new Float32Array(size)];
    }));
  }

  /** Returns the condition as text. */
  get asked() {
    return Object.values(this.condition).join(" ");
  }

  /** Returns whether a model offers `signature`. */
  has(signature) {
    return Object.values(this.content.models).some((m) => signature in m.signatures);
  }

  /** Returns the image of `z`, by the model in `role`. */
  async decode(z, role = "decoder") {
    return (await this.#run(role, "decode", { z: [z, [1, z.length]] })).image;
  }

  /** Yields the images of each of `points`, in their order, a batch at a time. */
  async *decodeMany(points) {
    const role = "grid" in this.content.models ? "grid" : "decoder";
    const { batch } = this.content.models[role];
    const latent = points[0].length;
    const size = this.content.image.shape.reduce((a, b) => a * b);
    for (let start = 0; start < points.length; start += batch) {
      const rows = points.slice(start, start + batch);
      const z = new Float32Array(batch * latent);
      rows.forEach((row, i) => z.set(row, i * latent));
      const { image } = await this.#run(role, "decode", { z: [z, [batch, latent]] });
      yield rows.map((_, i) => image.subarray(i * size, (i + 1) * size));
    }
  }

  /** Returns `{z, image}`, drawn from the prior; a function of its arguments. */
  async generate(seed, temperature) {
    return this.#run("decoder", "generate", {
      seed: [Int32Array.of(seed), [1]],
      temperature: [Float32Array.of(temperature), [1]],
    });
  }

  /** Returns `{z_mean, z_log_var}` of q(z|image). */
  async encode(image) {
    const { shape, range: [black, white], dtype } = this.content.image;
    const level = (x) => Math.round(255 * (x - black) / (white - black));
    const values = dtype === "uint8" ? Uint8Array.from(image, level) : image;
    return this.#run("encoder", "encode", { image: [values, [1, ...shape]] });
  }

  async #run(role, signature, inputs) {
    const tensors = {};
    const [batch] = Object.values(inputs)[0][1];
    for (const { name, shape } of this.content.conditions) {
      if (!this.content.models[role].signatures[signature].includes(name)) continue;
      const row = this.condition[name];
      const values = new row.constructor(batch * row.length);
      for (let i = 0; i < batch; i++) values.set(row, i * row.length);
      inputs[name] = [values, [batch, ...shape]];
    }
    for (const [name, [values, shape]] of Object.entries(inputs)) {
      tensors[name] = new Tensor(values, shape);
    }
    const outputs = {};
    try {
      const results = await this.#compiled[role].run(signature, tensors);
      for (const [name, tensor] of Object.entries(results)) {
        outputs[name] = tensor.toTypedArray();
        tensor.delete(); // WebAssembly's memory is not collected
      }
    } finally {
      Object.values(tensors).forEach((tensor) => tensor.delete());
    }
    for (const [name, values] of Object.entries(outputs)) {
      if (!values.every(Number.isFinite)) {
        throw new PageError(`The model's ${signature} answered with numbers that are not finite ` +
          `(${name}): this point is beyond what it can do.`);
      }
    }
    return outputs;
  }
}
