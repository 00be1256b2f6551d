"""Lossless compression of all test images of a run, next to other codecs.

python benchmarks/train.py binarized_mnist_mlp --dataset binarized_mnist     the run, first
python benchmarks/lossless.py RUN [anew]     results/lossless.json; goes on where it was ended
python benchmarks/lossless.py page           the table of docs/compression.md, of the results

A codec's file holds all images, or is a file for each where its name says so. `packed` has eight
black and white pixels in a byte. What all codecs decode is compared with what they were given.

independent pixels: -log2 p of the images, p of each pixel being (ones + 1) / (N + 2) among the N
    training images: the shortest code that knows no more than these numbers.
negative ELBO: of the model, one draw of z for each image, by `evaluate`. What bits-back coding
    would take without quantization, headers, and the random bits that chains begin with.

`images_per_second` is of compression, `decoded_per_second` of decompression, both on the clock.
What a codec starts with, a process for the networks or a thread pool, is not counted.
"""

import bz2
import gzip
import io
import json
import lzma
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import common
import numpy as np
from PIL import Image

from vae_tf.codec import Codec
from vae_tf.models import VAE
from vae_tf.runs.build import kind_of
from vae_tf.runs.directory import RunDirectory, config_of
from vae_tf.runs.training import load_run

PATH = common.RESULTS / "lossless.json"
OWN = "vae_tf"


@dataclass(frozen=True)
class Method:
    """A way of compressing images, [N, H, W, 1] uint8 of 0 and 1."""

    compress: Callable[[np.ndarray], list[bytes]]
    decompress: Callable[[list[bytes], np.ndarray], np.ndarray]


def of_bytes(compress: Callable, decompress: Callable, packed: bool) -> Method:
    """Returns a codec of bytes, given all images at once."""

    def to_files(x: np.ndarray) -> list[bytes]:
        return [compress((np.packbits(x) if packed else x).tobytes())]

    def from_files(files: list[bytes], like: np.ndarray) -> np.ndarray:
        flat = np.frombuffer(decompress(files[0]), "uint8")
        return (np.unpackbits(flat)[: like.size] if packed else flat).reshape(like.shape)

    return Method(to_files, from_files)


