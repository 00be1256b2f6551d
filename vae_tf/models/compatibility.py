"""Whether the objects given to a model are what they should be, and go together."""

import tensorflow as tf

from vae_tf.checks import instance
from vae_tf.distributions.likelihoods.base import Likelihood
from vae_tf.distributions.posteriors.base import Posterior
from vae_tf.distributions.priors.base import Prior
from vae_tf.errors import ConfigError
from vae_tf.objectives.base import Objective
from vae_tf.objectives.kl_controls import KLControl
from vae_tf.objectives.penalties.base import Penalty
from vae_tf.objectives.schedules import Constant
from vae_tf.objectives.terms import groups_of, kl_parts

KINDS = {"prior": Prior, "posterior": Posterior, "likelihood": Likelihood, "objective": Objective}


def check_parts(vae) -> None:
    """Raises ConfigError unless the parts of `vae` are of their kinds and go together."""
    for name, kind in KINDS.items():
        instance(name, getattr(vae, name), kind)
    for penalty in vae.penalties:
        instance("penalties", penalty, Penalty)
        latent_dim = getattr(penalty, "latent_dim", vae.prior.latent_dim)
        if latent_dim != vae.prior.latent_dim:
            expected = f"{type(penalty).__name__} needs the prior's latent_dim"
            fix = "Give both the same latent_dim."
            raise ConfigError(f"{expected}={vae.prior.latent_dim}", latent_dim, fix)
        if penalty.needs_factorized and not vae.posterior.factorized:
            raise ConfigError(
                f"{type(penalty).__name__} needs a posterior that is a product over dimensions",
                type(vae.posterior).__name__,
                "Use a DiagonalNormal, or MaximumMeanDiscrepancy, which takes any posterior.",
            )
    sizes = vae.prior.group_sizes, vae.posterior.group_sizes(vae.prior.latent_dim)
    if len(sizes[0]) > 1 and len(sizes[1]) > 1 and sizes[0] != sizes[1]:
        fix = "Give both the same groups of latents."
        raise ConfigError(f"The posterior must have the prior's groups {sizes[0]}", sizes[1], fix)
    if vae.kl_control is not None:
        _check_control(vae, sizes)


def check_classes(parts) -> None:
    """Raises ConfigError unless the classes of a classifier are those the networks are told."""
    if parts.classifier is None:
        return
    classes, told = parts.classifier.num_classes, parts.num_classes.get("condition")
    if set(parts.conditions) != {"condition"} or told not in (None, classes):
        owner, names = type(parts.classifier).__name__, sorted(parts.conditions)
        received = f"{told} classes" if names == ["condition"] else f"the conditions {names}"
        fix = f"Build encoder and decoder with condition={classes}."
        expected = f"{owner} needs networks whose condition is one of its {classes} classes"
        raise ConfigError(expected, received, fix)


def listed(penalties) -> tuple:
    """Returns `penalties` as a tuple, or raises ConfigError if they are none."""
    if isinstance(penalties, (list, tuple)):
        return tuple(penalties)
    fix = "Pass penalties=[TotalCorrelation(...)]."
    raise ConfigError("`penalties` must be a list", repr(penalties)[:100], fix)


def _check_control(vae, group_sizes) -> None:
    control = vae.kl_control
    instance("kl_control", control, KLControl)
    name = type(control).__name__
    if not vae.objective.has_kl_term:
        objective = type(vae.objective).__name__
        fix = f"Use objective=ELBO(num_samples={vae.objective.num_samples}), or drop the control."
        raise ConfigError(f"{name} works only with objectives of the ELBO type", objective, fix)
    if not control.takes_beta and not (isinstance(vae.beta, Constant) and vae.beta.beta == 1):
        fix = "Leave beta at 1: `gamma` weighs the term, and `capacity` may be a Schedule."
        raise ConfigError(f"{name} has a weight of its own", "another beta than 1", fix)
    if control.level == "dimension" and not (vae.prior.factorized and vae.posterior.factorized):
        pair = f"{type(vae.posterior).__name__} and {type(vae.prior).__name__}"
        fix = "Pass FreeBits(nats, per='group'), or factorized ones such as DiagonalNormal and "
        fix += "LearnedNormal."
        expected = f"{name} per dimension needs a posterior and a prior that factorize"
        raise ConfigError(expected, pair, fix)
    if control.level == "group" and len(group_sizes[0]) != len(group_sizes[1]):
        raise ConfigError(
            f"{name} per group needs a posterior with the prior's groups {group_sizes[0]}",
            group_sizes[1],
            "Make both of the same groups.",
        )
    if control.groups not in (None, len(group_sizes[0])):
        fix = "Pass as many numbers as there are groups."
        expected = f"{name} must be for the {len(group_sizes[0])} groups of the prior"
        raise ConfigError(expected, f"one for {control.groups}", fix)


def check_closed_form(vae) -> None:
    """Raises ConfigError where the objective demands a closed form of the KL and none exists."""
    if getattr(vae.objective, "closed_form", None) and not vae.prior.conditional:
        shapes = vae.posterior.parameter_shapes(vae.prior.latent_dim)
        params = {name: tf.zeros([1, *shape]) for name, shape in shapes.items()}
        qz, pz = vae.posterior.distribution(params), vae.parts.p()
        kl_parts(groups_of(qz, pz, qz.sample(1, seed=[0, 0])), closed_form=True)
