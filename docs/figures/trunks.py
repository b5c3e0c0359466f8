"""What the figures have in common: rows of boxes, VGG-16 and ResNets."""

from diagram import STEP, Box, Diagram

WIDE, MIDDLE = 0.56, 0.48  # Of boxes with kernel and channels.
_VGG = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # Channels, convolutions.
DEEP_ROOT = ("3x 3x3", "128")  # Of PSPNet, and of the beta forms of DeepLab.
Spec = tuple  # Row, kind, width, lines; narrow ones have one line, upwards.


def flow(d: Diagram, after: Box, *specs: Spec, step: float = STEP) -> list[Box]:
    """Boxes one after the other, linked, the first of them to `after`."""
    made = [after]
    for row, kind, width, *lines in specs:
        x = made[-1].end + step
        if width < 0.25:
            made.append(d.slim(kind, x, row, *lines))
        else:
            made.append(d.box(kind, x, row, *lines, width=width))
    d.chain(*made)
    return made[1:]


def image(d: Diagram, x: float = 0.5) -> Box:
    """What all begin with."""
    return d.box("data", x, 0, "image", width=0.46, height=0.28)


def vgg(d: Diagram, pools: int, *, rate: str = "", flat: bool = False) -> list[Box]:
    """VGG-16: image, convolutions and pools in turn.

    Args:
        d: Where to draw.
        pools: How many there are that halve.
        rate: Of conv5, if dilated.
        flat: Later pools keep the size, and are not left out.
    """
    specs: list[Spec] = []
    for block, (channels, count) in enumerate(_VGG, start=1):
        dilated = rate if block == 5 else ""
        kernel = f"{count}x 3x3" + (f" {dilated}" if dilated else "")
        kind, width = ("dilated", 0.74) if dilated else ("conv", WIDE)
        row = min(block - 1, pools)
        specs.append((row, kind, width, f"conv{block}", kernel, str(channels)))
        if block <= pools or flat:
            specs.append((min(block, pools), "pool", 0.19, f"pool{block}"))
    first = image(d)
    return [first, *flow(d, first, *specs)]


def resnet(
    d: Diagram,
    rates: dict[int, str],
    *,
    rows: dict[int, int],
    root: tuple[str, str] = ("7x7", "64"),
    units: tuple[int, ...] = (3, 4, 23, 3),
) -> list[Box]:
    """ResNet-101, or another: image, conv1, pool, and res2 to res5.

    Args:
        d: Where to draw.
        rates: Of those that are dilated.
        rows: Of each of them.
        root: Kernel and channels of conv1.
        units: Of each of the others.
    """
    first = image(d)
    specs: list[Spec] = [
        (1, "conv", WIDE, "conv1", *root),
        (2, "pool", 0.19, "pool1"),
    ]
    for block, count in zip((2, 3, 4, 5), units, strict=True):
        rate = rates.get(block, "")
        kind = "dilated" if rate else "conv"
        channels = 2 ** (block + 6)
        lines, width = (f"{count} units", str(channels)), WIDE
        if rate:
            lines, width = (f"{count} units, {channels}", rate), 0.92
        specs.append((rows[block], kind, width, f"res{block}", *lines))
    return [first, *flow(d, first, *specs)]


def fan(d: Diagram, source: Box, target: Box, boxes: list[Box]) -> None:
    """Arrows from one box to several beside each other, and from those to another."""
    for box in boxes:
        d.link(source, box)
        d.link(box, target)
