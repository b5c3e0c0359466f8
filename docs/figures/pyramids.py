"""DeepLab v3 and v3+, PSPNet: several fields of view side by side."""

from diagram import Box, Diagram
from trunks import DEEP_ROOT, WIDE, Spec, fan, flow, resnet


def deeplab_v3() -> Diagram:
    """ASPP with image pooling, the decoder of v3+, and the cascade."""
    d = Diagram(10.3, -0.55, 7.9)
    d.panel("DeepLab v3, and v3+ with the decoder, at output stride 16", range(5))
    _decoded(d)
    d.panel("DeepLab v3, cascaded blocks", (4,), at=2.9)
    _cascade(d)
    d.legend(8.0)
    return d


def _decoded(d: Diagram) -> None:
    rows = {2: 2, 3: 3, 4: 4, 5: 4}
    trunk = resnet(d, {5: "r=2, 4, 8"}, rows=rows, root=DEEP_ROOT)
    low, source = trunk[3], trunk[-1]
    x = source.end + 0.34
    d.frame(x - 0.22, x + 1.36, 2.42, 5.38, "ASPP, each 256")
    names = ("1x1", "3x3 r=6", "3x3 r=12", "3x3 r=18", "image mean, 1x1")
    branches = []
    for i, name in enumerate(names):
        kind = ("conv", *["dilated"] * 3, "pool")[i]
        row = 4.05 + 0.5 * (i - 2)
        branches.append(d.box(kind, x, row, name, width=1.14, height=0.26))
    join = d.join(x + 1.42, 4, "c")
    fan(d, source, join, branches)
    (mixed,) = flow(d, join, (4, "conv", 0.46, "1x1", "256"))
    up = d.up(mixed.end + 0.12, 4, "4x")
    d.link(mixed, up)
    plain = d.box("score", mixed.x - 0.09, 5.1, "v3: 1x1", "classes", width=0.64)
    d.rise(mixed, plain, dashed=True)
    all_of_v3 = d.up(plain.end + 0.12, 5.1, "16x")
    d.link(plain, all_of_v3, dashed=True)
    _v3plus(d, low, up)


def _v3plus(d: Diagram, low: Box, up: Box) -> None:
    """From features at 1/16 and 1/4 to the image."""
    merged = d.join(up.middle - 0.1, 2, "c")
    d.rise(up, merged)
    reduced = d.box("conv", 5.2, 2, "1x1", "48", width=0.42)
    over, before = d.y(1.45), reduced.x - 0.12
    start = (low.middle, low.y + low.height / 2)
    turns = (low.middle, over), (before, over), (before, reduced.y)
    d.path(start, *turns, (reduced.x, reduced.y))
    d.link(reduced, merged)
    *_, score = flow(
        d,
        merged,
        (2, "conv", WIDE, "2x 3x3", "256"),
        (2, "score", WIDE, "1x1", "classes"),
    )
    end = d.box("up", score.middle - 0.25, 0, "4x", width=0.5, height=0.28)
    d.rise(score, end)


def _cascade(d: Diagram) -> None:
    first = d.box("conv", 0.5, 4, "res4", "1024", width=0.6)
    specs: list[Spec] = []
    for block, rate in ((4, 2), (5, 4), (6, 8), (7, 16)):
        rates = f"r={rate}, {2 * rate}, {rate}"
        specs.append((4, "dilated", 0.92, f"block{block}", "3 units, 2048", rates))
    specs.append((4, "score", 0.64, "1x1", "classes"))
    *_, score = flow(d, first, *specs)
    up = d.up(score.end + 0.12, 4, "16x")
    d.link(score, up)


def pspnet() -> Diagram:
    """Means over the parts of an image."""
    d = Diagram(10.3, -0.55, 5.9)
    d.panel("PSPNet-50", range(4))
    rows = {2: 2, 3: 3, 4: 3, 5: 3}
    rates = {4: "r=2", 5: "r=4"}
    trunk = resnet(d, rates, rows=rows, root=DEEP_ROOT, units=(3, 4, 6, 3))
    side, source = trunk[-2:]
    learns = d.box("conv", side.middle + 0.1, 1.5, "3x3", "256", width=0.46)
    (extra,) = flow(d, learns, (1.5, "score", 0.56, "1x1", "classes"))
    top = (side.middle - 0.1, side.y + side.height / 2)
    d.path(top, (top[0], learns.y), (learns.x, learns.y), dashed=True)
    d.text(extra.end + 0.06, extra.y, "loss weight 0.4", ha="left", size=7)
    x = source.end + 0.34
    d.frame(x - 0.22, x + 2.26, 1.85, 5, "pyramid pooling")
    join = d.join(x + 2.36, 3, "c")
    for bins, row in ((6, 2.42), (3, 3.58), (2, 4.12), (1, 4.66)):
        mean, conv, up = (
            d.box(kind, x + left, row, name, width=width, height=0.26)
            for kind, left, width, name in (
                ("pool", 0, 0.86, f"{bins}x{bins} means"),
                ("conv", 0.96, 0.64, "1x1 512"),
                ("up", 1.7, 0.34, "up"),
            )
        )
        d.link(source, mean)
        d.chain(mean, conv, up)
        d.link(up, join)
    d.link(source, join)
    *_, score = flow(
        d,
        join,
        (3, "conv", 0.46, "3x3", "512"),
        (3, "score", WIDE, "1x1", "classes"),
    )
    up = d.up(score.middle - 0.17, 0, "8x")
    d.rise(score, up)
    d.legend(6.0)
    return d
