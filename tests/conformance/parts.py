"""Every part of the package, made small: three latents, 4 x 3 pixels."""

import keras
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import likelihoods, networks, objectives, posteriors, priors

LATENT_DIM, SHAPE = 3, (4, 3, 1)
GROUPS = (2, 1)


def _upwards():
    """Returns a network from the lower group and features of x to the upper group."""
    inputs = {"z": keras.Input((GROUPS[1],), name="z")}
    inputs["features"] = keras.Input((4,), name="features")
    h = keras.layers.Dense(8, "tanh")(keras.layers.Concatenate()(list(inputs.values())))
    names = ("z_mean", "z_log_var")
    return keras.Model(inputs, {name: keras.layers.Dense(GROUPS[0])(h) for name in names})


def _ladder():
    return networks.mlp_ladder(SHAPE, GROUPS, {"logits": SHAPE}, (8, 8))


PRIORS = {
    "StandardNormal": lambda: priors.StandardNormal(LATENT_DIM),
    "LearnedNormal": lambda: priors.LearnedNormal(LATENT_DIM),
    "MixtureOfNormals": lambda: priors.MixtureOfNormals(LATENT_DIM, 5),
    "VampPrior": lambda: priors.VampPrior(LATENT_DIM, SHAPE, 5),
    "RealNVP": lambda: priors.RealNVP(LATENT_DIM, 2, (8,)),
    "MaskedAutoregressive": lambda: priors.MaskedAutoregressive(LATENT_DIM, 2, (8,)),
    "DistributionPrior": lambda: priors.DistributionPrior(
        tfd.Independent(tfd.Laplace(tf.zeros(LATENT_DIM), 1.0), 1)
    ),
    "Joint": lambda: priors.Joint(
        [priors.MixtureOfNormals(GROUPS[0], 4), priors.StandardNormal(GROUPS[1])]
    ),
    "Hierarchy": lambda: priors.Hierarchy(priors.StandardNormal(GROUPS[0]), _ladder().prior),
}
POSTERIORS = {
    "DiagonalNormal": posteriors.DiagonalNormal,
    "FullNormal": posteriors.FullNormal,
    "InverseAutoregressive": lambda: posteriors.InverseAutoregressive(LATENT_DIM, 4, 2, (8,)),
    "JointPosterior": lambda: posteriors.JointPosterior(
        [posteriors.FullNormal(), posteriors.DiagonalNormal()], GROUPS
    ),
    "BottomUp": lambda: posteriors.BottomUp([_upwards()]),
}
LIKELIHOODS = {
    "Bernoulli": likelihoods.Bernoulli,
    "Bernoulli, probs": lambda: likelihoods.Bernoulli("probs"),
    "Gaussian": lambda: likelihoods.Gaussian(0.5),
    "GaussianLearnedScale": likelihoods.GaussianLearnedScale,
    "GaussianPixelScale": likelihoods.GaussianPixelScale,
    "ContinuousBernoulli": likelihoods.ContinuousBernoulli,
    "DiscretizedLogistic": lambda: likelihoods.DiscretizedLogistic(8),
    "DiscretizedLogisticMixture": lambda: likelihoods.DiscretizedLogisticMixture(2, 8),
    "Categorical": lambda: likelihoods.Categorical(3),
    "Poisson": likelihoods.Poisson,
    "NegativeBinomial": likelihoods.NegativeBinomial,
    "Mixed": lambda: likelihoods.Mixed(
        [
            (likelihoods.GaussianLearnedScale(), 2),
            (likelihoods.Bernoulli(), 2),
            (likelihoods.Categorical(3), 1),
            (likelihoods.Poisson(), 1),
        ]
    ),
}


def classifier():
    """Returns a network from x to the logits of two classes."""
    x = keras.Input(SHAPE, name="x")
    return keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(x)))


OBJECTIVES = {
    "ELBO": objectives.ELBO,
    "ELBO of 3 draws": lambda: objectives.ELBO(3, closed_form=False),
    "StickingTheLanding": objectives.StickingTheLanding,
    "IWAE": lambda: objectives.IWAE(3),
    "DReG": lambda: objectives.DReG(3),
    "Renyi": lambda: objectives.Renyi(3),
    "ScoreFunction": lambda: objectives.ScoreFunction(4, objectives.LeaveOneOut()),
    "ScoreFunction, learned": lambda: objectives.ScoreFunction(
        8, objectives.LearnedBaseline(SHAPE, (8,))
    ),
    "VIMCO": lambda: objectives.VIMCO(4),
    "WakeSleep": objectives.WakeSleep,
    "MonteCarloEM": lambda: objectives.MonteCarloEM(2, leapfrog_steps=3),
    "SemiSupervised": lambda: objectives.SemiSupervised(classifier()),
}


def ladder():
    """Returns a Ladder and the Hierarchy whose way it shares, which it cannot do without."""
    return {"prior": PRIORS["Hierarchy"](), "posterior": posteriors.Ladder(_ladder().posterior)}
