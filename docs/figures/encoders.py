"""FCN, SegNet and U-Net: down to coarse features, and up again."""

from diagram import Box, Diagram
from trunks import WIDE, Spec, flow, image, vgg


def fcn() -> Diagram:
    """FCN-32s, 16s and 8s."""
    d = Diagram(9.45, -0.2, 5.7)
    d.panel("", range(6))
    trunk = vgg(d, 5)
    *_, score = flow(
        d,
        trunk[-1],
        (5, "conv", WIDE, "fc6", "7x7", "4096"),
        (5, "conv", WIDE, "fc7", "1x1", "4096"),
        (5, "score", WIDE, "score", "1x1", "classes"),
    )
    coarse, exits = score, [score]
    for row, pool in ((4, trunk[8]), (3, trunk[6])):
        up = d.up(coarse.middle + 0.53, row + 1, "2x")
        d.link(coarse, up)
        coarse = d.join(up.middle - 0.1, row, "+")
        d.rise(up, coarse)
        exits.append(coarse)
        skip = d.box("score", score.x - 0.9, row, "score", "1x1", width=WIDE)
        _over(d, pool, skip, d.y(row - 0.5))
        d.link(skip, coarse)
    for source, stride in zip(exits, (32, 16, 8), strict=True):
        name = f"FCN-{stride}s"
        end = d.box("up", source.middle - 0.29, 0, name, f"{stride}x", width=0.58)
        d.rise(source, end, dashed=stride > 8)
    d.legend(5.8)
    return d


def _over(d: Diagram, a: Box, b: Box, y: float) -> None:
    """An arrow from one box to another of its row, above what lies between."""
    before = b.x - 0.1
    start = (a.middle, a.y + a.height / 2)
    d.path(start, (a.middle, y), (before, y), (before, b.y), (b.x, b.y))


def segnet_unet() -> Diagram:
    """Unpooling to where the maxima were; concatenating what was there before."""
    d = Diagram(10.3, -0.55, 10.8)
    d.panel("SegNet (dashed: where the maxima were)", range(5))
    _segnet(d)
    d.panel("U-Net (dashed: cropped to the size of the other)", range(5), at=6)
    _unet(d)
    d.legend(10.9)
    return d


def _segnet(d: Diagram) -> None:
    before = image(d)
    pools = []
    for row, (count, filters) in enumerate(_SEGNET):
        lines = (str(filters), f"{count}x 3x3")
        _, pool = flow(
            d,
            before,
            (row, "conv", 0.46, *lines),
            (row, "pool", 0.19, "pool"),
            step=0.09,
        )
        pools.append(pool)
        before = pool
    for row, (count, *filters) in zip(range(4, -1, -1), _SEGNET_UP, strict=True):
        lines = (" ".join(map(str, filters)), f"{count}x 3x3")
        unpool, before = flow(
            d,
            before,
            (row, "up", 0.19, "unpool"),
            (row, "conv", 0.53, *lines),
            step=0.09,
        )
        if row < 4:
            d.link(pools[row], unpool, dashed=True)
    flow(d, before, (0, "score", 0.5, "classes", "3x3"), step=0.09)


_SEGNET = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
_SEGNET_UP = ((3, 512), (3, 512, 256), (3, 256, 128), (2, 128, 64), (1, 64))


def _unet(d: Diagram) -> None:
    before, taps = image(d), []
    for row, filters in enumerate((64, 128, 256, 512, 1024)):
        specs: list[Spec] = [(row, "pool", 0.19, "pool")] if row else []
        specs.append((row, "conv", 0.48, str(filters), "2x 3x3"))
        *_, before = flow(d, before, *specs)
        taps.append(before)
    for row, filters in ((3, 512), (2, 256), (1, 128), (0, 64)):
        up = d.box("up", before.end + 0.12, row + 1, str(filters), "2x2", width=0.36)
        d.link(before, up)
        join = d.join(up.middle - 0.1, row, "c")
        d.rise(up, join)
        d.link(taps[row], join, dashed=True)
        (before,) = flow(d, join, (row, "conv", 0.48, str(filters), "2x 3x3"))
    flow(d, before, (0, "score", 0.5, "classes", "1x1"))
