"""Hints of the library in the words of the command line: flags in place of Python's arguments."""

import functools
import re
import shlex

from vae_tf.runs.config import TrainConfig

_ARGUMENTS = {"num_samples": "objective_samples", "nats": "free_bits"}
_PARTS = {
    "StandardNormal": "--prior normal",
    "LearnedNormal": "--prior learned-normal",
    "MixtureOfNormals": "--prior mixture",
    "VampPrior": "--prior vamp",
    "RealNVP": "--prior realnvp",
    "MaskedAutoregressive": "--prior maf",
    "DiagonalNormal": "--posterior diagonal",
    "FullNormal": "--posterior full",
    "InverseAutoregressive": "--posterior iaf",
    "GaussianLearnedScale": "--likelihood gaussian-learned",
    "GaussianPixelScale": "--likelihood gaussian-pixel",
    "ContinuousBernoulli": "--likelihood continuous-bernoulli",
    "DiscretizedLogisticMixture": "--likelihood discretized-logistic-mixture",
    "DiscretizedLogistic": "--likelihood discretized-logistic",
    "Binarize the data": "Binarize the data (--binarization dynamic)",
    "train with a Gaussian likelihood": "pass --likelihood gaussian-learned",
}

_PAIR = r"('[^']*'|\d+): '(\w+)'"  # of `kinds`


def in_flags(text: str) -> str:
    """Returns a message with the flag for each argument of the same name, and for each part.

    `image_size=(28, 28)` becomes `--image-size 28 28`.
    """
    text = re.sub(rf"\bkinds=\{{({_PAIR}(?:, {_PAIR})*)\}}", _kinds, text)
    text = re.sub(r"\bobjective=ELBO\((?:num_samples=(\d+))?\)", _objective, text)
    for part, flag in _PARTS.items():
        text = re.sub(rf"`?\b{part}\b(\(\))?`?", flag, text)
    names = {name: name for name in TrainConfig.__dataclass_fields__} | _ARGUMENTS
    for name, field in names.items():
        flag = f"--{field.replace('_', '-')}"
        pairs = re.compile(rf"(?<![-/\w]){name}=\(([^()]*)\)")
        text = pairs.sub(functools.partial(_values, flag), text)
        text = re.sub(rf"(?<![-/\w]){name}=True\b", flag, text)
        text = re.sub(rf"(?<![-/\w]){name}=(?=\w)", f"{flag} ", text)
        text = re.sub(rf"`{name}`", flag, text)
    return text


def _kinds(match: re.Match) -> str:
    """Returns the flag for a dict of kinds as Python writes it."""
    pairs = (f"{pair[1].strip(chr(39))}={pair[2]}" for pair in re.finditer(_PAIR, match[1]))
    return " ".join(["--kinds", *map(shlex.quote, pairs)])


def _objective(match: re.Match) -> str:
    """Returns the flags for an objective with its number of samples."""
    return "--objective elbo" + (f" --objective-samples {match[1]}" if match[1] else "")


def _values(flag: str, match: re.Match) -> str:
    """Returns a flag with its values, which Python separates by commas."""
    return " ".join([flag, *match[1].replace(",", " ").split()])
