"""Run curves, `curves.svg`: loss, learning rate and scores over the steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging
from markupsafe import Markup

from deeplab_tf.checkpoints import best_metric, run_log
from deeplab_tf.files import write_whole
from deeplab_tf.html_pages import charts
from deeplab_tf.html_pages.charts import Axis, Series

FILE = "curves.svg"
_MOST = 400  # Points of a line: more are not seen in its width.
_SIZE = 680, 240  # Width, height of a chart.
Point = tuple[float, float | None]
Titled = tuple[str, Markup]


def write(folder: Path, metric: str = best_metric.MIOU) -> None:
    """Draws what a run's `metrics.jsonl` says; nothing where that has no lines.

    Args:
        folder: Of the run.
        metric: Drawn beside the mIoU, if it is another.
    """
    lines = run_log.read(folder)
    drawn = [_losses(lines), _rates(lines), draw_scores(lines, metric)]
    write_charts(folder, [chart for chart in drawn if chart])


def write_charts(folder: Path, drawn: Sequence[Titled]) -> None:
    """Writes charts as `curves.svg`; a full disk is warned of, for it is a picture."""
    if not drawn:
        return
    try:
        write_whole(folder / FILE, charts.to_file(drawn, _SIZE))
    except OSError as error:
        logging.warning("%s could not be written (%s)", folder / FILE, error.strerror)


def draw_scores(
    lines: Sequence[Mapping[str, Any]], metric: str = best_metric.MIOU
) -> Titled | None:
    """Title and chart of the mIoU, and of another metric; None without evaluations."""
    if not run_log.scores_of(lines):
        return None
    curves = {metric: "main", best_metric.MIOU: "other"}
    if metric == best_metric.MIOU:
        curves = {metric: "main"}
    title, top = (
        best_metric.title(metric),
        run_log.best(run_log.scores_of(lines, metric)),
    )
    best = f", best {100 * top[1]:.2f} % at step {top[0]:,}" if top else ""
    other = "; mIoU in gray" if len(curves) > 1 else ""
    series = [
        _series(
            best_metric.title(each), [*run_log.scores_of(lines, each).items()], kind
        )
        for each, kind in curves.items()
    ]
    y = Axis(title="score")
    return f"{title}{best}{other}", _chart(series, lines, y, title, points=True)


def _losses(lines: Sequence[Mapping[str, Any]]) -> Titled | None:
    losses = _points(lines, "loss")
    if not losses:
        return None
    series = [
        _series("loss", losses),
        _series("regularization", _points(lines, "regularization"), "other"),
    ]
    chart = _chart(series, lines, _axis("loss", series), "Loss over the steps")
    return "Loss; regularization in gray", chart


def _rates(lines: Sequence[Mapping[str, Any]]) -> Titled | None:
    rates = _points(lines, "learning_rate")
    if not rates:
        return None
    series = [_series("learning rate", rates)]
    y = _axis("", series)
    return "Learning rate", _chart(series, lines, y, "Learning rate over the steps")


def _chart(
    series: Sequence[Series],
    lines: Sequence[Mapping[str, Any]],
    y: Axis,
    label: str,
    *,
    points: bool = False,
) -> Markup:
    last = max(line["step"] for line in lines)
    x = Axis(title="step", high=max(last, 1), show="{:,.0f}".format)
    return charts.line_chart(series, x, y, label=label, points=points, size=_SIZE)


def _axis(title: str, series: Sequence[Series]) -> Axis:
    """From 0 to what is above all points."""
    values = [y for each in series for _, y in each.points if y == y]
    return Axis(title=title, high=1.05 * max([*values, 0]) or 1, show="{:.4g}".format)


def _series(name: str, points: Sequence[Point], kind: str = "main") -> Series:
    known = [(x, float("nan") if y is None else y) for x, y in _thin(points)]
    return Series(name=name, points=known, kind=kind)


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> list[Point]:
    return [(line["step"], line[name]) for line in lines if name in line]


def _thin(points: Sequence[Point]) -> list[Point]:
    """At most so many points: the last step of a group, and the mean of its values."""
    size = -(-len(points) // _MOST)
    groups = (points[i : i + size] for i in range(0, len(points), max(size, 1)))
    return [(group[-1][0], _mean([y for _, y in group])) for group in groups]


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one is none: that a loss was not finite is to be seen."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
