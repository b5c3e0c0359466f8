"""RefineNet and GCN: features of all strides, joined from coarse to fine."""

from diagram import Box, Diagram
from trunks import WIDE, flow, resnet

_ROWS = {2: 2, 3: 3, 4: 4, 5: 5}


def refinenet() -> Diagram:
    """The cascade, and what a block of it is."""
    d = Diagram(9.75, -0.2, 11.5)
    d.panel("", range(6))
    _cascade(d)
    d.panel("A refine block", (), at=6.9)
    _block(d)
    d.panel("Residual unit", (), at=9.4)
    _residual_unit(d)
    _chained_pooling(d)
    d.legend(11.6)
    return d


def _cascade(d: Diagram) -> None:
    trunk = resnet(d, {}, rows=_ROWS)
    x, coarser = trunk[-1].end + 0.3, None
    for level in (5, 4, 3, 2):
        channels = "512" if level == 5 else "256"
        name = f"refine {level - 1}"
        block = d.box("module", x, level, name, channels, width=0.74)
        d.link(trunk[level + 1], block)
        if coarser:  # The block itself brings it to its size.
            bottom = block.y - block.height / 2
            turn = (block.middle, coarser.y)
            d.path((coarser.end, coarser.y), turn, (block.middle, bottom))
        coarser, x = block, block.end - 0.05
    (score,) = flow(d, block, (2, "score", WIDE, "3x3", "classes"))
    d.rise(score, d.up(score.middle - 0.17, 0, "4x"))


def _block(d: Diagram) -> None:
    tap = d.box("data", 0.5, 0, "its stride", width=0.8, height=0.28)
    *_, fine = flow(
        d,
        tap,
        (0, "conv", 0.46, "3x3"),
        (0, "module", 0.86, "2 residual", "units"),
        (0, "conv", 0.46, "3x3"),
    )
    total = d.join(fine.end + 0.2, 0, "+")
    d.link(fine, total)
    flow(
        d,
        total,
        (0, "module", 0.86, "chained", "pooling"),
        (0, "module", 0.86, "3 residual", "units"),
    )
    coarse = d.box("data", 1.45, 1.05, "the coarser block", width=1.3, height=0.28)
    *_, conv = flow(d, coarse, (1.05, "conv", 0.46, "3x3"))
    up = d.up(total.middle - 0.17, 1.05, "2x")
    d.link(conv, up)
    d.rise(up, total)


def _residual_unit(d: Diagram) -> None:
    start = d.box("data", 0.5, 0, "x", width=0.3, height=0.28)
    *_, second = flow(
        d,
        start,
        (0, "conv", 0.74, "ReLU, 3x3"),
        (0, "conv", 0.74, "ReLU, 3x3"),
        step=0.2,
    )
    total = d.join(second.end + 0.2, 0, "+")
    d.link(second, total)
    _around(d, start, total)


def _around(d: Diagram, start: Box, total: Box) -> None:
    """An arrow from a box to a later sum, past what lies between."""
    y, x = start.y - 0.36, start.middle
    bottom = start.y - start.height / 2
    d.path((x, bottom), (x, y), (total.middle, y), (total.middle, total.y - 0.1))


def _chained_pooling(d: Diagram) -> None:
    x = 4.1
    d.text(x, d.y(-0.62), "Chained pooling", ha="left", size=9, weight="bold")
    below = d.box("conv", x, 0, "ReLU", width=0.5)
    total = None
    for i in range(4):
        *_, conv = flow(
            d,
            below,
            (0, "pool", 0.19, "5x5"),
            (0, "conv", 0.19, "3x3"),
            step=0.16,
        )
        sign = d.join(conv.middle - 0.1, 1.05, "+")
        d.rise(conv, sign)
        if i:
            d.link(total, sign)
        else:
            corner = (below.middle, sign.y)
            bottom = (below.middle, below.y - below.height / 2)
            d.path(bottom, corner, (sign.x, sign.y))
        below, total = conv, sign


def gcn() -> Diagram:
    """Large kernels of two thin ones, and boundaries refined."""
    d = Diagram(9.75, -0.2, 9.1)
    d.panel("", range(6))
    _scores(d)
    d.panel("Large kernel: k=15", (), at=7.1)
    _large_kernel(d)
    _boundary(d)
    d.legend(9.2)
    return d


def _scores(d: Diagram) -> None:
    trunk = resnet(d, {}, rows=_ROWS, units=(3, 8, 36, 3))
    x, up = trunk[-1].end + 0.2, None
    for level in (5, 4, 3, 2):
        wide = d.box("module", x, level, "large", "kernel", width=0.5)
        d.link(trunk[level + 1], wide)
        (before,) = flow(d, wide, (level, "module", 0.19, "refine"))
        if up:
            total = d.join(up.middle - 0.1, level, "+")
            d.link(before, total)
            d.rise(up, total)
            (before,) = flow(d, total, (level, "module", 0.19, "refine"))
        up = d.up(before.end + 0.12, level, "2x")
        d.link(before, up)
        x = up.middle - 1.03
    for level in (1, 0):
        before = d.slim("module", up.middle - 0.095, level, "refine")
        d.rise(up, before)
        if level:
            up = d.up(before.end + 0.12, level, "2x")
            d.link(before, up)
    d.text(0.5, d.y(5.55), "After res2 to res5, a channel a class.", ha="left")


def _large_kernel(d: Diagram) -> None:
    start = d.box("data", 0.5, 0.5, "x", width=0.3, height=0.28)
    total = d.join(2.75, 0.5, "+")
    for row, kernels in ((0, ("kx1", "1xk")), (1, ("1xk", "kx1"))):
        first = d.box("score", 1.1, row, kernels[0], "classes")
        d.link(start, first)
        (second,) = flow(d, first, (row, "score", 0.66, kernels[1], "classes"))
        d.link(second, total)


def _boundary(d: Diagram) -> None:
    x = 4.1
    d.text(x, d.y(-0.62), "Refine the boundaries", ha="left", size=9, weight="bold")
    start = d.box("data", x, 0.5, "x", width=0.3, height=0.28)
    *_, second = flow(
        d,
        start,
        (0.5, "score", 0.8, "3x3, ReLU", "classes"),
        (0.5, "score", 0.66, "3x3", "classes"),
        step=0.2,
    )
    total = d.join(second.end + 0.2, 0.5, "+")
    d.link(second, total)
    _around(d, start, total)
