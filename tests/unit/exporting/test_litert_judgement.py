"""What LiteRT files cost in nats, which are refused, and which one is recommended."""

import json
from dataclasses import asdict
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tests.bundles import halves as halves_of
from vae_tf import distributions, networks
from vae_tf.formats import parity
from vae_tf.formats.litert import files as litert
from vae_tf.formats.litert.choice import TOLERANCES, Tolerance, choose, holders, refusal
from vae_tf.formats.litert.judgement import judge
from vae_tf.formats.litert.nll import HeldOut
from vae_tf.formats.litert.variants import make_variants
from vae_tf.formats.runtimes import saved_model
from vae_tf.signatures import generation
from vae_tf.signatures.coding import decode_endpoint, encode_endpoint
from vae_tf.signatures.probes import probes

SHAPE, LATENT, PIXELS = (4, 5, 1), 2, 20
SIGMA = 0.3
rng = np.random.default_rng(0)
# p(x) = N(BIAS, W W' + SIGMA^2 I). The columns of W are orthogonal, so that the latents of
# p(z|x) are independent and a DiagonalNormal can be exactly it.
W = np.linalg.qr(rng.normal(size=(PIXELS, LATENT)))[0] * [1.5, 0.4]
BIAS = rng.normal(size=PIXELS)
VARIANCE = 1 / (1 + (W**2).sum(0) / SIGMA**2)  # of p(z|x)
X = (rng.normal(size=(64, LATENT)) @ W.T + BIAS + SIGMA * rng.normal(size=(64, PIXELS))).astype("f")


def flat(array):
    return np.asarray(array, np.float64).reshape(-1, PIXELS)


def linear():
    """A model whose p(x) is known and whose posterior is exact."""
    image, z = keras.Input(SHAPE), keras.Input((LATENT,))
    to_mean = keras.layers.Dense(LATENT)
    to_log_var = keras.layers.Dense(LATENT, kernel_initializer="zeros")
    h = keras.layers.Flatten()(image)
    encoder = keras.Model(image, {"z_mean": to_mean(h), "z_log_var": to_log_var(h)})
    to_loc = keras.layers.Dense(PIXELS)
    decoder = keras.Model(z, keras.layers.Reshape(SHAPE)(to_loc(z)))
    to_loc.set_weights([W.T, BIAS])
    backwards = W * VARIANCE / SIGMA**2
    to_mean.set_weights([backwards, -BIAS @ backwards])
    to_log_var.bias.assign(np.log(VARIANCE))
    return {
        "encoder": encoder,
        "decoder": decoder,
        "prior": distributions.StandardNormal(LATENT),
        "posterior": distributions.DiagonalNormal(),
        "likelihood": distributions.Gaussian(SIGMA),
    }


def held_out(parts, x=None, **options):
    model = halves_of(SHAPE, LATENT, **parts)
    x = X.reshape(-1, *SHAPE) if x is None else x
    return HeldOut(model, model.examples(x, "test"), **options)


def z_of(ours):
    return ours.inputs["decoder"]["z"]


def nll(x, z, log_q, loc, scale):
    """Returns -log (1/K) sum_k p(x|z_k) p(z_k) / q(z_k|x), [N]; z is [K, N, L]."""
    log_px = stats.norm.logpdf(flat(x), loc, scale).sum(-1)
    log_w = log_px + stats.norm.logpdf(z).sum(-1) - log_q
    return np.log(len(z)) - special.logsumexp(log_w, 0)


def test_nats_of_the_model_itself_are_exact():
    parts = linear()
    ours = held_out(parts, num_samples=3)
    exact = stats.multivariate_normal(BIAS, W @ W.T + SIGMA**2 * np.eye(PIXELS)).logpdf(flat(X))
    decoded = parts["likelihood"].statistics(parts["decoder"](z_of(ours)))
    np.testing.assert_allclose(ours.by_decoder(decoded), -exact, atol=1e-3)
    np.testing.assert_allclose(
        ours.by_encoder(parts["encoder"](X.reshape(-1, *SHAPE))), -exact, atol=1e-3
    )


def test_nats_of_a_decoder_against_scipy():
    ours = held_out(linear(), num_samples=5, seed=7)
    z = z_of(ours).reshape(5, 64, LATENT).astype(np.float64)
    mean = (flat(X) - BIAS) @ (W * VARIANCE / SIGMA**2)
    log_q = stats.norm.logpdf(z, mean, np.sqrt(VARIANCE)).sum(-1)
    loc, scale = z @ W.T + BIAS + 0.05, 1.1 * SIGMA
    outputs = {
        "image": loc.reshape(-1, *SHAPE).astype("f"),
        "scale": np.full((5 * 64, 1, 1, 1), scale, np.float32),
    }
    want = nll(X, z, log_q, loc, scale)
    np.testing.assert_allclose(ours.by_decoder(outputs), want, rtol=1e-5, atol=1e-3)


