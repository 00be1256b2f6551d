import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import vae_tf
from vae_tf import likelihoods, networks, posteriors, priors
from vae_tf.codec import Codec, Container
from vae_tf.codec.latents import Grid
from vae_tf.codec.stack import ONE, Stack
from vae_tf.errors import CodecError, DataError, VAEError

SHAPE, LATENT = (4, 3, 1), 3


def model(likelihood=None, prior=None, factor=1.0, shape=SHAPE, seed=0, **others):
    """Returns a VAE with random weights, all of them times `factor`."""
    likelihood = likelihood or likelihoods.Bernoulli()
    vae = vae_tf.VAE(
        networks.mlp_encoder(shape, LATENT, hidden=(16,), seed=seed),
        networks.mlp_decoder(LATENT, likelihood.parameter_shapes(shape), hidden=(16,), seed=seed),
        likelihood=likelihood,
        prior=prior,
        **others,
    )
    for network in (vae.encoder, vae.decoder):
        network.set_weights([factor * weight for weight in network.get_weights()])
    return vae


def bits(n, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).integers(0, 2, (n, *shape)).astype("uint8")


class Tallied(Stack):
    """A stack that sums the logarithms of the probabilities that go through it."""

    def __init__(self, words=None):
        super().__init__(words)
        self.sum = 0.0

    def push(self, bits, k):
        self.sum -= np.sum(np.log2(np.where(bits == 0, k, ONE - k) / ONE))
        super().push(bits, k)

    def pop(self, k):
        bits = super().pop(k)
        self.sum += np.sum(np.log2(np.where(bits == 0, k, ONE - k) / ONE))
        return bits


@pytest.fixture(scope="module")
def mixture():
    vae = model(prior=priors.MixtureOfNormals(LATENT, components=5), factor=3.0)
    with Codec(vae) as codec:
        yield vae, codec


@pytest.mark.parametrize("chains", [1, 3, 8, 40])
def test_round_trip(mixture, chains):
    x = bits(30)
    _, codec = mixture
    back = codec.decompress(codec.compress(x, chains=chains))
    np.testing.assert_array_equal(back, x)
    assert back.dtype == x.dtype


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays("bool", st.tuples(st.integers(0, 5), *map(st.just, SHAPE))),
    st.integers(1, 4),
    st.integers(1, 14),
)
def test_round_trip_of_any_images(mixture, x, chains, bins):
    _, codec = mixture
    np.testing.assert_array_equal(codec.decompress(codec.compress(x, chains=chains, bins=bins)), x)


@pytest.mark.parametrize("factor", [0.0, 30.0, 1e4, np.nan])
def test_extreme_models(factor):
    """Logits of zero, of thousands, posteriors far out and not a number: all is lossless."""
    x = np.concatenate([bits(20), np.zeros((2, *SHAPE), "uint8"), np.ones((2, *SHAPE), "uint8")])
    with Codec(model(factor=factor)) as codec:
        np.testing.assert_array_equal(codec.decompress(codec.compress(x, chains=3)), x)


def own_priors():
    learned = priors.LearnedNormal(LATENT)
    learned.loc.assign([1.0, -20.0, 0.0])
    learned.log_scale.assign([0.5, -1.0, 2.0])
    return {
        "bernoulli, probs": {"likelihood": likelihoods.Bernoulli("probs")},
        "categorical": {"likelihood": likelihoods.Categorical(2), "prior": learned},
        "logistic": {"likelihood": likelihoods.DiscretizedLogistic(2)},
        "logistic mixture": {"likelihood": likelihoods.DiscretizedLogisticMixture(2, 2)},
        "vamp": {"prior": priors.VampPrior(LATENT, SHAPE, 4)},
    }


