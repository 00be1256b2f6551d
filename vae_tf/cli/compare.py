"""`python -m vae_tf.compare`: a VAE beside explicit densities, in one table and one picture."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vae_tf.cli import app
from vae_tf.cli.flags import in_flags
from vae_tf.cli.parsing import parsed


@dataclass(frozen=True)
class CompareFlags:
    """Compare a VAE with a normal, probabilistic PCA and a Gaussian mixture on unseen data."""

    dataset: str = "digits"
    """A data set as for train.py, or heights or houses, which are drawn from a known density."""
    output: Path | None = None
    """Directory for the VAE's run, compare.json and samples.png. By default
    runs/compare/<dataset>."""
    kinds: tuple[str, ...] = ()
    """COLUMN=KIND for columns of a table, as in train.py."""
    likelihood: str = "auto"
    """The VAE's likelihood of images. auto: bernoulli for black and white, discretized-logistic for
    grey levels and colours."""
    epochs: int | None = None
    """Maximum number of epochs of the VAE's training. By default the number of train.py."""
    importance_samples: int = 500
    """Draws of z for each test example."""
    seed: int = 0
    """Seed of generated data, splits and fits."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code after comparing as the flags say."""
    flags = list(sys.argv[1:] if argv is None else argv)
    return app.run(lambda: _main(flags), "the same command continues from the last epoch", in_flags)


def _main(argv: list[str]) -> None:
    """Compares as the flags say, and shows table and samples."""
    given = parsed(CompareFlags, argv, "python -m vae_tf.compare")
    app.import_tensorflow()
    from vae_tf import plots
    from vae_tf.cli.progress import ConsoleWatcher
    from vae_tf.cli.tables import show_comparison
    from vae_tf.compare.comparing import compare
    from vae_tf.files import write_aside

    name = Path(given.dataset.rpartition(":")[2]).stem
    output = given.output or Path("runs/compare", name)
    settings: dict[str, Any] = {"kinds": given.kinds, "likelihood": given.likelihood}
    if given.epochs is not None:
        settings["epochs"] = given.epochs
    found = compare(
        given.dataset,
        output,
        watcher=ConsoleWatcher(),
        importance_samples=given.importance_samples,
        seed=given.seed,
        **settings,
    )
    samples = {"data": found.data, **{row.model: row.samples for row in found.rows}}
    write_aside(output / "samples.png", plots.side_by_side(samples, found.columns).savefig)
    show_comparison(found, output)
