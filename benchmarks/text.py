"""The lines of tiny Shakespeare: a VAE beside its own decoder without z.

python benchmarks/text.py           results/text.json, both models
python benchmarks/text.py short     one epoch of few lines, printed, to see that all works
python benchmarks/text.py page      the table of docs/sequences.md, of the results

Both decoders have the same layers and the same optimizer; word dropout is the VAE's alone. Each
keeps the epoch that was best on the validation lines. Test lines are those of the set.

nll_per_line: -log p(line) in nats, its end included, of the VAE by SAMPLES importance samples.
stderr: over the lines, of the mean.
perplexity: of a byte.
kl: KL(q(z|x) || p(z)) in nats a line.

An interrupted run goes on at its last epoch. All epochs of both models and the estimates take about
two hours and a half of one core.
"""

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

import vae_tf
from vae_tf import evaluation, networks, objectives
from vae_tf.data.sequences.text_data import load_text

UNITS, LATENT_DIM, EMBEDDING = (256,), 32, 64
BATCH, EPOCHS, PATIENCE, WARMUP = 128, 30, 4, 6
RATE, WORD_DROPOUT, FREE_BITS, SAMPLES = 2e-3, 0.2, 0.1, 100
KEPT = Path(__file__).parent.parent / "runs" / "benchmark_text"


def model_of(name: str, data) -> vae_tf.SequenceVAE:
    """Returns the VAE or the language model, compiled."""
    texts, likelihood = data.form, data.form.likelihood()
    shared = {"tokens": texts.num_tokens, "embedding": EMBEDDING}
    dropout = WORD_DROPOUT if name == "vae" else 0.0
    outputs = likelihood.parameter_shapes(texts.shape)
    decoder = networks.gru_decoder(
        *(LATENT_DIM, outputs, UNITS), event_shape=texts.shape, word_dropout=dropout, **shared
    )
    if name == "vae":
        model = vae_tf.SequenceVAE(
            networks.gru_encoder(texts.shape, LATENT_DIM, UNITS, **shared),
            decoder,
            likelihood=likelihood,
            end=0,
            beta=objectives.LinearWarmup(epochs=WARMUP),
            kl_control=objectives.FreeBits(FREE_BITS),
        )
    else:
        model = vae_tf.language_model(decoder, likelihood, end=0)
    model.compile(keras.optimizers.Adam(RATE, global_clipnorm=5.0))
    return model


def trained(name: str, data, epochs: int, kept: Path) -> tuple[vae_tf.SequenceVAE, dict]:
    """Returns the model after its best epoch, and what is known of the training."""
    kept.mkdir(parents=True, exist_ok=True)
    newest, best, told = (kept / f"{name}{end}" for end in (".keras", "_best.keras", ".json"))
    state = {"epochs": 0, "best": 0, "elbo": -1e30, "seconds": 0.0}
    model = model_of(name, data)
    if told.exists():
        state, model = json.loads(told.read_text()), keras.models.load_model(newest)
    steps, validation = data.train.steps_per_epoch(BATCH), data.validation.batches(BATCH)
    while state["epochs"] < epochs and state["epochs"] - state["best"] < PATIENCE + WARMUP:
        epoch, began = state["epochs"], time.perf_counter()
        batches = data.train.training_batches(BATCH, 0, epoch)
        options = {"steps_per_epoch": steps, "initial_epoch": epoch, "epochs": epoch + 1}
        model.fit(batches, **options, shuffle=False, verbose=0)
        elbo = model.evaluate(validation, verbose=0, return_dict=True)["elbo"]
        state["seconds"] += time.perf_counter() - began
        state["epochs"] += 1
        print(name, state["epochs"], round(elbo, 3), f"{state['seconds']:.0f} s", flush=True)
        # While beta rises the ELBO favours models that hold too much in z
        if elbo > state["elbo"] or (name == "vae" and state["epochs"] <= WARMUP):
            state |= {"elbo": elbo, "best": state["epochs"]}
            model.save(best)
        model.save(newest)
        told.write_text(json.dumps(state))
    return keras.models.load_model(best), state


def line_of(name: str, model, state: dict, data, samples: int) -> dict:
    """Returns the numbers of a model on the test lines."""
    test = data.test.batches(BATCH)
    kl = model.evaluate(test, verbose=0, return_dict=True)["kl"]
    found = vae_tf.log_likelihood(model, test, samples if name == "vae" else 1)
    return {
        "model": name,
        "nll_per_line": found.nll,
        "stderr": found.stderr,
        "perplexity": evaluation.perplexity(found, data.test.mask()),
        "kl": kl,
        "importance_samples": found.num_samples,
        "monte_carlo_stderr": found.monte_carlo_stderr if name == "vae" else 0.0,
        "epochs": state["best"],
        "train_seconds": state["seconds"],
        "parameters": model.decoder.count_params(),
        **common.machine(),
        "commit": common.commit(),
    }


def main(arguments: list[str]) -> None:
    """Measures both models, or a small part of it."""
    data, lines = load_text("tiny_shakespeare"), []
    short = arguments == ["short"]
    if short:
        import dataclasses

        some = {n: getattr(data, n).part(range(512)) for n in ("train", "validation", "test")}
        data = dataclasses.replace(data, **some)
    kept = KEPT / ("short" if short else f"units_{UNITS[0]}")
    for name in ("vae", "language_model"):
        model, state = trained(name, data, 1 if short else EPOCHS, kept)
        lines.append(line_of(name, model, state, data, 5 if short else SAMPLES))
        print(json.dumps(lines[-1]), flush=True)
    if not short:
        path = common.RESULTS / "text.json"
        path.write_text(json.dumps(lines, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["page"]:
        families_page.main("text")
    else:
        main(sys.argv[1:])
