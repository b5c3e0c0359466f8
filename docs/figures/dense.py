"""DeepLab v1 and v2, dilated convolutions, CRF-RNN: dense features, and context."""

from diagram import Box, Diagram
from trunks import WIDE, fan, flow, resnet, vgg


def deeplab_v1_v2() -> Diagram:
    """Large field of view with multi-scale branches; the first pyramid of rates."""
    d = Diagram(10, -0.55, 11)
    d.panel("DeepLab v1: LargeFOV; dashed, what MSc adds", range(4))
    _large_fov(d)
    d.panel("DeepLab v2: ASPP on ResNet-101", range(4), at=6.1)
    _aspp(d)
    d.legend(11.1)
    return d


def _large_fov(d: Diagram) -> None:
    trunk = vgg(d, 3, rate="r=2", flat=True)
    *_, score = flow(
        d,
        trunk[-1],
        (3, "pool", 0.19, "mean"),
        (3, "dilated", 0.66, "fc6", "3x3 r=12", "1024"),
        (3, "conv", 0.46, "fc7", "1x1", "1024"),
        (3, "score", WIDE, "score", "1x1", "classes"),
    )
    total = d.join(score.end + 0.12, 3, "+")
    d.link(score, total)
    _end(d, total)
    branches = d.box(
        "score",
        5.6,
        4.2,
        "MSc: of the image and of pools 1 to 4",
        "each 3x3 128, 1x1 128, 1x1 classes",
        width=2.5,
    )
    for tap in (trunk[0], *(trunk[i] for i in (2, 4, 6, 8))):
        bottom = (tap.middle, tap.y - tap.height / 2)
        points = bottom, (tap.middle, branches.y), (branches.x, branches.y)
        d.path(*points, dashed=True)
    up = (total.middle, branches.y)
    d.path((branches.end, branches.y), up, (up[0], total.y - 0.1), dashed=True)


def _end(d: Diagram, scores: Box) -> None:
    """Up to the image, and through the CRF."""
    up = d.up(scores.end + 0.12, 3, "8x")
    d.link(scores, up)
    crf = d.box("crf", up.middle - 0.22, 0, "CRF", width=0.44, height=0.3)
    d.rise(up, crf)


def _aspp(d: Diagram) -> None:
    trunk = resnet(d, {4: "r=2", 5: "r=4"}, rows={2: 2, 3: 3, 4: 3, 5: 3})
    source = trunk[-1]
    x = source.end + 0.3
    d.frame(x - 0.22, x + 1.1, 1.45, 4.5, "ASPP")
    branches = [
        d.box("score", x, 2.06 + 0.66 * i, "3x3", f"r={rate}", width=0.9, height=0.32)
        for i, rate in enumerate((6, 12, 18, 24))
    ]
    total = d.join(x + 1.17, 3, "+")
    fan(d, source, total, branches)
    widest = d.box("up", total.end + 0.12, 3, "max", "of 3 scales", width=0.74)
    d.link(total, widest)
    _end(d, widest)
    d.text(0.5, d.y(4), _MSC, ha="left")


_MSC = "The same weights see the image at scales 1, 0.75 and 0.5."


def dilation() -> Diagram:
    """Yu and Koltun's front end, and the context module."""
    d = Diagram(10.3, -0.2, 4.7)
    d.panel("", range(4))
    trunk = vgg(d, 3, rate="r=2")
    *_, score = flow(
        d,
        trunk[-1],
        (3, "dilated", 0.62, "fc6", "7x7 r=4", "4096"),
        (3, "conv", 0.46, "fc7", "1x1", "4096"),
        (3, "score", WIDE, "score", "1x1", "classes"),
    )
    x = score.end + 0.24
    d.frame(x - 0.1, x + 8 * 0.245 + 0.05, 2.15, 4.0, "context module, 3x3 at rate")
    before = score
    for i, (rate, width) in enumerate(_CONTEXT):
        kind = "dilated" if rate > 1 else "conv"
        name = f"r={rate}" if rate else "1x1"
        box = d.slim(kind if rate else "score", x + 0.245 * i, 3, name)
        d.link(before, box)
        d.text(box.middle, d.y(3.62), width, size=6.6)
        before = box
    up = d.up(before.end + 0.25, 3, "8x")
    d.link(before, up)
    end = d.box("data", up.middle - 0.22, 0, "labels", width=0.44, height=0.28)
    d.rise(up, end)
    d.text(x + 0.98, d.y(3.86), "channels over classes: large (basic: all 1)", size=6)
    d.legend(4.8)
    return d


_CONTEXT = (
    *((1, "2"), (1, "2"), (2, "4"), (4, "8")),
    *((8, "16"), (16, "32"), (1, "32"), (0, "1")),
)


def crf_rnn() -> Diagram:
    """Mean field as layers."""
    d = Diagram(9.45, -0.6, 3.6)
    d.panel("", ())
    picture = d.box("data", 0.15, 1.2, "image", width=0.5, height=0.3)
    net = d.box("module", 0.8, 1.2, "FCN-8s", "or Dilation8", width=0.86)
    unary = d.box("score", 1.85, 1.2, "scores", "U", width=0.6)
    d.chain(picture, net, unary)
    d.frame(2.65, 8.45, -0.45, 2.75, "CRF-RNN: 5 rounds to train, 10 to predict")
    softmax = d.box("crf", 2.85, 1.2, "softmax", "Q", width=0.68)
    d.link(unary, softmax)
    filters = [
        d.box("crf", 3.8, 0.7, "bilateral filter", "160 px, 3 levels", width=1.2),
        d.box("crf", 3.8, 1.7, "spatial filter", "3 px", width=1.2),
    ]
    weights = [
        d.box("conv", 5.2, row, "1x1", "start 5 I" if row < 1 else "start 3 I")
        for row in (0.7, 1.7)
    ]
    total = d.join(6.05, 1.2, "+")
    for a, b in zip(filters, weights, strict=True):
        d.link(softmax, a)
        d.link(a, b)
        d.link(b, total)
    match = d.box("conv", 6.4, 1.2, "1x1", "compatibility", "start -I", width=0.92)
    minus = d.join(7.55, 1.2, "-")
    d.chain(total, match, minus)
    over = d.y(-0.05)
    start = (unary.middle, unary.y + unary.height / 2)
    d.path(start, (start[0], over), (minus.middle, over), (minus.middle, minus.y + 0.1))
    d.text(minus.end, (over + minus.y) / 2, "U", weight="bold")
    turn = minus.end + 0.25
    under = d.y(2.4)
    back = (softmax.middle, softmax.y - softmax.height / 2)
    d.path((turn, minus.y), (turn, under), (softmax.middle, under), back)
    d.text(5.6, under - 0.1, "next round")
    end = d.box("data", 8.65, 1.2, "labels", width=0.6, height=0.3)
    d.link(minus, end)
    d.legend(3.5)
    return d
