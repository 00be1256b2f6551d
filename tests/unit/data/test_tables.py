"""Table: kinds, encoding, decoding, densities in the user's units, and refusals."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from vae_tf.data import Table
from vae_tf.data.tables.kinds import parsed_kinds
from vae_tf.errors import ConfigError, DataError

ROOT = Path(__file__).parents[3]
ROWS = 400


def people(seed=0, rows=ROWS):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "height": rng.normal(170, 8, rows).round(1),
            "income": np.exp(rng.normal(8, 0.7, rows)),
            "smoker": rng.random(rows) < 0.3,
            "answer": rng.choice(["yes", "no"], rows),
            "colour": rng.choice(["red", "green", "blue"], rows),
            "rooms": rng.integers(1, 6, rows),
            "visits": rng.negative_binomial(1, 0.1, rows),
            "age": rng.integers(18, 90, rows),
            "country": "France",
            "nothing": np.nan,
        }
    )


@pytest.fixture(scope="module")
def table():
    return Table.from_frame(people())


KINDS = {
    "height": "real",
    "income": "positive",
    "smoker": "binary",
    "answer": "binary",
    "colour": "category",
    "rooms": "category",
    "visits": "count",
    "age": "real",
    "country": "constant",
    "nothing": "constant",
}


def test_kinds_are_inferred_shown_and_overridden(table):
    assert {column.name: column.kind for column in table.columns} == KINDS
    assert table.shape == (8,)
    shown = repr(table)
    assert "10 columns" in shown
    assert "blue, green, red" in shown
    assert list(table.summary()["kind"]) == list(KINDS.values())
    chosen = Table.from_frame(
        people(), {"rooms": "count", "visits": "real", "income": "real", "colour": "ignore"}
    )
    kinds = {column.name: column.kind for column in chosen.columns}
    assert kinds == {
        **KINDS,
        "rooms": "count",
        "visits": "real",
        "income": "real",
        "colour": "ignore",
    }
    assert "colour" not in chosen.decode(chosen.encode(people()).x).columns


@pytest.mark.parametrize(
    ("draw", "kind"),
    [
        (lambda rng: rng.normal(50, 3, 1000), "real"),
        (lambda rng: rng.lognormal(0, 1, 1000), "positive"),
        (lambda rng: rng.poisson(12, 1000), "count"),
        (lambda rng: rng.poisson(12, 1000).astype(float), "count"),
        (lambda rng: rng.normal(170, 8, 1000).round(), "real"),
        (lambda rng: rng.normal(-5, 3, 1000).round(), "real"),
        (lambda rng: rng.integers(0, 2, 1000), "binary"),
        (lambda rng: rng.integers(0, 7, 1000), "category"),
        (lambda rng: np.exp(rng.normal(10, 0.5, 5000)).round(), "positive"),
    ],
)
def test_the_likeliest_kind_is_chosen(draw, kind):
    frame = pd.DataFrame(
        {"x": draw(np.random.default_rng(1)), "y": np.arange(len(draw.__name__))[0]}
    )
    assert Table.from_frame(frame).columns[0].kind == kind


def test_what_is_learned_is_that_of_the_rows():
    frame = people()
    column = Table.from_frame(frame).columns[0]
    assert column.loc == pytest.approx(frame.height.mean(), rel=1e-12)
    assert column.scale == pytest.approx(frame.height.std(ddof=0), rel=1e-12)
    assert column.floor == pytest.approx(0.1 / column.scale, rel=1e-6)  # rounded to a tenth
    parts = [frame.iloc[:7], frame.iloc[7:150], frame.iloc[150:]]
    by_parts = Table.from_frames(iter(parts)).get_config()["columns"]
    for one, other in zip(by_parts, Table.from_frame(frame).get_config()["columns"], strict=True):
        for key, value in one.items():
            assert value == (pytest.approx(other[key]) if isinstance(value, float) else other[key])


def test_round_trip(table):
    frame = people(1)
    batch = table.encode(frame)
    assert batch.mask is None
    assert batch.x.shape == (ROWS, 8)
    assert batch.x.dtype == np.float32
    back = table.decode(batch.x, index=frame.index)
    pd.testing.assert_frame_equal(
        back.drop(columns="nothing"), frame.drop(columns="nothing"), rtol=1e-5
    )
    assert back["nothing"].isna().all()


def test_missing_values_of_every_kind_are_masked():
    frame = people()
    for place, name in enumerate(["height", "income", "answer", "colour", "rooms"]):
        frame[name] = frame[name].astype(object)
        frame.loc[place, name] = [None, np.nan, pd.NA, pd.NaT, float("nan")][place]
    table = Table.from_frame(frame)
    assert {c.name: c.missing for c in table.columns if c.missing} == {
        **dict.fromkeys(["height", "income", "answer", "colour", "rooms"], 1),
        "nothing": ROWS,
    }
    x, mask, *_ = table.encode(frame)
    expected = frame[table.names].notna().to_numpy()
    np.testing.assert_array_equal(mask, expected)
    assert not x[mask == 0].any()
    back = table.decode(x, mask)
    np.testing.assert_array_equal(back[table.names].notna(), expected)
    # What was complete has a mask too, as the model was trained on one
    assert table.encode(people()).mask.all()
    nullable = people().convert_dtypes()
    nullable.loc[3, "age"] = pd.NA
    assert Table.from_frame(nullable).encode(nullable).mask.sum() == ROWS * 8 - 1
    empty = people(2, 3).astype(object)
    empty.loc[1] = None
    assert table.encode(empty).mask.sum(1).tolist() == [8, 0, 8]


def test_numbers_keep_their_category_whatever_their_type():
    frame = pd.DataFrame({"rooms": [1, 2, 3, 4] * 30, "on": [True, False] * 60})
    table = Table.from_frame(frame)
    floats = frame.astype({"rooms": float, "on": "Int64"})
    floats.loc[0, "rooms"] = np.nan  # what makes pandas read whole numbers as floats
    x, mask, *_ = table.encode(floats)
    np.testing.assert_array_equal(x[1:], table.encode(frame).x[1:])
    assert mask[0].tolist() == [0, 1]
    words = Table.from_frame(frame.astype("category"))
    assert words.decode(words.encode(frame).x)["rooms"].dtype == "category"


def test_ordered_categories_keep_their_order():
    sizes = pd.Categorical(["S", "L", "M"] * 20, categories=["S", "M", "L"], ordered=True)
    assert Table.from_frame(pd.DataFrame({"size": sizes})).columns[0].values == ("S", "M", "L")


def test_columns_are_found_by_name(table):
    frame = people(3)
    shuffled = frame[frame.columns[::-1]].assign(other="not looked at")
    np.testing.assert_array_equal(table.encode(shuffled).x, table.encode(frame).x)
    with pytest.raises(DataError, match=r"rows without 'income', 'age'\. Add it"):
        table.encode(frame.drop(columns=["age", "income"]))
    with pytest.raises(
        DataError, match=r"Columns must have different names. Received: 'age' twice"
    ):
        table.encode(pd.concat([frame, frame[["age"]]], axis=1))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "colour",
            "violet",
            r"Column 'colour' takes blue, green, red. Received: 'violet' in row 3",
        ),
        ("rooms", 17, r"Column 'rooms' takes 1, 2, 3, 4, 5. Received: 17 in row 3"),
        ("answer", "perhaps", "'answer' takes no, yes. Received: 'perhaps'"),
        ("height", "tall", "'height' takes finite numbers. Received: 'tall' in row 3"),
        ("height", math.inf, "'height' takes finite numbers. Received: inf in row 3"),
        ("income", 0.0, "'income' takes numbers above 0. Received: 0"),
        ("visits", 1.5, "'visits' takes whole numbers from 0. Received: 1.5"),
        ("visits", -1, "'visits' takes whole numbers from 0. Received: -1"),
        ("country", "Peru", "'country' takes France alone. Received: 'Peru'"),
    ],
)
def test_values_that_a_column_cannot_hold(table, name, value, message):
    frame = people(4)
    frame[name] = frame[name].astype(object)
    frame.loc[3, name] = value
    with pytest.raises(DataError, match=message):
        table.encode(frame)
    mask = table.encode(frame, unknown="missing").mask
    expected = np.ones((ROWS, 8))
    if name in table.names:
        expected[3, table.names.index(name)] = 0
        np.testing.assert_array_equal(mask, expected)
    else:
        assert mask is None


def test_log_jacobian_is_the_derivative_of_encode(table):
    frame = people(5, 20)
    step = 1e-4
    moved = frame.assign(height=frame.height + step, income=frame.income * (1 + step))
    # In float64, which encode is not
    slopes = np.zeros(20)
    for name, width in (("height", step), ("income", frame.income.to_numpy() * step), ("age", 1)):
        column = next(c for c in table.columns if c.name == name)
        after = moved if name != "age" else frame.assign(age=frame.age + 1)
        ends = [column.encode(f[name], "error")[0] for f in (frame, after)]
        slopes += np.log((ends[1] - ends[0]) / width)
    x = table.encode(frame).x
    np.testing.assert_allclose(table.log_jacobian(x), slopes, atol=1e-3)
    mask = np.ones(x.shape)
    mask[:, table.names.index("income")] = 0
    income = next(c for c in table.columns if c.name == "income")
    expected = table.log_jacobian(x) + np.log(income.scale) + np.log(frame.income)
    np.testing.assert_allclose(table.log_jacobian(x, mask), expected, rtol=1e-5)


def test_likelihood_is_the_closed_form_in_the_users_units(table):
    frame = people(6, 50)
    likelihood = table.likelihood()
    rng = np.random.default_rng(0)
    shapes = likelihood.parameter_shapes(table.shape)
    params = {name: rng.normal(0, 0.4, (50, *shape)) for name, shape in shapes.items()}
    batch = table.encode(frame)
    params32 = {name: value.astype("float32") for name, value in params.items()}
    found = likelihood.distribution(params32).log_prob(batch.x).numpy()
    found = found + table.log_jacobian(batch.x)
    by_name = {column.name: column for column in table.columns}
    expected = np.zeros(50)
    for part, j, name in ((0, 0, "height"), (0, 1, "income"), (4, 0, "age")):
        # part: the place among runs of one kind, see the table above
        c = by_name[name]
        part = {"height": 0, "income": 0, "age": 5}[name]
        loc = c.loc + c.scale * params[f"{part}_loc"][:, j]
        scale = c.scale * np.clip(np.exp(params[f"{part}_log_scale"][:, j]), None, 1.0)
        if name == "income":
            expected += stats.lognorm.logpdf(frame[name], scale, scale=np.exp(loc))
        else:
            expected += stats.norm.logpdf(frame[name], loc, scale)
    for j, name in enumerate(["smoker", "answer"]):
        p = 1 / (1 + np.exp(-params["1_logits"][:, j]))
        expected += np.log(np.where(frame[name].isin([True, "yes"]), p, 1 - p))
    for part, name in ((2, "colour"), (3, "rooms")):
        log_p = params[f"{part}_logits"]
        log_p = log_p - np.log(np.exp(log_p).sum(1, keepdims=True))
        places = [by_name[name].values.index(v) for v in frame[name]]
        expected += log_p[np.arange(50), places]
    mean = people().visits.mean() * np.exp(params["4_log_mean"][:, 0])
    failures = np.exp(-params["4_log_dispersion"][:, 0])
    expected += stats.nbinom.logpmf(frame.visits, failures, failures / (failures + mean))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_saved_and_read_back(table, tmp_path):
    table.save(tmp_path / "table.json")
    again = Table.load(tmp_path / "table.json")
    assert again == table
    np.testing.assert_array_equal(again.encode(people(7)).x, table.encode(people(7)).x)
    assert Table.from_config(json.loads(json.dumps(table.get_config()))) == table
    (tmp_path / "table.json").write_text('{"format": 1}')
    with pytest.raises(DataError, match=r"A table's configuration must be whole"):
        Table.load(tmp_path / "table.json")
    (tmp_path / "table.json").write_text('{"format": 99, "columns": []}')
    with pytest.raises(DataError, match=r"A table must be of format 1. Received: 99"):
        Table.load(tmp_path / "table.json")
    for wrong in ("{", None):
        if wrong:
            (tmp_path / "table.json").write_text(wrong)
        path = tmp_path / ("table.json" if wrong else "none.json")
        with pytest.raises(DataError, match=r"A saved table must be readable"):
            Table.load(path)


DAYS = pd.date_range("2020-01-01", periods=60)
TEXTS = [f"note {i}" for i in range(60)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (DAYS, "must hold numbers or words. Received: dates"),
        (list(DAYS.date), "Received: dates"),
        (DAYS - DAYS[0], "Received: durations"),
        (np.ones(60) * 1j, "Received: complex numbers"),
        ([[1, 2]] * 60, "Received: values of the type list"),
        ([b"x"] * 60, "Received: values of the type bytes"),
        ([1, "a"] * 30, "Received: numbers and text side by side"),
        (pd.cut(np.arange(60), 3), "Received: intervals"),
        (
            TEXTS,
            r"must not be free text. Received: 60 different texts in 60 rows. Leave it out with",
        ),
        (
            [f"2024-{i % 12 + 1:02}-{i % 27 + 1:02}" for i in range(60)],
            "must hold numbers. .*dates .*kinds={'strange': 'ignore'}",
        ),
        ([f"{i},5" for i in range(60)], r"decimal comma such as '\d+,5'.*decimal=\",\""),
        ([f"1,{i:03}.50" for i in range(60)], "commas between thousands such as"),
        ([f"{i} %" for i in range(60)], "percentages such as .*without the sign"),
        ([*map(str, range(59)), "?"], r"must hold numbers alone. Received: .*text such as '\?'"),
        ([*range(59), np.inf], "must be finite. Received: 1 infinite value"),
    ],
)
def test_columns_that_are_refused(values, message):
    frame = pd.DataFrame({"other": np.arange(60.0), "strange": values})
    with pytest.raises(DataError, match=f"Column 'strange' {message}|{message}"):
        Table.from_frame(frame)
    assert Table.from_frame(frame, {"strange": "ignore"}).shape == (1,)


def test_all_refused_columns_are_named_at_once():
    frame = pd.DataFrame({"id": TEXTS, "x": np.arange(60.0), "day": DAYS})
    with pytest.raises(DataError) as refused:
        Table.from_frame(frame)
    assert refused.value.received == "'id': 60 different texts in 60 rows; 'day': dates"
    assert refused.value.fix.endswith("kinds={'id': 'ignore', 'day': 'ignore'}.")
    assert Table.from_frame(frame, {"id": "ignore", "day": "ignore"}).shape == (1,)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("real", "must suit the kind real. Received: text .*Choose positive, binary, category"),
        ("binary", "must suit the kind binary. Received: 3 different values"),
        ("count", "must suit the kind count. Received: text"),
        ("words", "The kind of 'colour' must be a known name"),
    ],
)
def test_kinds_that_do_not_suit(kind, message):
    with pytest.raises((DataError, ConfigError), match=message):
        Table.from_frame(people(), {"colour": kind})


def test_other_refusals(table):
    with pytest.raises(
        DataError, match=r"must suit the kind positive. Received: the smallest value"
    ):
        Table.from_frame(pd.DataFrame({"x": np.arange(-3.0, 30)}), {"x": "positive"})
    with pytest.raises(DataError, match=r"must suit the kind count. .* not all of them whole"):
        Table.from_frame(pd.DataFrame({"x": np.arange(30) / 2}), {"x": "count"})
    with pytest.raises(
        ConfigError, match=r"A column in `kinds` must be a known name.*Did you mean"
    ):
        Table.from_frame(people(), {"colours": "category"})
    with pytest.raises(DataError, match=r"Columns must have different names. Received: 'a' twice"):
        Table.from_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match=r"Names of columns must be text or whole numbers"):
        Table.from_frame(pd.DataFrame({("a", "b"): [1, 2]}))
    with pytest.raises(DataError, match=r"A table must have a column that varies"):
        Table.from_frame(pd.DataFrame({"a": [1, 1], "b": [None, None]}))
    with pytest.raises(DataError, match=r"A table must have rows and columns"):
        Table.from_frame(pd.DataFrame({"a": []}))
    with pytest.raises(DataError, match=r"A table is learned of a DataFrame. Received: ndarray"):
        Table.from_frame(np.zeros((3, 2)))
    with pytest.raises(DataError, match=r"A table encodes DataFrames. Received: ndarray"):
        table.encode(np.zeros((3, 8)))
    with pytest.raises(DataError, match=r"Rows must be \[N, 8\]. Received: shape \(3, 7\)"):
        table.decode(np.zeros((3, 7)))
    with pytest.raises(ConfigError, match=r"`unknown` must be error or missing"):
        table.encode(people(), unknown="nan")


def test_kinds_as_flags():
    assert parsed_kinds(["a=real", "b=c=count"]) == {"a": "real", "b=c": "count"}
    for flag in ("a", "=real", "a="):
        with pytest.raises(ConfigError, match=r"--kinds takes COLUMN=KIND"):
            parsed_kinds([flag])


@pytest.mark.slow
def test_pandas_is_imported_when_needed_and_its_absence_told():
    code = """
import sys
import vae_tf, vae_tf.errors
assert not {"pandas", "pyarrow"} & set(sys.modules)
sys.modules["pandas"] = None  # as if it were not installed; Keras imports it if it is
try:
    vae_tf.data.Table.from_frame([])
except vae_tf.errors.DataError as error:
    assert "pip install 'vae_tf[tables]'" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
