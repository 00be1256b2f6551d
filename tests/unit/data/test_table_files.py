"""CSV and Parquet files: chunks, splits, and what is wrong with a file."""

import pickle

import numpy as np
import pandas as pd
import pytest

from vae_tf.data.tables import reading
from vae_tf.data.tables.reading import open_table
from vae_tf.data.tables.table import Table
from vae_tf.data.tables.table_data import load_table
from vae_tf.errors import DataError


def frame(rows=200, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": rng.normal(10, 2, rows),
            "word": rng.choice(["a, b", 'say "c"', "d\ne"], rows),
            "number": np.arange(rows) % 17,
        }
    )


def rows_of(file):
    return pd.concat(file.frames(), ignore_index=True)


@pytest.mark.parametrize("name", ["t.csv", "T.CSV", "t.tsv", "t.parquet", "T.Parquet"])
@pytest.mark.parametrize("chunk", [7, 10_000])
def test_every_format_gives_the_same_rows_by_chunks(name, chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_ROWS", chunk)
    monkeypatch.setattr(reading, "KEPT_BYTES", 0)
    path = tmp_path / name
    if path.suffix.lower() == ".parquet":
        frame().to_parquet(path)
    else:
        frame().to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    file = open_table(str(path))
    assert file.num_rows == 200
    assert len(list(file.frames())) == (29 if chunk == 7 else 1)
    pd.testing.assert_frame_equal(rows_of(file), frame(), check_dtype=False)


@pytest.mark.parametrize("separator", [";", "|", "\t"])
def test_other_separators_indexes_and_a_byte_order_mark(separator, tmp_path):
    path = tmp_path / "t.csv"
    frame().to_csv(path, sep=separator, encoding="utf-8-sig")  # with the index
    pd.testing.assert_frame_equal(rows_of(open_table(str(path))), frame(), check_dtype=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a,b\n1,2\n3,4,5\n", r"as many values as the first, 2. Received: .*line 3: 3 values"),
        (b"a,b\n1,2\n3\n", r"line 3: 1 values"),
        (b'a,b\n0,1\n1,"2\n3,4\n5,6\n', r"line 3: .*quote may lack"),  # where it begins
        (b"a,a\n1,2\n", r"different names. Received: 'a' twice"),
        (b"a,,c\n1,2,3\n", "All columns of a table must have names"),
        (b"1,2\n3,4\n", r"first line of a table must name its columns"),
        (b"1.5,yes,3\n2.5,no,4\n", r"first line of a table must name its columns"),
        (b"a,b\n", "A table must have rows"),
        (b"", "A table must have columns"),
        (b"\n\n", "A table must have columns"),
        (b"a,b\n1,\xe9\n", "must be text in UTF-8. Received: .*0xe9"),
    ],
)
def test_broken_text_files(text, message, tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(text)
    with pytest.raises(DataError, match=message) as caught:
        open_table(str(path))
    assert "\n" not in str(caught.value)


def test_files_that_are_none(tmp_path):
    for name in ("t.pkl", "t.PICKLE"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(frame()))
        with pytest.raises(DataError, match=r"takes .csv, .tsv and .parquet.*can run code"):
            open_table(str(path))
    (tmp_path / "t.xlsx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"takes .csv, .tsv and .parquet. Received: .*t.xlsx\."):
        open_table(str(tmp_path / "t.xlsx"))
    with pytest.raises(DataError, match=r"`table:FILE` must name a file"):
        open_table(str(tmp_path / "none.csv"))
    frame().to_parquet(tmp_path / "t.parquet")
    whole = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(whole[:-20])
    with pytest.raises(DataError, match=r"A Parquet file must be readable"):
        open_table(str(tmp_path / "t.parquet"))
    for content in (b"\xff" * 1000 + whole[1000:], whole.replace(b'"kind"', b'"jind"')):
        (tmp_path / "t.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"A Parquet file must be readable"):
            open_table(str(tmp_path / "t.parquet"))


def test_splits_are_learned_from_training_rows_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "CHUNK_ROWS", 33)
    path = tmp_path / "t.csv"
    frame().to_csv(path, index=False)
    data = load_table(str(path), seed=3)
    assert {s.name: s.num_examples for s in (data.train, data.validation, data.test)} == {
        "train": 160,
        "validation": 20,
        "test": 20,
    }
    everything = np.concatenate([data.train.rows, data.validation.rows, data.test.rows])
    assert sorted(everything) == list(range(200))
    chosen = frame().iloc[data.train.rows]
    expected = Table.from_frame(chosen)
    assert data.table.columns[0].loc == pytest.approx(expected.columns[0].loc, rel=1e-12)
    np.testing.assert_allclose(data.train.array(), expected.encode(chosen).x, rtol=1e-5, atol=1e-6)
    assert data.test.mask() is None
    again = load_table(str(path), seed=3)
    assert again.fingerprint == data.fingerprint
    assert load_table(str(path), seed=4).fingerprint != data.fingerprint
    assert load_table(str(path), seed=3, memory_limit=0).fingerprint == data.fingerprint


def test_missing_and_unseen_values_and_empty_rows(tmp_path):
    path = tmp_path / "t.csv"
    rare = frame()
    test_row = load_table_rows(rare, tmp_path)[2][4]
    rare.loc[test_row, "word"] = "rare"
    rare.loc[5, "size"] = np.nan
    rare.loc[7] = None
    rare.to_csv(path, index=False)
    data = load_table(str(path))
    assert data.unseen == {"test": {"word": 1}}
    assert data.empty_rows == 1
    described = data.describe()
    assert sum(described["examples"].values()) == 199
    assert described["unseen"] == {"test": {"word": 1}}
    place = list(data.test.rows).index(test_row)
    assert data.test.mask()[place].tolist() == [1, 0, 1]
    batch = next(iter(data.test.batches(50)))
    np.testing.assert_array_equal(batch["mask"], data.test.mask())
    np.testing.assert_array_equal(batch["x"], data.test.array())
    trained = next(iter(data.train.training_batches(32, seed=0)))
    assert set(trained) == {"x", "mask"}


def load_table_rows(values, tmp_path):
    values.to_csv(tmp_path / "first.csv", index=False)
    data = load_table(str(tmp_path / "first.csv"))
    return data.train.rows, data.validation.rows, data.test.rows
