"""Boxes, arrows and junctions on rows of falling resolution, drawn as SVG.

Lengths are in inches, as text is in points: the drawing is read at its own size.
"""

import dataclasses
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import patches
from matplotlib import pyplot as plt

ROW = 0.62  # From one resolution to half of it.
HEIGHT = 0.44
STEP = 0.12  # Of an arrow between two boxes.
INK, FAINT = "#24292f", "#d6dbe0"

# Kind of a box -> its color, that of its rim, and what the legend says.
KINDS = {
    "data": ("#f1f3f5", "#8b949e", "image, labels"),
    "conv": ("#d9e8f8", "#3a76b5", "convolutions"),
    "dilated": ("#e5dcf5", "#7652b3", "dilated, rate r"),
    "pool": ("#cfeee6", "#1f8a73", "pooling"),
    "up": ("#e3f1cb", "#6a9426", "upsampling"),
    "score": ("#fde2c4", "#d07a22", "scores of classes"),
    "module": ("#fdf3c2", "#b39516", "module, drawn apart"),
    "crf": ("#fad5d8", "#c2434d", "fully connected CRF"),
}

SIGNS = {"+": "sum", "c": "concatenation"}

matplotlib.rcParams |= {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "svg.fonttype": "none",
    "svg.hashsalt": "deeplab_tf",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    """Something drawn, that arrows start and end at: its left end, its middle."""

    x: float
    y: float
    width: float
    height: float = HEIGHT

    @property
    def end(self) -> float:
        """The right end."""
        return self.x + self.width

    @property
    def middle(self) -> float:
        """Between both ends."""
        return self.x + self.width / 2


class Diagram:
    """A drawing that grows from left to right; row n is for 1/2**n of the image."""

    def __init__(self, width: float, top: float, bottom: float) -> None:
        """Between rows `top` and `bottom`, with space for half a row around."""
        height = (bottom - top + 1) * ROW
        self.figure = plt.figure(figsize=(width, height))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(-(bottom + 0.5) * ROW, (0.5 - top) * ROW))
        self.axes.axis("off")
        self.width = width
        self.origin = 0.0  # Where row 0 of the panel is, in rows of the drawing.
        self.used: list[str] = []  # Kinds, and signs of junctions.

    def y(self, row: float) -> float:
        """Of a row of the panel."""
        return -(self.origin + row) * ROW

    def panel(self, title: str, rows: Sequence[int], at: float = 0) -> None:
        """Begins a part whose row 0 is row `at` of the drawing, and marks its rows."""
        self.origin = at
        for row in rows:
            y, label = self.y(row), f"1/{2**row}" if row else "1"
            self.axes.plot([0.4, self.width - 0.1], [y, y], color=FAINT, lw=0.7)
            self.text(0.35, y, label, ha="right", color="#6e7781")
        if title:
            y = self.y(min(rows, default=0) - 0.62)
            self.text(0.42, y, title, ha="left", size=9, weight="bold")

    def frame(self, x: float, end: float, top: float, bottom: float, name: str) -> None:
        """White ground with a thin rim and a name, for what lies beside the rows."""
        y = self.y(bottom)
        shape = patches.FancyBboxPatch(
            (x, y),
            end - x,
            self.y(top) - y,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor="white",
            edgecolor="#8b949e",
            lw=0.8,
            ls=(0, (1, 1.5)),
            zorder=1,
        )
        self.axes.add_patch(shape)
        self.text((x + end) / 2, self.y(top) - 0.11, name, size=7.4, weight="bold")

    def box(
        self,
        kind: str,
        x: float,
        row: float,
        *lines: str,
        width: float = 0.66,
        height: float = HEIGHT,
    ) -> Box:
        """A box of one to three lines, the first of them bold."""
        face, edge, _ = KINDS[kind]
        if kind not in self.used:
            self.used.append(kind)
        box = Box(x=x, y=self.y(row), width=width, height=height)
        shape = patches.FancyBboxPatch(
            (x, box.y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.05",
            facecolor=face,
            edgecolor=edge,
            lw=1.1,
            zorder=3,
        )
        self.axes.add_patch(shape)
        for i, line in enumerate(lines):
            y = box.y + ((len(lines) - 1) / 2 - i) * 0.135
            self.text(box.middle, y, line, weight="normal" if i else "bold")
        return box

    def slim(self, kind: str, x: float, row: float, line: str) -> Box:
        """A narrow box whose line runs upwards."""
        box = self.box(kind, x, row, width=0.19)
        self.text(box.middle, box.y, line, rotation=90, size=7)
        return box

    def up(self, x: float, row: float, factor: str) -> Box:
        """Upsampling, drawn on the row that it starts from."""
        return self.box("up", x, row, factor, width=0.34, height=0.26)

    def join(self, x: float, row: float, sign: str) -> Box:
        """A circle with one of the `SIGNS`."""
        radius = 0.1
        self.used.append(sign)
        box = Box(x=x, y=self.y(row), width=2 * radius, height=2 * radius)
        circle = patches.Circle(
            (box.middle, box.y),
            radius,
            facecolor="white",
            edgecolor=INK,
            lw=1,
            zorder=3,
        )
        self.axes.add_patch(circle)
        self.text(box.middle, box.y, sign, size=8.5, weight="bold")
        return box

    def text(self, x: float, y: float, line: str, **style: Any) -> None:
        """A line of text around, or beside, a point.

        Args:
            x: Of the point.
            y: Of it.
            line: With `x` and `-` for the signs of multiplication and minus.
            **style: Of matplotlib.
        """
        line = re.sub(r"(?<=[\dk])x", "\N{MULTIPLICATION SIGN}", line)
        line = re.sub(r"(?<![A-Za-z])-", "\N{MINUS SIGN}", line)
        plain = {"ha": "center", "size": 7.6, "color": INK}
        if "rotation" in style:
            plain["rotation_mode"] = "anchor"
        style = plain | style
        self.axes.text(x, y, line, va="center_baseline", zorder=4, **style)

    def path(
        self, *points: tuple[float, float], dashed: bool = False, color: str = INK
    ) -> None:
        """An arrow through points."""
        xs, ys = zip(*points, strict=True)
        style = (0, (3, 2)) if dashed else "-"
        self.axes.plot(xs[:-1], ys[:-1], color=color, lw=1, ls=style, zorder=2)
        self.axes.annotate(
            "",
            points[-1],
            points[-2],
            arrowprops={
                "arrowstyle": "-|>,head_width=0.16,head_length=0.28",
                "color": color,
                "lw": 1,
                "ls": style,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            zorder=2,
        )

    def link(self, a: Box, b: Box, *, dashed: bool = False) -> None:
        """An arrow to the right, by way of other rows if needed."""
        if abs(a.y - b.y) < 0.01:
            self.path((a.end, a.y), (b.x, b.y), dashed=dashed)
            return
        x = (a.end + b.x) / 2
        points = (a.end, a.y), (x, a.y), (x, b.y), (b.x, b.y)
        self.path(*points, dashed=dashed)

    def rise(self, a: Box, b: Box, *, dashed: bool = False) -> None:
        """An arrow straight up, or down, from one to the other."""
        side = 1 if b.y > a.y else -1
        start, end = a.y + side * a.height / 2, b.y - side * b.height / 2
        self.path((a.middle, start), (a.middle, end), dashed=dashed)

    def chain(self, *boxes: Box) -> None:
        """Arrows from each to the next."""
        for a, b in itertools.pairwise(boxes):
            self.link(a, b)

    def legend(self, row: float, x: float = 0.45) -> None:
        """What the colors that were used mean."""
        self.origin, y = 0, -row * ROW
        for kind in (kind for kind in KINDS if kind in self.used):
            face, edge, meaning = KINDS[kind]
            patch = patches.Rectangle((x, y - 0.055), 0.15, 0.11, fc=face, ec=edge)
            self.axes.add_patch(patch)
            self.text(x + 0.22, y, meaning, ha="left", size=7.2)
            x += 0.48 + 0.06 * len(meaning)
        for sign, meaning in SIGNS.items():
            if sign in self.used:
                self.text(x + 0.08, y, sign, weight="bold", size=8.5)
                self.text(x + 0.2, y, meaning, ha="left", size=7.2)
                x += 0.48 + 0.06 * len(meaning)

    def save(self, path: Path) -> None:
        """Writes it; the same drawing gives the same file."""
        self.figure.savefig(path, metadata={"Date": None, "Creator": None})
        plt.close(self.figure)
