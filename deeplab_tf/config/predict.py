"""Settings of eval.py, vis.py and export.py."""

import dataclasses
from typing import Any, Literal

from deeplab_tf.config.data import (
    CompatibilityConfig,
    DataConfig,
    ResizeConfig,
    TfdsConfig,
    ValidateLabels,
)
from deeplab_tf.config.fields import (
    Overrides,
    flag,
    require_given,
    require_not_negative,
    require_positive,
    text,
)
from deeplab_tf.config.model import ModelConfig
from deeplab_tf.config.optimizer_and_loss import refuse_quantization
from deeplab_tf.errors import FlagError


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceConfig:
    """Test-time augmentation: scales and flips whose predictions are averaged."""

    eval_scales: tuple[float, ...] = flag("Scales of which to average.", (1.0,))
    add_flipped_images: bool = flag("Average with the mirrored image too.", False)

    def __post_init__(self) -> None:
        require_given(self, "eval_scales")
        require_positive(self, "eval_scales")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CrfConfig:
    """A fully connected CRF behind the network: a preset, numbers by hand, or both."""

    crf: str | None = flag(
        "Refine by a fully connected CRF with published numbers, as voc_v2_resnet101; "
        "numbers given by hand win.",
        None,
    )
    crf_w1: float | None = flag("Weight of its bilateral kernel.", None)
    crf_sigma_alpha: float | None = flag("Its range in pixels.", None)
    crf_sigma_beta: float | None = flag("Its range in colors of 0...255.", None)
    crf_w2: float | None = flag("Weight of its Gaussian kernel; by default 3.", None)
    crf_sigma_gamma: float | None = flag("Its range in pixels; by default 3.", None)
    crf_iterations: int | None = flag("Steps of the mean field; by default 10.", None)
    crf_normalization: Literal["after", "symmetric"] | None = flag(
        "Kernels divided by their sum after filtering, as DeepLab does and by default, "
        "or by its root before and after, as pydensecrf does unless told.",
        None,
    )
    crf_engine: Literal["auto", "numba", "tensorflow", "pydensecrf"] = flag(
        "What computes it; by default numba if installed, else TensorFlow.", "auto"
    )

    def __post_init__(self) -> None:
        require_not_negative(self, "crf_w1", "crf_w2")
        require_positive(self, "crf_sigma_alpha", "crf_sigma_beta", "crf_sigma_gamma")
        require_positive(self, "crf_iterations")

    @property
    def given(self) -> dict[str, Any]:
        """Numbers given by hand, by their name without `crf_`."""
        names = [field.name for field in dataclasses.fields(self)]
        numbers = {n: getattr(self, n) for n in names if n not in ("crf", "crf_engine")}
        return {n.removeprefix("crf_"): v for n, v in numbers.items() if v is not None}


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """`eval.py`."""

    checkpoint_dir: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index, or zoo:NAME.",
        None,
    )
    eval_logdir: str | None = flag("Folder of metrics.json and event files.", None)
    eval_split: str = flag("Split to evaluate.", "val")
    eval_batch_size: int = flag("Images at a time.", 1)
    eval_crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        official=(513, 513),
    )
    eval_interval_secs: int = flag("Seconds between two evaluations.", 300)
    validate_labels: ValidateLabels = flag(
        "Read labels before starting: none, 200 of the split, or all.", "sample"
    )
    max_number_of_evaluations: int = flag(
        "Evaluations to make; the official default, 0, waits for ever.", 1
    )
    trimap_widths: tuple[int, ...] = flag(
        "Score pixels within so many of a boundary, too, as 2,4,8,16,32.", ()
    )
    crf_search: bool = flag(
        "Instead of an evaluation, search for crf_w1, crf_sigma_alpha and "
        "crf_sigma_beta on the first 100 images of the split.",
        False,
    )
    quantize_delay_step: int = flag("As in training.", -1)
    model: Overrides[ModelConfig] = Overrides(ModelConfig())
    data: DataConfig = DataConfig()
    tfds: Overrides[TfdsConfig] = Overrides(TfdsConfig())
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())
    compatibility: CompatibilityConfig = CompatibilityConfig()
    inference: InferenceConfig = InferenceConfig()
    refinement: CrfConfig = CrfConfig()

    def __post_init__(self) -> None:
        require_given(self, "checkpoint_dir", "eval_logdir")
        self.data.check(self.tfds.given)
        require_positive(self, "eval_batch_size", "eval_crop_size", "trimap_widths")
        if self.crf_search and self.trimap_widths:
            raise FlagError(
                f"--trimap_widths={text(self.trimap_widths)}: --crf_search does not "
                "evaluate; leave one out"
            )
        refuse_quantization(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VisConfig:
    """`vis.py`."""

    checkpoint_dir: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index, or zoo:NAME.",
        None,
    )
    vis_logdir: str | None = flag("Folder of the pictures.", None)
    image: str | None = flag("An image, or a folder of them, instead of records.", None)
    vis_split: str = flag("Split to draw.", "val")
    vis_batch_size: int = flag("Images at a time.", 1)
    vis_crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        official=(513, 513),
    )
    eval_interval_secs: int = flag("Seconds between two rounds.", 300)
    max_number_of_iterations: int = flag(
        "Rounds to make; the official default, 0, waits for ever.", 1
    )
    also_save_raw_predictions: bool = flag("Write class ids as PNG, too.", False)
    colormap_type: Literal["pascal", "cityscapes", "ade20k"] | None = flag(
        "Colors, when given; by default the data set's own.", None, official="pascal"
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
    )
    quantize_delay_step: int = flag("As in training.", -1)
    model: Overrides[ModelConfig] = Overrides(ModelConfig())
    data: DataConfig = DataConfig()
    tfds: Overrides[TfdsConfig] = Overrides(TfdsConfig())
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())
    compatibility: CompatibilityConfig = CompatibilityConfig()
    inference: InferenceConfig = InferenceConfig()
    refinement: CrfConfig = CrfConfig()

    def __post_init__(self) -> None:
        require_given(self, "checkpoint_dir", "vis_logdir")
        if self.image is None:
            self.data.check(self.tfds.given)
        require_positive(self, "vis_batch_size", "vis_crop_size")
        of_truth = [name for name in self.panels if name in ("truth", "errors")]
        if self.image is not None and of_truth:
            raise FlagError(
                f"--panels={text(self.panels)}: photographs have no ground truth; "
                f"leave {text(tuple(of_truth))} out, or draw records (--dataset_dir)"
            )
        refuse_quantization(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """`export.py`."""

    checkpoint_path: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index, or zoo:NAME.",
        None,
    )
    export_path: str | None = flag(
        "Folder of the SavedModel, or name of the frozen graph; new.", None
    )
    num_classes: int | None = flag(
        "Classes of a checkpoint without dataset.json.", None, official=21
    )
    crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        official=(513, 513),
    )
    inference_scales: tuple[float, ...] = flag("Scales of which to average.", (1.0,))
    add_flipped_images: bool = flag("Average with the mirrored image too.", False)
    format: Literal["saved_model", "frozen_graph"] | None = flag(
        "A SavedModel, or a TensorFlow 1 GraphDef; by default the latter where "
        "export_path ends in .pb.",
        None,
    )
    save_inference_graph: bool = flag("Write the graph as text, too.", False)
    dataset: str | None = flag(
        "Data set that names the classes of a checkpoint without dataset.json.", None
    )
    check_image: str | None = flag(
        "Photograph on which export and network are compared; by default one of the "
        "training, or a packaged picture.",
        None,
    )
    quantize_delay_step: int = flag("As in training.", -1)
    model: Overrides[ModelConfig] = Overrides(ModelConfig(output_stride=8))
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())
    compatibility: CompatibilityConfig = CompatibilityConfig()

    def __post_init__(self) -> None:
        require_given(self, "checkpoint_path", "export_path", "inference_scales")
        require_positive(self, "crop_size", "inference_scales", "num_classes")
        refuse_quantization(self)

    @property
    def is_graph(self) -> bool:
        """Whether a frozen graph is wanted."""
        named = str(self.export_path).endswith(".pb")
        return self.format == "frozen_graph" or (self.format is None and named)
