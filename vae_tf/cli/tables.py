"""The short tables at the end of a command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vae_tf.compare.comparing import Comparison
from vae_tf.exporting import Bundle
from vae_tf.profiling import PARTS, TrainingProfile
from vae_tf.runs.directory import RunDirectory
from vae_tf.runs.report import cautions


def show_report(report: dict, run: RunDirectory, bundle: Bundle | None) -> None:
    """Prints a run's numbers and where everything lies."""
    unit = report.get("unit", "image")  # runs of earlier versions were of images
    units = ", in the units of the file" if "units" in report else ""
    table = _table(f"{report['dataset']}: test {unit}s, nats per {unit}{units}")
    test, given = report["test"], ", label" if report["config"]["condition"] == "label" else ""
    table.add_row("ELBO", f"{test['elbo']:.2f}")
    table.add_row(f"  reconstruction, -log p(x|z{given})", f"{test['nll']:.2f}")
    table.add_row(f"  KL(q(z|x{given}) || p(z))", f"{test['kl']:.2f}")
    if "importance_weighted_nll" in test:
        nll, error = test["importance_weighted_nll"], test["importance_weighted_nll_stderr"]
        label = (
            f"NLL{given and ' given the label'}, {test['importance_samples']} importance samples"
        )
        table.add_row(label, f"{nll:.2f}" + ("" if error is None else f" ± {error:.2f}"))
    if "bits_per_dimension" in test:
        bits, error = test["bits_per_dimension"], test.get("bits_per_dimension_stderr")
        table.add_row("bits per dimension", f"{bits:.3f}" + (f" ± {error:.3f}" if error else ""))
    if "perplexity" in test:
        table.add_row(f"perplexity of a {test['token']}", f"{test['perplexity']:.3f}")
    table.add_row("epochs (best)", f"{report['epochs']} ({report['best_epoch']})")
    kept = {"table": run.table, "vocabulary": run.vocabulary, "samples": run.samples}
    own = {name: path for name, path in kept.items() if path.exists()}
    paths = {"model": run.model, **own, "report": run.report, "pictures": run.pictures}
    _show(table, {**paths, **(_paths(bundle) if bundle else {})})
    for text in cautions(report):
        print(f"- caution: {text}")


def show_bundle(bundle: Bundle) -> None:
    """Prints where the parts of a bundle lie, how well they agree with the model, what lacks."""
    errors = bundle.manifest["parity"]["max_relative_error"]
    runtimes = list(dict.fromkeys(runtime for row in errors.values() for runtime in row))
    table = Table(title="largest relative error", title_justify="left")
    for heading in ("", *(runtime.replace("_", " ") for runtime in runtimes)):
        table.add_column(heading)
    for signature, row in errors.items():
        table.add_row(signature, *(f"{row[r]:.1e}" if r in row else "" for r in runtimes))
    _show(table, _paths(bundle))
    for remark in _remarks(bundle.manifest):
        print(f"- {remark}")


def show_comparison(comparison: Comparison, output: Path) -> None:
    """Prints how well each model knows data that it has not seen."""
    title = f"{comparison.dataset}: test {comparison.metric}"
    table = Table(title=title, title_justify="left")
    known = any(row.gap is not None for row in comparison.rows)
    below = ["below the truth"] if known else []
    value = comparison.metric.partition(",")[0]
    for heading in ("model", value, *below, "parameters", "seconds"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for row in comparison.rows:
        numbers = [f"{row.value:.3f} ± {row.stderr:.3f}"]
        if known:
            numbers.append("" if row.gap is None else f"{row.gap:.3f} ± {row.gap_stderr:.3f}")
        if row.parameters is not None:
            numbers += [f"{row.parameters:,}", f"{row.seconds:.1f}"]
        table.add_row(row.model, *numbers)
    paths = {name: output / name for name in ("compare.json", "samples.png")}
    _show(table, {**paths, "VAE": output / "vae"})


def show_profile(profile: TrainingProfile, run: RunDirectory) -> None:
    """Prints where the time of a training step goes, and what to change."""
    table = Table(title=f"a step of {profile.batch_size} examples", title_justify="left")
    table.add_column("")
    for heading in ("ms", "share"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for part, milliseconds in profile.parts.items():
        table.add_row(part, f"{milliseconds:.2f}", f"{profile.share(part):.0%}", PARTS[part])
    table.add_row(
        "step", f"{profile.step:.2f}", "", f"{profile.examples_per_second:,.0f} examples/s"
    )
    _show(table, {"profile": run.profile, "trace": run.logs})
    for text in (*profile.facts(), *profile.advice):
        print(f"- {text}")


def _remarks(manifest: Mapping[str, Any]) -> list[str]:
    """Returns in a sentence each what the bundle lacks."""
    litert = manifest["litert"] or {"refused": {}, "remarks": []}
    left_out = [f"{file} was left out: {reason}" for file, reason in litert["refused"].items()]
    lacking = [f"{signature}: {text}" for signature, text in manifest["remarks"].items()]
    return [*lacking, *left_out, *litert["remarks"]]


def _paths(bundle: Bundle) -> dict:
    """Returns the paths in a bundle that a reader looks for first, by name."""
    files = bundle.manifest["litert"] or {"recommended": {}}
    litert = bundle.directory / "litert" / str(bundle.version)
    return {
        "model card": bundle.directory / "README.md",
        "encoder": bundle.encoder,
        "decoder": bundle.decoder,
        **({} if bundle.whole is None else {"both": bundle.whole}),
        **{path.name: path for path in (bundle.encoder_tflite, bundle.decoder_tflite) if path},
        **{f"small {half}": litert / name for half, name in files["recommended"].items()},
        "manifest": bundle.manifest_path,
    }


def _show(table: Table, paths: dict) -> None:
    """Prints a table, and below it the paths, relative to here where they can be."""
    console = Console()
    console.print(table)
    for name, path in paths.items():  # below the table: a path must not be broken
        here = Path.cwd()
        path = path.relative_to(here) if path.is_relative_to(here) else path
        console.print(f"{name:<15} {path}", soft_wrap=True, highlight=False)


def _table(title: str) -> Table:
    """Returns an empty table of names and values."""
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table
