"""Data that are read while a model trains, beside the same data in memory."""

import io

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

import vae_tf
from vae_tf.data.streams import streamed
from vae_tf.errors import DataError

N, SIDE = 700, 4


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 1)).astype(np.uint8)


@pytest.fixture(scope="module")
def y():
    return np.random.default_rng(1).integers(0, 3, N)


@pytest.fixture(scope="module")
def files(tmp_path_factory, x, y):
    """The same images in an array, in shards, and encoded."""
    home = tmp_path_factory.mktemp("files")
    np.savez(home / "array.npz", x=x, y=y)
    for i, part in enumerate(np.split(np.arange(N), [300, 420])):
        with tf.io.TFRecordWriter(str(home / f"{i}.tfrecord")) as file:
            for row in part:
                file.write(example(x[row], y[row]))
        nested = x[part, :, :, 0].tolist()
        table = pa.table({"image": nested, "label": y[part]})
        pq.write_table(table, home / f"{i}.parquet", row_group_size=64)
    for i in range(N):
        folder = home / "photos" / "abc"[y[i]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{i:03}.png").write_bytes(png(x[i]))
    return home


def example(pixels, label=None):
    made = tf.train.Example()
    made.features.feature["image"].int64_list.value.extend(pixels.ravel().tolist())
    if label is not None:
        made.features.feature["label"].int64_list.value.append(label)
    return made.SerializeToString()


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0]).save(file, "png")
    return file.getvalue()


def opened(files, kind, **arguments):
    if kind == "tfrecord":
        arguments["image_size"] = (SIDE, SIDE)
    name = "folder:photos" if kind == "folder" else f"{kind}:*.{kind}"
    scheme, _, path = name.partition(":")
    arguments |= {"stream": True} if kind == "folder" else {}
    return vae_tf.data.load(f"{scheme}:{files / path}", **arguments)


KINDS = ["tfrecord", "parquet", "folder"]


@pytest.fixture(params=KINDS)
def both(request, files, monkeypatch):
    """The streamed data with small windows, and the same in memory."""
    monkeypatch.setattr(streamed, "WINDOW", 96)
    if request.param == "folder":
        return opened(files, "folder"), vae_tf.data.load(f"folder:{files / 'photos'}")
    return opened(files, request.param), vae_tf.data.load(f"array:{files / 'array.npz'}")


def epochs(split, count, batch_size=32, seed=3, start=0, **kwargs):
    steps = split.steps_per_epoch(batch_size)
    batches = split.training_batches(batch_size, seed, start, **kwargs).take(count * steps)
    found = list(batches.as_numpy_iterator())
    return [found[i : i + steps] for i in range(0, len(found), steps)]


def rows(batches):
    return np.concatenate(batches).reshape(-1, SIDE * SIDE)


def as_set(images):
    return sorted(map(bytes, np.rint(images * 255).astype(np.uint8)))


def test_the_splits_are_those_of_the_data_in_memory(both):
    stream, memory = both
    assert stream.shape == memory.shape
    assert stream.white == memory.white == 255
    for name in ("train", "validation", "test"):
        here, there = getattr(stream, name), getattr(memory, name)
        np.testing.assert_array_equal(here.array(), there.array())
        np.testing.assert_array_equal(np.asarray(here.labels), there.labels)
        chosen = np.array([5, 0, 60])
        np.testing.assert_array_equal(here.at(chosen), there.at(chosen))
        np.testing.assert_array_equal(here.part(chosen).array(), there.part(chosen).array())
    assert stream.num_classes == 3
    some, every = stream.train.sample().mean(), memory.train.array().mean()
    np.testing.assert_allclose(some, every, atol=0.01)


