import dataclasses
import itertools
import json
import os
import signal
import sys
import textwrap

import pytest

from vae_tf.cli import app, export, train
from vae_tf.cli.flags import in_flags
from vae_tf.cli.help import BRIEF, GROUPS, descriptions
from vae_tf.errors import ConfigError
from vae_tf.runs.config import TrainConfig

FIELDS = [field.name for field in dataclasses.fields(TrainConfig)]


@pytest.fixture
def page(monkeypatch, capsys):
    """A function: flags -> what they print, on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def show(*flags):
        with pytest.raises(SystemExit) as exit_:
            train.main(flags)
        assert exit_.value.code == 0
        return capsys.readouterr().out

    return show


def test_every_flag_is_in_one_group_and_described():
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(FIELDS)
    assert set(descriptions()) == set(FIELDS)
    assert set(BRIEF) <= set(FIELDS)


def test_help_is_a_screen_and_a_half(page):
    text = page("--help")
    assert len(text.splitlines()) <= 36
    assert max(map(len, text.splitlines())) <= 80
    order = [text.index(f"\n{group}:\n") for group in GROUPS]
    assert order == sorted(order)
    assert "--help-all" in text
    assert text == page("-h")


def test_help_all_has_every_word_of_every_flag(page):
    flat = " ".join(page("--help-all").split())
    for name, text in descriptions().items():
        assert f"--{name.replace('_', '-')} " in flat
        assert text in flat


def test_no_line_ends_before_it_is_full(page):
    """That is, lines break where the terminal does, and not where the source does."""
    lines = page("--help-all").splitlines()
    for line, following in itertools.pairwise(lines):
        indent = len(following) - len(following.lstrip())
        if len(line) - len(line.lstrip()) == indent > 2:
            word = textwrap.wrap(following.strip(), 80, break_on_hyphens=False)[0].split()[0]
            assert len(line) + 1 + len(word) > 80, line


def test_the_defaults_are_those_of_the_recipe(page):
    assert "(2)" in page("--recipe", "manifold", "--help").split("--latent-dim")[1].split("\n")[0]


@pytest.mark.parametrize(
    ("called", "name"),
    [("/usr/bin/vae-tf-train", "vae-tf-train"), ("train.py", "train.py"), ("-m", "train.py")],
)
def test_a_command_calls_itself_as_the_user_did(called, name, monkeypatch, page, capsys):
    monkeypatch.setattr(sys, "argv", [called])
    assert page("--help").startswith(f"usage: {name} ")
    with pytest.raises(SystemExit):
        train.main(["--epochz", "3"])
    assert f"{name} --help" in " ".join(capsys.readouterr().err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Pass image_size=(64, 48), for example", "Pass --image-size 64 48, for example"),
        ("`binarization` must be", "--binarization must be"),
        ("pass skip_unreadable=True", "pass --skip-unreadable"),
        ("Pass latent_dim=2 for", "Pass --latent-dim 2 for"),
        ("Use objective=ELBO(num_samples=5), or", "Use --objective elbo --objective-samples 5, or"),
        ("Use MixtureOfNormals for", "Use --prior mixture for"),
        (
            "Leave it out with kinds={'row id': 'ignore'}, or",
            "Leave it out with --kinds 'row id=ignore', or",
        ),
        ("with kinds={'id': 'ignore'}.", "with --kinds id=ignore."),
        ("kinds={'id': 'ignore', 'a day': 'ignore'}.", "--kinds id=ignore 'a day=ignore'."),
        ("Column 'seed' must suit", "Column 'seed' must suit"),
        ("runs/seed=3/a has no seed", "runs/seed=3/a has no seed"),
        ("--image-size must be", "--image-size must be"),
    ],
)
def test_hints_name_flags(text, words):
    assert in_flags(text) == words


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_in_one_line(number, capsys):
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)  # shells let what runs behind ignore some of them
    try:
        code = app.run(lambda: os.kill(os.getpid(), number), "--resume goes on")
        assert signal.getsignal(number) == usual
    finally:
        signal.signal(number, before)
    err = capsys.readouterr().err
    assert code == 128 + number
    assert err.strip().startswith("stopped")
    assert err.strip().endswith("--resume goes on")


def test_a_refusal_is_in_the_words_of_the_command(capsys):
    def refuse():
        raise ConfigError("An image", "none", "Pass image_size=(3, 4).")

    assert app.run(refuse, "", in_flags) == 1
    assert capsys.readouterr().err == "error: An image. Received: none. Pass --image-size 3 4.\n"


def test_a_resumed_run_keeps_the_settings_it_has(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = TrainConfig("array:faces.npy", latent_dim=3, hidden=(7,), epochs=9, prior="vamp")
    own = dataclasses.replace(own, binarization="static", likelihood="bernoulli")
    (tmp_path / "runs" / "faces").mkdir(parents=True)
    saved = {"config": {**own.identity(), "of_a_later_version": 1}, "data": {}, "versions": {}}
    (tmp_path / "runs" / "faces" / "config.json").write_text(json.dumps(saved))
    again = train.parse(["--run-dir", "runs/faces", "--resume"])
    assert again == dataclasses.replace(own, run_dir="runs/faces", resume=True)
    again = train.parse(["--dataset", "array:faces.npy", "--resume", "--epochs", "12"])
    assert (again.latent_dim, again.hidden, again.epochs) == (3, (7,), 12)
    assert train.parse(["--run-dir", "runs/faces"]).latent_dim == TrainConfig().latent_dim
    assert train.parse(["--run-dir", "elsewhere", "--resume"]).epochs == TrainConfig().epochs


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--epochs", "ten"], "--epochs must be auto or a whole number. Received: 'ten'."),
        (["--image-size", "64"], "--image-size must be two whole numbers. Received: '64'."),
        (["--epochs", "-3"], "--epochs must be at least 1. Received: -3."),
        (["--likelihood", "bernouli"], "Received: 'bernouli'. Did you mean bernoulli"),
        (["--epoch", "3"], "Received: '--epoch'. Did you mean --epochs"),
        (["--dataset"], "--dataset must have a value. Received: none."),
        (["photos"], "Flags begin with --. Received: 'photos'."),
        (["--dataset", f"{'x' * 200}.csv", "--latent-dim", "0"], "--latent-dim must be at least 1"),
    ],
)
def test_wrong_flags_are_refused_in_a_line(flags, words, capsys):
    with pytest.raises(SystemExit) as stop:
        train.parse(flags)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


def test_the_export_calls_itself_as_it_can_be_called(capsys):
    assert export.main(["runs/digits"]) == 1
    assert "Call `python -m export RUN --output DIR`" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        export.main(["--help"])
    out = capsys.readouterr().out
    assert out.startswith("usage: python -m export ")
    assert "{None}" not in out
