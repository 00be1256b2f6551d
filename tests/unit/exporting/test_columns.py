"""Signatures that speak in a table's columns: against the table and the model themselves."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests.bundles import halves as halves_of
from vae_tf import VAE, networks
from vae_tf.data import Table
from vae_tf.data.batch import Batch
from vae_tf.errors import ExportError
from vae_tf.formats import parity
from vae_tf.signatures import endpoints
from vae_tf.signatures.columns import endpoints_of, identifiers
from vae_tf.signatures.endpoint import describe
from vae_tf.signatures.probes import probes, specimens

LATENT = 2


def frame_of(gaps, n=200):
    """A column of each kind, with names that no graph could have."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "mean height (cm)": rng.normal(170, 8, n),
            "income": np.exp(rng.normal(8, 1, n)),
            "year": 2_000_000_000 + rng.integers(0, 500, n),
            "visits": rng.negative_binomial(1, 0.2, n),
            "colour": rng.choice(["red", "green", "blue"], n),
            "grade": rng.choice([1, 2, 5], n),
            "seed": rng.random(n) < 0.3,
            "always": 7,
        }
    )
    if gaps:
        frame = frame.astype(object).mask(rng.random(frame.shape) < 0.2).infer_objects()
    return frame


class Served:
    """A model of a table, and its signatures as functions of columns."""

    def __init__(self, gaps):
        self.frame = frame_of(gaps)
        kinds = {"visits": "count", "grade": "category", "year": "real", "income": "positive"}
        self.table = table = Table.from_frame(self.frame, {**kinds, "seed": "binary"})
        likelihood = table.likelihood()
        options = {"features": table.features, "mask": gaps}
        encoder = networks.mlp_encoder(table.shape, LATENT, (8,), **options)
        decoder = networks.mlp_decoder(LATENT, likelihood.parameter_shapes(table.shape), (8,))
        self.vae = VAE(encoder, decoder, likelihood=likelihood)
        parts = {"encoder": encoder, "decoder": decoder, "likelihood": likelihood}
        self.halves = halves_of(table.shape, LATENT, **parts)
        self.names = identifiers(table.names)

    def offer(self, scratch):
        made, _ = endpoints.decoder_endpoints(self.halves, parity.trial(scratch))
        generate = next(e for e in made if e.name == "generate")
        of_encoder, of_decoder = endpoints_of(self.table, self.halves, generate)
        self.signatures = {e.name: e for e in (*of_encoder, *of_decoder)}
        self.graphs = {
            name: tf.function(e.checked, input_signature=e.specs)
            for name, e in self.signatures.items()
        }

    def ask(self, name, *inputs):
        outputs = self.graphs[name](*map(tf.constant, inputs))
        return {key: value.numpy() for key, value in outputs.items()}

    def columns(self, frame):
        """The values of a frame as a client sends them."""
        sent = []
        for column in self.table.modelled:
            values = frame[column.name].tolist()
            if column.name == "colour":
                sent.append(np.array([v if isinstance(v, str) else "" for v in values], object))
            else:
                sent.append(np.array([np.nan if pd.isna(v) else float(v) for v in values]))
        return sent


@pytest.fixture(scope="module", params=[False, True], ids=["complete", "gaps"])
def served(request, tmp_path_factory):
    found = Served(request.param)
    found.offer(tmp_path_factory.mktemp("scratch"))
    return found


def test_names_are_those_a_graph_can_have():
    names = ["mean height (cm)", "seed", "Seed", "año", "2nd", "z", "", "a b", "a_b", 3]
    found = identifiers(names)
    assert found[:2] == ["mean_height_cm", "seed_2"]
    assert len({name.lower() for name in found}) == len(names)
    for name in found:
        tf.TensorSpec([None], tf.float32, name)
        assert name.isascii()
        assert name.isidentifier()


