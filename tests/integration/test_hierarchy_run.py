"""`train.py --latents`: a run of groups of latents to numbers, pictures and a file."""

import dataclasses

import numpy as np
import pytest

import vae_tf
from vae_tf.errors import ConfigError
from vae_tf.recipes import RECIPES
from vae_tf.runs import training
from vae_tf.runs.build import build_model, kind_of
from vae_tf.runs.config import TrainConfig

SMALL = dataclasses.replace(
    RECIPES["demo"],
    latent_dim="auto",
    latents=(2, 3),
    hidden=(16, 8),
    prior_components=5,
    free_bits=0.05,
    epochs=3,
    importance_samples=5,
)


@pytest.mark.slow
def test_a_run_of_two_groups_and_its_pictures(tmp_path):
    path = tmp_path / "run"
    report = training.train(dataclasses.replace(SMALL, run_dir=str(path)))
    vae, _ = training.load_run(path)
    assert vae.prior.group_sizes == (2, 3)
    assert isinstance(vae.prior.top, vae_tf.priors.MixtureOfNormals)
    weights = vae.prior.top.mixture()["weights"]
    assert vae_tf.evaluation.with_components(vae.prior) is vae.prior.top
    assert np.ptp(weights) > 0.01  # the shares of the examples, after training
    assert vae.kl_control.per == "group"
    again = vae_tf.log_likelihood(vae, kind_of(SMALL).data.test.array(), 5)
    assert report["test"]["importance_weighted_nll"] == pytest.approx(again.nll, rel=1e-4)
    assert (path / "pictures" / "levels.png").exists()


def test_residual_networks_conditions_and_posteriors_of_the_top():
    config = dataclasses.replace(
        SMALL, network="resnet", latents=(4, 1, 2), filters=(4, 4, 4), condition="label"
    )
    vae = build_model(dataclasses.replace(config, posterior="full"), kind_of(config))
    assert vae.prior.group_sizes == (4, 16, 32)
    assert vae.prior.conditional
    assert isinstance(vae.posterior.first, vae_tf.posteriors.FullNormal)
    x = np.zeros((2, 8, 8, 1), "float32")
    assert np.isfinite(vae((x, np.array([0, 9])), seed=[0, 1]).kl).all()


@pytest.mark.parametrize(
    "flags",
    [
        {"latents": (2, 0)},
        {"latents": (2, 3), "latent_dim": 8},
        {"latents": (2, 3), "network": "conv"},
        {"latents": (2, 3), "dropout": 0.1},
        {"latents": (2, 3), "dataset": "table:x.csv"},
    ],
    ids=str,
)
def test_flags_that_do_not_go_together(flags):
    with pytest.raises(ConfigError, match=r"--latents|this flag"):
        TrainConfig(**flags)


def test_widths_are_as_many_as_groups():
    config = dataclasses.replace(SMALL, hidden=(16,))
    with pytest.raises(ConfigError, match="--latents and --hidden must be as many"):
        build_model(config, kind_of(config))
    few = dataclasses.replace(SMALL, network="resnet", filters=(4,))
    with pytest.raises(ConfigError, match="--latents and --filters must be as many"):
        build_model(few, kind_of(few))
