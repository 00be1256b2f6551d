"""Everything that decides a run, in one frozen value."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from vae_tf.checks import are_sizes
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
    """KIND:PATH, or the name of a TFDS set. folder: image files; array: a .npy or .npz file;
    tfrecord:, parquet: images in shards, which are read while the model trains;
    table: a .csv, .tsv or .parquet file; text: a file with one text per line, or
    text:tiny_shakespeare; series: [N, T, D] in a .npy file, or x with lengths in a .npz file;
    digits: a small set that needs no download."""
    kinds: tuple[str, ...] = ()
    """COLUMN=KIND to override inferred kinds of a table. Kinds are real, positive, binary,
    category and count, and ignore leaves a column out."""
    tokens: Literal["bytes", "words"] = "bytes"
    """The tokens of a text. bytes: those of UTF-8; words: the 10,000 most frequent ones."""
    max_length: int | None = None
    """Maximum number of tokens of a text, its end included. By default that of the longest line."""
    data_dir: str | None = None
    """Directory of the TFDS data. By default TFDS_DATA_DIR, or else TFDS's own directory."""
    image_size: tuple[int, int] | None = None
    """Resize images to this height and width."""
    skip_unreadable: bool = False
    """Leave out image files of a folder that cannot be read. They are listed in config.json."""
    stream: bool = False
    """Read the images of a folder while the model trains, not beforehand. For more than fit into
    memory and onto the disk."""
    binarization: Literal["auto", "none", "static", "dynamic"] = "auto"
    """Draw each pixel as 0 or 1 with its grey value as probability. dynamic: again in each epoch;
    static: once; auto: dynamic for the bernoulli likelihood, none for the others."""

    network: Literal["auto", "mlp", "conv", "resnet", "gru", "causal"] = "auto"
    """Encoder and decoder. mlp: dense; conv: convolutional; resnet: residual convolutional; gru:
    recurrent; causal: convolutional over the steps of a text; auto: mlp for tables and small
    images, conv for larger ones, gru for texts and series."""
    hidden: Literal["auto"] | tuple[int, ...] = "auto"
    """Widths of the mlp's hidden layers; the decoder has them in reverse. auto: 500 500; for a
    table 128 128, or 128 with fewer than 1,000 training rows; for gru 256, or 64 for series; for
    causal four layers of 128."""
    filters: tuple[int, ...] = (32, 64)
    """Channels of each level of conv and resnet; the decoder has them in reverse."""
    activation: str = "silu"
    """Activation of the hidden layers, by its Keras name."""
    dropout: float = 0.0
    """Share of the mlp's hidden units dropped in training."""
    input_dropout: float = 0.0
    """Share of the encoder's and the classifier's inputs dropped in training (mlp)."""
    word_dropout: float = 0.0
    """Share of the past tokens hidden from a text's decoder in training, so that it uses z."""
    shortcut: bool = False
    """Add a linear map from the latents to the outputs of the mlp decoder. It suits tables."""
    condition: Literal["none", "label"] = "none"
    """Extra input of encoder and decoder. label: the class of each image, so that the model draws
    images of a class that you choose."""
    labels: int = 0
    """Number of training images that keep their label, equally many of each class. A classifier
    learns from them and from all other images. 0: there is no classifier."""
    label_seed: int = 0
    """Seed of the choice of --labels."""
    labelled_share: float = 0.5
    """Share of labelled images in each batch, with --labels."""
    classifier_weight: float = 1.0
    """Weight of the classifier's loss for each labelled image."""
    codes: int = 0
    """Number of latents of a VAE that is trained first, with --labels. The model is then trained on
    its codes. 0: the model is trained on the images."""
    latent_dim: Literal["auto"] | int = "auto"
    """Number of latent variables. auto: 40; for a table as many as it has columns, from 2 to 32;
    for texts 32 and for series 8."""
    latents: tuple[int, ...] = ()
    """Latents of each group of a hierarchy, the top first, in place of --latent-dim. mlp: their
    numbers; resnet: the number of the top, and the channels of the feature maps below. --prior and
    --posterior apply to the top; --hidden needs a number for each group, --filters at least that
    many."""
    prior: Literal[
        "auto", "normal", "learned-normal", "mixture", "vamp", "realnvp", "maf", "conditional"
    ] = "auto"
    """The prior p(z). normal: N(0, I); learned-normal: diagonal; mixture: of diagonal normals;
    vamp: a mixture of the posteriors of learned inputs; realnvp, maf: normalizing flows;
    conditional: p(z|c), a diagonal normal for each class; auto: conditional with --condition
    label, normal with --labels, else mixture."""
    prior_components: Literal["auto"] | int = "auto"
    """Components of the mixture and vamp priors. auto: 500, or fewer with less than
    10,000 training examples."""
    posterior: Literal["diagonal", "full", "iaf"] = "diagonal"
    """The posterior q(z|x). diagonal, full: a normal with such a covariance; iaf: an inverse
    autoregressive flow."""
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
    """Standard deviation of the gaussian likelihood, or first value of gaussian-learned. auto: 0.1,
    or the standard deviation of the pixels as first value."""
    objective: Literal["elbo", "stl", "iwae", "dreg", "renyi", "score-function", "vimco"] = "elbo"
    """The bound on log p(x). The name also stands for the estimator of its gradient."""
    objective_samples: int = 1
    """Draws of z for each example and step. 5 is usual for iwae, dreg, renyi and vimco."""
    beta: float = 1.0
    """Weight of the KL term. 1 is the ELBO."""
    beta_warmup_epochs: int = 0
    """Epochs over which beta rises from 0."""
    beta_schedule: Literal["linear", "cosine", "cyclical"] = "linear"
    """How beta rises. cyclical: four times, from 0 each time."""
    free_bits: float = 0.0
    """Nats that each latent may hold without paying, with a diagonal posterior and a normal prior.
    With --latents they are for each group."""

    epochs: Literal["auto"] | int = "auto"
    """Maximum number of passes over the training data. auto: 150, more for few examples and fewer
    for very many."""
    patience: Literal["auto"] | int = "auto"
    """Epochs without a better validation ELBO before training stops. 0: never; auto: a third of
    the epochs."""
    batch_size: Literal["auto"] | int = "auto"
    """Examples in a training step. auto: 250, or fewer with less than 10,000 training examples."""
    learning_rate: Literal["auto"] | float = "auto"
    """Highest step size of Adam. auto: 0.002, or less for an mlp on large images."""
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    """How the step size falls. cosine: to 0 at the last epoch."""
    lr_warmup_epochs: Literal["auto"] | int = "auto"
    """Epochs over which the step size rises from 0. auto: 1, or more where an epoch has fewer than
    200 steps."""
    weight_decay: Literal["auto"] | float = "auto"
    """Decoupled decay (AdamW) of the networks' kernels. auto: 0.2, or 0.02 with less than
    10,000 training examples."""
    clipnorm: float | None = None
    """Largest norm of the whole gradient."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Arithmetic of the networks. Likelihoods are always float32."""

    seed: int = 0
    """Seed of everything random. This is weights, data order, binarization and latent draws."""
    deterministic: bool = False
    """Compute the same numbers in every run, bit for bit. This is slower on GPUs."""
    importance_samples: int = 5000
    """Samples of z to estimate log p(x) of an image. 0 skips the estimate."""

    animate: bool = False
    """Draw the manifold of two latents after each epoch. pictures/manifold.gif shows how it
    unfolds."""
    run_dir: str | None = None
    """Directory of the run. By default runs/<dataset>, for data other than images with their kind,
    as in runs/wine-table."""
    resume: bool = False
    """Continue the run in --run-dir from its last checkpoint. Without a run there, start one. Flags
    that you leave out keep the values of the run; more --epochs continue a finished run."""
    overwrite: bool = False
    """Delete the run in --run-dir first."""
    profile: bool = False
    """First show where a training step spends its time. Gives advice, and traces some steps."""
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
            holds = self._auto(name) or (are_sizes(sizes) and len(sizes) > 0)
            self._require(name, holds, "one or more sizes of 1 up")
        self._require("latents", are_sizes(self.latents), "sizes of 1 up")
        if (size := self.image_size) is not None:
            holds = are_sizes(size) and len(size) == 2
            self._require("image_size", holds, "two sizes of at least 1")
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
        """Refuses the value of a flag for which a condition does not hold."""
        if not holds:  # a comparison with NaN does not hold
            flag = f"--{name.replace('_', '-')}"
            fix = "See --help for its default."
            raise ConfigError(f"{flag} must be {expected}", repr(getattr(self, name)), fix)

    def _auto(self, name: str) -> bool:
        """Returns whether the data are to decide a setting."""
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