@pytest.mark.parametrize("name", own_priors())
def test_parts(name):
    others = own_priors()[name]
    if "probs" in name:
        logits = model()
        z = keras.Input((LATENT,))
        probs = keras.ops.sigmoid(logits.decoder(z)["logits"])
        vae = vae_tf.VAE(logits.encoder, keras.Model(z, {"probs": probs}), **others)
    else:
        vae = model(**others)
    x = bits(20)
    with Codec(vae) as codec:
        np.testing.assert_array_equal(codec.decompress(codec.compress(x, chains=3)), x)


@pytest.mark.parametrize("dtype", ["uint8", "float32", ">f8"])
def test_grey_levels(dtype):
    vae = model(likelihoods.DiscretizedLogisticMixture(3))
    levels = np.random.default_rng(0).integers(0, 256, (9, *SHAPE))
    levels[0], levels[1] = 0, 255
    x = levels.astype(dtype) if dtype == "uint8" else levels.astype(dtype) / np.array(255, dtype)
    x = x.astype(dtype)
    with Codec(vae) as codec:
        back = codec.decompress(codec.compress(x, chains=2))
    assert back.dtype == x.dtype
    assert back.tobytes() == x.tobytes()


def test_length_is_the_sum_of_quantized_logarithms(mixture):
    _, codec = mixture
    stacks = [Tallied() for _ in range(4)]
    before = [stack.bits() for stack in stacks]
    grid = Grid.around(codec._networks.centre, codec._networks.spread, 12)
    index = bits(200).reshape(200, -1).astype("int64")
    for first in range(0, 200, 4):
        codec._write(stacks, index[first : first + 4], grid)
    for stack, start in zip(stacks, before, strict=True):
        assert abs(stack.bits() - start - stack.sum) < 1.01  # whole bits are told


def test_rate_is_the_negative_elbo():
    """That of the model, whose prior is a mixture; draws of z and of images bring the error."""
    vae = model(prior=priors.MixtureOfNormals(LATENT, components=5), factor=0.3)
    vae.compile()
    x, count = bits(1), 4000
    with Codec(vae) as codec:
        stack = Tallied()
        grid = Grid.around(codec._networks.centre, codec._networks.spread, 12)
        index, costs = x.reshape(1, -1).astype("int64"), []
        for _ in range(count // 10):
            before = stack.sum
            codec._write([stack], index, grid)
            costs.append(stack.sum - before)
    copies = np.repeat(x, count, 0).astype("float32")
    elbo = -vae.evaluate(copies, batch_size=count, verbose=0, return_dict=True)["elbo"] / np.log(2)
    error = np.std(costs) / np.sqrt(len(costs))
    assert abs(np.mean(costs) - elbo) < 4 * error + 0.01
    assert error < 0.2


def test_few_bytes_beside_the_words(mixture):
    _, codec = mixture
    data = codec.compress(bits(2))
    words = Container.from_bytes(data).header.words
    assert len(data) - 4 * sum(words) < 400


def test_files_are_the_same_each_time_and_without_their_channel(mixture):
    vae, codec = mixture
    x = bits(10)
    first = codec.compress(x, chains=2)
    with Codec(vae) as another:
        assert another.compress(x, chains=2) == first
    flat = codec.decompress(codec.compress(x[..., 0]))
    np.testing.assert_array_equal(flat, x[..., 0])


@pytest.fixture(scope="module")
def file(mixture):
    return mixture[1].compress(bits(12), chains=2)


def test_a_file_cut_short(mixture, file):
    for size in (*range(60), len(file) // 2, len(file) - 1):
        with pytest.raises(CodecError, match=r"whole|must be one that the codec wrote"):
            mixture[1].decompress(file[:size])


def test_a_flipped_bit(mixture, file):
    for place in range(len(file)):
        data = bytearray(file)
        data[place] ^= 1 << place % 8
        with pytest.raises(CodecError):
            mixture[1].decompress(bytes(data))


def test_a_file_of_another_model(mixture, file):
    with Codec(model(seed=1)) as other, pytest.raises(CodecError, match="of this model"):
        other.decompress(file)


def test_a_machine_that_computes_otherwise(mixture, file):
    """Another model stands for it, to which the file says it belongs."""
    held = Container.from_bytes(file)
    vae, _ = mixture
    weights = [weight + 1e-2 for weight in vae.get_weights()]
    other = model(prior=priors.MixtureOfNormals(LATENT, components=5))
    other.set_weights(weights)
    with Codec(other) as codec:
        header = dataclasses.replace(held.header, model=codec.model)
        with pytest.raises(CodecError, match=r"must be those that were compressed.*decoded by"):
            codec.decompress(Container(header, held.words).to_bytes())


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"shape": (12, 5, 5)},
        {"words": (1, 1)},
        {"words": ()},
        {"dtype": "nonsense"},
        {"bins": 64},
        {"shape": (-1, *SHAPE)},
    ],
    ids=str,
)
def test_a_header_that_cannot_be(mixture, file, changes):
    held = Container.from_bytes(file)
    wrong = Container(dataclasses.replace(held.header, **changes), held.words).to_bytes()
    with pytest.raises(CodecError):
        mixture[1].decompress(wrong)


