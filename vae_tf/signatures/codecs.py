"""PNG and JPEG: `encode_bytes(image_bytes)` and `generate_png(seed, temperature)`.

What a file holds becomes what the training data were made of (`vae_tf.data.folders`): palettes
become colours, CMYK becomes RGB, transparent pixels are blended with black unless the model has
an alpha channel, animations are their first frame, colour becomes grey by ITU-R 601, and another
size is resized. Unlike there, 16 bits a channel lose the lower 8, and a camera's orientation is
not applied.
"""

from collections.abc import Sequence

import tensorflow as tf
from tensorflow.python.data.ops.map_op import _MapDataset

from vae_tf.signatures import rows
from vae_tf.signatures.coding import encoded
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.halves import Halves
from vae_tf.signatures.preprocessing import WHITE, Preprocessing

CHANNELS = (1, 3, 4)
MOST_PIXELS = 2**24  # of one file, of which a few KB may hold half a GB


def lacking(halves: Halves) -> str | None:
    """Returns in a sentence why there are no image files of this model, or None."""
    shape = halves.shape
    if len(shape) != 3 or shape[-1] not in CHANNELS:
        return f"Data of shape {shape} are no pictures, grey, RGB or RGBA."
    if halves.preprocessing.value_range is None:
        return "The preprocessing tells no value_range, so what black and white are is not known."
    return None


def encode_bytes_endpoint(halves: Halves) -> Endpoint:
    """Returns `encode_bytes(image_bytes string [B]) -> {z_mean [B, L], z_log_var [B, L]}`.

    What is no image, or one of more than MOST_PIXELS, makes its row NaN.
    """
    taken, preprocessing = halves.condition("encoder"), halves.preprocessing

    def encode_bytes(image_bytes: tf.Tensor, *given: tf.Tensor) -> dict[str, tf.Tensor]:
        levels = decoded(image_bytes, halves.shape)
        fit = rows.within(levels)
        x = preprocessing.of_levels(tf.where(tf.math.is_finite(levels), levels, 0.0))
        fit = taken.also(fit & preprocessing.fit(x), given)
        return rows.spoilt(encoded(halves, x, taken.value(given)), fit)

    inputs = Input("image_bytes", "string"), *taken.inputs
    required = frozenset({"z_mean", "z_log_var"})
    return Endpoint("encode_bytes", "encoder", inputs, required, encode_bytes, litert=False)


def generate_png_endpoint(generate: Endpoint, preprocessing: Preprocessing) -> Endpoint:
    """Returns `generate_png(seed [B], temperature [B]) -> {image_bytes string [B]}`.

    They are the images of `generate`, in 8 bits; where those are NaN, the string is empty.
    """

    def pictures(function):
        def generate_png(*inputs: tf.Tensor) -> dict[str, tf.Tensor]:
            image = function(*inputs)["image"]
            finite = tf.where(tf.math.is_finite(image), image, 0.0)
            png = tf.io.encode_png(preprocessing.to_levels(finite))
            return {"image_bytes": tf.where(rows.within(image), png, "")}

        return generate_png

    traced = None if generate.traced is None else pictures(generate.traced)
    return Endpoint(
        "generate_png",
        generate.half,
        generate.inputs,
        frozenset({"image_bytes"}),
        pictures(generate.function),
        traced,
        litert=False,
    )


def decoded(image_bytes: tf.Tensor, image_shape: Sequence[int]) -> tf.Tensor:
    """Returns levels 0..255, whole float32 [B, *image_shape]; NaN where a row is no image.

    `tf.data` alone can go on after an error of an operation.
    """
    total = tf.shape(image_bytes)[0]
    blank = tf.fill(image_shape, float("nan"))

    def one(row: tf.Tensor, data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return row, _levels(data, image_shape)

    # It would take longer to optimize than to run.
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    options.experimental_optimization.inject_prefetch = False
    images = tf.data.Dataset.from_tensor_slices((tf.range(total), image_bytes))
    # In one thread: `map` would have each file wait for its turn behind other requests' operations
    images = _MapDataset(images, one, use_inter_op_parallelism=False).ignore_errors()
    # One more, for the element must not be empty
    images = images.concatenate(tf.data.Dataset.from_tensors((total, blank)))
    images = images.batch(tf.cast(total + 1, tf.int64)).with_options(options)
    row, levels = images.get_single_element()
    blanks = tf.fill([total + 1, *image_shape], float("nan"))
    return tf.tensor_scatter_nd_update(blanks, row[:, tf.newaxis], levels)[:-1]


def _levels(data: tf.Tensor, image_shape: Sequence[int]) -> tf.Tensor:
    """Returns the levels of one file, whole float32 `image_shape`.

    Without tf.cond, which cannot run in one thread.
    """
    height, width, channels = image_shape
    pixels = tf.io.decode_image(data, expand_animations=False)
    total, found = tf.size(pixels), tf.shape(pixels)[-1]  # grey, grey and alpha, RGB, RGBA
    with tf.control_dependencies([tf.debugging.Assert(total // found <= MOST_PIXELS, [total])]):
        pixels = tf.cast(pixels, tf.int32)
    pixels = tf.pad(pixels, [[0, 0], [0, 0], [0, 1]], constant_values=WHITE)
    alpha = tf.gather(pixels, [tf.where(found % 2 == 0, found - 1, found)], axis=-1)
    colour = tf.gather(pixels, tf.where(found >= 3, [0, 1, 2], [0, 0, 0]), axis=-1)
    if channels < 4:
        colour = (colour * alpha + WHITE // 2) // WHITE
    if channels == 1:
        # Pillow's weights, in 65536ths
        grey = tf.reduce_sum(colour * [19595, 38470, 7471], -1, keepdims=True) + 32768
        colour = tf.where(found >= 3, grey // 65536, colour[..., :1])
    levels = tf.concat([colour, alpha], -1) if channels == 4 else colour
    resized = tf.image.resize(tf.cast(levels, tf.float32), (height, width), antialias=True)
    whole = tf.clip_by_value(tf.round(resized), 0.0, float(WHITE))
    return tf.ensure_shape(whole, image_shape)
