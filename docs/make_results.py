"""Writes the tables and charts of the pages from results/, which runs have left.

    python docs/make_results.py

A table stands in a page between `<!-- table NAME -->` and `<!-- end -->`, and is made
by the row NAME of a file of result_tables/, as charts are. A new result is kept by
keep_result.py. What a page says in words has no decimal number that is not in one of
its tables, or in FROM_ELSEWHERE; that of OTHER_PAGES is not compared.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import result_tables

DOCS = Path(__file__).parent
PAGES = ("results.md", "robustness.md", "cost.md")
# Pages with a table among other things, whose text has numbers that no run measured.
OTHER_PAGES = ("deploy.md",)
_ZOO = "g3doc/model_zoo.md of research/deeplab"
# Numbers that no run here has measured -> whose they are.
FROM_ELSEWHERE = {
    "75.32": _ZOO,
    "70.19": _ZOO,
    "78.8": _ZOO,
    "80.3": _ZOO,
    "6.3": "an assumption: EIGHT_BY_ONE of benchmarks/cost.py",
}
_TABLE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
# Commands, code, links, and names with digits are no measurements.
_NO_TEXT = re.compile(
    r"^(?: {4}|```).*$|`[^`]*`|\]\([^)]*\)|https?://\S+", re.MULTILINE
)
_NUMBER = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)")


def main() -> None:
    """Writes what is not as the results have it."""
    for path, text in files():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def files() -> Iterator[tuple[Path, str]]:
    """Path and content of each page and chart, as the results have it."""
    for name in (*PAGES, *OTHER_PAGES):
        path = DOCS / name
        yield path, fill(path.read_text())
    for name, draw in result_tables.CHARTS.items():
        if chart := draw():
            yield DOCS / name, chart


def fill(page: str) -> str:
    """A page with its tables made anew."""
    return _TABLE.sub(
        lambda m: f"{m[1]}\n{result_tables.TABLES[m[2]]()}\n\n{m[3]}", page
    )


def unfounded(page: str) -> list[str]:
    """Decimal numbers in the text of a page that none of its tables has.

    Args:
        page: Its text, with its tables.
    """
    tables = " ".join(match[0] for match in _TABLE.finditer(page))
    text = _NO_TEXT.sub(" ", _TABLE.sub(" ", page))
    founded = {*_NUMBER.findall(tables), *FROM_ELSEWHERE}
    return [
        each for each in dict.fromkeys(_NUMBER.findall(text)) if each not in founded
    ]


if __name__ == "__main__":
    main()
