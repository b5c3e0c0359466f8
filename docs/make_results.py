"""Writes the tables and charts of the pages from results/, which runs have left.

    python docs/make_results.py

A table stands in a page between `<!-- table NAME -->` and `<!-- end -->`, and is made
by the row NAME of a file of result_tables/, as charts are. A new result is kept by
keep_result.py. What a page says in words has no decimal number that is not in the
results that it names here, or published by others.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import result_tables
from keep_result import RESULTS

DOCS = Path(__file__).parent
# Page -> folders of results/ whose numbers its text may have.
PAGES = {
    "results.md": ("voc",),
    "robustness.md": ("robustness",),
    "cost.md": ("cost",),
}
_ZOO = "g3doc/model_zoo.md of research/deeplab"
# Numbers that others have published -> where.
PUBLISHED = {"75.32": _ZOO, "77.33": _ZOO, "70.19": _ZOO}
_TABLE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
# Commands, code, links, and names with digits are no measurements.
_NO_TEXT = re.compile(
    r"^(?: {4}|```).*$|`[^`]*`|\]\([^)]*\)|https?://\S+", re.MULTILINE
)
_DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.]*\d)")
_LONGEST = 2  # Of lists whose numbers count: intervals are, curves are not.


def main() -> None:
    """Writes what is not as the results have it."""
    for path, text in files():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def files() -> Iterator[tuple[Path, str]]:
    """Path and content of each page and chart, as the results have it."""
    for name in PAGES:
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


def unfounded(page: str, folders: tuple[str, ...]) -> list[str]:
    """Decimal numbers in the text of a page that no result has, nor anybody published.

    Args:
        page: Its text.
        folders: Of the results that it tells.
    """
    text = _NO_TEXT.sub(" ", _TABLE.sub(" ", page))
    numbers = {
        number
        for folder in folders
        for path in (RESULTS / folder).glob("*.json")
        for number in _numbers(json.loads(path.read_text())["measured"])
    }
    return [
        written
        for written in dict.fromkeys(_DECIMAL.findall(text))
        if written not in PUBLISHED and not _is_of(written, numbers)
    ]


def _numbers(content: Any) -> Iterator[float]:
    """Numbers of a result, but those of curves."""
    if isinstance(content, dict):
        for value in content.values():
            yield from _numbers(value)
    elif isinstance(content, list):
        is_curve = len(content) > _LONGEST and not isinstance(content[0], dict | list)
        for value in () if is_curve else content:
            yield from _numbers(value)
    elif isinstance(content, float | int):
        yield float(content)


def _is_of(written: str, numbers: set[float]) -> bool:
    """Whether it is one of the numbers, as it is or in percent, rounded."""
    digits = len(written.partition(".")[2])
    return any(
        written == f"{abs(factor * number):.{digits}f}"
        for number in numbers
        for factor in (1, 100)
    )


if __name__ == "__main__":
    main()
