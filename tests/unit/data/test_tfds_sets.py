"""TFDS sets: prepared ones against known facts, and small ones made here without a network."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from vae_tf import data
from vae_tf.data import tfds_builders
from vae_tf.errors import DataError


class VaeTfOdd(tfds.core.GeneratorBasedBuilder):
    """A set whose configurations have something odd each."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [  # noqa: RUF012 (TFDS's way)
        tfds.core.BuilderConfig(name=name)
        for name in ("sizes", "floats", "two_labels", "no_train", "pages", "empty_test")
    ]

    def _info(self):
        kind = self.builder_config.name
        image = {
            "sizes": tfds.features.Image(shape=(None, None, 3)),
            "floats": tfds.features.Tensor(shape=(4, 6), dtype=np.float32),
            "pages": tfds.features.Tensor(shape=(2, 4, 6, 1), dtype=np.uint8),
        }.get(kind, tfds.features.Image(shape=(4, 6, 3)))
        label = (
            tfds.features.Tensor(shape=(2,), dtype=np.int64)
            if kind == "two_labels"
            else tfds.features.ClassLabel(names=["cat", "dog"])
        )
        features = tfds.features.FeaturesDict({"image": image, "label": label})
        return tfds.core.DatasetInfo(builder=self, description=kind, features=features)

    def _split_generators(self, dl_manager):
        kind = self.builder_config.name
        if kind == "no_train":
            return {"dev": self._generate_examples(5), "test": self._generate_examples(5)}
        return {"train": self._generate_examples(30), "test": self._generate_examples(5)}

    def _generate_examples(self, n):
        kind = self.builder_config.name
        for i in range(n):
            height = 4 + (i % 3 if kind == "sizes" else 0)
            image = np.full((height, 6, 3), i, np.uint8)
            if kind == "floats":
                image = np.full((4, 6), i / 40, np.float32)
            if kind == "pages":
                image = np.zeros((2, 4, 6, 1), np.uint8)
            yield i, {"image": image, "label": [0, 1] if kind == "two_labels" else i % 2}


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tfds")
    tfds.disable_progress_bar()
    yield lambda config, **options: data.load(f"vae_tf_odd:{config}", data_dir=directory, **options)
    tfds.enable_progress_bar()


@pytest.mark.slow
def test_mnist_has_its_known_facts(prepared):
    loaded = data.load("mnist", data_dir=prepared("mnist"))
    splits = (loaded.train, loaded.validation, loaded.test)
    assert [split.num_examples for split in splits] == [50_000, 10_000, 10_000]
    assert loaded.shape == (28, 28, 1)
    assert loaded.carved == ("validation",)
    # From the IDX files: class counts, and the mean 0.1307 that every normalisation quotes.
    train = np.bincount(np.concatenate([loaded.train.labels, loaded.validation.labels]))
    assert train.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert loaded.train.stored.sum(dtype=np.int64) == 1_567_298_545
    assert loaded.train.stored.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert np.bincount(loaded.test.labels)[5] == 892


@pytest.mark.slow
def test_binarized_mnist_is_not_divided(prepared):
    loaded = data.load("binarized_mnist", data_dir=prepared("binarized_mnist"))
    splits = (loaded.train, loaded.validation, loaded.test)
    assert [split.num_examples for split in splits] == [50_000, 10_000, 10_000]
    test = loaded.test.array()
    assert set(np.unique(test)) == {0, 1}
    assert test.mean() == pytest.approx(0.1325, abs=5e-4)  # 1.3 % ones more than in train
    assert loaded.describe()["preprocessing"] == "x = value"
    assert loaded.is_binary
    assert loaded.train.labels is None
    assert not loaded.carved


def test_the_environment_says_where_sets_are(prepared, monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", prepared("tiny_shakespeare"))
    with pytest.raises(DataError, match=r"must have a feature `image`\. Received: features text"):
        data.load("tiny_shakespeare")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(tfds_builders, "_resolves", lambda host: False)
    monkeypatch.setattr(tfds_builders.urllib.request, "getproxies", dict)
    with pytest.raises(DataError) as error:
        data.load("cifar10")
    for part in (
        str(tmp_path),
        "`cifar10`",
        "no network",
        "Set TFDS_DATA_DIR",
        't.load("cifar10")',
    ):
        assert part in str(error.value)
    assert not any(tmp_path.iterdir())


def test_a_download_that_fails_is_a_clear_error(monkeypatch, tmp_path):
    def fails(self, **_):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(tfds_builders, "_resolves", lambda host: True)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fails)
    with pytest.raises(
        DataError, match=r"no download: ConnectionError: no route to host\. Set TFDS"
    ):
        data.load("cifar10", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mnits", r"known name\. Received: 'mnits'\. Did you mean mnist or"),
        ("digitz", "Did you mean digits"),
        ("photo:/tmp/photos", r"known name\. Received: 'photo:/tmp/photos'"),
        ("photo/plain_text", r"known name\. Received: 'photo/plain_text'"),
        ("qqqqqqqq", r"Known: any image set of tfds\.list_builders\(\), array:FILE, digits"),
        ("my set!", "known name. Received: 'my set!'"),
        ("cifar10_corrupted:brigtness_1", "Did you mean brightness_1"),
        ("mnist/other", "`mnist` has no configurations. Received: 'other'. Pass 'mnist'"),
        ("digits:9.9.9", "version that TFDS knows. Received: 'digits:9.9.9'. Pass 'digits'"),
        ("glue", "`glue` must have a feature `image`. Received: features sentence, label, idx"),
        ("cats_vs_dogs", r"must have one size\. Received: shape \(None, None, 3\).*image_size"),
    ],
)
def test_names_that_cannot_work_are_refused_before_any_download(name, message, tmp_path):
    with pytest.raises(DataError, match=message):
        data.load(name, data_dir=tmp_path)


def test_images_of_many_sizes_are_resized(odd):
    with pytest.raises(DataError, match="`vae_tf_odd:sizes` must have one size"):
        odd("sizes")
    loaded = odd("sizes", image_size=(5, 2))
    assert loaded.shape == (5, 2, 3)
    assert sorted(loaded.train.stored[:, 4, 1, 2]) == list(range(30))
    assert loaded.label_names == ("cat", "dog")
    first = loaded.train.stored[loaded.train.rows, 0, 0, 0]
    np.testing.assert_array_equal(loaded.train.labels, first % 2)


def test_floats_without_channels_are_read(odd):
    loaded = odd("floats", image_size=(2, 3))
    assert loaded.shape == (2, 3, 1)
    assert loaded.train.stored.dtype == np.float32
    assert sorted(loaded.test.array()[:, 0, 0, 0] * 40) == pytest.approx([0, 1, 2, 3, 4])


def test_labels_that_are_not_one_number_are_left_out(odd):
    loaded = odd("two_labels")
    assert loaded.train.labels is None
    assert loaded.label_names is None


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("no_train", r"must have a train split\. Received: splits dev, test"),
        ("pages", r"shape \(H, W, C\).*shape \(2, 4, 6, 1\)"),
    ],
)
def test_sets_of_another_form_are_refused(odd, config, message):
    with pytest.raises(DataError, match=message):
        odd(config)


def test_damaged_files_are_named(odd, monkeypatch):
    def broken(self, **_):
        raise tf.errors.DataLossError(None, None, "corrupted record at 0")

    loaded = odd("two_labels")
    monkeypatch.setattr(tf.data.Dataset, "as_numpy_iterator", broken)
    with pytest.raises(DataError, match=r"Split train of .*1\.0\.0 must be readable.*corrupted"):
        odd("two_labels")
    assert loaded.carved == ("validation",)
