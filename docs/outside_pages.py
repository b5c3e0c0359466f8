"""A hook of mkdocs: files outside docs/ that pages link to become pages of the site.

On GitHub, `../NOTICE` in a page of docs/ is a file of the checkout. The site has it as
the page `source/NOTICE`, and so is whole without a network; a folder is a list of its
files. Those of `PAGES` stand in the navigation, under names of their own.
"""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "examples/fine_tune.ipynb": "fine_tune.md",
    "examples/quickstart.ipynb": "quickstart.md",
}
_LINK = re.compile(r"(?<=\]\()(?!\w+:)[^)#\s]+")
_NOT_SEARCHED = "---\nsearch: {exclude: true}\n---\n"
_LEXERS = {".flags": "bash", ".sh": "bash", ".py": "python", ".yaml": "yaml"}


def on_files(files: Any, *, config: Any) -> Any:
    """Adds the pages of `PAGES`, and what any page links to outside docs/."""
    from mkdocs.structure.files import File

    texts = {uri: _text(ROOT / path) for path, uri in PAGES.items()}
    documents = [f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")]
    for page in (*documents, *PAGES):
        for link in _LINK.findall(_text(ROOT / page)):
            if site_path(page, link).startswith("source/"):
                texts |= _sources(_resolve(page, link))
    texts["favicon.svg"] = (ROOT / "deeplab_tf/web/icon.svg").read_text()
    for uri, text in texts.items():
        files.append(File.generated(config, uri, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Turns links of the checkout into links of the site."""
    homes = {uri: path for path, uri in PAGES.items()}
    uri = page.file.src_uri
    if uri.startswith("source/"):
        return markdown
    home = homes.get(uri, f"docs/{uri}")
    return _LINK.sub(lambda link: site_path(home, link[0]), markdown)


def site_path(page: str, link: str) -> str:
    """The page of the site that a page of the checkout, `docs/gpu.md`, links to."""
    path = _resolve(page, link)
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return PAGES.get(path, f"source/{path}.md")


def _resolve(page: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _sources(path: str) -> dict[str, str]:
    """Pages of a file of the checkout, or of a folder and all files in it."""
    file = ROOT / path
    if not file.is_dir():
        return {f"source/{path}.md": f"{_NOT_SEARCHED}# {path}\n\n{_listing(file)}"}
    inside = sorted(
        each.relative_to(file).as_posix()
        for each in file.rglob("*")
        if each.is_file() and each.suffix != ".pyc" and not each.name.startswith(".")
    )
    pages, links = {}, []
    for name in inside:
        pages |= _sources(f"{path}/{name}")
        links.append(f"* [{name}]({file.name}/{name}.md)\n")
    listed = f"{_NOT_SEARCHED}# {path}\n\n{''.join(links)}"
    return pages | {f"source/{path}.md": listed}


def _listing(file: Path) -> str:
    lexer = _LEXERS.get(file.suffix, "text")
    return f"~~~~~~{lexer}\n{file.read_text().rstrip()}\n~~~~~~\n"


def _text(file: Path) -> str:
    """A page in Markdown; a notebook's cells of code become blocks."""
    if file.suffix != ".ipynb":
        return file.read_text()
    parts = [
        "".join(cell["source"])
        if cell["cell_type"] == "markdown"
        else f"```python\n{''.join(cell['source'])}\n```"
        for cell in json.loads(file.read_text())["cells"]
    ]
    return "\n\n".join(parts) + "\n"
