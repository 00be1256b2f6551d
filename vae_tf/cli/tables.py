"""The short tables at the end of a command."""

from rich.console import Console
from rich.table import Table

from vae_tf.exporting import Bundle
from vae_tf.runs.directory import RunDirectory


def show_report(report: dict, run: RunDirectory, bundle: Bundle | None) -> None:
    """Prints a run's numbers and where everything lies."""
    table = _table(f"{report['dataset']}: test images, nats per image")
    test = report["test"]
    table.add_row("ELBO", f"{test['elbo']:.2f}")
    table.add_row("  reconstruction, -log p(x|z)", f"{test['nll']:.2f}")
    table.add_row("  KL(q(z|x) || p(z))", f"{test['kl']:.2f}")
    if "importance_weighted_nll" in test:
        nll, error = test["importance_weighted_nll"], test["importance_weighted_nll_stderr"]
        label = f"NLL, {test['importance_samples']} importance samples"
        table.add_row(label, f"{nll:.2f} ± {error:.2f}")
    table.add_row("epochs (best)", f"{report['epochs']} ({report['best_epoch']})")
    table.add_section()
    table.add_row("model", str(run.model))
    table.add_row("report", str(run.report))
    table.add_row("pictures", str(run.pictures))
    if bundle is not None:
        _add_bundle(table, bundle)
    Console().print(table)


def show_bundle(bundle: Bundle) -> None:
    """Prints where the parts of a bundle lie and how well they agree with the model."""
    table = _table("exported")
    _add_bundle(table, bundle)
    Console().print(table)


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _add_bundle(table: Table, bundle: Bundle) -> None:
    table.add_row("encoder", str(bundle.encoder))
    table.add_row("decoder", str(bundle.decoder))
    table.add_row("encoder.tflite", str(bundle.encoder_tflite))
    table.add_row("decoder.tflite", str(bundle.decoder_tflite))
    table.add_row("manifest", str(bundle.manifest_path))