@pytest.mark.parametrize(
    "x",
    [
        np.full((1, *SHAPE), 2, "uint8"),
        np.full((1, *SHAPE), 0.5, "float32"),
        np.full((1, *SHAPE), -0.0, "float32"),
        np.full((1, *SHAPE), np.nan, "float32"),
        np.full((1, *SHAPE), -1, "int8"),
        np.zeros((1, 3, 4, 1), "uint8"),
        np.zeros(SHAPE[:1], "uint8"),
        np.zeros((1, *SHAPE), "complex64"),
        np.full((1, *SHAPE), "a"),
    ],
    ids=lambda x: f"{x.dtype} {x.shape} {x.ravel()[0]}",
)
def test_images_outside_the_alphabet(mixture, x):
    with pytest.raises(DataError):
        mixture[1].compress(x)


def test_levels_outside_the_alphabet():
    vae = model(likelihoods.DiscretizedLogistic(16))
    with Codec(vae) as codec:
        for x in (16, -1):
            with pytest.raises(DataError, match="levels from 0 to 15"):
                codec.compress(np.full((1, *SHAPE), x))
        with pytest.raises(DataError, match="last bit"):
            codec.compress(np.full((1, *SHAPE), np.float32(1 / 15) + np.float32(1e-7), "float32"))


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"likelihood": likelihoods.Gaussian()}, "discrete likelihoods"),
        ({"prior": priors.RealNVP(LATENT)}, "mixtures of normals"),
    ],
)
def test_models_it_does_not_take(others, words):
    with pytest.raises(CodecError, match=words):
        Codec(model(**others))


def test_other_posteriors_and_conditions_are_refused():
    likelihood = likelihoods.Bernoulli()
    shapes = likelihood.parameter_shapes(SHAPE)
    full = posteriors.FullNormal()
    encoder = networks.mlp_encoder(
        SHAPE, LATENT, hidden=(8,), outputs=full.parameter_shapes(LATENT)
    )
    decoder = networks.mlp_decoder(LATENT, shapes, hidden=(8,))
    with pytest.raises(CodecError, match="DiagonalNormal"):
        Codec(vae_tf.VAE(encoder, decoder, posterior=full))
    encoder = networks.mlp_encoder(SHAPE, LATENT, hidden=(8,), condition=2)
    with pytest.raises(CodecError, match="without a condition"):
        Codec(vae_tf.VAE(encoder, decoder))


@pytest.mark.parametrize("setting", [{"chains": 0}, {"bins": 0}, {"bins": 21}, {"bins": 1.5}])
def test_settings_that_cannot_be(mixture, setting):
    with pytest.raises(VAEError):
        mixture[1].compress(bits(1), **setting)
