"""Everything that decides a run, in one frozen value."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from vae_tf.errors import ConfigError
from vae_tf.runs.animation_flags import check_animation
from vae_tf.runs.group_flags import check_groups
from vae_tf.runs.label_flags import check_labels
from vae_tf.runs.sequence_flags import check_sequences
from vae_tf.runs.table_flags import check_table

# Fields that say how a run is watched or how far it is pushed, not what it computes.
INCIDENTAL = ("data_dir", "run_dir", "resume", "overwrite", "export", "profile")
# Of the others, those by which a resumed run may go further than it was to.
FURTHER = ("epochs", "patience")


@dataclass(frozen=True)
class TrainConfig:
    """Train a variational autoencoder on any data; evaluate, draw and save it."""

    dataset: str = "digits"
    """KIND:PATH, or a TFDS set. folder: of image files; array: a .npy or .npz file;
    tfrecord:, parquet: images in shards, which are read while the model trains;
    table: a .csv, .tsv or .parquet file; text: a file of one text a line, or
    text:tiny_shakespeare; series: [N, T, D] in a .npy file, or x with lengths in a .npz file;
    digits are embedded."""
    kinds: tuple[str, ...] = ()
    """COLUMN=KIND where a table's kinds are inferred wrongly. Kinds are real, positive, binary,
    category and count, and ignore leaves a column out."""
    tokens: Literal["bytes", "words"] = "bytes"
    """What a text is made of. bytes of UTF-8; words: the 10,000 most frequent ones."""
    max_length: int | None = None
    """Most tokens of a text, its end included. That of the longest line if not given."""
    data_dir: str | None = None
    """Where TFDS data lie. TFDS_DATA_DIR, or TFDS's own default, if not given."""
    image_size: tuple[int, int] | None = None
    """Resize images to this height and width."""
    skip_unreadable: bool = False
    """Leave out image files of a folder that cannot be read. They are listed in config.json."""
    stream: bool = False
    """Read the images of a folder while the model trains, not beforehand. For more than fit into
    memory and onto the disk."""
    binarization: Literal["auto", "none", "static", "dynamic"] = "auto"
    """Draw each pixel as 0 or 1 with its grey value as probability. dynamic: anew each epoch;
    static: once; auto: dynamic for the bernoulli likelihood, none for the others."""

    network: Literal["auto", "mlp", "conv", "resnet", "gru", "causal"] = "auto"
    """Encoder and decoder. mlp: dense; conv: convolutional; resnet: residual convolutional; gru:
    recurrent; causal: convolutional over the steps of a text; auto: mlp for tables and small
    images, conv for larger ones, gru for texts and series."""
    hidden: Literal["auto"] | tuple[int, ...] = "auto"
    """Widths of the mlp's hidden layers; the decoder has them in reverse. auto: 500 500; of a
    table 128 128, and 128 below 1,000 training rows; of a gru 256, and 64 for series; of causal
    four of 128."""
    filters: tuple[int, ...] = (32, 64)
    """Channels of each level of conv and resnet; the decoder has them in reverse."""
    activation: str = "silu"
    """Activation of the hidden layers, by its Keras name."""
    dropout: float = 0.0
    """Share of the mlp's hidden units dropped in training."""
    input_dropout: float = 0.0
    """Share of the encoder's inputs dropped in training (mlp)."""
    word_dropout: float = 0.0
    """Share of the past tokens hidden from a text's decoder in training, so that it asks z."""
    shortcut: bool = False
    """Give the mlp decoder's outputs the latents too, by a linear map. It suits tables."""
    condition: Literal["none", "label"] = "none"
    """What encoder and decoder are given too. label: the class of each image, so that the
    model draws images of a class that you choose."""
    labels: int = 0
    """Training images that keep their label, equally many of each class, for a classifier that
    learns with a model of all of them. 0: there is no classifier."""
    label_seed: int = 0
    """Seed of the choice of --labels."""
    labelled_share: float = 0.5
    """Share of each batch that has a label, with --labels."""
    classifier_weight: float = 1.0
    """Weight of the classifier's loss at each labelled image."""
    codes: int = 0
    """Latents of a VAE that is trained first, whose codes the model is of, with --labels. 0: it is
    of the images."""
    latent_dim: Literal["auto"] | int = "auto"
    """Number of latent variables. auto: 40, and of a table as many as columns, from 2 to 32; of a
    text 32 and of a series 8."""
    latents: tuple[int, ...] = ()
    """Latents of each group of a hierarchy, the top first, in place of --latent-dim. mlp: numbers;
    resnet: a number of the top, and the channels of the feature maps below. Prior and posterior
    are those of the top; --hidden has a number for each group, --filters at least that many."""
    prior: Literal[
        "auto", "normal", "learned-normal", "mixture", "vamp", "realnvp", "maf", "conditional"
    ] = "auto"
    """The prior p(z). normal: N(0, I); learned-normal: diagonal; mixture: of diagonal normals;
    vamp: a mixture of posteriors of learned pseudo-inputs; realnvp, maf: normalizing flows;
    conditional: p(z|c), a diagonal normal for each class; auto: conditional with --condition
    label, normal with --labels, else mixture."""
    prior_components: Literal["auto"] | int = "auto"
    """Components of the mixture and vamp priors. auto: 500, fewer below 10,000 training
    examples."""
    posterior: Literal["diagonal", "full", "iaf"] = "diagonal"
    """The posterior q(z|x). diagonal, full: covariance of a normal; iaf: an inverse autoregressive
    flow."""
    likelihood: Literal[
        "auto",
        "bernoulli",
        "gaussian",
        "gaussian-learned",
        "gaussian-pixel",
        "continuous-bernoulli",
        "discretized-logistic",
        "discretized-logistic-mixture",
    ] = "auto"
    """The likelihood p(x|z). auto: bernoulli for black and white, gaussian-learned for grey levels
    and colours; gaussian: fixed scale; gaussian-learned: one learned scale;
    gaussian-pixel: a scale for each pixel from the decoder; continuous-bernoulli: a density on
    [0, 1]; discretized-logistic and discretized-logistic-mixture: the probability of each of 256
    grey levels."""
    scale: Literal["auto"] | float = "auto"
    """Standard deviation of the gaussian likelihood; where gaussian-learned starts. auto: 0.1, and
    to start from that of the pixels."""
    objective: Literal["elbo", "stl", "iwae", "dreg", "renyi", "score-function", "vimco"] = "elbo"
    """The bound on log p(x). Its name is that of the estimator of its gradient as well."""
    objective_samples: int = 1
    """Draws of z for each example and step. 5 is usual for iwae, dreg, renyi and vimco."""
    beta: float = 1.0
    """Weight of the KL term. 1 is the ELBO."""
    beta_warmup_epochs: int = 0
    """Epochs over which beta rises from 0."""
    beta_schedule: Literal["linear", "cosine", "cyclical"] = "linear"
    """How beta rises. cyclical: four times, from 0 each time."""
    free_bits: float = 0.0
    """Nats each latent may hold without paying, with a diagonal posterior and a normal prior.
    With --latents each group."""

    epochs: Literal["auto"] | int = "auto"
    """Most passes over the training data. auto: 150, more for few examples and fewer for very
    many."""
    patience: Literal["auto"] | int = "auto"
    """Epochs without a better validation ELBO before stopping. 0 never stops; auto: a third of
    the epochs."""
    batch_size: Literal["auto"] | int = "auto"
    """Examples a step. auto: 250, fewer below 10,000 training examples."""
    learning_rate: Literal["auto"] | float = "auto"
    """Adam's step size, at its highest. auto: 0.002, and for an mlp on large images less."""
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    """How the step size falls. cosine: to 0 at the last epoch."""
    lr_warmup_epochs: int = 1
    """Epochs over which the step size rises from 0."""
    weight_decay: Literal["auto"] | float = "auto"
    """Decoupled decay (AdamW) of the networks' kernels. auto: 0.2, and 0.02 below 10,000 training
    examples."""
    clipnorm: float | None = None
    """Largest norm of the whole gradient."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Arithmetic of the networks. Likelihoods are float32 always."""

    seed: int = 0
    """Seed of all that is random. That is weights, data order, binarization and latent draws."""
    deterministic: bool = False
    """Compute the same numbers at every run, bit for bit. Slower on GPUs."""
    importance_samples: int = 5000
    """Samples of z in the test images' log p(x). 0 skips the estimate."""

    animate: bool = False
    """Draw the manifold of two latents after each epoch. pictures/manifold.gif shows how it
    unfolds."""
    run_dir: str | None = None
    """Where the run is kept. runs/<dataset> if not given."""
    resume: bool = False
    """Go on from the last checkpoint of the run in --run-dir. It is started if there is none.
    Flags that are not given are those of the run; with more --epochs a finished run goes on."""
    overwrite: bool = False
    """Delete the run that is in --run-dir first."""
    profile: bool = False
    """Show first where the time of a training step goes. Says what to change, and traces steps."""
    export: str | None = None
    """Export the trained model into this directory."""

    def __post_init__(self):
        """Refuses what cannot work before anything is imported or read.

        Raises:
            ConfigError: a value out of range.
        """
        for name in ("latent_dim", "epochs", "batch_size", "prior_components", "objective_samples"):
            self._require(name, self._auto(name) or getattr(self, name) >= 1, "at least 1")
        for name in ("beta_warmup_epochs", "lr_warmup_epochs", "patience", "importance_samples"):
            self._require(name, self._auto(name) or getattr(self, name) >= 0, "at least 0")
        for name in ("learning_rate", "scale"):
            holds = self._auto(name) or 0 < getattr(self, name) < math.inf
            self._require(name, holds, "above 0")
        for name in ("beta", "free_bits", "weight_decay"):
            holds = self._auto(name) or 0 <= getattr(self, name) < math.inf
            self._require(name, holds, "at least 0")
        for name in ("dropout", "input_dropout", "word_dropout"):
            self._require(name, 0 <= getattr(self, name) < 1, "from 0 to below 1")
        if self.max_length is not None:
            self._require("max_length", self.max_length >= 2, "at least 2")
        for name in ("hidden", "filters"):
            sizes = getattr(self, name)
            holds = self._auto(name) or (len(sizes) > 0 and min(sizes) >= 1)
            self._require(name, holds, "one or more sizes of 1 up")
        self._require("latents", not self.latents or min(self.latents) >= 1, "sizes of 1 up")
        if self.image_size is not None:
            self._require("image_size", min(self.image_size) >= 1, "two sizes of at least 1")
        if self.clipnorm is not None:
            self._require("clipnorm", self.clipnorm > 0, "above 0")
        if not (self.conditional or self.labels) and self.prior == "conditional":
            fix = "Add --condition label, or use another --prior."
            raise ConfigError("--prior conditional needs a condition", "--condition none", fix)
        if self.resume and self.overwrite:
            fix = "Drop one of them."
            raise ConfigError("A run can be resumed or overwritten", "both flags", fix)
        self._require("seed", 0 <= self.seed < 2**31, "from 0 to 2**31 - 1")
        check_table(self)
        check_sequences(self)
        check_labels(self)
        check_groups(self)
        check_animation(self)

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:  # a comparison with NaN does not hold
            flag = f"--{name.replace('_', '-')}"
            fix = "See --help for its default."
            raise ConfigError(f"{flag} must be {expected}", repr(getattr(self, name)), fix)

    def _auto(self, name: str) -> bool:
        return getattr(self, name) == "auto"

    def number(self, name: str) -> int:
        """Returns a whole number that the data decide where it is `auto`; by now they have."""
        return int(getattr(self, name))

    @property
    def binarization_name(self) -> str:
        """The binarization, where `auto` is the one that it stands for."""
        if self.binarization != "auto":
            return self.binarization
        return "dynamic" if self.likelihood == "bernoulli" else "none"

    @property
    def is_table(self) -> bool:
        """Whether the data are a table."""
        return self.dataset.startswith("table:")

    @property
    def is_text(self) -> bool:
        """Whether the data are lines of text."""
        return self.dataset.startswith("text:")

    @property
    def is_series(self) -> bool:
        """Whether the data are real-valued series."""
        return self.dataset.startswith("series:")

    @property
    def likelihood_name(self) -> str:
        """The likelihood; of a table that of its columns' kinds, `mixed`; of tokens theirs."""
        if self.is_text:
            return "categorical"
        return "mixed" if self.is_table else self.likelihood

    @property
    def conditional(self) -> bool:
        """Whether the model is given the labels of the images."""
        return self.condition == "label"

    @property
    def classes(self) -> bool:
        """Whether the labels are part of the data that matter."""
        return self.conditional or self.labels > 0

    @property
    def prior_name(self) -> str:
        """The prior, where `auto` is the one that it stands for.

        A mixture is no good choice for a conditional model: it leaves z room to hold the class as
        well, and a z that is drawn without regard to the class then contradicts it.
        """
        if self.prior != "auto":
            return self.prior
        if self.labels:
            return "normal"
        return "conditional" if self.conditional else "mixture"

    def identity(self) -> dict:
        """Returns the settings that a resumed run must share with the one it goes on with."""
        named = {"prior": self.prior_name, "binarization": self.binarization_name}
        fields = {**dataclasses.asdict(self), **named}
        return {name: value for name, value in fields.items() if name not in INCIDENTAL}
