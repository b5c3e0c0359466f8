"""Tables and charts of the pages, each a function of results/; a page, a file."""

from collections.abc import Callable

from result_tables import ablations, camvid, cost, formats, robustness, voc

# Name in the page -> lines of Markdown; file -> SVG, "" for none.
TABLES: dict[str, Callable[[], str]] = {
    **ablations.TABLES,
    **camvid.TABLES,
    **cost.TABLES,
    **formats.TABLES,
    **robustness.TABLES,
    **voc.TABLES,
}
CHARTS: dict[str, Callable[[], str]] = {**camvid.CHARTS, **robustness.CHARTS}
