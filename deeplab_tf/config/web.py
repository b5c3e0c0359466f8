"""Settings of deeplab-web."""

import dataclasses
from typing import ClassVar

from deeplab_tf.config.data import ResizeConfig
from deeplab_tf.config.fields import (
    POSITIVE,
    Overrides,
    Range,
    check_ranges,
    flag,
    require_given,
)
from deeplab_tf.config.model import ModelConfig
from deeplab_tf.errors import FlagError

_LEAST_TOKEN = 16  # Characters; what is made has 128 bits.


@dataclasses.dataclass(frozen=True, kw_only=True)
class WebConfig:
    """Opens a page for people: drop a photograph, see its classes.

        deeplab-web --model=run

    The page needs no network, and keeps no photograph.
    """

    topic: ClassVar = "The page"
    model: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index, or zoo:NAME, or "
        "an exported model.",
        None,
        required=True,
    )
    host: str = flag(
        "Address to listen at; 0.0.0.0 for all of this machine, with a token.",
        "127.0.0.1",
        common=True,
    )
    port: int = flag(
        "Port to listen at; 0 for any that is free.",
        8000,
        within=Range(minimum=0, maximum=65535),
        common=True,
    )
    token: str | None = flag(
        "Secret that opens the page; by default one is made where --host is not this "
        "machine alone.",
        None,
        common=True,
    )
    queue: int = flag(
        "Photographs taken in at a time, of which one is looked at; more are told to "
        "come again (503).",
        20,
        within=POSITIVE,
        common=True,
    )
    max_megapixels: float = flag(
        "Refuse photographs of more millions of pixels.",
        50.0,
        within=POSITIVE,
        common=True,
    )
    max_megabytes: float = flag(
        "Refuse files of more megabytes.", 32.0, within=POSITIVE, common=True
    )
    max_side: int | None = flag(
        "Shrink photographs to so many pixels on the longer side before the network; "
        "by default 1024, or what the largest image of the training had, if that is "
        "more. Masks have the photograph's size.",
        None,
        within=Range(minimum=16),
        common=True,
    )
    crf: str = flag(
        "Published numbers of the fully connected CRF that the page offers.",
        "voc_v2_resnet101",
        common=True,
    )
    dataset: str | None = flag(
        "Data set that names the classes of a checkpoint without dataset.json.",
        None,
        common=True,
    )
    num_classes: int | None = flag(
        "Number of classes of a checkpoint without dataset.json.",
        None,
        within=POSITIVE,
        common=True,
    )
    crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        within=POSITIVE,
    )
    network: Overrides[ModelConfig] = Overrides(ModelConfig())
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())

    def __post_init__(self) -> None:
        require_given(self)
        check_ranges(self)
        if self.token is not None and len(self.token) < _LEAST_TOKEN:
            raise FlagError(
                f"--token: {len(self.token)} characters; {_LEAST_TOKEN} or more are "
                "needed"
            )
        if self.token and not (self.token.isascii() and self.token.isprintable()):
            raise FlagError("--token: letters, digits and signs of ASCII are needed")

    @property
    def settings(self) -> dict[str, object]:
        """What was given of the network, as `deeplab_tf.load` takes it."""
        named = {
            "dataset": self.dataset,
            "num_classes": self.num_classes,
            "crop_size": self.crop_size,
        }
        given = {name: value for name, value in named.items() if value is not None}
        return given | dict(self.network.given) | dict(self.resize.given)
