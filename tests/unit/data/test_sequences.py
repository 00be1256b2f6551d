"""Texts and series: round trips, masks, splits, and one sentence for what cannot be used."""

import os
from pathlib import Path

import numpy as np
import pytest

from vae_tf.codec import reading
from vae_tf.data import Bytes, Given, Series, Texts, Words
from vae_tf.data.sequences.sequence_data import SequenceData
from vae_tf.data.sequences.series_data import load_series
from vae_tf.data.sequences.text_data import load_text
from vae_tf.errors import ConfigError, DataError

LINES = ["to be, or not to be", "straße", "a", "日本"]


def test_bytes_go_there_and_back():
    texts = Texts.of(LINES)
    batch = texts.encode(LINES)
    assert batch["x"].shape == batch["mask"].shape == (4, 20)
    assert texts.decode(batch["x"]) == LINES
    lengths = [len(line.encode()) + 1 for line in LINES]  # and the end
    assert batch["mask"].sum(1).tolist() == lengths
    for x, mask, length in zip(batch["x"], batch["mask"], lengths, strict=True):
        assert (mask[:length] == 1).all()
        assert (mask[length:] == 0).all()
        assert (x[: length - 1] > 0).all()
        assert (x[length - 1 :] == 0).all()
    assert texts.encode([b"a"])["x"][0, 0] == 1 + ord("a")


def test_words_are_numbered_by_frequency_and_others_are_unknown():
    words = Words.of(["the cat sat", "the dog, the cat"], most=3)
    assert words.words == ("<unk>", "the", "cat", ",")
    texts = Texts(words, 6)
    assert texts.decode(texts.encode(["the cat, the bird"])["x"]) == ["the cat , the <unk>"]


def test_a_given_tokenizer_is_shifted_by_the_end():
    class Letters:
        vocab_size = 3

        def encode(self, text):
            return ["abc".index(letter) for letter in text]

        def decode(self, numbers):
            return "".join("abc"[n] for n in numbers)

    texts = Texts(Given(Letters()), 5)
    batch = texts.encode(["cab"])
    assert batch["x"].tolist() == [[3, 1, 2, 0, 0]]
    assert texts.decode(batch["x"]) == ["cab"]
    with pytest.raises(ConfigError, match="Save the tokenizer by its own means"):
        texts.get_config()
    with pytest.raises(DataError, match="from 0 to 0"):
        Texts(Given(Letters(), 1), 5).encode(["c"])


@pytest.mark.parametrize("tokens", [Bytes(), Words.of(LINES, unknown=False)])
def test_a_vocabulary_survives_its_file(tokens, tmp_path):
    texts = Texts(tokens, 30)
    texts.save(tmp_path / "vocabulary.json")
    again = Texts.load(tmp_path / "vocabulary.json")
    assert again.get_config() == texts.get_config()
    assert np.array_equal(again.encode(LINES[:1])["x"], texts.encode(LINES[:1])["x"])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([""], "A text must hold at least one token. Received: none in text 0. Leave empty"),
        (["a", b"\xff\xfe"], "Texts must be UTF-8. Received: text 1: invalid start byte. Decode"),
        (["\ud800"], "Texts must be UTF-8. Received: text 0: surrogates not allowed"),
        (["abcdefgh"], "A text must have at most 4 tokens. Received: 8 in text 0, 'abcdefgh'"),
        ("abc", "Texts must be a list of strings. Received: 'abc'. Pass a list, [\"a text\"]"),
        ([None], "Texts must be strings. Received: NoneType at place 0. Pass strings"),
    ],
)
def test_texts_that_cannot_be_used(texts, message):
    with pytest.raises(DataError) as error:
        Texts(Bytes(), 5).encode(texts)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_words_outside_the_vocabulary_are_refused_unless_one_stands_for_them():
    with pytest.raises(DataError, match=r"vocabulary. Received: 'bird' in text 1"):
        Texts(Words.of(["the cat"], unknown=False), 5).encode(["cat", "the bird"])
    with pytest.raises(DataError, match=r"from 0 to 256. Received: shape \(1, 2\), 0 to 257"):
        Texts(Bytes(), 5).decode([[257, 0]])


def test_the_lines_of_a_file_in_three_splits(tmp_path):
    path = tmp_path / "lines.txt"
    lines = [f"line {i}" for i in range(50)]
    path.write_text("\n\n".join(lines))
    data = load_text(str(path))
    splits = (data.train, data.validation, data.test)
    assert [split.num_examples for split in splits] == [40, 5, 5]
    read = [line for split in splits for line in data.form.decode(split.array())]
    assert sorted(read) == sorted(lines)
    batch = next(iter(data.train.training_batches(8, seed=0)))
    assert batch["x"].shape == batch["mask"].shape == (8, 8)
    told = data.describe()
    assert told["empty_lines"] == 49
    assert told["fingerprint"] == load_text(str(path)).describe()["fingerprint"]
    assert told["fingerprint"] != load_text(str(path), seed=1).describe()["fingerprint"]


