"""The official model zoo: names, archives, published scores, and settings of each.

https://github.com/tensorflow/models/blob/master/research/deeplab/g3doc/model_zoo.md
names them; `zoo:NAME` stands for a checkpoint wherever one is asked for.
"""

import dataclasses
import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deeplab_tf.config import ModelConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.specs import ade20k, cityscapes, voc2012
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.files import CACHE, cache_folder

PREFIX = "zoo:"
MIRROR = "DEEPLAB_TF_ZOO_URL"
NOTE = "zoo.json"  # Beside what was fetched: its SHA-256, and where the checkpoint is.
_PLACES = (
    "https://storage.googleapis.com/download.tensorflow.org/models",
    "http://download.tensorflow.org/models",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A trained network of the zoo.

    Attributes:
        name: In the zoo.
        archive: Its file.
        megabytes: Of the archive, about.
        published: Mean IoU in percent, and how it was found; empty for none.
        model: Its settings.
        spec: Its classes; None for an image classifier, from which training starts.
        crop_size: Of its training.
        largest_image: Height, width, of its training, where that is known.
    """

    name: str
    archive: str
    megabytes: float
    published: str
    model: ModelConfig
    spec: DatasetSpec | None
    crop_size: tuple[int, int]
    largest_image: tuple[int, int] | None

    @property
    def num_classes(self) -> int:
        """Channels of the logits; 2 where there are none."""
        return self.spec.num_classes if self.spec else 2

    @property
    def folder(self) -> Path:
        """Where it is kept."""
        return cache() / "zoo" / self.name

    @property
    def urls(self) -> tuple[str, ...]:
        """Of the archive: in the mirrors, if some are named, or in Google's places."""
        mirrors = [url.strip() for url in os.environ.get(MIRROR, "").split(",")]
        places = tuple(url.rstrip("/") for url in mirrors if url) or _PLACES
        return tuple(f"{place}/{self.archive}" for place in places)


def is_name(path: str) -> bool:
    """Whether a checkpoint is given by its name in the zoo."""
    return path.startswith(PREFIX)


def find(path: str) -> Entry:
    """The network of `zoo:NAME`.

    Raises:
        FlagError: There is no such name.
    """
    name = path.removeprefix(PREFIX)
    if name not in ZOO:
        close = difflib.get_close_matches(name, ZOO, 1, cutoff=0.4)
        hint = f"did you mean {PREFIX}{close[0]}? " if close else ""
        raise FlagError(
            f"{path}: not in the zoo; {hint}python -m deeplab_tf.checkpoints zoo lists "
            "its names"
        )
    return ZOO[name]


def cache() -> Path:
    """The folder of what is fetched: DEEPLAB_TF_CACHE, or ~/.cache/deeplab_tf.

    Raises:
        InputError: There is no home folder.
    """
    folder = cache_folder()
    if folder is None:
        raise InputError(
            f"there is no home folder to keep checkpoints in; {CACHE}=FOLDER names one"
        )
    return folder


def settings_at(model: ModelConfig, given: Mapping[str, Any]) -> ModelConfig:
    """Settings of a network at the output stride that was given.

    The rates of the ASPP belong to its output stride: at half of it they are doubled
    (DeepLab v3, section 4.1, https://arxiv.org/abs/1706.05587).
    """
    stride = given.get("output_stride", model.output_stride)
    if "atrous_rates" in given or stride not in (8, 16):
        return model
    rates = tuple(rate * model.output_stride // stride for rate in model.atrous_rates)
    return dataclasses.replace(model, atrous_rates=rates)


def listing() -> Iterator[str]:
    """The zoo, a line each, with what is cached."""
    width = max(map(len, ZOO))
    yield f"{'zoo:NAME':{width}}  {'MB':>5}  {'cached':6}  published mIoU"
    for name, entry in ZOO.items():
        size = f"{entry.megabytes:.3g}"
        cached = "yes" if (entry.folder / NOTE).exists() else "no"
        published = entry.published or "-"
        if not entry.spec:
            published = "- (to start training from)"
        yield f"{name:{width}}  {size:>5}  {cached:6}  {published}"
    yield ""
    yield f"cached in {cache() / 'zoo'} ({CACHE})"
    yield f"fetched from {' or '.join(_places())} ({MIRROR})"
    yield (
        "license: published by Google with code under Apache-2.0; of the weights alone "
        "none is known. ImageNet, COCO, VOC, Cityscapes and ADE20K, on which they were "
        "trained, have terms of their own, some for research alone"
    )


def _places() -> tuple[str, ...]:
    return tuple(url.rpartition("/")[0] for url in next(iter(ZOO.values())).urls)


# Published at output stride 16 but for what says otherwise.
_BEST = "at stride 8 with scales and flips"
_XCEPTION = {"atrous_rates": (6, 12, 18), "decoder_output_stride": (4,)}
_DENSE_PREDICTION_CELL = {
    "model_variant": "xception_71",
    "decoder_output_stride": (4,),
    "dense_prediction_cell_json": "dense_prediction_cell_branch5_top1_cityscapes.json",
}
_MOBILENET_V3 = {
    "output_stride": 32,
    "image_pooling_crop_size": (769, 769),
    "image_pooling_stride": (4, 5),
    "aspp_convs_filters": 128,
    "aspp_with_concat_projection": False,
    "aspp_with_squeeze_and_excitation": True,
    "image_se_uses_qsigmoid": True,
    "decoder_output_stride": (8,),
    "decoder_use_sum_merge": True,
    "decoder_output_is_logits": True,
    "decoder_filters": 19,
}

_LARGEST = {voc2012.SPEC.name: (500, 500), cityscapes.SPEC.name: (1024, 2048)}


def _entry(
    name: str,
    archive: str,
    megabytes: float,
    published: str,
    spec: DatasetSpec | None,
    **settings: Any,
) -> Entry:
    return Entry(
        name=name,
        archive=f"{archive}.tar.gz",
        megabytes=megabytes,
        published=published,
        model=ModelConfig(**settings),
        spec=spec,
        crop_size=(769, 769) if spec is cityscapes.SPEC else (513, 513),
        largest_image=_LARGEST.get(spec.name) if spec else None,
    )


_ENTRIES = (
    _entry(
        "mobilenetv2_dm05_coco_voc_trainaug",
        "deeplabv3_mnv2_dm05_pascal_trainaug_2018_10_01",
        7.6,
        "70.19 val",
        voc2012.SPEC,
        depth_multiplier=0.5,
    ),
    _entry(
        "mobilenetv2_dm05_coco_voc_trainval",
        "deeplabv3_mnv2_dm05_pascal_trainval_2018_10_01",
        7.6,
        "",
        voc2012.SPEC,
        depth_multiplier=0.5,
    ),
    _entry(
        "mobilenetv2_coco_voc_trainaug",
        "deeplabv3_mnv2_pascal_train_aug_2018_01_29",
        23,
        f"75.32 val; 77.33 {_BEST}",
        voc2012.SPEC,
    ),
    _entry(
        "mobilenetv2_coco_voc_trainval",
        "deeplabv3_mnv2_pascal_trainval_2018_01_29",
        23,
        "80.25 test",
        voc2012.SPEC,
    ),
    _entry(
        "xception65_coco_voc_trainaug",
        "deeplabv3_pascal_train_aug_2018_01_04",
        439,
        f"82.20 val; 83.58 {_BEST}",
        voc2012.SPEC,
        model_variant="xception_65",
        **_XCEPTION,
    ),
    _entry(
        "xception65_coco_voc_trainval",
        "deeplabv3_pascal_trainval_2018_01_04",
        439,
        "87.80 test",
        voc2012.SPEC,
        model_variant="xception_65",
        **_XCEPTION,
    ),
    _entry(
        "mobilenetv2_coco_cityscapes_trainfine",
        "deeplabv3_mnv2_cityscapes_train_2018_02_05",
        23,
        f"70.71 val; 73.57 {_BEST}",
        cityscapes.SPEC,
    ),
    _entry(
        "mobilenetv3_large_cityscapes_trainfine",
        "deeplab_mnv3_large_cityscapes_trainfine_2019_11_15",
        17,
        "72.41 val",
        cityscapes.SPEC,
        model_variant="mobilenet_v3_large_seg",
        **_MOBILENET_V3,
    ),
    _entry(
        "mobilenetv3_small_cityscapes_trainfine",
        "deeplab_mnv3_small_cityscapes_trainfine_2019_11_15",
        5,
        "68.99 val",
        cityscapes.SPEC,
        model_variant="mobilenet_v3_small_seg",
        **_MOBILENET_V3,
    ),
    _entry(
        "xception65_cityscapes_trainfine",
        "deeplabv3_cityscapes_train_2018_02_06",
        439,
        f"78.79 val; 80.42 {_BEST}",
        cityscapes.SPEC,
        model_variant="xception_65",
        **_XCEPTION,
    ),
    _entry(
        "xception71_dpc_cityscapes_trainfine",
        "deeplab_cityscapes_xception71_trainfine_2018_09_08",
        445,
        "80.31 val",
        cityscapes.SPEC,
        **_DENSE_PREDICTION_CELL,
    ),
    _entry(
        "xception71_dpc_cityscapes_trainval",
        "deeplab_cityscapes_xception71_trainvalfine_2018_09_08",
        446,
        "82.66 test",
        cityscapes.SPEC,
        **_DENSE_PREDICTION_CELL,
    ),
    _entry(
        "mobilenetv2_ade20k_train",
        "deeplabv3_mnv2_ade20k_train_2018_12_03",
        25,
        "32.04 val",
        ade20k.SPEC,
        decoder_output_stride=(4,),
    ),
    _entry(
        "xception65_ade20k_train",
        "deeplabv3_xception_ade20k_train_2018_05_29",
        439,
        "45.65 val",
        ade20k.SPEC,
        model_variant="xception_65",
        **_XCEPTION,
    ),
    _entry(
        "xception_41_imagenet",
        "xception_41_2018_05_09",
        288,
        "",
        None,
        model_variant="xception_41",
    ),
    _entry(
        "xception_65_imagenet",
        "deeplabv3_xception_2018_01_04",
        447,
        "",
        None,
        model_variant="xception_65",
    ),
    _entry(
        "xception_65_imagenet_coco",
        "xception_65_coco_pretrained_2018_10_02",
        292,
        "",
        None,
        model_variant="xception_65",
    ),
    _entry(
        "xception_71_imagenet",
        "xception_71_2018_05_09",
        474,
        "",
        None,
        model_variant="xception_71",
    ),
    _entry(
        "resnet_v1_50_beta_imagenet",
        "resnet_v1_50_2018_05_04",
        274,
        "",
        None,
        model_variant="resnet_v1_50_beta",
    ),
    _entry(
        "resnet_v1_101_beta_imagenet",
        "resnet_v1_101_2018_05_04",
        477,
        "",
        None,
        model_variant="resnet_v1_101_beta",
    ),
)
ZOO: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}