def test_an_epoch_has_each_example_once_and_an_order_of_its_own(both):
    stream, memory = both
    one, two = epochs(stream.train, 2)
    assert [len(batch) for batch in one[:-1]] == [32] * (len(one) - 1)
    assert as_set(rows(one)) == as_set(rows(two)) == as_set(memory.train.array().reshape(-1, 16))
    assert not np.array_equal(rows(one), rows(two))
    again, later = epochs(stream.train, 1), epochs(stream.train, 1, start=1)
    np.testing.assert_array_equal(rows(one), rows(again[0]))
    np.testing.assert_array_equal(rows(two), rows(later[0]))
    other = epochs(stream.train, 1, seed=4)
    assert not np.array_equal(rows(one), rows(other[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_shuffled_as_a_whole_and_windows_by_block(files, kind, monkeypatch):
    split = opened(files, kind).train
    order, n = split.order(32, 3, 0), split.num_examples
    # The correlation of neighbours in a random order has a standard error of about n ** -0.5
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 4 * n**-0.5
    monkeypatch.setattr(streamed, "WINDOW", 96)
    order = split.order(32, 3, 0)
    assert sorted(order) == list(range(n))
    assert np.mean(np.abs(np.diff(order)) == 1) < 0.05


def test_labels_stay_with_their_images(both):
    stream, memory = both
    pairs = zip(memory.train.array(), memory.train.labels, strict=True)
    known = {bytes(image): label for image, label in pairs}
    batches = epochs(stream.train, 1, labels=True)[0]
    for images, labels in batches:
        for image, label in zip(images, labels, strict=True):
            assert known[bytes(image)] == label
    fixed = stream.validation.batches(50, labels=True)
    np.testing.assert_array_equal(
        np.concatenate([y for _, y in fixed.as_numpy_iterator()]), memory.validation.labels
    )


def test_draws_are_those_of_the_data_in_memory(files):
    arguments = {"binarization": "dynamic", "seed": 5}
    stream = opened(files, "parquet", **arguments)
    memory = vae_tf.data.load(f"array:{files / 'array.npz'}", **arguments)
    np.testing.assert_array_equal(stream.test.array(), memory.test.array())
    batches = epochs(stream.train, 1)[0]
    assert set(np.unique(rows(batches))) == {0, 1}


def small_vae():
    keras.utils.set_random_seed(0)
    likelihood = vae_tf.likelihoods.Bernoulli()
    shape = (SIDE, SIDE, 1)
    vae = vae_tf.VAE(
        vae_tf.networks.mlp_encoder(shape, 2, hidden=(8,), seed=1),
        vae_tf.networks.mlp_decoder(2, likelihood.parameter_shapes(shape), hidden=(8,), seed=2),
        likelihood=likelihood,
    )
    vae.compile("adam")
    return vae


def fitted(batches, steps):
    vae = small_vae()
    vae.fit(batches, steps_per_epoch=steps, epochs=2, shuffle=False, verbose=0)
    return vae.get_weights()


def test_training_equals_that_on_the_same_order_in_memory(files):
    """To the bit, draws included, for the fields and the step of each batch are the same."""
    stream = opened(files, "tfrecord", binarization="dynamic").train
    memory = vae_tf.data.load(f"array:{files / 'array.npz'}", binarization="dynamic").train
    steps = stream.steps_per_epoch(32)
    orders = tf.constant([stream.order(32, 3, epoch) for epoch in range(3)])

    def order(e):
        return lambda step: orders[tf.minimum(e, 2)][step * 32 : (step + 1) * 32]

    same = memory._endless(order, steps, 3, 0, None)
    weights = fitted(stream.training_batches(32, 3), steps), fitted(same, steps)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_workers_share_out_the_examples_of_each_batch(files):
    """The policy that tf.distribute follows divides by example, and so each is seen once."""
    batches = opened(files, "parquet").train.training_batches(32, 3)
    policy = batches.options().experimental_distribute.auto_shard_policy
    assert policy == tf.data.experimental.AutoShardPolicy.DATA


@pytest.mark.parametrize("encoded", ["tfrecord", "parquet"])
def test_encoded_images(tmp_path, x, encoded):
    several = [png(image) for image in x[:40]]
    if encoded == "tfrecord":
        with tf.io.TFRecordWriter(str(tmp_path / "0.tfrecord")) as file:
            for content in several:
                made = tf.train.Example()
                made.features.feature["image"].bytes_list.value.append(content)
                file.write(made.SerializeToString())
    else:
        images = [{"bytes": content, "path": None} for content in several]
        pq.write_table(pa.table({"image": images}), tmp_path / "0.parquet")
    data = vae_tf.data.load(f"{encoded}:{tmp_path}")
    assert data.shape == (SIDE, SIDE, 1)
    found = np.concatenate([data.train.array(), data.validation.array(), data.test.array()])
    assert as_set(found.reshape(-1, 16)) == sorted(map(bytes, x[:40]))
    larger = vae_tf.data.load(f"{encoded}:{tmp_path}", image_size=(8, 8))
    assert larger.shape == (8, 8, 1)
    assert larger.resized
    assert larger.test.labels is None


@pytest.mark.parametrize("ending", ["tfrecord", "parquet"])
def test_bytes_of_levels(tmp_path, x, ending):
    several = [image.tobytes() for image in x[:40]]
    path = tmp_path / f"0.{ending}"
    if ending == "tfrecord":
        with tf.io.TFRecordWriter(str(path)) as file:
            for content in several:
                made = tf.train.Example()
                made.features.feature["image"].bytes_list.value.append(content)
                file.write(made.SerializeToString())
    else:
        pq.write_table(pa.table({"image": several}), path, row_group_size=7)
    data = vae_tf.data.load(f"{ending}:{path}", image_size=(SIDE, SIDE))
    assert data.white == 255
    found = np.concatenate([data.train.array(), data.validation.array(), data.test.array()])
    assert as_set(found.reshape(-1, 16)) == sorted(several)
    with pytest.raises(DataError, match=f"0.{ending}"):
        vae_tf.data.load(f"{ending}:{path}")
    with pytest.raises(DataError, match=f"0.{ending}"):
        vae_tf.data.load(f"{ending}:{path}", image_size=(SIDE, SIDE + 1))


def test_folders_of_splits(tmp_path, x):
    for name, part in (("train", x[:20]), ("val", x[20:25]), ("test", x[25:30])):
        (tmp_path / name).mkdir()
        table = pa.table({"image": part.reshape(len(part), -1).tolist()})
        pq.write_table(table, tmp_path / name / "0.parquet")
    data = vae_tf.data.load(f"parquet:{tmp_path}", image_size=(SIDE, SIDE))
    assert not data.carved
    np.testing.assert_array_equal(data.test.array(), x[25:30] / np.float32(255))
    pq.write_table(table, tmp_path / "more.parquet")
    with pytest.raises(DataError, match=r"Beside a folder `train`.*more\.parquet"):
        vae_tf.data.load(f"parquet:{tmp_path}", image_size=(SIDE, SIDE))


def test_the_fingerprint_notices_names_sizes_and_some_of_the_pixels(tmp_path, x):
    def fingerprint(images, name="0.parquet"):
        for file in tmp_path.iterdir():
            file.unlink()
        pq.write_table(pa.table({"image": images[..., 0].tolist()}), tmp_path / name)
        return vae_tf.data.load(f"parquet:{tmp_path}").fingerprint

    first = fingerprint(x[:32])
    assert first == fingerprint(x[:32])
    assert first != fingerprint(x[:31])
    assert first != fingerprint(x[:32], "1.parquet")
    other = x[:32].copy()
    other[7] = 255 - other[7]
    assert first != fingerprint(other)
