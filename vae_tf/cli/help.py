"""The page of `--help`: flags in groups, each in a sentence; `--help-all`: all, and all of each."""

import ast
import inspect
import itertools
import shutil
import textwrap
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vae_tf.runs.config import TrainConfig

GROUPS = {
    "data": (
        *("dataset", "kinds", "tokens", "max_length", "image_size", "skip_unreadable", "data_dir"),
        *("stream", "binarization"),
    ),
    "model": (
        *("network", "hidden", "filters", "activation", "dropout", "input_dropout"),
        *("word_dropout", "shortcut"),
        *(
            "latent_dim",
            "latents",
            "likelihood",
            "scale",
            "prior",
            "prior_components",
            "posterior",
            "condition",
        ),
        *("labels", "label_seed", "labelled_share", "classifier_weight", "codes"),
    ),
    "objective": (
        *("objective", "objective_samples", "beta", "beta_warmup_epochs", "beta_schedule"),
        "free_bits",
    ),
    "training": (
        *("epochs", "patience", "batch_size", "learning_rate", "lr_schedule", "lr_warmup_epochs"),
        *("weight_decay", "clipnorm", "precision", "seed", "deterministic"),
    ),
    "output": (
        *("run_dir", "resume", "overwrite", "importance_samples", "animate", "profile", "export"),
    ),
}
BRIEF = (
    *("dataset", "kinds", "image_size", "skip_unreadable", "network", "latent_dim", "likelihood"),
    *("prior", "condition", "objective", "beta", "epochs", "batch_size", "learning_rate", "seed"),
    *("run_dir", "resume", "overwrite", "importance_samples", "profile", "export"),
)
MARGIN = 26  # columns of flags
LONGEST_CHOICES = 14  # columns of choices that stand beside the flag


def page(program: str, recipes: str, defaults: TrainConfig, whole: bool) -> str:
    """Returns the help of `program`.

    Args:
        program: what the user called.
        recipes: the names of the recipes.
        defaults: of the flags.
        whole: every flag with all that is to be said of it, or the ones used most in a line.
    """
    width = max(60, min(100, shutil.get_terminal_size((80, 24)).columns))
    said = descriptions()
    lines = [f"usage: {program} [--recipe NAME] [FLAGS]    {TrainConfig.__doc__}"]
    if len(lines[0]) > width:
        lines = [f"usage: {program} [--recipe NAME] [FLAGS]", str(TrainConfig.__doc__)]
    lines.append(f"--recipe: {recipes}.")
    for group, names in GROUPS.items():
        lines.append(f"{group}:")
        for name in names:
            if whole or name in BRIEF:
                lines += _entry(name, said[name], defaults, width, whole)
    more = f"`{program} --help-all` explains all {len(said)} flags."
    return "\n".join([*lines, *([] if whole else [more])])


def descriptions() -> dict[str, str]:
    """Returns what the source says of each field, without its line breaks."""
    body = ast.parse(inspect.getsource(TrainConfig)).body[0].body  # type: ignore[attr-defined]
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(text.value).split())
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def _entry(name: str, text: str, defaults: TrainConfig, width: int, whole: bool) -> list[str]:
    """Returns the lines of one flag, its default in brackets."""
    text = text if whole else text.partition(". ")[0].rstrip(".")
    kind, choices = _kind(get_type_hints(TrainConfig)[name])
    flag = f"  --{name.replace('_', '-')} {kind}".rstrip()
    default = getattr(defaults, name)
    if isinstance(default, tuple):
        default = " ".join(map(str, default))
    if choices and whole:
        text = f"One of {choices}. {text}"
    elif choices:
        text += f": {choices}"
    text += "" if default is None or default is False or default == "" else f" ({default})"
    indent = " " * MARGIN
    lines = textwrap.wrap(text, width - MARGIN, break_on_hyphens=False)
    if len(flag) < MARGIN:
        return [flag.ljust(MARGIN) + lines[0], *(indent + line for line in lines[1:])]
    return [flag, *(indent + line for line in lines)]


def _kind(hint: Any) -> tuple[str, str]:
    """Returns what a flag takes, and its choices where they are too many to stand there."""
    arguments = [a for a in get_args(hint) if a is not type(None)]
    if hint is bool:
        return "", ""
    if get_origin(hint) is Literal:
        short = "|".join(map(str, arguments))
        return (short, "") if len(short) <= LONGEST_CHOICES else ("NAME", ", ".join(arguments))
    if get_origin(hint) is tuple:
        return (f"{_kind(arguments[0])[0]} ...", "") if Ellipsis in arguments else ("H W", "")
    if arguments:  # a union
        kinds = [_kind(a)[0] for a in arguments]
        return "|".join(kinds), ""
    return {int: "N", float: "X"}.get(hint, "TEXT"), ""
