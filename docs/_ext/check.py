"""Looks through the built site: links, anchors, pictures, other hosts, and the reference.

python docs/_ext/check.py docs/_build/html
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {"script": "src", "img": "src", "iframe": "src", "link": "href", "source": "src"}


class Page(HTMLParser):
    """The links, what is loaded, and the anchors of one page."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        """Notes one element."""
        found = dict(attrs)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in FETCHED and found.get(FETCHED[tag]):
            self.loaded.append(found[FETCHED[tag]])


def problems(site: Path) -> list[str]:
    """Returns a line for each thing that is wrong."""
    paths = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    pages = {path: Page(path) for path in paths}
    wrong = []
    for path, page in pages.items():
        own = path.relative_to(site)
        for target in page.loaded:
            if urlsplit(target).netloc:
                wrong.append(f"{own}: loads {target} from another host")
        for target in page.links + page.loaded:
            url = urlsplit(target)
            if url.scheme or url.netloc or own.name == "search.html":
                continue
            file = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not file.exists():
                wrong.append(f"{own}: {target} leads nowhere")
            elif file in pages and unquote(url.fragment) not in {"", *pages[file].anchors}:
                wrong.append(f"{own}: {target} has no such anchor")
    return wrong + undescribed(pages)


def undescribed(pages: dict[Path, Page]) -> list[str]:
    """Returns a line for each public name that the reference lacks."""
    import vae_tf
    from vae_tf import distributions, evaluation

    anchors = {a for path, page in pages.items() if "reference" in path.parts for a in page.anchors}
    short = {anchor.rpartition(".")[2] for anchor in anchors}
    names = set(vae_tf.__all__) - set(vae_tf._MODULES) - {"__version__"}
    for module in (distributions, evaluation, *(getattr(vae_tf, m) for m in vae_tf._MODULES)):
        names |= set(getattr(module, "__all__", ()))
    names -= {"priors", "posteriors", "likelihoods", "disentanglement"}  # modules
    return [f"reference: {name} is not described" for name in sorted(names - short)]


if __name__ == "__main__":
    found = problems(Path(sys.argv[1]).resolve())
    print("\n".join(found))
    sys.exit(bool(found))
