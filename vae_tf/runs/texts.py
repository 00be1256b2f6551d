"""Runs of texts: their vocabulary, networks, perplexity and samples."""

from collections.abc import Mapping
from typing import Any

import keras

from vae_tf.data.sequences.sequence_data import SequenceData
from vae_tf.data.sequences.text_data import load_text
from vae_tf.data.sequences.vocabulary import END
from vae_tf.distributions import Likelihood
from vae_tf.evaluation import LogLikelihood, perplexity
from vae_tf.files import write_aside
from vae_tf.models import VAE, SequenceVAE
from vae_tf.networks import causal_decoder, causal_encoder, gru_decoder, gru_encoder
from vae_tf.runs.config import TrainConfig
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.kind import Kind
from vae_tf.runs.suited import LEARNING_RATE

NETWORKS: dict[str, tuple] = {
    "gru": (gru_encoder, gru_decoder),
    "causal": (causal_encoder, causal_decoder),
}
WIDTHS: dict[str, tuple[int, ...]] = {"gru": (256,), "causal": (128,) * 4}
LATENT_DIM = 32
SHOWN, PATHS = 12, 6  # lines of samples.txt


class Lines(Kind):
    """A run's texts.

    Args:
        data: its lines in their splits.
    """

    def __init__(self, data: SequenceData):
        self.data = data

    @classmethod
    def load(cls, config: TrainConfig) -> "Lines":
        """Returns the lines of the settings' file."""
        path, options = config.dataset.partition(":")[2], {"seed": config.seed}
        length, place = config.max_length, config.data_dir
        return cls(
            load_text(path, tokens=config.tokens, max_length=length, data_dir=place, **options)
        )

    def likelihood(self, config: TrainConfig) -> Likelihood:
        """Returns that of tokens."""
        return self.data.form.likelihood()

    def chosen(self, config: TrainConfig) -> dict[str, tuple[Any, str]]:
        """Returns networks for texts; the recipe `text` has all other settings."""
        network = "gru" if config.network == "auto" else config.network
        found: dict[str, tuple[Any, str]] = {
            "network": (network, "for texts"),
            "hidden": (WIDTHS[network], "for texts"),
            "latent_dim": (LATENT_DIM, "for texts"),
            "learning_rate": (LEARNING_RATE, "for texts"),
        }
        return {name: value for name, value in found.items() if getattr(config, name) == "auto"}

    def networks(
        self, config: TrainConfig, heads: Mapping[str, Any], outputs: Mapping[str, Any]
    ) -> tuple[keras.Model, keras.Model]:
        """Returns an encoder that reads a text, and a decoder that sees z and the past."""
        make_encoder, make_decoder = NETWORKS[config.network]
        assert not isinstance(config.hidden, str)  # by now the data have decided
        size, widths, seed = config.number("latent_dim"), config.hidden, 2 * config.seed
        shared: dict[str, Any] = {"tokens": self.data.form.num_tokens}
        if config.network == "causal":
            shared["activation"] = config.activation
        shape = self.data.shape
        encoder = make_encoder(shape, size, widths, outputs=heads, seed=seed, **shared)
        shared |= {"event_shape": shape, "word_dropout": config.word_dropout}
        return encoder, make_decoder(size, outputs, widths[::-1], seed=seed + 1, **shared)

    def model(self, *args: Any, **kwargs: Any) -> VAE:
        """Returns a SequenceVAE."""
        return SequenceVAE(*args, end=END, **kwargs)

    def keep(self, run: RunDirectory) -> None:
        """Writes vocabulary.json, which says what the model's numbers mean."""
        self.data.form.save(run.vocabulary)

    def notes(self) -> list[str]:
        """Returns what a text is made of, and what was left out, in a line."""
        told, steps = self.data.told, self.data.shape[0]
        note = f"{told['vocabulary']} {told['tokens']} and the end, {steps} steps"
        empty = told["empty_lines"]
        return [note + (f"; {empty:,} empty lines are left out" if empty else "")]

    def in_users_units(self, report: dict, likelihood: LogLikelihood | None) -> dict:
        """Returns the report with the perplexity of a token, the end of each line among them.

        Args:
            report: in nats per line.
            likelihood: of the test lines, None if it was not asked for.
        """
        own = dict(report["test"])
        if likelihood is not None:
            own["perplexity"] = perplexity(likelihood, self.data.test.mask())
            own["token"] = self.data.told["unit"]
        return {**report, "test": own}

    def figures(self, vae: VAE) -> dict[str, Any]:
        """Returns none: texts are in samples.txt."""
        return {}

    def show(self, vae: VAE, run: RunDirectory) -> None:
        """Writes samples.txt: draws, reconstructions, a path, and continuations."""
        assert isinstance(vae, SequenceVAE)
        texts, test = self.data.form, self.data.test
        lines = texts.decode(test.array(SHOWN))
        batch = texts.encode(lines)
        parts = {"drawn from the prior": texts.decode(vae.sample(SHOWN, seed=0))}
        cool = vae.sample(SHOWN, seed=0, temperature=0.5)
        parts["drawn at temperature 0.5"] = texts.decode(cool)
        found = zip(lines, texts.decode(vae.reconstruct(batch)), strict=True)
        parts["test lines -> what their codes say"] = [f"{a} -> {b}" for a, b in found]
        if len(lines) > 1:
            first, second = ({n: v[i : i + 1] for n, v in batch.items()} for i in (0, 1))
            path = vae.interpolate(first, second, PATHS)[0]
            parts["from the first test line to the second"] = texts.decode(path)
        beginning = lines[0][: max(1, len(lines[0]) // 2)]
        start = texts.encode([beginning], ended=False)
        further = vae.continuations(start, candidates=20)
        told = zip(further.log_prob, texts.decode(further.x), strict=True)
        name = f"probable continuations of {beginning!r}, and their log p"
        parts[name] = [f"{log_p:8.2f}  {text}" for log_p, text in told]
        written = "\n".join("\n".join([f"# {name}", *part, ""]) for name, part in parts.items())
        write_aside(run.samples, lambda path: path.write_text(written, "utf-8"))
