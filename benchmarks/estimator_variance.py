"""Variance of each estimator's gradient along one training, and against reparametrization.

python benchmarks/estimator_variance.py

A VAE is trained on binarized MNIST with the ELBO. At some epochs each estimator draws its
gradient many times for one batch; the trace of the covariance is recorded for the encoder's and
the decoder's weights apart. Baselines that learn are trained for three epochs at each stop, the
model standing still.
"""

import common
import keras
import numpy as np
import tensorflow as tf
from core_nll import BATCH, DATA, SHAPE, model

import vae_tf
from vae_tf import objectives

STOPS = (0, 1, 3, 10, 20)  # epochs
DRAWS = 200
EXAMPLES = 100
K = 5


def estimators() -> dict:
    """Returns name -> objective; those of the importance-weighted bound with K draws."""
    return {
        "ELBO": objectives.ELBO(),
        "ELBO, Monte Carlo KL": objectives.ELBO(closed_form=False),
        "STL": objectives.StickingTheLanding(),
        "score function": objectives.ScoreFunction(),
        "score function, running mean": objectives.ScoreFunction(baseline=objectives.RunningMean()),
        "score function, learned baseline": objectives.ScoreFunction(
            baseline=objectives.LearnedBaseline(SHAPE)
        ),
        f"score function, {K} draws, leave one out": objectives.ScoreFunction(
            K, objectives.LeaveOneOut()
        ),
        f"ELBO, {K} draws": objectives.ELBO(K),
        f"IWAE, {K} draws": objectives.IWAE(K),
        f"DReG, {K} draws": objectives.DReG(K),
        f"VIMCO, {K} draws": objectives.VIMCO(K),
    }


def with_objective(vae: vae_tf.VAE, objective, images) -> vae_tf.VAE:
    """Returns a VAE around the same networks; its baseline, if it learns, has learned."""
    other = vae_tf.VAE(vae.encoder, vae.decoder, objective=objective)
    baseline = getattr(objective, "baseline", None)
    if baseline is not None and baseline.weights:
        vae.encoder.trainable = vae.decoder.trainable = False
        other.compile(keras.optimizers.Adam(1e-3), steps_per_execution=20)
        steps = images.train.steps_per_epoch(BATCH)
        batches = images.train.training_batches(BATCH, seed=1)
        other.fit(batches, steps_per_epoch=steps, epochs=3, shuffle=False, verbose=0)
        vae.encoder.trainable = vae.decoder.trainable = True
    return other


def spread(vae: vae_tf.VAE, x: tf.Tensor) -> dict:
    """Returns variance and squared mean of the gradient by encoder and decoder, mean per batch."""
    halves = {"encoder": vae.encoder.trainable_weights, "decoder": vae.decoder.trainable_weights}
    weights = [weight.value for half in halves.values() for weight in half]

    @tf.function
    def gradient(seed):
        with tf.GradientTape() as tape:
            terms = vae(x, seed=seed)
            loss = tf.reduce_mean(terms.nll + terms.kl_term)
        return [tf.cast(tf.reshape(g, [-1]), tf.float64) for g in tape.gradient(loss, weights)]

    total = [np.zeros(int(tf.size(weight))) for weight in weights]
    squares = [np.zeros_like(part) for part in total]
    for i in range(DRAWS):
        for part, square, g in zip(total, squares, gradient(tf.constant([i, 7])), strict=True):
            part += g.numpy()
            square += np.square(g.numpy())
    result, start = {}, 0
    for half, variables in halves.items():
        rows = range(start, start + len(variables))
        start += len(variables)
        means = [total[i] / DRAWS for i in rows]
        variance = sum(
            np.sum(squares[i] / DRAWS - np.square(mean))
            for i, mean in zip(rows, means, strict=True)
        )
        variance *= DRAWS / (DRAWS - 1)
        result[f"{half}_variance"] = float(variance)
        norm = sum(np.sum(np.square(mean)) for mean in means)
        result[f"{half}_mean_squared_norm"] = float(norm - variance / DRAWS)
    return result


def main() -> None:
    """Trains, stops, measures, writes results/estimator_variance.json."""
    images = vae_tf.data.load(DATA)
    vae = model()
    x = tf.constant(images.test.array(EXAMPLES))
    rows = []
    for before, stop in zip((0, *STOPS), STOPS, strict=False):
        if stop > before:
            vae.fit(
                images.train.training_batches(BATCH, seed=0, start_epoch=before),
                steps_per_epoch=images.train.steps_per_epoch(BATCH),
                initial_epoch=before,
                epochs=stop,
                shuffle=False,
                verbose=0,
            )
        for name, objective in estimators().items():
            row = {"epoch": stop, "estimator": name, "draws": objective.num_samples}
            rows.append({**row, **spread(with_objective(vae, objective, images), x)})
            print(rows[-1], flush=True)
    reference = {r["epoch"]: r["encoder_variance"] for r in rows if r["estimator"] == "ELBO"}
    for row in rows:
        row["encoder_variance_over_elbo"] = row["encoder_variance"] / reference[row["epoch"]]
    result = {"gradients": DRAWS, "examples": EXAMPLES, "rows": rows}
    print(common.write("estimator_variance", result))


if __name__ == "__main__":
    main()