def test_a_vocabulary_of_words_is_that_of_the_training_lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(f"word{i}" for i in range(20)))
    data = load_text(str(path), tokens="words")
    assert set(data.form.decode(data.test.array())) == {"<unk>"}
    assert len(data.form.vocabulary.words) == 1 + data.train.num_examples


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"fine\nb\xe4d\n", {}, "must be UTF-8. Received: .*0xe4 in line 2. Save it as UTF-8"),
        (b"\n\n", {}, "must have enough"),
        (b"a\n" * 9 + b"a" * 300, {}, "need a `max_length`. Received: a text of 300 bytes"),
        (b"abc\n" * 9, {"max_length": 3}, "at most 2 tokens. Received: 3 in text 0, 'abc'"),
    ],
)
def test_files_of_texts_that_cannot_be_used(content, arguments, message, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_text(str(path), **arguments)


def test_tiny_shakespeare_has_the_splits_of_its_source():
    if not (Path(os.environ.get("TFDS_DATA_DIR", "nowhere")) / "tiny_shakespeare").exists():
        pytest.skip("tiny_shakespeare is not under TFDS_DATA_DIR")
    data = load_text("tiny_shakespeare")
    assert isinstance(data, SequenceData)
    assert data.carved == ()
    first = data.form.decode(data.train.array(2))
    assert first == ["First Citizen:", "Before we proceed any further, hear me speak."]


def test_series_are_scaled_by_what_was_observed_and_padded():
    rng = np.random.default_rng(0)
    parts = [5 + 3 * rng.normal(size=(t, 2)) for t in (4, 7)]
    parts[0][1, 0] = np.nan
    series = Series.of(parts)
    batch = series.encode(parts)
    assert batch["x"].shape == (2, 7, 2) == (2, *series.shape)
    assert batch["mask"].sum((1, 2)).tolist() == [7, 14]
    everything = np.concatenate(parts)
    np.testing.assert_allclose(series.loc, np.nanmean(everything, 0))
    np.testing.assert_allclose(series.scale, np.nanstd(everything, 0))
    np.testing.assert_allclose(series.decode(batch["x"])[1], parts[1], rtol=1e-5)
    padded = np.full((2, 9, 2), 1e9)
    padded[0, :4], padded[1, :7] = parts
    by_lengths = series.encode(padded, lengths=[4, 7])
    for name, values in batch.items():
        np.testing.assert_array_equal(by_lengths[name], values)
    # p(v) dv = p(x) dx
    jacobian = -7 * np.log(series.scale).sum()
    np.testing.assert_allclose(series.log_jacobian(batch["mask"])[1], jacobian)


def test_a_file_of_series(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 6, 1))
    np.savez(tmp_path / "x.npz", x=x, lengths=np.arange(20) % 6 + 1)
    data = load_series(str(tmp_path / "x.npz"))
    assert data.shape == (6, 1)
    assert data.unit == "sequence"
    steps = [split.mask().sum() for split in (data.train, data.validation, data.test)]
    assert sum(steps) == np.sum(np.arange(20) % 6 + 1)
    data.form.save(tmp_path / "series.json")
    assert Series.load(tmp_path / "series.json").get_config() == data.form.get_config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lengths": [3]}, "for each of the 2 series. Received: shape \\(1,\\)"),
        ({"lengths": [3, 5]}, "length 5 of series 1, which has 4 steps. Pass 1 or more"),
        ({"lengths": [0, 4]}, "length 0 of series 0"),
        ({"lengths": [1.5, 4]}, "Received: shape \\(2,\\) of float64"),
        ({"max_length": 3}, "at most 3 steps. Received: 4 in series 0"),
        ({"mask": np.ones((2, 3))}, "`mask` must broadcast to x|mask"),
        ({"x": np.full((2, 4, 1), np.nan)}, "must have numbers. Received: none in column 0"),
        (
            {"x": np.resize([1e300, -1e300], (2, 4, 1))},
            "must have a variance",
        ),
        ({"x": np.full((2, 4, 1), np.inf)}, "must be finite"),
        ({"x": np.zeros((2, 4, 1, 1))}, "steps and columns. Received: shape"),
        ({"x": [np.zeros((2, 1)), np.zeros((2, 2))]}, "the same columns"),
    ],
)
def test_series_that_cannot_be_used(arguments, message):
    if "mask" in arguments:
        arguments = {"mask": np.full((2, 4), 2.0)}
    with pytest.raises(DataError, match=message):
        Series.of(**{"x": np.zeros((2, 4, 1)), **arguments})


def test_a_header_that_python_cannot_read(tmp_path):
    """NumPy hands an old header to Python's own tokenizer, which has errors of its own."""
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((4, 3, 1)))
    path.write_bytes(path.read_bytes().replace(b"(4, 3, 1), }", b"(4, 3, 1, {{"))
    for read in (lambda: load_series(str(path)), lambda: reading.read(path, (3, 1))):
        with pytest.raises(DataError, match=r"x\.npy"):
            read()
