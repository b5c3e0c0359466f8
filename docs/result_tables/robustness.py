"""Bad photographs: tables and charts of robustness.md."""

from collections.abc import Mapping
from typing import Any

from deeplab_tf.html_pages import charts
from deeplab_tf.html_pages.charts import Axis, Series
from result_tables.markdown import (
    NOT_MEASURED,
    change,
    percent,
    read,
    table,
    with_interval,
)
from result_tables.voc import WIDTHS

STRENGTHS = range(1, 6)


def robustness_values() -> str:
    """What each strength of each corruption is."""
    rows: dict[str, dict[int, str]] = {
        row["corruption"]: {} for row in _robustness_rows() if row["strength"]
    }
    whats = {row["corruption"]: row["what"] for row in _robustness_rows()}
    for row in _robustness_rows():
        if row["strength"]:
            rows[row["corruption"]][row["strength"]] = f"{row['value']:g}"
    head = ("", *map(str, STRENGTHS), "what the number is")
    cells = [
        [name, *(values.get(s, NOT_MEASURED) for s in STRENGTHS), whats[name]]
        for name, values in rows.items()
    ]
    return table(head, cells)


def robustness(width: str) -> str:
    """The mIoU by corruption and strength, with its interval."""
    rows = robustness_by_name(width)
    if not rows:
        return NOT_MEASURED
    clean = rows.pop("none")[0]
    cells = [
        [name, *(_robust_cell(by_strength.get(s)) for s in STRENGTHS)]
        for name, by_strength in rows.items()
    ]
    plain = with_interval(clean["miou"], clean["miou_interval"])
    head = ("in percent", *(f"strength {s}" for s in STRENGTHS))
    return f"As they are: {plain}.\n\n{table(head, cells)}"


def robustness_order() -> str:
    """Corruptions by what they take from the first network, the worst first."""
    both = [robustness_by_name(width) for width in WIDTHS]
    names = [name for name in both[0] if _mean_change(both[0], name) is not None]
    rows = [
        [name, *(cell for rows in both for cell in _order_cells(rows, name))]
        for name in sorted(names, key=lambda name: _mean_change(both[0], name))
    ]
    head = [""]
    for width in WIDTHS:
        head += [f"width {width}: mean", "at strength 3", "below 0 from"]
    return table(head, rows)


def _mean_change(rows: Mapping[str, Any], name: str) -> float | None:
    """Over all strengths; None of the clean photographs, and where one is missing."""
    changes = [row["change"] for s, row in rows.get(name, {}).items() if s]
    return sum(changes) / len(changes) if len(changes) == len(STRENGTHS) else None


def _order_cells(rows: Mapping[str, Any], name: str) -> list[str]:
    mean = _mean_change(rows, name)
    if mean is None:
        return [NOT_MEASURED, "", ""]
    third = rows[name][3]
    told = change(third["change"], third["change_interval"])
    return [f"{100 * mean:+.1f}", told, _first_sure(rows[name])]


def robustness_by_name(width: str) -> dict[str, dict[int, Any]]:
    """Lines of a network, by corruption and strength."""
    rows: dict[str, dict[int, Any]] = {}
    for row in read(f"robustness/{WIDTHS[width]}") or ():
        rows.setdefault(row["corruption"], {})[row["strength"]] = row
    return rows


def _robustness_rows() -> list[Any]:
    return [
        row for width in WIDTHS.values() for row in read(f"robustness/{width}") or ()
    ]


def _robust_cell(row: Any) -> str:
    if row is None:
        return NOT_MEASURED
    low, high = row["miou_interval"]
    ends = f"{percent(low, 0)} to {percent(high, 0)}"
    return f"{percent(row['miou'], 1)} ({ends})"


def _first_sure(by_strength: dict[int, Any]) -> str:
    """The first strength from which on the change's interval is below 0."""
    sure = 6
    for strength in reversed(STRENGTHS):
        if by_strength[strength]["change_interval"][1] >= 0:
            break
        sure = strength
    return str(sure) if sure < 6 else "never"


_SIZE = 300, 200
_COLUMNS = 3


def draw() -> str:
    """A chart for each corruption: mIoU by strength, of both widths."""
    rows = {width: robustness_by_name(width) for width in WIDTHS}
    names = dict.fromkeys(name for each in rows.values() for name in each)
    drawn = [(name, _draw_one(name, rows)) for name in names if name != "none"]
    return charts.to_file(drawn, _SIZE, columns=_COLUMNS) if drawn else ""


def _draw_one(name: str, rows: Mapping) -> str:
    series = [
        Series(
            name=f"width {width}",
            points=[
                (strength, line["miou"])
                for strength, line in sorted(
                    (of_width.get("none", {}) | of_width.get(name, {})).items()
                )
            ],
            kind=kind,
        )
        for (width, of_width), kind in zip(rows.items(), ("main", "other"), strict=True)
    ]
    x = Axis(title="strength", high=max(STRENGTHS), show="{:.0f}".format)
    label = f"mIoU by strength of {name}"
    return charts.line_chart(
        series, x, Axis(title="mIoU", high=0.8), label=label, size=_SIZE
    )


TABLES = {
    "robustness_values": robustness_values,
    "robustness_order": robustness_order,
    "robustness_width1": lambda: robustness("1"),
    "robustness_width05": lambda: robustness("0.5"),
}
CHARTS = {"robustness.svg": draw}
