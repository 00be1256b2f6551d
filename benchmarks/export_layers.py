"""Keras's layers in exports: which SavedModels and LiteRT files have them, and how exactly.

python benchmarks/export_layers.py     writes results/export_layers.json, all of it

Each layer is exported alone, with weights that nobody initialized it to, and run on random and
extreme inputs; errors are the largest differences from Keras over the largest output of a batch.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from vae_tf.formats import parity
from vae_tf.formats.litert import agreeing
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.fixing import fixed
from vae_tf.formats.runtimes import cpp_loader, saved_model
from vae_tf.signatures.endpoint import Endpoint, Input
from vae_tf.signatures.probes import probes

PATH = Path(__file__).parent / "results/export_layers.json"
L = keras.layers
VECTOR, IMAGE, SEQUENCE, VOLUME, FILM = (7,), (8, 6, 4), (5, 4), (4, 8, 6, 2), (3, 8, 6, 2)
CLASSES = 4  # inputs (5,) are numbers of classes
Layers = Callable[[keras.KerasTensor], keras.KerasTensor]
ACTIVATIONS = (
    *("elu", "exponential", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "log_sigmoid"),
    *("log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus"),
    *("softsign", "tanh"),
)
# name -> shape of the input, the layer
LAYERS: dict[str, tuple[tuple[int, ...], Callable[[], Layers]]] = {
    "Dense": (VECTOR, lambda: L.Dense(5)),
    "EinsumDense": (SEQUENCE, lambda: L.EinsumDense("abc,cd->abd", (None, 3), bias_axes="d")),
    "Conv2D": (IMAGE, lambda: L.Conv2D(3, 3, strides=2, padding="same")),
    "Conv2D, dilated": (IMAGE, lambda: L.Conv2D(3, 3, dilation_rate=2)),
    "Conv2D, grouped": (IMAGE, lambda: L.Conv2D(4, 3, groups=2)),
    "Conv2DTranspose": (IMAGE, lambda: L.Conv2DTranspose(3, 3, strides=2, padding="same")),
    "Conv2DTranspose, valid": (IMAGE, lambda: L.Conv2DTranspose(3, 3, strides=2)),
    "DepthwiseConv2D": (IMAGE, lambda: L.DepthwiseConv2D(3, padding="same")),
    "SeparableConv2D": (IMAGE, lambda: L.SeparableConv2D(3, 3)),
    "Conv1D": (SEQUENCE, lambda: L.Conv1D(3, 3, padding="causal")),
    "Conv1DTranspose": (SEQUENCE, lambda: L.Conv1DTranspose(3, 3, strides=2)),
    "Conv3D": (VOLUME, lambda: L.Conv3D(2, 3)),
    "Conv3DTranspose": (VOLUME, lambda: L.Conv3DTranspose(2, 3, strides=2)),
    "UpSampling2D, nearest": (IMAGE, lambda: L.UpSampling2D((2, 3))),
    "UpSampling2D, bilinear": (IMAGE, lambda: L.UpSampling2D(2, interpolation="bilinear")),
    "UpSampling2D, bicubic": (IMAGE, lambda: L.UpSampling2D(2, interpolation="bicubic")),
    "UpSampling2D, lanczos3": (IMAGE, lambda: L.UpSampling2D(2, interpolation="lanczos3")),
    "UpSampling1D": (SEQUENCE, lambda: L.UpSampling1D(2)),
    "UpSampling3D": (VOLUME, lambda: L.UpSampling3D(2)),
    "Resizing": (IMAGE, lambda: L.Resizing(7, 9)),
    "MaxPooling2D": (IMAGE, lambda: L.MaxPooling2D(2)),
    "AveragePooling2D": (IMAGE, lambda: L.AveragePooling2D(3, 2, padding="same")),
    "GlobalAveragePooling2D": (IMAGE, lambda: L.GlobalAveragePooling2D()),
    "GlobalMaxPooling2D": (IMAGE, lambda: L.GlobalMaxPooling2D(keepdims=True)),
    "AdaptiveAveragePooling2D": (IMAGE, lambda: L.AdaptiveAveragePooling2D((2, 2))),
    "MaxPooling1D": (SEQUENCE, lambda: L.MaxPooling1D(2)),
    "AveragePooling1D": (SEQUENCE, lambda: L.AveragePooling1D(2)),
    "GlobalAveragePooling1D": (SEQUENCE, lambda: L.GlobalAveragePooling1D()),
    "MaxPooling3D": (VOLUME, lambda: L.MaxPooling3D(2)),
    "ZeroPadding2D": (IMAGE, lambda: L.ZeroPadding2D((1, 2))),
    "Cropping2D": (IMAGE, lambda: L.Cropping2D(((1, 0), (2, 1)))),
    "CenterCrop": (IMAGE, lambda: L.CenterCrop(4, 4)),
    "BatchNormalization": (IMAGE, lambda: L.BatchNormalization()),
    "LayerNormalization": (IMAGE, lambda: L.LayerNormalization()),
    # Of the same number everywhere it would have a variance of rounding errors alone
    "GroupNormalization": (IMAGE, lambda: lambda x: L.GroupNormalization(2)(L.Dense(4)(x))),
    "RMSNormalization": (IMAGE, lambda: L.RMSNormalization()),
    "UnitNormalization": (IMAGE, lambda: L.UnitNormalization()),
    "SpectralNormalization": (IMAGE, lambda: L.SpectralNormalization(L.Conv2D(3, 3))),
    "Normalization": (IMAGE, lambda: L.Normalization(mean=1.0, variance=2.0)),
    "Rescaling": (IMAGE, lambda: L.Rescaling(2.0, -1.0)),
    "Dropout": (IMAGE, lambda: L.Dropout(0.5)),
    "GaussianNoise": (IMAGE, lambda: L.GaussianNoise(0.5)),
    "RandomFlip": (IMAGE, lambda: L.RandomFlip()),
    "PReLU": (IMAGE, lambda: L.PReLU()),
    **{name: (IMAGE, lambda name=name: L.Activation(name)) for name in ACTIVATIONS},
    "Reshape": (IMAGE, lambda: L.Reshape((6, -1))),
    "Permute": (IMAGE, lambda: L.Permute((3, 1, 2))),
    "Flatten": (IMAGE, lambda: L.Flatten()),
    "RepeatVector": (VECTOR, lambda: L.RepeatVector(3)),
    "Embedding": ((5,), lambda: L.Embedding(CLASSES, 3)),
    "Embedding, mask_zero=True": ((5,), lambda: L.Embedding(CLASSES, 3, mask_zero=True)),
    "CategoryEncoding, multi_hot": ((5,), lambda: L.CategoryEncoding(CLASSES)),
    "CategoryEncoding, one_hot": ((5,), lambda: L.CategoryEncoding(CLASSES, "one_hot")),
    "IntegerLookup": ((5,), lambda: L.IntegerLookup(vocabulary=[1, 2])),
    "Hashing": ((5,), lambda: L.Hashing(3)),
    "Discretization": (VECTOR, lambda: L.Discretization([-1.0, 0.0, 1.0])),
    "LSTM": (SEQUENCE, lambda: L.LSTM(3)),
    "LSTM, unroll=True": (SEQUENCE, lambda: L.LSTM(3, return_sequences=True, unroll=True)),
    "GRU": (SEQUENCE, lambda: L.GRU(3)),
    "GRU, unroll=True": (SEQUENCE, lambda: L.GRU(3, return_sequences=True, unroll=True)),
    "SimpleRNN": (SEQUENCE, lambda: L.SimpleRNN(3)),
    "SimpleRNN, unroll=True": (SEQUENCE, lambda: L.SimpleRNN(3, unroll=True)),
    "RNN of cells, unroll=True": (
        SEQUENCE,
        lambda: L.RNN([L.LSTMCell(2), L.GRUCell(3)], unroll=True),
    ),
    "Bidirectional": (SEQUENCE, lambda: L.Bidirectional(L.LSTM(3))),
    "Bidirectional, unroll=True": (SEQUENCE, lambda: L.Bidirectional(L.GRU(3, unroll=True))),
    "ConvLSTM2D": (FILM, lambda: L.ConvLSTM2D(2, 3)),
    "ConvLSTM2D, unroll=True": (FILM, lambda: L.ConvLSTM2D(2, 3, unroll=True)),
    "TimeDistributed": (FILM, lambda: L.TimeDistributed(L.Conv2D(2, 3))),
    "MultiHeadAttention": (SEQUENCE, lambda: lambda x: L.MultiHeadAttention(2, 3)(x, x)),
    "MultiHeadAttention, causal": (
        SEQUENCE,
        lambda: lambda x: L.MultiHeadAttention(2, 3)(x, x, use_causal_mask=True),
    ),
    "GroupQueryAttention": (SEQUENCE, lambda: lambda x: L.GroupQueryAttention(2, 2, 1)(x, x)),
    "Attention": (SEQUENCE, lambda: lambda x: L.Attention()([x, x])),
    "AdditiveAttention": (SEQUENCE, lambda: lambda x: L.AdditiveAttention()([x, x])),
}


def endpoint_of(name: str) -> tuple[Endpoint, keras.Model]:
    """Returns a signature of one layer, and its model."""
    shape, build = LAYERS[name]
    of_classes = shape == (5,)
    keras.utils.set_random_seed(0)
    x = keras.Input(shape, dtype="int32" if of_classes else "float32")
    model = keras.Model(x, build()(x))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32":
            noise = rng.uniform(0.1, 0.5, weight.shape)  # positive, as a variance is
            weight.assign(weight.numpy() + noise)
    given = Input("z", "float32", shape)
    if of_classes:
        given = Input("z", "int32", shape, bounds=(0, CLASSES - 1), whole=True)

    def encode(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.cast(model(x, training=False), tf.float32)}

    return Endpoint("encode", "encoder", (given,), frozenset(), encode), model


def measure(name: str) -> dict:
    """Returns layer, errors of the SavedModel and of LiteRT's files, and why there are none.

    The SavedModel runs in TensorFlow's C++ loader; LiteRT's files are of any batch and of one row.
    """
    endpoint, model = endpoint_of(name)
    batches = probes(endpoint)
    expected = {"encode": parity.reference(endpoint, batches)}
    with tempfile.TemporaryDirectory() as scratch:
        directory, file = Path(scratch) / "1", Path(scratch) / "encoder.tflite"
        saved_model.write([endpoint], directory, [model])
        (served,) = cpp_loader.run([cpp_loader.Call(directory, "encode", batches)])
        compared = [parity.compare("cpp_loader", "encode", expected["encode"], served)]
        errors, remarks = agreeing.write(file, directory, [endpoint], expected, litert.packed)
        if errors:
            content = litert.packed(fixed(file.read_bytes(), 1))
            single = [i for i, batch in enumerate(batches) if len(batch["z"]) == 1]
            wanted = [expected["encode"][i] for i in single]
            received = litert.run(content, "encode", [batches[i] for i in single])
            compared += [errors["encode"], parity.compare("litert", "encode", wanted, received)]
    by_server, *by_litert = (error["y"]["max_relative_error"] for error in compared)
    remark = remarks.get(file.name)
    return {
        "layer": name,
        "saved_model": by_server,
        "litert": max(by_litert, default=None),
        "remark": remark,
    }


def main() -> None:
    """Measures all layers."""
    import common  # here, as tests import this module from the project's root

    about = {"machine": common.machine(), "commit": common.commit()}
    entries = [measure(name) | about for name in LAYERS]
    for entry in entries:
        print(entry)
    PATH.write_text(json.dumps(entries, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
