"""Lists architectures and feature extractors: `python -m deeplab_tf.models`."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from absl import logging

from deeplab_tf import cli, noise
from deeplab_tf.config import ModelConfig
from deeplab_tf.config.architectures import ARCHITECTURES
from deeplab_tf.config.fields import POSITIVE, Overrides, check_ranges, flag
from deeplab_tf.errors import FlagError

Size = dict[str, Any]  # Of a network, by the names that the help explains.


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListConfig:
    """Sizes of networks: `python -m deeplab_tf.models`.

    Lists every architecture on its own feature extractor and deeplab_v3 on each of
    them, or the one network that --architecture, --model_variant describe, with the
    flags that change it.

    parameters: all weights and biases, scale and offset of batch norm, also fixed ones;
      not the statistics that batch norm gathers.
    learnable_parameters: those that training changes.
    output_stride: input size over feature size, or over that of the finest scores where
      a network fuses scores finer than its features.
    receptive_field: pixels along a side of what a score sees through convolutions and
      pools, by the widest path. Enlarging a map (resizing, unpooling, transposed
      convolution) adds nothing; what looks at the whole image (image pooling, bins of a
      pyramid, a CRF) is left out.
    multiply_adds: of convolutions, for one image of input_size.
    """

    num_classes: int = flag("Channels of the scores.", 21, within=POSITIVE, common=True)
    input_size: tuple[int, int] = flag(
        "Height,width of the image, or one number for both.",
        (513, 513),
        within=POSITIVE,
        common=True,
    )
    json: bool = flag(
        "Print JSON alone: a list of objects, or one object where --architecture or "
        "--model_variant is given.",
        False,
        common=True,
    )
    model: Overrides[ModelConfig] = Overrides(ModelConfig())

    def __post_init__(self) -> None:
        check_ranges(self)


def main() -> None:
    """`python -m deeplab_tf.models`."""
    cli.run(ListConfig, run)


def run(config: ListConfig) -> None:
    """Prints the sizes of one network, or of all."""
    if os.environ.get("KERAS_BACKEND") == "tensorflow":
        noise.load_tensorflow()
    is_one = bool({"architecture", "model_variant"} & config.model.given.keys())
    if is_one:
        config.model.onto(None)  # Tells of flags that do not change this network.
    sizes = [_size(config.model.given, config)] if is_one else list(_all(config))
    if config.json:
        text = json.dumps(sizes[0] if is_one else sizes, indent=2)
        sys.stdout.write(f"{text}\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in _table(sizes, config))


def _all(config: ListConfig) -> Iterator[Size]:
    """Sizes of every network that takes the flags; a line tells which do not."""
    for names in _names():
        try:
            yield _size({**config.model.given, **names}, config)
        except FlagError as error:
            logging.warning("Left out %s: %s", " ".join(names.values()), error)


def _names() -> Iterator[dict[str, str]]:
    """Settings of each architecture, and of one on each other feature extractor."""
    from deeplab_tf.models.backbones import BACKBONES

    for name in ARCHITECTURES:
        yield {"architecture": name}
    common = "deeplab_v3"
    for name, backbone in BACKBONES.items():
        own = name == ARCHITECTURES[common].model_variant
        if not own and backbone.only_for in ("", common):
            yield {"architecture": common, "model_variant": name}


def _size(model: Mapping[str, Any], config: ListConfig) -> Size:
    from deeplab_tf.models import summary

    network = ModelConfig(**model)
    numbers = summary.summarize(network, config.num_classes, config.input_size)
    return dataclasses.asdict(numbers)


def _table(sizes: Iterable[Size], config: ListConfig) -> Iterator[str]:
    """The sizes as lines for a reader."""
    height, width = config.input_size
    yield f"{config.num_classes} classes, images of {height}x{width}, height by width"
    yield ""
    yield _ROW.format(*_HEADINGS.split())
    for size in sizes:
        numbers = [f"{size[key]:,}" for key in _NUMBERS]
        giga = f"{size['multiply_adds'] / 1e9:,.2f} G"
        yield _ROW.format(size["architecture"], size["model_variant"], *numbers, giga)


_ROW = "{:24} {:22} {:>12} {:>12} {:>7} {:>6} {:>11}"
_HEADINGS = "architecture model_variant parameters learnable stride field mult.-adds"
_NUMBERS = ("parameters", "learnable_parameters", "output_stride", "receptive_field")


if __name__ == "__main__":
    main()
