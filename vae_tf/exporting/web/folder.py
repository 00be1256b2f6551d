"""A static folder from a bundle: a page that explores the latent space with LiteRT.js.

index.html, style.css, icon.svg and js/ are copies of `page/` beside this module; litert/ is
LiteRT.js from npm, its WebAssembly compressed, which simple servers do not do; model/ has .tflite
files of fixed batch and model.json; files.json lists them all with their sha256.
"""

import contextlib
import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from vae_tf.errors import ExportError
from vae_tf.exporting import manifest, publication
from vae_tf.exporting.web import model as web_model
from vae_tf.formats import plain

PAGE = Path(__file__).with_name("page")
LIST = "files.json"
RUNTIME = ("@litertjs/core", "2.5.3")  # as pinned in export/web/package-lock.json
CLONE = Path(__file__).parents[3] / "export/web"
# LiteRT.js takes `compat` where a browser lacks relaxed SIMD, as Safari does. Threads would need
# a server that sends COOP and COEP headers.
RUNTIME_FILES = {
    "core/dist/index.js": "core.js",
    "wasm-utils/dist/index.js": "wasm-utils.js",
    **{
        f"core/wasm/{name}{suffix}": f"wasm/{name}{suffix}{packed}"
        for name in ("litert_wasm_internal", "litert_wasm_compat_internal")
        for suffix, packed in ((".js", ""), (".wasm", ".gz"))
    },
    "core/package.json": "package.json",  # name, version and licence
}


def write_web(
    bundle: str | Path,
    target: str | Path,
    *,
    runtime: str | Path | None = None,
) -> Path:
    """Returns the `index.html` of the explorer written to `target`, for any static web server.

    Args:
        bundle: the directory of an export.
        target: created, or replaced if it is an explorer already.
        runtime: a `node_modules` with LiteRT.js; if not given, that of a clone's `export/web`,
            else of the working directory.

    Raises:
        ExportError: if there is no bundle or no LiteRT.js, the model does not convert, `target`
            is something else, or it cannot be written. `target` is then as it was.
    """
    bundle, target = Path(bundle).absolute(), Path(target).absolute()
    facts = manifest.read(bundle)
    libraries = _runtime(runtime)
    with _refusals(target), publication.locked(target.parent):
        aside = target.with_name(f".vae_tf-web-{os.getpid()}")
        # Left by a run that was killed: the lock is ours.
        for left in target.parent.glob(".vae_tf-web-*"):
            shutil.rmtree(left)
        _check_replaceable(target)
        try:
            shutil.copytree(PAGE, aside / "new")
            for source, name in RUNTIME_FILES.items():
                path = aside / "new/litert" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                content = (libraries / source).read_bytes()
                packed = path.suffix == ".gz"
                path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
            web_model.write(bundle, facts, aside / "new/model")
            names = sorted(path.name for path in (aside / "new").iterdir())
            listed = manifest.digests(aside / "new", names)
            plain.write_json(aside / "new" / LIST, listed)
            # Two renames: for an instant there is no page, never half of one.
            if target.exists():
                os.rename(target, aside / "old")
            os.rename(aside / "new", target)
        finally:
            if (aside / "old").exists() and not target.exists():
                os.rename(aside / "old", target)
            shutil.rmtree(aside, ignore_errors=True)
    return target / "index.html"


def _runtime(given: str | Path | None) -> Path:
    """Returns the directory `@litertjs` of the pinned version."""
    places = [CLONE / "node_modules", Path.cwd() / "node_modules"] if given is None else [given]
    name, version = RUNTIME
    found = []
    for place in places:
        package = Path(place) / name / "package.json"
        with contextlib.suppress(OSError):
            found.append(json.loads(package.read_text("utf-8"))["version"])
            if found[-1] == version:
                return package.parents[1]
    in_clone = (CLONE / "package.json").exists() and given is None
    command = f"npm ci --prefix {CLONE}" if in_clone else f"npm install {name}@{version}"
    raise ExportError(
        f"the page needs {name} {version} of npm, in {' or '.join(map(str, places))}",
        f"version {found[0]}" if found else "no such package",
        f"Run `{command}` (Node.js is needed for that alone), or pass runtime=NODE_MODULES.",
    )


def _check_replaceable(target: Path) -> None:
    """Refuses a `target` that is not an explorer of ours."""
    ours = (target / "model" / web_model.NAME).is_file() and (target / "index.html").is_file()
    if os.path.lexists(target) and not ours and not _is_empty(target):
        raise ExportError(
            f"{target} must be new, empty or an explorer",
            "something else",
            "Choose another directory, or remove it.",
        )


def _is_empty(path: Path) -> bool:
    """Returns whether a path is a directory, and no link, with nothing in it."""
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


@contextlib.contextmanager
def _refusals(target: Path) -> Iterator[None]:
    """Turns the errors of the system into refusals that name the directory."""
    try:
        yield
    except OSError as error:
        raise ExportError(
            f"{target} must be a directory that can be written",
            f"{type(error).__name__}: {error}",
            "Free some space or choose another one; nothing was left behind.",
        ) from error