def test_nats_of_an_encoder_against_scipy():
    ours = held_out(linear(), num_samples=5, seed=7)
    exact_mean = (flat(X) - BIAS) @ (W * VARIANCE / SIGMA**2)
    noise = (z_of(ours).reshape(5, 64, LATENT) - exact_mean) / np.sqrt(VARIANCE)
    mean, log_var = exact_mean + 0.1, np.broadcast_to(np.log(VARIANCE) - 0.5, (64, LATENT))
    z = mean + np.exp(log_var / 2) * noise  # the noise of the reference
    log_q = stats.norm.logpdf(z, mean, np.exp(log_var / 2)).sum(-1)
    want = nll(X, z, log_q, z @ W.T + BIAS, SIGMA)
    outputs = {"z_mean": mean.astype("f"), "z_log_var": log_var.astype("f")}
    np.testing.assert_allclose(ours.by_encoder(outputs), want, rtol=1e-5, atol=2e-3)


@pytest.mark.parametrize(
    ("replaced", "halves", "reason"),
    [
        ({"likelihood": distributions.DiscretizedLogistic(levels=5)}, "d", "does not determine p"),
        ({"posterior": distributions.FullNormal()}, "e", "the draws of FullNormal"),
        ({"prior": distributions.Prior(LATENT)}, "de", "cannot be estimated. ConfigError"),
    ],
)
def test_why_nats_are_unknown(replaced, halves, reason):
    likelihood = replaced.get("likelihood", distributions.Bernoulli())
    posterior = replaced.get("posterior", distributions.DiagonalNormal())
    parts = {
        "encoder": networks.mlp_encoder(
            SHAPE, LATENT, hidden=(5,), outputs=posterior.parameter_shapes(LATENT)
        ),
        "decoder": networks.mlp_decoder(LATENT, likelihood.parameter_shapes(SHAPE), hidden=(5,)),
        "prior": distributions.StandardNormal(LATENT),
        "posterior": posterior,
        "likelihood": likelihood,
    } | replaced
    x = np.zeros((3, *SHAPE), np.float32)
    ours = held_out(parts, x, num_samples=2)
    decoded = likelihood.statistics(parts["decoder"](z_of(ours)))
    encoded = posterior.statistics(parts["encoder"](x))
    for half, by, outputs in (("d", ours.by_decoder, decoded), ("e", ours.by_encoder, encoded)):
        if half in halves:
            with pytest.raises(LookupError, match=reason):
                by({name: value.numpy() for name, value in outputs.items()})
        else:
            by({name: value.numpy() for name, value in outputs.items()})


def test_no_images():
    parts = linear()
    ours = HeldOut(halves_of(SHAPE, LATENT, **parts))
    assert ours.inputs == {"encoder": {}, "decoder": {}}
    with pytest.raises(LookupError, match="No held-out images"):
        ours.by_decoder({})


def exported(directory, parts):
    """Writes both halves and returns their endpoints."""
    model = halves_of(SHAPE, LATENT, **parts)
    encode, decode = encode_endpoint(model), decode_endpoint(model)
    generate, _ = generation.offer(model, decode, parity.trial(directory))
    saved_model.write([encode], directory / "encoder")
    saved_model.write([decode, generate], directory / "decoder")
    return [encode, decode, generate]


def variants_of(directory, endpoints, half, **options):
    """Returns the files of a half of what `exported` wrote."""
    own = [endpoint for endpoint in endpoints if endpoint.half == half]
    whole = litert.convert(directory / half, [endpoint.name for endpoint in own])
    return make_variants(whole, directory / half, own, **options)


def judged_by(files, endpoints, ours, **options):
    """Returns the report, by what Keras makes of the probes."""
    probed = {e.name: parity.reference(e, probes(e)) for e in endpoints}
    return judge(files, endpoints, ours, probed, **options)


def bernoulli(seed=0):
    likelihood = distributions.Bernoulli()
    return {
        "encoder": networks.mlp_encoder(SHAPE, LATENT, hidden=(64,), seed=seed),
        "decoder": networks.mlp_decoder(
            LATENT, likelihood.parameter_shapes(SHAPE), hidden=(64, 40), seed=seed
        ),
        "prior": distributions.StandardNormal(LATENT),
        "posterior": distributions.DiagonalNormal(),
        "likelihood": likelihood,
    }