def of_pictures(options: dict, sheet: bool) -> Method:
    """Returns a codec of pictures, given one sheet of all images or each by itself."""

    def pages(x: np.ndarray) -> list[np.ndarray]:
        if not sheet:
            return list(x[..., 0])
        side = next(n for n in range(int(len(x) ** 0.5), 0, -1) if len(x) % n == 0)
        height, width = x.shape[1:3]
        rows = x.reshape(side, -1, height, width).transpose(0, 2, 1, 3)
        return [rows.reshape(side * height, -1)]

    def to_file(page: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(page * 255).convert("1").save(buffer, **options)
        return buffer.getvalue()

    def from_file(file: bytes) -> np.ndarray:
        return (np.asarray(Image.open(io.BytesIO(file)).convert("L")) > 127).astype("uint8")

    def decompress(files: list[bytes], like: np.ndarray) -> np.ndarray:
        decoded = np.stack([from_file(file) for file in files])
        if not sheet:
            return decoded[..., None]
        height, width = like.shape[1:3]
        rows = decoded[0].reshape(-1, height, decoded.shape[2] // width, width)
        return rows.transpose(0, 2, 1, 3).reshape(like.shape)

    return Method(lambda x: [to_file(page) for page in pages(x)], decompress)


def others() -> dict[str, Method]:
    """Returns general codecs, and codecs of pictures, at their best and slowest."""
    png = {"format": "PNG", "optimize": True}
    webp = {"format": "WEBP", "lossless": True, "quality": 100, "method": 6}
    general = {
        "gzip": (lambda data: gzip.compress(data, 9), gzip.decompress),
        "bzip2": (lambda data: bz2.compress(data, 9), bz2.decompress),
        "xz": (lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME), lzma.decompress),
    }
    found = {}
    for name, (compress, decompress) in general.items():
        found[f"{name}, packed"] = of_bytes(compress, decompress, packed=True)
        found[f"{name}, a byte a pixel"] = of_bytes(compress, decompress, packed=False)
    for name, options in {"PNG": png, "WebP lossless": webp}.items():
        found[f"{name}, a file an image"] = of_pictures(options, sheet=False)
        found[f"{name}, one sheet"] = of_pictures(options, sheet=True)
    return found


def line_of(name: str, x: np.ndarray, size: float, began: float | None, middle: float = 0) -> dict:
    """Returns the entry of a codec that took so many bytes, timed from `began` until now."""
    line = {
        "codec": name,
        "images": len(x),
        "bytes": round(size),
        "bits_per_dim": 8 * size / x.size,
    }
    speeds: tuple[float | None, float | None] = None, None
    if began is not None:
        speeds = len(x) / (middle - began), len(x) / (time.perf_counter() - middle)
    return line | {"images_per_second": speeds[0], "decoded_per_second": speeds[1]}


def measured(name: str, method: Method, x: np.ndarray) -> dict:
    """Returns the entry of a codec, having made sure that it is lossless."""
    began = time.perf_counter()
    files = method.compress(x)
    middle = time.perf_counter()
    back = method.decompress(files, x)
    line = line_of(name, x, sum(map(len, files)), began, middle)
    assert np.array_equal(back, x), name
    return line


def own(vae: VAE, x: np.ndarray) -> dict:
    """Returns the entry of the model's codec."""
    with Codec(vae) as codec:
        codec.decompress(codec.compress(x[:64]))
        method = Method(
            lambda images: [codec.compress(images)], lambda files, _: codec.decompress(files[0])
        )
        return measured(OWN, method, x)


def independent(train: np.ndarray, x: np.ndarray) -> dict:
    """Returns the entry of a code for pixels with probabilities of their own."""
    p = (train.sum(0, dtype="float64") + 1) / (len(train) + 2)
    bits = -np.sum(np.log2(np.where(x == 1, p, 1 - p)))
    return line_of("independent pixels", x, bits / 8, None)


def bound(vae: VAE, x: np.ndarray) -> dict:
    """Returns the entry of the model's bound."""
    elbo = vae.evaluate(x.astype("float32"), batch_size=500, verbose=0, return_dict=True)["elbo"]
    return line_of("negative ELBO", x, -elbo / np.log(2) / 8 * len(x), None)


def main(run: str, *words: str) -> None:
    """Writes the results after each codec, so that a run that is ended goes on."""
    vae, saved = load_run(run)
    data = kind_of(config_of(saved)).data
    x, train = (split.array().astype("uint8") for split in (data.test, data.train))
    with Codec(vae) as codec:
        model = codec.model
    kept = json.loads(PATH.read_text()) if PATH.exists() and "anew" not in words else []
    done = {line["codec"] for line in kept if line["model"] in (None, model)}
    kept = [line for line in kept if line["codec"] in done]
    work: dict[str, Callable[[], dict]] = {
        OWN: lambda: own(vae, x),
        "negative ELBO": lambda: bound(vae, x),
        "independent pixels": lambda: independent(train, x),
    }
    for name, method in others().items():
        work[name] = lambda name=name, method=method: measured(name, method, x)
    of_model, report = (OWN, "negative ELBO"), RunDirectory(run).read_report() or {}
    for name in [name for name in work if name not in done]:
        facts = {"model": model if name in of_model else None}
        facts |= {"epochs": report.get("epochs") if name in of_model else None}
        facts |= {"dataset": saved["config"]["dataset"], "commit": common.commit()}
        kept.append({**work[name](), **facts, "machine": common.machine()})
        PATH.write_text(json.dumps(kept, indent=2) + "\n")
        print(name, f"{kept[-1]['bits_per_dim']:.4f}", flush=True)


def page() -> None:
    """Writes the table of docs/compression.md."""
    lines = sorted(json.loads(PATH.read_text()), key=lambda line: line["bits_per_dim"])
    text = "| | bytes | bits per dimension | images/s | decoded images/s |\n|---|---|---|---|---|\n"
    for line in lines:
        speeds = (line["images_per_second"], line["decoded_per_second"])
        cells = ["" if speed is None else f"{speed:,.0f}" for speed in speeds]
        name = f"**{line['codec']}**" if line["codec"] == OWN else line["codec"]
        text += (
            f"| {name} | {line['bytes']:,} | {line['bits_per_dim']:.4f} | {' | '.join(cells)} |\n"
        )
    (own_line,) = (line for line in lines if line["codec"] == OWN)
    text += f"\nThe run had {own_line['epochs']} epochs.\n"
    path = common.RESULTS.parents[1] / "docs/compression.md"
    common.write_table("lossless", text, path)


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        page()
    else:
        main(*sys.argv[1:])
