"""Good models pass whole; each way of being broken is found by the check that is meant for it."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

import vae_tf
from vae_tf import VAE
from vae_tf.distributions import Bernoulli, DiagonalNormal, Gaussian, StandardNormal
from vae_tf.networks import conv_decoder, conv_encoder, mlp_decoder, mlp_encoder
from vae_tf.objectives import (
    ELBO,
    IWAE,
    VIMCO,
    Constant,
    DReG,
    FactorVAE,
    FreeBits,
    LearnedBaseline,
    LinearWarmup,
    RunningMean,
    ScoreFunction,
    StickingTheLanding,
)

from .conftest import LATENT_DIM, SHAPE, make

NAMES = (
    "data", "shapes", "support", "finite", "density", "past", "kl", "draws", "posterior", "outputs",
    "bounds", "seed", "batch", "training", "gradients", "extremes",
)  # fmt: skip


def look(vae, x, **kwargs):
    return vae.check(x, print_fn=None, **kwargs)


def statuses(report):
    return {f.name: f.status for f in report.findings}


def assert_only(report, name, words):
    assert [f.name for f in report.failed] == [name], str(report)
    assert words in report[name].seen, str(report)
    assert not report.ok


# Good models

LIKELIHOODS = ("Bernoulli", "Gaussian", "GaussianLearnedScale", "GaussianPixelScale")


@pytest.mark.slow_but(2)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_good_models_pass_whole(x, likelihood, network):
    likelihood = getattr(vae_tf.likelihoods, likelihood)()
    outputs = likelihood.parameter_shapes(SHAPE)
    if network == "mlp":
        vae = make(likelihood, prior=vae_tf.priors.MixtureOfNormals(LATENT_DIM, 5))
    else:
        encoder = conv_encoder(SHAPE, LATENT_DIM, (4,), 8)
        vae = VAE(encoder, conv_decoder(LATENT_DIM, outputs, (4,), 8), likelihood=likelihood)
    report = look(vae, x)
    assert set(statuses(report).values()) == {"ok"}, str(report)
    assert report.ok
    assert tuple(f.name for f in report.findings) == NAMES


OBJECTIVES = {
    "elbo": lambda: ELBO(2, closed_form=False),
    "stl": StickingTheLanding,
    "iwae": lambda: IWAE(3),
    "dreg": lambda: DReG(3),
    "vimco": lambda: VIMCO(3),
    "running mean": lambda: ScoreFunction(2, RunningMean()),
    "learned baseline": lambda: ScoreFunction(2, LearnedBaseline(SHAPE, (8,))),
}


@pytest.mark.slow_but(2)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_passes(x, objective):
    report = look(make(objective=OBJECTIVES[objective]()), x)
    assert set(statuses(report).values()) == {"ok"}, str(report)


def test_a_warm_up_that_has_not_begun_and_what_starts_at_zero_are_no_dead_gradients(x):
    penalties = [FactorVAE(2.0, LATENT_DIM, (8,))]  # its classifier starts with a layer of zeros
    prior = vae_tf.priors.MixtureOfNormals(LATENT_DIM, 5)
    vae = make(beta=LinearWarmup(100), penalties=penalties, prior=prior)
    report = look(vae, x)
    assert report.ok, str(report)
    vae = make(kl_control=FreeBits(50.0))
    for head in ("z_mean_output", "z_log_var_output"):
        layer = vae.encoder.get_layer(head)
        layer.kernel.assign(layer.kernel * 0)
    assert look(vae, x).ok


def test_dropout_and_batch_normalization_are_information(x):
    encoder = mlp_encoder(SHAPE, LATENT_DIM, (16,), dropout=0.5)
    report = look(VAE(encoder, mlp_decoder(LATENT_DIM, {"logits": SHAPE}, (16,))), x)
    assert report.ok, str(report)
    assert report["training"].status == "skipped"
    assert report["training"].seen.startswith("Dropout: nll + kl")

    report = look(normalized(), x)
    assert report.ok, str(report)
    assert report["training"].seen.startswith("BatchNormalization")


def normalized():
    i = keras.Input(SHAPE)
    h = keras.layers.BatchNormalization()(keras.layers.Dense(8)(keras.layers.Flatten()(i)))
    h = keras.layers.Dropout(0.2)(h)
    heads = {name: keras.layers.Dense(LATENT_DIM)(h) for name in DiagonalNormal.parameters}
    return VAE(keras.Model(i, heads), mlp_decoder(LATENT_DIM, {"logits": SHAPE}, (16,)))


def test_half_precision_networks_pass(x, set_dtype_policy):
    set_dtype_policy("mixed_bfloat16")
    assert look(make(), x).ok


# Nothing changes


@pytest.mark.slow
def test_the_model_is_as_it_was(x):
    vae = normalized().replace(objective=ScoreFunction(2, RunningMean()))
    vae.compile()
    vae.fit(x, epochs=1, verbose=0)
    vae.beta = LinearWarmup(50)
    variables = [*vae.variables, *vae.metrics_variables, *vae.optimizer.variables]
    assert any("seed_generator_state" in v.path for v in variables)
    assert any("moving_mean" in v.path for v in variables)
    assert any(v.path.endswith("total") for v in variables)
    before, beta = [v.numpy() for v in variables], vae.beta
    assert look(vae, x).ok
    for v, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), value, err_msg=v.path)
    assert vae.beta is beta


@pytest.mark.slow
def test_training_goes_on_as_if_nothing_had_been_asked(x):
    histories = []
    for asked in (False, True):
        vae = make()
        vae.fit(x, epochs=1, shuffle=False, verbose=0)
        if asked:
            vae.check(x, print_fn=None)
        histories.append(vae.fit(x, epochs=2, shuffle=False, verbose=0).history)
    assert histories[0] == histories[1]


def test_a_model_that_was_never_called_does_not_take_the_shape_of_its_audit(x):
    vae = built_of(encoder_of(lambda x, training: x))
    assert look(vae, x).ok
    assert vae.event_shape is None
    assert not vae.built


# Broken models


class Own(keras.Model):
    """A network whose call is a function of its layers, as users write them."""

    def __init__(self, function, *layers):
        super().__init__()
        self.own, self.function = list(layers), function

    def call(self, x, training=False):
        return self.function(x, training, *self.own)


def encoder_of(change):
    """An mlp encoder whose input goes through `change` (x, training) first."""
    return Own(lambda x, training, net: net(change(x, training)), mlp_encoder(SHAPE, 2, (16,)))


def decoder_of(change):
    """An mlp decoder whose logits go through `change` (logits, z)."""
    network = mlp_decoder(2, {"logits": SHAPE}, (16,))
    return Own(lambda z, training, net: {"logits": change(net(z)["logits"], z)}, network)


def built_of(encoder=None, decoder=None, **kwargs):
    encoder = encoder or mlp_encoder(SHAPE, LATENT_DIM, (16,), seed=1)
    decoder = decoder or mlp_decoder(LATENT_DIM, {"logits": SHAPE}, (16,), seed=2)
    return VAE(encoder, decoder, prior=kwargs.pop("prior", StandardNormal(2)), **kwargs)


def test_a_missing_channel_axis(x):
    report = look(make(), x[..., 0])
    assert_only(report, "shapes", "takes [B, 4, 3, 1]")
    assert report["gradients"].status == "skipped"


def test_a_decoder_whose_images_lack_the_channel_axis(x):
    report = look(built_of(decoder=decoder_of(lambda logits, z: logits[..., 0])), x)
    assert_only(report, "shapes", "p(x|z): its event must be [4, 3, 1], is [4, 3]")


def test_a_posterior_that_loses_the_batch(x):
    class Shared(DiagonalNormal):
        def statistics(self, params):
            return {k: tf.reduce_mean(v, 0) for k, v in super().statistics(params).items()}

        def distribution(self, params):
            q = self.statistics(params)
            return tfd.Independent(tfd.Normal(q["z_mean"], tf.exp(0.5 * q["z_log_var"])), 1)

    assert_only(look(make(posterior=Shared()), x), "shapes", "q(z|x): its batch must be [32]")


def test_a_posterior_of_scalars(x):
    class Scalars(DiagonalNormal):
        def distribution(self, params):
            return super().distribution(params).distribution

    assert_only(look(make(posterior=Scalars()), x), "shapes", "q(z|x)")


def test_bernoulli_on_bytes(x):
    report = look(make(), (x * 255).astype("uint8"))
    assert_only(report, "support", "max=255")
    assert report["density"].status == "skipped"


def test_grey_values_are_told_and_the_rest_is_asked_all_the_same(x):
    report = look(make(), x * 0.5 + 0.25)
    assert_only(report, "support", "defined for 0 and 1 alone")
    assert report["gradients"].status == "ok"


def test_data_that_are_not_finite(x):
    x[3] = np.nan
    assert_only(look(make(), x), "support", "NaN or infinite")


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_weights_that_are_not_finite(x, half):
    vae = make()
    bias = getattr(vae, half).layers[-1 if half == "encoder" else -2].bias
    bias.assign(bias * np.nan)
    report = look(vae, x)
    assert_only(report, "finite", bias.path)
    assert report["extremes"].status == "skipped"


def test_a_network_that_makes_infinities(x):
    vae = built_of(decoder=decoder_of(lambda logits, z: logits + tf.math.log(0.0 * logits)))
    assert_only(look(vae, x), "finite", "The decoder's output is not finite")


class Averaged(tfd.Independent):
    """Divides log p(x|z) by the number of pixels, as some losses do."""

    def _log_prob(self, value, **kwargs):
        return super()._log_prob(value, **kwargs) / self.event_shape.num_elements()


@pytest.mark.parametrize("base", [Bernoulli, Gaussian])
def test_a_likelihood_that_averages_over_pixels(x, base):
    class Mean(base):
        def distribution(self, params):
            px = super().distribution(params)
            return Averaged(px.distribution, px.reinterpreted_batch_ndims)

    assert_only(look(make(Mean()), x), "density", "1 for a density")


def test_a_likelihood_without_its_normalizer(x):
    class Unnormalized(tfd.Normal):
        def _log_prob(self, value):
            return super()._log_prob(value) + tf.math.log(self.scale)

    class Loose(vae_tf.likelihoods.GaussianPixelScale):
        def distribution(self, params):
            px = super().distribution(params).distribution
            return tfd.Independent(Unnormalized(px.loc, px.scale), 3)

    assert_only(look(make(Loose()), x), "density", "1 for a density")


def test_a_likelihood_of_one_number_for_each_pixel(x):
    class Wide(tfd.Independent):
        def _log_prob(self, value, **kwargs):
            return self.distribution.log_prob(value)

    class PerPixel(Bernoulli):
        def distribution(self, params):
            px = super().distribution(params)
            return Wide(px.distribution, px.reinterpreted_batch_ndims)

    report = look(make(PerPixel()), x)
    assert "density" in [f.name for f in report.failed], str(report)
    assert report["density"].seen.endswith("not [32].")


class HalfKL(tfd.Normal):
    """Has a closed form of its own, which is wrong."""


@tfd.RegisterKL(HalfKL, tfd.Normal)
def _half(q, p, name=None):
    exact = tfd.kl_divergence(tfd.Normal(q.loc, q.scale), tfd.Normal(p.loc, p.scale))
    return 0.5 * exact


class Halved(DiagonalNormal):
    kind = HalfKL

    def distribution(self, params):
        q = super().distribution(params).distribution
        return tfd.Independent(self.kind(q.loc, q.scale), 1)


def spread(vae):
    """Moves the posterior away from the prior, so that there is a KL to be wrong about."""
    layer = vae.encoder.get_layer("z_mean_output")
    layer.bias.assign(layer.bias + 2.0)
    return vae


def test_a_wrong_closed_form(x):
    assert_only(look(spread(make(posterior=Halved())), x), "kl", "closed form")


def test_a_wrong_entropy(x):
    class Calm(tfd.Normal):
        def _entropy(self):
            return super()._entropy() + 1.0

    class Entropic(Halved):
        kind = Calm

    prior = vae_tf.priors.MixtureOfNormals(LATENT_DIM, 3)
    assert_only(look(make(posterior=Entropic(), prior=prior), x), "kl", "minus the entropy")


def test_without_closed_form_and_entropy_there_is_the_estimate(x):
    class Silent(tfd.Normal):
        def _entropy(self):
            raise NotImplementedError

    class Quiet(Halved):
        kind = Silent

    prior = vae_tf.priors.MixtureOfNormals(LATENT_DIM, 3)
    report = look(make(posterior=Quiet(), prior=prior), x)
    assert report.ok, str(report)
    assert "nats at draws" in report["kl"].seen


def test_a_posterior_far_from_the_prior(x):
    vae = make()
    layer = vae.encoder.get_layer("z_mean_output")
    layer.bias.assign(layer.bias + 200.0)
    assert_only(look(vae, x), "posterior", "nats for an example")


def test_noise_that_makes_other_draws(x):
    class Wide(DiagonalNormal):  # exp(z_log_var) where its root belongs
        def from_noise(self, params, normal):
            return params["z_mean"] + tf.exp(params["z_log_var"]) * normal

    class Moved(StandardNormal):
        def from_noise(self, normal, uniform):
            return normal + 0.3

    vae = make(posterior=Wide())
    layer = vae.encoder.get_layer("z_log_var_output")
    layer.bias.assign(layer.bias - 1.0)
    for model, part in ((vae, "posterior"), (make(prior=Moved(LATENT_DIM)), "prior")):
        found = look(model, x)["draws"]
        assert found.status == "failed"
        assert f"from_noise of the {part}" in found.fix


@pytest.mark.parametrize("same", [True, False])
def test_a_posterior_deaf_to_its_seed(x, same):
    class Deaf(tfd.Normal):
        def _sample_n(self, n, seed=None):
            shape = tf.concat([[n], tf.shape(self.loc)], 0)
            noise = tf.random.stateless_normal(shape, [1, 2]) if same else tf.random.normal(shape)
            return self.loc + self.scale * noise

    class Ignoring(Halved):
        kind = Deaf

    report = look(make(posterior=Ignoring()), x)
    words = "Another seed gives the same" if same else "The same seed gives other draws"
    assert "seed" in [f.name for f in report.failed]
    assert words in report["seed"].seen


def test_noise_in_evaluation(x):
    noisy = encoder_of(lambda x, training: x + tf.random.normal(tf.shape(x)))
    report = look(built_of(noisy), x)
    assert "seed" in [f.name for f in report.failed]
    assert report["batch"].status == "skipped"


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_an_example_that_depends_on_its_batch(x, half):
    if half == "encoder":
        vae = built_of(encoder_of(lambda x, training: x / (0.1 + tf.reduce_mean(x))))
    else:
        vae = built_of(decoder=decoder_of(lambda logits, z: logits - tf.reduce_mean(logits, 0)))
    assert_only(look(vae, x), "batch", f"The {half} differs")


def test_another_model_in_training(x):
    vae = built_of(encoder_of(lambda x, training: x * 3.0 if training else x))
    assert_only(look(vae, x), "training", "with no such layers")


def test_variables_that_are_not_used(x):
    spare = keras.layers.Dense(3)
    spare.build((None, 2))
    network = mlp_decoder(2, {"logits": SHAPE}, (16,))
    vae = built_of(decoder=Own(lambda z, training, net, spare: net(z), network, spare))
    report = look(vae, x)
    assert_only(report, "gradients", spare.kernel.path)
    assert spare.bias.path in report["gradients"].seen


def test_weight_decay_does_not_make_a_variable_used(x):
    spare = keras.layers.Dense(3, kernel_regularizer="l2")
    spare.build((None, 2))
    network = mlp_decoder(2, {"logits": SHAPE}, (16,))
    vae = built_of(decoder=Own(lambda z, training, net, spare: net(z), network, spare))
    assert_only(look(vae, x), "gradients", spare.kernel.path)


def test_a_decoder_cut_off_from_its_variables(x):
    vae = built_of(decoder=decoder_of(lambda logits, z: tf.stop_gradient(logits)))
    report = look(vae, x)
    assert_only(report, "gradients", "No gradient reaches")
    assert report["gradients"].seen.count("decoder/") == 4
    assert "encoder" not in report["gradients"].seen


def test_variables_of_prior_and_likelihood_that_are_not_used(x):
    class Forgetful(Gaussian):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.forgotten = self.add_weight(name="forgotten", shape=(), initializer="ones")

    class Prior(StandardNormal):
        def __init__(self, latent_dim, **kwargs):
            super().__init__(latent_dim, **kwargs)
            self.idle = self.add_weight(name="idle", shape=(), initializer="ones")

    report = look(make(Forgetful(), prior=Prior(LATENT_DIM)), x)
    assert_only(report, "gradients", "forgotten")
    assert "idle" in report["gradients"].seen


def test_a_variable_that_keras_does_not_know(x):
    hidden = tf.Variable(1.0, name="hidden")
    vae = built_of(decoder=decoder_of(lambda logits, z: logits * hidden))
    assert_only(look(vae, x), "gradients", "The optimizer will not see hidden")


def test_an_infinite_gradient(x):
    def root(logits, z):  # the derivative of a root at 0
        return logits + tf.sqrt(tf.nn.relu(z[:, :1] - 100.0))[:, :, None, None]

    report = look(built_of(decoder=decoder_of(root)), x)
    assert "gradients" in [f.name for f in report.failed]
    assert "is not finite" in report["gradients"].seen


def test_a_decoder_that_overflows_far_out(x):
    def steep(logits, z):
        return logits + tf.exp(tf.reduce_sum(tf.square(z), -1))[:, None, None, None]

    vae = built_of(decoder=decoder_of(steep))
    layer = mlp_encoder(SHAPE, 2, (16,), seed=1)
    for name in ("z_mean_output", "z_log_var_output"):
        layer.get_layer(name).kernel.assign(layer.get_layer(name).kernel * 0.01)
    vae = built_of(layer, decoder_of(steep))
    assert_only(look(vae, x), "extremes", "At z = -10")


def test_an_encoder_that_divides_by_an_empty_image(x):
    vae = built_of(encoder_of(lambda x, t: x / tf.reduce_sum(x, [1, 2, 3], keepdims=True)))
    assert_only(look(vae, x), "extremes", "smallest value of each entry of x")


def test_a_likelihood_that_raises(x):
    class Broken(Bernoulli):
        def check_support(self, x, strict=False):
            raise RuntimeError("no idea")

    assert_only(look(make(Broken()), x), "support", "RuntimeError: no idea")


# Data, and the report


@pytest.mark.slow_but(3)
@pytest.mark.parametrize("kind", ["dataset", "pairs", "tuple", "list", "float64", "ints"])
def test_data_come_in_any_form(x, kind):
    data = {
        "dataset": lambda: tf.data.Dataset.from_tensor_slices(x).batch(20),
        "pairs": lambda: tf.data.Dataset.from_tensor_slices((x, np.zeros(len(x)))).batch(20),
        "tuple": lambda: (x, np.zeros(len(x))),
        "list": lambda: x.tolist(),
        "float64": lambda: x.astype("float64"),
        "ints": lambda: x.astype("int32"),
    }[kind]()
    report = look(make(), data)
    assert report.ok, str(report)
    assert report["data"].seen.startswith("20 of 20" if kind in ("dataset", "pairs") else "32 of")


@pytest.mark.parametrize(
    "data", [None, "digits", [], (), {}, 3.0, np.zeros((0, *SHAPE)), [[1], [1, 2]]], ids=repr
)
def test_no_data_raise(data):
    report = look(make(), data)
    assert [f.name for f in report.failed] == ["data"], str(report)
    assert set(statuses(report).values()) == {"failed", "skipped"}


def test_one_example_is_enough(x):
    report = look(make(), x[:1])
    assert report.ok, str(report)
    assert report["batch"].status == "skipped"


def test_the_table_is_printed_and_returned(x, capsys):
    report = make().check(x)
    assert capsys.readouterr().out == f"{report}\n"
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(NAMES)
    assert lines[-1] == "16 ok, 0 failed, 0 skipped"
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.findings = ()


def test_the_table_says_what_to_do(x):
    told = []
    report = make().check((x * 255).astype("uint8"), print_fn=told.append)
    assert told == [str(report)]
    assert "Divide 0-255 images by 255." in " ".join(told[0].split())
    assert all(len(line) <= 100 for line in told[0].splitlines())


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table(x):
    vae = make()
    assert str(look(vae, x, seed=3)) == str(look(vae, x, seed=3))
    assert str(look(vae, x, seed=3)) != str(look(vae, x, seed=4))


def test_a_beta_that_was_set_is_kept_even_if_a_check_raises(x):
    class Raising(Gaussian):
        def distribution(self, params):
            raise RuntimeError("never")

    vae = make(Raising(), beta=Constant(3.0))
    report = look(vae, x)
    assert_only(report, "shapes", "RuntimeError: never")
    assert vae.beta.beta == 3.0
