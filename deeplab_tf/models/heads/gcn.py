"""Large Kernel Matters: a global convolutional network with boundary refinement.

Reference: Peng et al. 2017, https://arxiv.org/abs/1703.02719. Its code was not
released. As in the port by Zijun Deng, scores are resized bilinearly, not deconvolved,
and refined nine times: as they come of each stride, after each sum, and twice on the
way to the size of the image.

Every layer holds as many channels as there are classes; so the scope of all is that of
the logits.
"""

from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.layers.blocks import (
    Features,
    Style,
    Tensor,
    biased_conv,
    resize_like,
)
from deeplab_tf.models.layers.resize import ResizeTo

KERNEL_SIZE = 15  # Of VOC, at a crop of 512.


def head(
    features: Features, num_classes: int, config: ModelConfig, style: Style
) -> Tensor:
    """Logits at image size, `[N, H, W, num_classes]`."""
    x = None
    for level in ("c5", "c4", "c3", "c2"):
        name = f"logits.{level}"
        scores = global_conv(features[level], num_classes, KERNEL_SIZE, style, name)
        scores = refine_boundary(scores, style, f"{name}.refine")
        if x is None:
            x = scores
            continue
        x = resize_like(x, scores, name=f"{name}.resize")
        x = layers.Add(name=f"{name}.add")([x, scores])
        x = refine_boundary(x, style, f"{name}.refine_sum")
    for name, factor in (("half", 0.5), ("whole", 1.0)):
        x = ResizeTo(factor, name=f"logits.{name}.resize")([x, features["images"]])
        x = refine_boundary(x, style, f"logits.{name}.refine")
    return x


def global_conv(
    x: Tensor, filters: int, kernel_size: int, style: Style, name: str
) -> Tensor:
    """A convolution by as large a kernel, of columns and rows: figure 2 (B).

    No activation is in between: it is a k x k convolution, but with 2k weights for each
    pair of channels.
    """
    branches = []
    column, row = (kernel_size, 1), (1, kernel_size)
    for branch, kernels in (("left", (column, row)), ("right", (row, column))):
        y = x
        for i, kernel in enumerate(kernels, start=1):
            y = layers.Conv2D(
                filters,
                kernel,
                padding="same",
                kernel_initializer=style.kernel(),
                name=f"{name}.{branch}_{i}",
            )(y)
        branches.append(y)
    return layers.Add(name=f"{name}.sum")(branches)


def refine_boundary(x: Tensor, style: Style, name: str) -> Tensor:
    """Scores and what two 3x3 convolutions make of them, added: figure 2 (C)."""
    filters = x.shape[-1]
    y = biased_conv(x, filters, 3, style=style, name=f"{name}.conv1", activation=True)
    y = biased_conv(y, filters, 3, style=style, name=f"{name}.conv2")
    return layers.Add(name=f"{name}.add")([x, y])
