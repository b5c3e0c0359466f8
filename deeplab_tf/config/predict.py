"""Settings of eval.py, and those of a prediction that vis.py has, too."""

import dataclasses
from typing import Any, ClassVar, Literal

from deeplab_tf.config.data import (
    CompatibilityConfig,
    DataConfig,
    ResizeConfig,
    TfdsConfig,
    ValidateLabels,
)
from deeplab_tf.config.devices import Precision
from deeplab_tf.config.effects import unless, where
from deeplab_tf.config.fields import (
    NOT_NEGATIVE,
    POSITIVE,
    Overrides,
    check_ranges,
    flag,
    require_given,
    text,
)
from deeplab_tf.config.model import ModelConfig
from deeplab_tf.config.optimizer_and_loss import refuse_quantization
from deeplab_tf.errors import FlagError

PRECISION_HELP = (
    "What layers compute in; weights, logits and probabilities are float32. Half "
    "precision is for GPUs, and moves some pixels."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Test-time augmentation: scales and flips whose predictions are averaged."""

    topic: ClassVar = "Test-time augmentation"
    eval_scales: tuple[float, ...] = flag(
        "Scales of the image whose predictions are averaged, as 0.5,1,1.5.",
        (1.0,),
        within=POSITIVE,
        common=True,
    )
    add_flipped_images: bool = flag(
        "Average with the mirrored image, too.", False, common=True
    )

    def __post_init__(self) -> None:
        require_given(self, "eval_scales")
        check_ranges(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TileConfig:
    """Large images: a window slides over them, so that memory holds what it shows."""

    topic: ClassVar = "Large images"
    rules: ClassVar = (where("tile", "tile_overlap", "tile_blend"),)
    tile: tuple[int, int] | None = flag(
        "Height,width of overlapping tiles into which larger images are cut, as 513; "
        "best the crop size of the training.",
        None,
        within=POSITIVE,
        common=True,
    )
    tile_overlap: tuple[int, int] | None = flag(
        "Rows,columns by which tiles overlap at least, as 128; by default a quarter of "
        "the tile.",
        None,
        within=NOT_NEGATIVE,
        common=True,
    )
    tile_blend: Literal["probabilities", "logits"] = flag(
        "What is averaged where tiles overlap.", "probabilities"
    )

    def __post_init__(self) -> None:
        check_ranges(self)
        if not (self.tile and self.tile_overlap):
            return
        if any(a >= b for a, b in zip(self.tile_overlap, self.tile, strict=True)):
            raise FlagError(
                f"--tile_overlap={text(self.tile_overlap)}: less than the tile is "
                f"needed, --tile={text(self.tile)}; a quarter of it is the default"
            )


_TRIMAPS = (2, 4, 8, 16, 32)  # Pixels: widths of a report.
# Settings that no CRF begins with.
OF_A_CRF = (
    *("crf_w2", "crf_sigma_gamma", "crf_iterations", "crf_normalization"),
    "crf_engine",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrfConfig:
    """A fully connected CRF behind the network: a preset, numbers by hand, or both."""

    topic: ClassVar = "CRF"
    crf: str | None = flag(
        "Refine by a fully connected CRF with published numbers, as voc_v2_resnet101; "
        "numbers given by hand win.",
        None,
        common=True,
    )
    crf_w1: float | None = flag(
        "Weight of the CRF's bilateral kernel.", None, within=NOT_NEGATIVE
    )
    crf_sigma_alpha: float | None = flag(
        "Range of the CRF's bilateral kernel in pixels.", None, within=POSITIVE
    )
    crf_sigma_beta: float | None = flag(
        "Range of the CRF's bilateral kernel in colors of 0...255.",
        None,
        within=POSITIVE,
    )
    crf_w2: float | None = flag(
        "Weight of the CRF's Gaussian kernel; by default 3.", None, within=NOT_NEGATIVE
    )
    crf_sigma_gamma: float | None = flag(
        "Range of the CRF's Gaussian kernel in pixels; by default 3.",
        None,
        within=POSITIVE,
    )
    crf_iterations: int | None = flag(
        "Steps of the CRF's mean field; by default 10.", None, within=POSITIVE
    )
    crf_normalization: Literal["after", "symmetric"] | None = flag(
        "Kernels of the CRF divided by their sum after filtering, as DeepLab does and "
        "by default, or by its root before and after, as pydensecrf does unless told.",
        None,
    )
    crf_engine: Literal["auto", "numba", "tensorflow", "pydensecrf"] = flag(
        "What computes the CRF; by default numba if installed, else TensorFlow.", "auto"
    )

    def __post_init__(self) -> None:
        check_ranges(self)

    @property
    def is_asked_for(self) -> bool:
        """Whether there is a preset, or a number that each CRF needs."""
        needed = (self.crf, self.crf_w1, self.crf_sigma_alpha, self.crf_sigma_beta)
        return any(number is not None for number in needed)

    @property
    def given(self) -> dict[str, Any]:
        """Numbers given by hand, by their name without `crf_`."""
        names = [field.name for field in dataclasses.fields(self)]
        numbers = {n: getattr(self, n) for n in names if n not in ("crf", "crf_engine")}
        return {n.removeprefix("crf_"): v for n, v in numbers.items() if v is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Evaluates a trained network on a split of the records: mIoU and more.

        python eval.py --checkpoint_dir=run --eval_logdir=eval --dataset_dir=records

    The network is that of the training folder; metrics.json has the scores.
    """

    topic: ClassVar = "Evaluation"
    rules: ClassVar = (
        where(
            "goes_on",
            "eval_interval_secs",
            shown="max_number_of_evaluations",
            company="with --continuous or another --max_number_of_evaluations than 1",
        ),
        where("has_crf", *OF_A_CRF, shown="crf"),
        unless("crf_search", "eval_batch_size"),
    )
    checkpoint_dir: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index, or zoo:NAME.",
        None,
        required=True,
    )
    eval_logdir: str | None = flag(
        "Folder of metrics.json and event files.", None, required=True
    )
    eval_split: str = flag("Split to evaluate.", "val", common=True)
    eval_batch_size: int = flag(
        "Images at a time, on each GPU.", 1, within=POSITIVE, common=True
    )
    eval_crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        official=(513, 513),
        within=POSITIVE,
        common=True,
    )
    precision: Precision = flag(PRECISION_HELP, "float32")
    eval_interval_secs: int = flag(
        "Seconds between two evaluations.", 300, within=NOT_NEGATIVE
    )
    validate_labels: ValidateLabels = flag(
        "Read labels before starting: none, 200 of the split, or all.",
        "sample",
        common=True,
    )
    max_number_of_evaluations: int = flag(
        "Evaluations to make; the official default, 0, waits for ever.", 1
    )
    continuous: bool = flag(
        "Evaluate each newest checkpoint of a training, until that is finished; scores "
        "are gathered in evaluations.jsonl.",
        False,
        common=True,
    )
    trimap_widths: tuple[int, ...] = flag(
        "Score pixels within so many of a boundary, too, as 2,4,8,16,32.",
        (),
        within=POSITIVE,
    )
    report: bool = flag(
        "Write report.html, too, with all scores: boundary IoU, calibration, trimaps.",
        False,
        common=True,
    )
    boundary_iou: bool = flag("Score the boundaries of each class, too.", False)
    calibration: bool = flag(
        "Score how sure the network is, too: calibration error, risk by coverage.",
        False,
    )
    crf_search: bool = flag(
        "Instead of an evaluation, search for crf_w1, crf_sigma_alpha and "
        "crf_sigma_beta on the first 100 images of the split.",
        False,
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

    def __post_init__(self) -> None:
        require_given(self)
        self.data.check(self.tfds.given)
        check_ranges(self)
        if self.continuous and self.max_number_of_evaluations != 1:
            raise FlagError(
                f"--max_number_of_evaluations={self.max_number_of_evaluations} beside "
                "--continuous, which goes on until the training is finished; leave one "
                "out"
            )
        names = ("trimap_widths", "report", "boundary_iou", "calibration", "continuous")
        for name in names:
            if self.crf_search and (value := getattr(self, name)):
                raise FlagError(
                    f"--{name}={text(value)}: --crf_search does not evaluate; leave "
                    "one out"
                )
        refuse_quantization(self)

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the trimaps; a report has some unless others are given."""
        return self.trimap_widths or (_TRIMAPS if self.report else ())

    @property
    def goes_on(self) -> bool:
        """Whether more than one checkpoint is evaluated, or may be."""
        return self.continuous or self.max_number_of_evaluations != 1

    @property
    def has_crf(self) -> bool:
        """Whether a CRF is asked for, or searched."""
        return self.crf_search or self.refinement.is_asked_for