BINARY = (np.random.default_rng(3).uniform(size=(40, *SHAPE)) < 0.5).astype("f")


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A report on both halves of a tame model."""
    directory, parts = tmp_path_factory.mktemp("judged"), bernoulli()
    endpoints = exported(directory, parts)
    ours = held_out(parts, BINARY, num_samples=4)
    options = {"precisions": ("float32", "int8"), "batches": (None, 1)}
    typical = {"encoder": {"image": BINARY}, "decoder": {"z": z_of(ours)}}

    def make():
        made = [
            variants_of(directory, endpoints, half, representative=samples, **options)[0]
            for half, samples in typical.items()
        ]
        return made[0] | made[1]

    files = make()
    report = judged_by(files, endpoints, ours)
    return SimpleNamespace(
        files=files, report=report, held_out=ours, parts=parts, endpoints=endpoints, make=make
    )


def test_report(judged):
    assert [entry["file"] for entry in judged.report] == list(judged.files)
    json.dumps(judged.report, allow_nan=False)
    for entry in judged.report:
        half, precision = entry["half"], entry["precision"]
        assert entry["file"].startswith(f"{half}-{precision}")
        assert entry["bytes"] == len(judged.files[entry["file"]])
        assert entry["batch"] == (1 if "batch1" in entry["file"] else None)
        assert "FULLY_CONNECTED" in entry["operators"]
        assert entry["latency_us"] > 0
        assert entry["refused"] is None
        assert entry["delta_nll_reason"] is None
        assert 0 <= entry["delta_nll_stderr"] < 0.05
        assert entry["tolerance"]["delta_nll"] == TOLERANCES[precision].delta_nll
        bound, floor = (1e-4, 0) if precision == "float32" else (0.5, 1e-6)
        assert floor <= abs(entry["delta_nll"]) < bound
        first = "encode" if half == "encoder" else "decode"
        errors = entry["max_error"][first]
        assert set(errors) == ({"z_mean", "z_log_var"} if half == "encoder" else {"image"})
        bound = 1e-5 if precision == "float32" else 0.1
        assert all(error["max_relative_error"] < bound for error in errors.values())
    names = {entry["file"]: entry["signatures"] for entry in judged.report}
    assert names["decoder-float32.tflite"] == ["decode", "generate"]
    assert names["decoder-int8.tflite"] == ["decode", "generate"]
    assert set(holders(judged.report)) == {"encode", "decode", "generate"}
    assert sum(entry["recommended"] for entry in judged.report) == 2


def test_errors_are_those_of_the_files(judged):
    entry = next(e for e in judged.report if e["file"] == "decoder-int8.tflite")
    (have,) = litert.run(judged.files[entry["file"]], "decode", [{"z": z_of(judged.held_out)}])
    parts = judged.parts
    want = tf.nn.sigmoid(parts["decoder"](z_of(judged.held_out))["logits"]).numpy()
    error, scale = np.abs(have["image"] - want).max(), want.max()
    assert entry["max_error"]["decode"]["image"] == pytest.approx(
        {"max_abs_error": error, "max_relative_error": error / scale}, rel=1e-3
    )
    entry = next(e for e in judged.report if e["file"] == "decoder-float32-batch1.tflite")
    assert entry["max_error"]["generate"]["z"]["max_abs_error"] < 2e-6


@pytest.mark.slow
def test_a_file_beyond_its_tolerance_is_refused(tmp_path):
    parts = bernoulli()
    first, second = [w for w in parts["decoder"].layers if isinstance(w, keras.layers.Dense)][:2]
    # One hidden unit as large as this takes all the levels eight bits have, to no effect.
    first.bias.assign(tf.tensor_scatter_nd_update(first.bias, [[0]], [1e4]))
    second.kernel.assign(tf.tensor_scatter_nd_update(second.kernel, [[0]], tf.zeros([1, 40])))
    last = [w for w in parts["decoder"].layers if isinstance(w, keras.layers.Dense)][-1]
    last.kernel.assign(10 * last.kernel)
    endpoints = exported(tmp_path, parts)
    ours = held_out(parts, BINARY, num_samples=4)
    files, _ = variants_of(
        tmp_path,
        endpoints,
        "decoder",
        batches=(1,),
        representative={"z": z_of(ours)},
    )
    report = {e["precision"]: e for e in judged_by(files, endpoints, ours)}
    refused = {precision: entry["refused"] for precision, entry in report.items()}
    assert refused["float32"] is refused["float16"] is None
    for precision in ("dynamic", "int8"):
        # A loss for data that the model describes, and a gain for such noise
        assert abs(report[precision]["delta_nll"]) > 0.5
        assert refused[precision].startswith("-log p(x) is ")
        assert refused[precision].endswith(" nats off; 0.5 are allowed.")
        assert not report[precision]["recommended"]
    assert choose(list(report.values())) == {"decoder": "decoder-float16-batch1.tflite"}

    strict = TOLERANCES | {"float16": Tolerance(1e-9, 1e-9, both=True)}
    halved = {name: content for name, content in files.items() if "float16" in name}
    (entry,) = judged_by(halved, endpoints, ours, tolerances=strict)
    assert entry["refused"]
    assert choose([entry]) == {}


def test_numbers_that_float16_lacks_are_refused(tmp_path):
    parts = bernoulli()
    kernel = parts["decoder"].layers[2].kernel
    assert kernel.shape == (64, 40)
    kernel.assign(tf.tensor_scatter_nd_update(kernel, [[0, 0]], [1e5]))
    endpoints = exported(tmp_path, parts)
    files, _ = variants_of(tmp_path, endpoints, "decoder", precisions=["float16"], batches=(1,))
    (entry,) = judged_by(files, endpoints, held_out(parts, BINARY, num_samples=2))
    assert "is +nan nats off" in entry["refused"] or "is off by" in entry["refused"]


@pytest.mark.slow
def test_without_images_the_error_decides(tmp_path):
    parts = bernoulli()
    endpoints = exported(tmp_path, parts)
    ours = HeldOut(halves_of(SHAPE, LATENT, **parts))
    files, _ = variants_of(tmp_path, endpoints, "decoder", precisions=["dynamic"], batches=[1])
    (entry,) = judged_by(files, endpoints, ours)
    assert (entry["delta_nll"], entry["delta_nll_stderr"]) == (None, None)
    assert entry["delta_nll_reason"] == "No held-out images were given."
    assert entry["refused"] is None
    strict = TOLERANCES | {"dynamic": Tolerance(0.5, 1e-6, both=False)}
    (entry,) = judged_by(files, endpoints, ours, tolerances=strict)
    assert entry["refused"].startswith("image is off by ")


def test_classes_may_change_in_few_places():
    refused = []
    for share in (0.004, 0.006):
        errors = {"max_abs_error": 3.0, "max_relative_error": 1.0, "share_changed": share}
        entry = {
            "tolerance": asdict(TOLERANCES["float16"]),
            "delta_nll": 0.001,
            "signatures": ["decode"],
            "max_error": {"decode": {"image": errors}},
        }
        refused.append(refusal(entry))
    assert refused == [None, "image is changed in 0.006 of its elements; 0.005 is allowed."]


def line(file, size, latency, batch=1, refused=None, half="decoder", signatures=("decode",)):
    return {
        "precision": {"f": "float16", "d": "dynamic"}.get(file, "int8"),
        **{"file": file, "bytes": size, "latency_us": latency, "batch": batch},
        **{"refused": refused, "half": half, "signatures": signatures, "recommended": False},
    }


@pytest.mark.parametrize(
    ("report", "chosen"),
    [
        ([line("a", 100, 9), line("b", 50, 9)], "b"),  # the smallest
        ([line("a", 100, 1), line("b", 50, 9)], "b"),  # also if it is slow
        ([line("a", 54, 2), line("b", 50, 9)], "b"),
        ([line("d", 54, 8), line("b", 50, 2)], "d"),  # of two about as small the more exact
        ([line("f", 60, 8), line("b", 50, 2)], "b"),
        ([line("a", 54, 1), line("b", 50, 9)], "a"),  # but not for a tenth of it and nine times
        ([line("a", 100, 9), line("b", 50, 9, refused="It is off.")], "a"),
        ([line("a", 100, 9), line("b", 50, 9, batch=None)], "a"),  # a phone has one image
        ([line("a", 100, 9, batch=16), line("b", 50, 9, batch=None)], "b"),
        ([line("a", 100, 9, refused="It is off.")], None),
        ([], None),
    ],
)
def test_choice(report, chosen):
    assert choose(report) == ({"decoder": chosen} if chosen else {})
    other = [line("e", 1, 1, half="encoder")]
    assert choose(report + other) == choose(report) | {"encoder": "e"}


def test_where_a_signature_is_that_the_recommended_file_lacks():
    both = ("decode", "generate")
    report = [line("a", 50, 9), line("b", 100, 9, signatures=both), line("c", 99, 9, batch=None)]
    report[0]["recommended"] = True
    assert holders(report) == {"decode": "a", "generate": "b"}
    report[1]["refused"] = "It is off."
    assert holders(report) == {"decode": "a"}


def test_the_same_weights_have_the_same_recommendation(judged):
    """Latencies between half and twice of what they are, as on a busy machine."""
    chosen = {e["half"]: e["file"] for e in judged.report if e["recommended"]}
    noise = np.random.default_rng(0)
    for _ in range(200):
        factors = 2.0 ** noise.uniform(-1, 1, len(judged.report))
        pairs = zip(judged.report, factors, strict=True)
        noisy = [{**e, "latency_us": 10 * factor} for e, factor in pairs]
        assert choose(noisy) == chosen
    again = judged_by(judged.make(), judged.endpoints, judged.held_out)
    assert {e["half"]: e["file"] for e in again if e["recommended"]} == chosen
    facts = [[{**e, "latency_us": 0} for e in report] for report in (judged.report, again)]
    assert facts[0] == facts[1]
