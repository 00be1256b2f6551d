"""Models of sequences are asked what all others are."""

import keras
import pytest
import tensorflow as tf

from vae_tf import SequenceVAE, conformance, likelihoods, networks, posteriors, priors
from vae_tf.objectives import ELBO

TOKENS, STEPS, LATENT_DIM = 4, 5, 2
NETWORKS = {
    "gru": (networks.gru_encoder, networks.gru_decoder),
    "causal": (networks.causal_encoder, networks.causal_decoder),
}
LEFT_OUT = ("configuration", "density", "draws")  # of parts, not of a model


class Sequences(conformance._Subject):
    """Models with networks of sequences, and data that they drew."""

    def __init__(self, kind):
        parts = {
            "prior": priors.StandardNormal(LATENT_DIM),
            "posterior": posteriors.DiagonalNormal(),
            "likelihood": likelihoods.Categorical(TOKENS),
            "objective": ELBO(),
            "kl_control": None,
            "penalties": [],
        }
        super().__init__(parts, (STEPS,), 0)
        self.makers = NETWORKS[kind]

    def model(self, seed=0, **compile_options):
        parts = {name: conformance._copies(part) for name, part in self.parts.items()}
        outputs = self.parts["likelihood"].parameter_shapes(self.event_shape)
        make_encoder, make_decoder = self.makers
        shared = {"tokens": TOKENS, "embedding": 8}
        encoder = make_encoder(self.event_shape, LATENT_DIM, (16,), seed=2 * seed, **shared)
        shared |= {"event_shape": self.event_shape, "word_dropout": 0.1}
        decoder = make_decoder(LATENT_DIM, outputs, (16,), seed=2 * seed + 1, **shared)
        vae = SequenceVAE(encoder, decoder, seed=seed, end=0, **parts)
        vae.compile(keras.optimizers.Adam(1e-2, global_clipnorm=10.0), **compile_options)
        return vae

    def data(self):
        z = 2.0 * tf.random.stateless_normal([conformance.EXAMPLES, LATENT_DIM], [0, 1])
        return self.model(seed=1).draw(z).numpy()


def ask(kind, questions):
    subject = Sequences(kind)
    for name in questions:
        finding = conformance._ask(name, conformance.QUESTIONS[name], subject)
        assert finding.status == "ok", finding


@pytest.mark.slow
@pytest.mark.parametrize("kind", NETWORKS)
def test_texts(kind):
    # Exports of texts have files of their own: tests/unit/exporting/test_texts.py
    left_out = (*LEFT_OUT, "xla", "export")
    ask(kind, [name for name in conformance.QUESTIONS if name not in left_out])


@pytest.mark.long
@pytest.mark.parametrize("kind", NETWORKS)
def test_texts_in_compilers(kind):
    ask(kind, ["xla"])
