"""Charts as inline SVG, in the colors of `style.css`; each says in words what it shows.

Names and values are escaped. Colors, and what becomes of them in the dark or in print,
are left to the style.
"""

import dataclasses
import importlib.resources
import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from markupsafe import Markup

from deeplab_tf.errors import printable

_WIDTH, _HEIGHT = 400, 270  # Of a chart, in units of its letters' 12.
_LEFT, _RIGHT, _TOP, _BOTTOM = 54, 22, 14, 44  # Margins around its field.
_TITLE = 30  # Height of a title above a chart.
_LETTER = 6.4  # Width of a letter at 12 units, about.
# Of a cell: on either side of it, black or white letters have a contrast of 4.5, on the
# colors --right and --wrong of all themes.
_DARK_SHADE = 0.72
_CELLS = (8, 46), (14, 38), (24, 32), (44, 20), (80, 13), (256, 9)  # Classes, side.
_MOST_WORDS = 28  # Letters of a name beside a heat map.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis.

    Attributes:
        title: What it measures.
        low: Value at its begin.
        high: Value at its end.
        show: Value -> how it is written.
    """

    title: str
    low: float = 0.0
    high: float = 1.0
    show: Callable[[float], str] = lambda value: f"{100 * value:.0f} %"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """A line of a chart.

    Attributes:
        name: What it is.
        points: x, y of each, from left to right.
        weights: Of the points, in 0...1: the share of the whole that they stand for.
        kind: `main` and `other` are lines with points, `guide` is dashed and without.
    """

    name: str
    points: Sequence[tuple[float, float]]
    weights: Sequence[float] = ()
    kind: str = "main"


def line_chart(
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    *,
    label: str,
    points: bool = True,
    size: tuple[int, int] = (_WIDTH, _HEIGHT),
) -> Markup:
    """Lines over a grid.

    Args:
        series: One or more; points that are no number are left out.
        x: Of the points.
        y: Of the points.
        label: What is seen, in words.
        points: Draw the points, too.
        size: Width, height, in units of its letters' 12.
    """
    frame = _Frame(x, y, size)
    parts = [frame.grid()]
    for each in series:
        places = [
            (frame.place(*point), point, i)
            for i, point in enumerate(each.points)
            if all(map(math.isfinite, point))
        ]
        path = "L".join(f"{_n(left)} {_n(top)}" for (left, top), *_ in places)
        if len(places) > 1:
            parts.append(Markup('<path class="{}" d="M{}"/>').format(each.kind, path))
        if points and each.kind != "guide":
            parts += [
                _point(place, point, each, i, frame) for place, point, i in places
            ]
    return _svg("chart", size, label, parts)


def to_file(
    charts: Sequence[tuple[str, Markup]], size: tuple[int, int], *, columns: int = 1
) -> str:
    """Charts, each below its title, as a file of SVG that needs no page.

    Args:
        charts: Title and chart of each.
        size: Width, height of each chart.
        columns: How many stand beside each other.
    """
    width, height = size
    style = (importlib.resources.files(__package__) / "style.css").read_text("utf-8")
    # As large as their places, where a page lets them grow.
    style += (
        f"svg svg.chart {{ width: {width}px; max-width: none; height: {height}px; }}"
    )
    parts, step = [], height + _TITLE
    for i, (title, chart) in enumerate(charts):
        left, top = i % columns * width, i // columns * step
        place = f' x="{left}"' if left else ""
        parts.append(
            Markup(
                '<text class="heading" x="{}" y="{}">{}</text>'
                '<svg{} y="{}" width="{}" height="{}">{}</svg>'
            ).format(
                left + _LEFT,
                top + 24,
                printable(title),
                Markup(place),
                top + _TITLE,
                *size,
                chart,
            )
        )
    whole = width * min(columns, len(charts)), step * -(-len(charts) // columns)
    head = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" '
    return Markup(
        head + 'height="{1}"><style>{2}</style><rect class="sheet" width="{0}" '
        'height="{1}"/>{3}</svg>\n'
    ).format(*whole, Markup(style), Markup("\n").join(parts))


def _point(
    place: tuple[float, float],
    point: tuple[float, float],
    series: Series,
    index: int,
    frame: "_Frame",
) -> Markup:
    weight = series.weights[index] if len(series.weights) else None
    radius = 3.5 if weight is None else 2 + 9 * math.sqrt(weight)
    title = f"{series.name}: {frame.x.show(point[0])}, {frame.y.show(point[1])}"
    if weight is not None:
        title += f" ({100 * weight:.1f} %)"
    return Markup(
        '<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>'
    ).format(series.kind, _n(place[0]), _n(place[1]), _n(radius), title)


def histogram(counts: Sequence[int], x: Axis, *, label: str, what: str) -> Markup:
    """Bars over bins of equal width.

    Args:
        counts: Of the bins, from the low end of the axis to the high one.
        x: Of the bins.
        label: What is seen, in words.
        what: Is counted, as "images".
    """
    most = max(max(counts, default=0), 1)
    frame = _Frame(x, Axis(title=what, high=most, show=_whole))
    parts, width = [frame.grid()], (x.high - x.low) / max(len(counts), 1)
    for i, count in enumerate(counts):
        low, high = x.low + i * width, x.low + (i + 1) * width
        (left, top), (right, bottom) = frame.place(low, count), frame.place(high, 0)
        title = f"{x.show(low)} to {x.show(high)}: {count:,} {what}"
        bar = Markup(
            '<rect class="bar" x="{}" y="{}" width="{}" height="{}"><title>{}</title>'
            "</rect>"
        )
        if count:
            parts.append(
                bar.format(
                    _n(left + 1), _n(top), _n(right - left - 2), _n(bottom - top), title
                )
            )
    return _svg("chart", (_WIDTH, _HEIGHT), label, parts)


def interval_bar(
    value: float | None, interval: tuple[float, float] | None, *, width: int = 120
) -> Markup:
    """A bar of a share with a whisker, for a cell whose text has the numbers.

    Args:
        value: In 0...1; None leaves the track empty.
        interval: Low and high end, if there is one.
        width: In pixels.
    """
    parts = [Markup('<rect class="track" width="{}" y="4" height="6"/>').format(width)]
    if value is not None:
        parts.append(
            Markup('<rect class="bar" width="{}" y="4" height="6"/>').format(
                _n(width * value)
            )
        )
    if interval is not None:
        low, high = (_n(1 + (width - 2) * end) for end in interval)
        path = f"M{low} 7H{high}M{low} 3.5v7M{high} 3.5v7"
        parts.append(Markup('<path class="whisker" d="{}"/>').format(path))
    head = '<svg class="interval" viewBox="0 0 {0} 14" width="{0}" height="14" '
    return Markup(head + 'aria-hidden="true">{1}</svg>').format(
        width, Markup("").join(parts)
    )


def heat_map(
    counts: np.ndarray, names: Sequence[str], *, label: str, unit: str = "pixels"
) -> Markup:
    """Shares of each row; the diagonal in the color of what is right.

    Shades go by the square root, so that a hundredth is seen. Cells below a two
    hundredth are left out, and written numbers where there is room for them.

    Args:
        counts: By true and predicted class, `[C, C]`.
        names: Of the classes.
        label: What is seen, in words.
        unit: Of the counts.
    """
    count = len(names)
    cell = next(side for most, side in _CELLS if count <= most)
    letter = min(12, cell - 1)
    names = [_shorten(printable(name)) for name in names]
    longest = max(map(len, names), default=0)
    edge = 28 + math.ceil(longest * _LETTER * letter / 12)
    side = edge + cell * count + 2
    parts = [
        Markup('<g font-size="{}">').format(letter),
        *_heat_names(names, edge, cell),
        *_heat_cells(counts, names, edge, cell, unit),
        Markup("</g>"),
        Markup('<text class="title" x="{}" y="11">predicted</text>').format(edge),
        Markup(
            '<text class="title" transform="translate(10 {}) rotate(-90)" '
            'text-anchor="end">true class</text>'
        ).format(edge),
    ]
    return _svg("heat", (side, side), label, parts, is_fixed=True)


def _heat_names(names: Sequence[str], edge: int, cell: int) -> Iterator[Markup]:
    for i, name in enumerate(names):
        middle = _n(edge + (i + 0.5) * cell)
        yield Markup(
            '<text x="{}" y="{}" dy=".35em" text-anchor="end">{}</text>'
        ).format(edge - 5, middle, name)
        yield Markup(
            '<text transform="translate({} {}) rotate(-90)" dy=".35em">{}</text>'
        ).format(middle, edge - 5, name)


def _heat_cells(
    counts: np.ndarray, names: Sequence[str], edge: int, cell: int, unit: str
) -> Iterator[Markup]:
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    inner = cell - 1
    for row, total in enumerate(totals[:, 0]):
        if not total:
            place = f"M{edge} {_n(edge + (row + 0.5) * cell)}h{cell * len(names)}"
            yield Markup('<path class="absent" d="{}"/>').format(place)
    for row, column in np.argwhere(shares >= 0.005):
        share = float(shares[row, column])
        x, y = edge + int(column) * cell, edge + int(row) * cell
        verb = "is right" if row == column else f"taken for {names[column]}"
        title = (
            f"{names[row]} {verb}: {100 * share:.1f} % "
            f"({int(counts[row, column]):,} {unit})"
        )
        kind = "right" if row == column else "wrong"
        shade = round(math.sqrt(share), 2)
        yield Markup(
            '<rect class="{}" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}">'
            "<title>{}</title></rect>"
        ).format(kind, x, y, inner, inner, shade, title)
        if cell >= 20 and share >= 0.01:
            yield Markup(
                '<text class="{}" x="{}" y="{}" dy=".35em" text-anchor="middle" '
                'pointer-events="none">{}</text>'
            ).format(
                "high" if shade > _DARK_SHADE else "low",
                _n(x + inner / 2),
                _n(y + inner / 2),
                f"{100 * share:.0f}",
            )


def _shorten(name: str) -> str:
    return name if len(name) <= _MOST_WORDS else name[: _MOST_WORDS - 1] + "…"


class _Frame:
    """Field, grid and axes of a chart."""

    def __init__(
        self, x: Axis, y: Axis, size: tuple[int, int] = (_WIDTH, _HEIGHT)
    ) -> None:
        self.x, self.y = x, y
        self._width, self._height = size

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies; what is beyond an axis, at its end."""
        across, up = _share(x, self.x), _share(y, self.y)
        bottom = self._height - _BOTTOM
        return (
            _LEFT + across * (self._width - _LEFT - _RIGHT),
            bottom - up * (bottom - _TOP),
        )

    def grid(self) -> Markup:
        """Lines and numbers at round values, and the titles of the axes."""
        parts = []
        for value in _ticks(self.x.low, self.x.high):
            left, bottom = self.place(value, self.y.low)
            parts.append(
                Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
                    _n(left), _n(bottom + 16), self.x.show(value)
                )
            )
        for value in _ticks(self.y.low, self.y.high):
            left, top = self.place(self.x.low, value)
            parts.append(
                Markup(
                    '<path class="grid" d="M{} {}H{}"/>'
                    '<text x="{}" y="{}" dy=".35em" text-anchor="end">{}</text>'
                ).format(
                    _n(left),
                    _n(top),
                    self._width - _RIGHT,
                    _n(left - 6),
                    _n(top),
                    self.y.show(value),
                )
            )
        middle = (_LEFT + self._width - _RIGHT) / 2
        parts.append(
            Markup(
                '<text class="title" x="{}" y="{}" text-anchor="middle">{}</text>'
                '<text class="title" transform="translate(11 {}) rotate(-90)" '
                'text-anchor="middle">{}</text>'
            ).format(
                _n(middle),
                self._height - 6,
                self.x.title,
                _n((_TOP + self._height - _BOTTOM) / 2),
                self.y.title,
            )
        )
        return Markup("").join(parts)


def _share(value: float, axis: Axis) -> float:
    width = (axis.high - axis.low) or 1.0
    return min(1.0, max(0.0, (value - axis.low) / width))


def _ticks(low: float, high: float) -> list[float]:
    """Round values within a range, some five of them."""
    width = (high - low) or 1.0
    power = 10.0 ** math.floor(math.log10(width / 5))
    step = min(power * k for k in (1, 2, 5, 10) if width / (power * k) <= 5.0001)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else ""


def _n(value: float) -> str:
    """A number of SVG: a tenth is finer than what is seen."""
    return f"{value:.1f}".removesuffix(".0")


def _svg(
    kind: str,
    size: tuple[int, int],
    label: str,
    parts: Sequence[Markup],
    *,
    is_fixed: bool = False,
) -> Markup:
    """An image of that width and height, which shrinks with the page unless fixed."""
    measure = Markup(' width="{}" height="{}"').format(*size) if is_fixed else ""
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}"{} role="img" aria-label="{}">{}</svg>'
    ).format(kind, *size, measure, printable(label), Markup("").join(parts))
