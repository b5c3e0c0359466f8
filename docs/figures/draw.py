"""Draws a figure of each family of networks, for docs/architectures.md.

    pip install -e '.[docs]'
    python docs/figures/draw.py

Lower is coarser. Sizes and channels are those of the networks of deeplab_tf.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import dense
import encoders
import pyramids
import refining
from diagram import Diagram

FOLDER = Path(__file__).parent

FIGURES: Mapping[str, Callable[[], Diagram]] = {
    "fcn": encoders.fcn,
    "segnet_unet": encoders.segnet_unet,
    "deeplab_v1_v2": dense.deeplab_v1_v2,
    "dilation": dense.dilation,
    "crf_rnn": dense.crf_rnn,
    "deeplab_v3": pyramids.deeplab_v3,
    "pspnet": pyramids.pspnet,
    "refinenet": refining.refinenet,
    "gcn": refining.gcn,
}


def main() -> None:
    """Writes all of them beside this file."""
    for name, draw in FIGURES.items():
        draw().save(FOLDER / f"{name}.svg")


if __name__ == "__main__":
    main()