def test_columns_are_encoded_as_the_table_does(served):
    rows = served.frame[:50]
    found = served.ask("encode_columns", *served.columns(rows))
    q = served.vae.parts.q(served.table.encode(rows).tensors())
    np.testing.assert_allclose(found["z_mean"], q.mean(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["z_log_var"], np.log(q.variance()), rtol=1e-4, atol=1e-5)


def test_columns_are_decoded_as_the_table_does(served):
    z = np.random.default_rng(1).normal(size=(60, LATENT)).astype("float32")
    found = served.ask("decode_columns", z)
    likelihood = served.vae.likelihood
    x = likelihood.point(likelihood.statistics(served.vae.parts.decoded(tf.constant(z), Batch(z))))
    want = served.table.decode(x)
    for name, column in zip(served.names, served.table.modelled, strict=True):
        own = want[column.name]
        if column.name == "colour":
            assert [v.decode() for v in found[name]] == own.tolist()
        else:
            # The networks' float32, and a whole number that it may round the other way
            allowed = 1e-5 * served.frame[column.name].astype(float).std() + column.whole
            np.testing.assert_allclose(found[name], own.astype(float), rtol=0, atol=allowed)
    assert np.ptp(found["year"]) > 0  # whole years of ten digits, which float32 does not have


def test_what_a_column_cannot_hold_spoils_its_row_alone(served):
    rows, z_mean = served.columns(served.frame[:6].ffill().bfill()), {}
    z_mean["as it is"] = served.ask("encode_columns", *rows)["z_mean"]
    bad = {
        "colour": "purple",
        "income": -1.0,
        "visits": 2.5,
        "grade": 3.0,
        "mean_height_cm": np.inf,
    }
    for name, value in bad.items():
        values = [column.copy() for column in rows]
        values[served.names.index(name)][2] = value
        found = served.ask("encode_columns", *values)["z_mean"]
        assert np.isnan(found[2]).all(), name
        np.testing.assert_array_equal(np.delete(found, 2, 0), np.delete(z_mean["as it is"], 2, 0))
    missing = [column.copy() for column in rows]
    missing[0][1] = np.nan
    missing[served.names.index("colour")][1] = ""
    found = served.ask("encode_columns", *missing)["z_mean"]
    # An encoder that was never shown a gap has no answer
    assert np.isnan(found[1]).all() != served.table.has_missing
    assert np.isfinite(np.delete(found, 1, 0)).all()


def test_rows_are_drawn_as_the_model_draws_them(served):
    n = 4000
    seeds, ones = np.arange(n, dtype="int32"), np.ones(n, "float32")
    found = served.ask("generate_columns", seeds, ones)
    want = served.table.sample(served.vae, n, seed=3)
    for name, column in zip(served.names, served.table.modelled, strict=True):
        if column.name == "colour":
            ours = np.array([v.decode() for v in found[name]])
            pairs = [(ours == v, (want[column.name] == v).to_numpy()) for v in column.values]
        else:
            theirs = want[column.name].to_numpy(float)
            middle = np.quantile(theirs, [0.1, 0.5, 0.9])
            pairs = [(found[name] <= q, theirs <= q) for q in middle]
        for a, b in pairs:
            p = (a.mean() + b.mean()) / 2
            assert abs(a.mean() - b.mean()) < 4.5 * np.sqrt(2 * p * (1 - p) / n) + 1e-9, name
    again = served.ask("generate_columns", seeds[::-1][:5].copy(), ones[:5])
    for name, values in found.items():
        np.testing.assert_array_equal(again[name], values[::-1][:5])
    cold = served.ask("generate_columns", seeds[:2], np.array([-1, 1], "float32"))
    assert np.isnan(cold["income"][0])
    assert cold["colour"][0] == b""
    assert cold["income"][1] == found["income"][1]


def test_what_the_manifest_says_is_a_request_that_works(served):
    for name, signature in served.signatures.items():
        batches = probes(signature)
        answers = parity.reference(signature, batches)
        entry = describe(signature, answers[0])
        for inputs in specimens(entry["inputs"]):
            (answer,) = parity.reference(signature, [inputs])
            parity.compare("Keras", name, [answer], [answer], entry["outputs"])
    assert entry["outputs"]["colour"]["choices"] == ["blue", "green", "red"]
    assert entry["outputs"]["colour"]["meaning"] == "column 'colour', category"


def test_words_must_agree_and_whole_numbers_may_be_rounded():
    limits = {"colour": {"choices": ["red", "blue"]}, "visits": {"whole": True}}
    want = {"colour": np.array([b"red"], object), "visits": np.array([7.0])}
    parity.compare(
        "LiteRT", "decode_columns", [want], [{**want, "visits": np.array([8.0])}], limits
    )
    for name, value in {"visits": np.array([9.0]), "colour": np.array([b"blue"], object)}.items():
        with pytest.raises(ExportError, match="must agree"):
            parity.compare("LiteRT", "decode_columns", [want], [{**want, name: value}], limits)


def test_a_table_of_another_model_is_refused(served):
    other = Table.from_frame(pd.DataFrame({"a": [1.5, 2.5, 7.0]}))
    with pytest.raises(ExportError, match="the model's"):
        endpoints_of(other, served.halves, None)
