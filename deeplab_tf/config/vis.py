"""Settings of vis.py."""

import dataclasses
from typing import ClassVar, Literal

from absl import logging

from deeplab_tf.config.data import (
    CompatibilityConfig,
    DataConfig,
    ResizeConfig,
    TfdsConfig,
)
from deeplab_tf.config.devices import Precision
from deeplab_tf.config.effects import unless, where
from deeplab_tf.config.fields import (
    NOT_NEGATIVE,
    POSITIVE,
    Overrides,
    Range,
    check_ranges,
    flag,
    require_given,
    text,
)
from deeplab_tf.config.model import ModelConfig
from deeplab_tf.config.optimizer_and_loss import refuse_quantization
from deeplab_tf.config.predict import (
    OF_A_CRF,
    PRECISION_HELP,
    CrfConfig,
    InferenceConfig,
    TileConfig,
)
from deeplab_tf.errors import FlagError

Submission = Literal["voc_comp5", "voc_comp6", "cityscapes", "ade20k"]
_OF_A_VIDEO = ("video_stride", "video_frames", "video_smoothing")
_OF_PICTURES = ("also_save_raw_predictions", "colormap_type", "palette", "panels")


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoConfig:
    """Videos, and a camera, among what --image names."""

    topic: ClassVar = "Videos"
    video_stride: int = flag(
        "Take every N-th frame; the frame rate of the video that is written follows.",
        1,
        within=POSITIVE,
    )
    video_frames: int | None = flag(
        "Frames to read at most; by default all, and of a camera until Ctrl-C.",
        None,
        within=POSITIVE,
    )
    video_smoothing: float = flag(
        "Share of the frames before in the probabilities of each, as 0.5: an "
        "exponential mean, against flicker.",
        0.0,
        within=Range(minimum=0, below=1),
    )

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisConfig:
    """Draws predictions of a trained network, on records or on your own images.

        python vis.py --checkpoint_dir=run --vis_logdir=pictures --image=photos

    Without --image, it draws the records of --dataset_dir.
    """

    topic: ClassVar = "Pictures"
    rules: ClassVar = (
        where("refinement.is_asked_for", *OF_A_CRF, shown="crf"),
        unless("image", "vis_split", "vis_batch_size"),
        where("image", *_OF_A_VIDEO),
        unless("submission", *_OF_PICTURES),
        where(
            "max_number_of_iterations",
            "eval_interval_secs",
            when=lambda number: number != 1,
            company="with another --max_number_of_iterations than 1",
        ),
    )
    checkpoint_dir: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index, or zoo:NAME.",
        None,
        required=True,
    )
    vis_logdir: str | None = flag("Folder of the pictures.", None, required=True)
    image: str | None = flag(
        "Instead of records: images, videos, folders of them, patterns in quotes, as "
        "'photos/**/*.jpg', several with commas between; a number is a camera.",
        None,
        common=True,
    )
    vis_split: str = flag("Split to draw.", "val", common=True)
    vis_batch_size: int = flag("Images at a time, on each GPU.", 1, within=POSITIVE)
    vis_crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        official=(513, 513),
        within=POSITIVE,
        common=True,
    )
    tile_size: tuple[int, int] | None = flag(
        "Former name of --tile.", None, within=POSITIVE
    )
    precision: Precision = flag(PRECISION_HELP, "float32")
    eval_interval_secs: int = flag(
        "Seconds between two rounds.", 300, within=NOT_NEGATIVE
    )
    max_number_of_iterations: int = flag(
        "Rounds to make; the official default, 0, waits for ever.", 1
    )
    also_save_raw_predictions: bool = flag(
        "Write class ids as PNG, too.", False, common=True
    )
    colormap_type: Literal["pascal", "cityscapes", "ade20k"] | None = flag(
        "Colors of the classes; by default the data set's own.",
        None,
        official="pascal",
        common=True,
    )
    palette: Literal["dataset", "contrast"] = flag(
        "Colors of the overlays: the data set's, or these with those moved that look "
        "alike. Masks keep the data set's.",
        "dataset",
    )
    panels: tuple[Literal["original", "prediction", "truth", "errors"], ...] = flag(
        "Panels of the overlays, as original,prediction,truth,errors; by default the "
        "prediction and, where there is one, the truth.",
        (),
        common=True,
    )
    submission: Submission | None = flag(
        "Instead of pictures, write the archive that a test server takes; of VOC, of "
        "the competition with its own data alone (comp5) or with any (comp6).",
        None,
        common=True,
    )
    quantize_delay_step: int = flag(
        "Step of quantized training, which is refused; leave it at -1.", -1
    )
    model: Overrides[ModelConfig] = Overrides(ModelConfig())
    data: DataConfig = DataConfig()
    tfds: Overrides[TfdsConfig] = Overrides(TfdsConfig())
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())
    compatibility: CompatibilityConfig = CompatibilityConfig()
    inference: InferenceConfig = InferenceConfig()
    tiles: TileConfig = TileConfig()
    refinement: CrfConfig = CrfConfig()
    videos: VideoConfig = VideoConfig()

    def __post_init__(self) -> None:
        require_given(self)
        if self.image is None:
            self.data.check(self.tfds.given)
        else:
            self.data.check_tfds(self.tfds.given)
        check_ranges(self)
        self._follow_tile_size()
        of_truth = [name for name in self.panels if name in ("truth", "errors")]
        if self.image is not None and of_truth:
            raise FlagError(
                f"--panels={text(self.panels)}: photographs have no ground truth; "
                f"leave {text(tuple(of_truth))} out, or draw records (--dataset_dir)"
            )
        refuse_quantization(self)

    def _follow_tile_size(self) -> None:
        """Takes the former flag for the one that it was renamed to."""
        if self.tile_size is None:
            return
        given, new = text(self.tile_size), f"--tile={text(self.tile_size)}"
        if self.tiles.tile is not None:
            raise FlagError(f"--tile_size={given}: --tile is given, too; leave one out")
        logging.warning("--tile_size=%s is deprecated: it is called %s now", given, new)
        tiles = dataclasses.replace(self.tiles, tile=self.tile_size)
        object.__setattr__(self, "tiles", tiles)
        object.__setattr__(self, "tile_size", None)
