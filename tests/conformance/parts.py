"""Every part of the package, made small: three latents, 4 x 3 pixels."""

import tensorflow as tf
from tensorflow_probability import distributions as tfd

from vae_tf import likelihoods, objectives, posteriors, priors

LATENT_DIM, SHAPE = 3, (4, 3, 1)
GROUPS = (2, 1)

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
}
POSTERIORS = {
    "DiagonalNormal": posteriors.DiagonalNormal,
    "FullNormal": posteriors.FullNormal,
    "InverseAutoregressive": lambda: posteriors.InverseAutoregressive(LATENT_DIM, 4, 2, (8,)),
    "JointPosterior": lambda: posteriors.JointPosterior(
        [posteriors.FullNormal(), posteriors.DiagonalNormal()], GROUPS
    ),
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
}
