/** Images between files, canvases and the flat arrays of the model. */

import { PageError } from "./bundle.js";

/** What the model means by its numbers: `shape` [H, W, C] and `range` [black, white]. */
export class Format {
  constructor({ shape, range }) {
    [this.height, this.width, this.channels] = shape;
    [this.black, this.white] = range;
    this.gap = Math.round(8 / this.width); // on a grid, or small images would run into each other
  }

  get size() {
    return this.height * this.width * this.channels;
  }

  /** Returns `image` as pixels for a canvas. */
  pixels(image) {
    const { height, width, channels, black, white } = this;
    const data = new ImageData(width, height);
    const colours = channels >= 3 ? [0, 1, 2] : [0, 0, 0];
    for (let i = 0; i < height * width; i++) {
      colours.forEach((channel, k) => {
        const share = (image[i * channels + channel] - black) / (white - black);
        data.data[4 * i + k] = Math.round(255 * share); // clamped by the array
      });
      data.data[4 * i + 3] = 255;
    }
    return data;
  }

  /** Draws `image` on `canvas`, a pixel for a pixel, with its corner at (x, y). */
  draw(canvas, image, x = 0, y = 0) {
    canvas.getContext("2d").putImageData(this.pixels(image), x, y);
  }

  /** Returns `image` as its pixels show it: a mean of p(x|z) may be beyond black or white. */
  clamp(image) {
    return image.map((value) => Math.min(this.white, Math.max(this.black, value)));
  }

  /** Sets the size of `canvas` to that of `columns` x `rows` images. */
  fit(canvas, columns = 1, rows = 1) {
    canvas.width = columns * this.width;
    canvas.height = rows * this.height;
  }

  /** Returns the image that the model takes for RGBA `pixels`, whose size may be another. */
  fromPixels(pixels, inverted = false) {
    const { height, width, channels, black, white } = this;
    const { data } = pixels;
    const grey = channels < 3;
    const planes = grey ? 1 : 3;
    const source = new Float32Array(pixels.width * pixels.height * planes);
    for (let i = 0; i < pixels.width * pixels.height; i++) {
      // As for the training's folders of images: on black where transparent, ITU-R 601 for grey.
      const [r, g, b] = [0, 1, 2].map((k) => Math.round((data[4 * i + k] * data[4 * i + 3]) / 255));
      const values = grey ? [Math.round(0.299 * r + 0.587 * g + 0.114 * b)] : [r, g, b];
      values.forEach((value, k) => (source[i * planes + k] = inverted ? 255 - value : value));
    }
    const resized = resize(source, [pixels.height, pixels.width, planes], height, width);
    const image = new Float32Array(this.size).fill(white);
    for (let i = 0; i < height * width; i++) {
      for (let k = 0; k < Math.min(planes, channels); k++) {
        const share = Math.min(255, Math.max(0, Math.round(resized[i * planes + k]))) / 255;
        image[i * channels + k] = black + (white - black) * share;
      }
    }
    return image;
  }

  /** Returns the RGBA pixels of the middle of `file` that has the sides' ratio of the model. */
  async readFile(file) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, {
        colorSpaceConversion: "none",
        premultiplyAlpha: "none",
      });
    } catch {
      throw new PageError(`“${file.name}” is no image that this browser can read. ` +
        "Choose a PNG, JPEG, WebP or GIF file.");
    }
    const scale = Math.min(bitmap.width / this.width, bitmap.height / this.height);
    const width = Math.max(1, Math.round(scale * this.width));
    const height = Math.max(1, Math.round(scale * this.height));
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    const [x, y] = [Math.floor((bitmap.width - width) / 2), Math.floor((bitmap.height - height) / 2)];
    context.drawImage(bitmap, -x, -y);
    bitmap.close();
    return context.getImageData(0, 0, width, height);
  }
}

/**
 * Returns `source` [H, W, C] as [height, width, C]: bilinear with antialiasing, as
 * `tf.image.resize` does it, which resized the training data.
 */
function resize(source, [h, w, planes], height, width) {
  const columns = weights(w, width);
  const across = new Float32Array(h * width * planes);
  for (let y = 0; y < h; y++) {
    columns.forEach((taps, x) => {
      for (const [from, weight] of taps) {
        for (let k = 0; k < planes; k++) {
          across[(y * width + x) * planes + k] += weight * source[(y * w + from) * planes + k];
        }
      }
    });
  }
  const result = new Float32Array(height * width * planes);
  const row = width * planes;
  weights(h, height).forEach((taps, y) => {
    for (const [from, weight] of taps) {
      for (let i = 0; i < row; i++) result[y * row + i] += weight * across[from * row + i];
    }
  });
  return result;
}

/** Returns for each of `to` places the [source, weight] pairs of a triangle filter. */
function weights(from, to) {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const taps = [];
    const first = Math.max(0, Math.floor(centre - reach));
    const last = Math.min(from - 1, Math.ceil(centre + reach));
    for (let j = first; j <= last; j++) {
      const weight = 1 - Math.abs(j + 0.5 - centre) / reach;
      if (weight > 0) taps.push([j, weight]);
    }
    const total = taps.reduce((sum, [, weight]) => sum + weight, 0);
    return taps.map(([j, weight]) => [j, weight / total]);
  });
}
