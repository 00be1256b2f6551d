"""The lines of tiny Shakespeare: a VAE beside its own decoder without z.

python benchmarks/text.py [NAME...]    results/text.json, of all models or of these and earlier ones
python benchmarks/text.py short        one epoch of few lines, printed, to see that all works
python benchmarks/text.py page         the table of docs/sequences.md, of the results

All decoders have the same layers. Two are trained from the start: `vae_from_the_start`, with word
dropout, and `decoder_alone`. The other two go on from the decoder alone, alike, with a step size
that falls to 0: `language_model` as it was, and `vae`, which gets an encoder and z, of which the
decoder makes no use at first. Each keeps the epoch that was best on the validation lines. Test
lines are those of the set.

nll_per_line: -log p(line) in nats, its end included, of the VAE by SAMPLES importance samples.
stderr: over the lines, of the mean.
perplexity: of a byte.
kl: KL(q(z|x) || p(z)) in nats a line.
nll_above_language_model, and its stderr: the mean of the lines' differences.

An interrupted run goes on at its last epoch. All epochs of all models and the estimates take about
three hours and a half of one core.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import common
import families_page
import keras
import numpy as np

import vae_tf
from vae_tf import evaluation, networks, objectives
from vae_tf.data.sequences.text_data import load_text

UNITS, LATENT_DIM, EMBEDDING = (256,), 32, 64
BATCH, FREE_BITS, SAMPLES, PATIENCE = 128, 0.1, 100, 4
KEPT = Path(__file__).parent.parent / "runs" / "benchmark_text"


@dataclasses.dataclass(frozen=True)
class Training:
    """How one of the models is trained."""

    has_z: bool
    epochs: int
    rate: float
    warmup: int = 0  # epochs in which beta rises
    word_dropout: float = 0.0
    after: str | None = None  # the model whose decoder it begins with


TRAININGS = {
    "vae_from_the_start": Training(True, 30, 2e-3, warmup=6, word_dropout=0.2),
    "decoder_alone": Training(False, 30, 2e-3),
    "vae": Training(True, 10, 1e-3, warmup=2, after="decoder_alone"),
    "language_model": Training(False, 10, 1e-3, after="decoder_alone"),
}


def model_of(training: Training, data, kept: Path) -> vae_tf.SequenceVAE:
    """Returns a VAE or a language model before its first step, compiled."""
    texts, likelihood = data.form, data.form.likelihood()
    shared = {"tokens": texts.num_tokens, "embedding": EMBEDDING}
    outputs = likelihood.parameter_shapes(texts.shape)
    decoder = networks.gru_decoder(
        *(LATENT_DIM, outputs, UNITS),
        event_shape=texts.shape,
        word_dropout=training.word_dropout,
        **shared,
    )
    rate = training.rate
    if training.after:
        before = keras.models.load_model(kept / f"{training.after}_best.keras")
        begin_after(before.decoder, decoder)
        steps = training.epochs * data.train.steps_per_epoch(BATCH)
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    if training.has_z:
        model = vae_tf.SequenceVAE(
            networks.gru_encoder(texts.shape, LATENT_DIM, UNITS, **shared),
            decoder,
            likelihood=likelihood,
            end=0,
            beta=objectives.LinearWarmup(epochs=training.warmup),
            kl_control=objectives.FreeBits(FREE_BITS),
        )
    else:
        model = vae_tf.language_model(decoder, likelihood, end=0)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=5.0))
    return model


def begin_after(before: keras.Model, decoder: keras.Model) -> None:
    """Gives `decoder` the weights of one that has never seen z, and no use for z yet."""
    decoder.set_weights(before.get_weights())
    for layer in decoder.layers:
        if isinstance(layer, keras.layers.GRU | keras.layers.Dense):
            weights = (layer.cell if isinstance(layer, keras.layers.GRU) else layer).kernel
            # z comes last among the inputs; the layer of the first state has no others
            blind = weights.numpy()
            blind[-LATENT_DIM:] = 0
            weights.assign(blind)


def trained(name: str, data, epochs: int, kept: Path) -> tuple[vae_tf.SequenceVAE, dict]:
    """Returns the model after its best epoch, and what is known of the training."""
    kept.mkdir(parents=True, exist_ok=True)
    newest, best, told = (kept / f"{name}{end}" for end in (".keras", "_best.keras", ".json"))
    state = {"epochs": 0, "best": 0, "elbo": -1e30, "seconds": 0.0}
    training = TRAININGS[name]
    if told.exists():
        state, model = json.loads(told.read_text()), keras.models.load_model(newest)
    else:
        model = model_of(training, data, kept)
    steps, validation = data.train.steps_per_epoch(BATCH), data.validation.batches(BATCH)
    patience = PATIENCE + training.warmup
    while state["epochs"] < epochs and state["epochs"] - state["best"] < patience:
        epoch, began = state["epochs"], time.perf_counter()
        batches = data.train.training_batches(BATCH, 0, epoch)
        options = {"steps_per_epoch": steps, "initial_epoch": epoch, "epochs": epoch + 1}
        model.fit(batches, **options, shuffle=False, verbose=0)
        elbo = model.evaluate(validation, verbose=0, return_dict=True)["elbo"]
        state["seconds"] += time.perf_counter() - began
        state["epochs"] += 1
        print(name, state["epochs"], round(elbo, 3), f"{state['seconds']:.0f} s", flush=True)
        # While beta rises the ELBO favours models that hold too much in z
        if elbo > state["elbo"] or state["epochs"] <= training.warmup:
            state |= {"elbo": elbo, "best": state["epochs"]}
            model.save(best)
        model.save(newest)
        told.write_text(json.dumps(state))
    return keras.models.load_model(best), state


def line_of(name: str, model, state: dict, data, samples: int, kept: Path) -> dict:
    """Returns the numbers of a model on the test lines, and keeps those of each line."""
    test = data.test.batches(BATCH)
    kl = model.evaluate(test, verbose=0, return_dict=True)["kl"]
    has_z = TRAININGS[name].has_z
    found = vae_tf.log_likelihood(model, test, samples if has_z else 1)
    np.save(kept / f"{name}.npy", found.per_example)
    return {
        "model": name,
        "nll_per_line": found.nll,
        "stderr": found.stderr,
        "perplexity": evaluation.perplexity(found, data.test.mask()),
        "kl": kl,
        "importance_samples": found.num_samples,
        "monte_carlo_stderr": found.monte_carlo_stderr if has_z else 0.0,
        "epochs": state["best"],
        "train_seconds": state["seconds"],
        "parameters": model.decoder.count_params(),
        **common.machine(),
        "commit": common.commit(),
    }


def compare(lines: list[dict], kept: Path) -> None:
    """Adds how many nats more than the language model each model needs for the same lines."""
    scores = {path.stem: np.load(path) for path in kept.glob("*.npy")}
    if (other := scores.get("language_model")) is not None:
        for line in lines:
            if line["model"] in scores:
                more = other - scores[line["model"]]
                line["nll_above_language_model"] = float(more.mean())
                line["nll_above_language_model_stderr"] = float(more.std() / len(more) ** 0.5)


def main(arguments: list[str]) -> None:
    """Measures the named models, or a small part of each."""
    data, short = load_text("tiny_shakespeare"), arguments == ["short"]
    if short:
        some = {n: getattr(data, n).part(range(512)) for n in ("train", "validation", "test")}
        data = dataclasses.replace(data, **some)
    kept = KEPT / ("short" if short else f"units_{UNITS[0]}")
    for name in TRAININGS if short or not arguments else arguments:
        model, state = trained(name, data, 1 if short else TRAININGS[name].epochs, kept)
        line = line_of(name, model, state, data, 5 if short else SAMPLES, kept)
        print(json.dumps(line), flush=True)
        if not short:
            path = common.RESULTS / "text.json"
            known = json.loads(path.read_text()) if path.exists() else []
            lines = [other for other in known if other["model"] != name] + [line]
            compare(lines, kept)
            lines.sort(key=lambda line: list(TRAININGS).index(line["model"]))
            path.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        families_page.main("text")
    else:
        main(sys.argv[1:])
