"""Settings of export.py: the formats, what each of them can hold, and what it reads."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, ClassVar, Literal

from deeplab_tf.config.data import CompatibilityConfig, ResizeConfig
from deeplab_tf.config.effects import Rule, by_table, unless, where
from deeplab_tf.config.fields import (
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
from deeplab_tf.errors import FlagError, one_of

FormatName = Literal[
    "saved_model", "frozen_graph", "litert", "onnx", "openvino", "keras"
]
Quantization = Literal["none", "float16", "dynamic", "int8"]
Output = Literal["classes", "probabilities", "logits"]
ANY = "any"
# Settings of one file, from whatever network it is made.
OF_A_FILE = frozenset(
    {
        *("format", "export_version", "input_size", "batch", "outputs", "quantize"),
        *("min_agreement", "calibration_split", "calibration_images"),
        *("check_split", "check_image", "dataset_dir"),
    }
)
_OF_A_FOLDER = (".savedmodel", ".saved_model")
MAX_CALIBRATION = 40  # Pictures; more take minutes and change nothing.


def precision_title(quantize: str) -> str:
    """What a table calls a precision: float32 where nothing is quantized."""
    return "float32" if quantize == "none" else quantize


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """What a file of some format can be.

    Attributes:
        title: Its name, for people.
        suffix: Of the file; empty of a folder.
        quantizations: Precisions that it can have.
        reads: Settings that change the file.
        is_fixed: It takes one image of one size unless asked otherwise: that is what
            its runtime is fast with.
        int8_is_fixed: In int8 it takes one image of one size and nothing else: of any,
            the runtime refuses it, or gives other classes without a word.
        extra: Of setup.cfg, that installs its converter and its runtime.
        module: Of its runtime, if that is not TensorFlow.
    """

    title: str
    suffix: str = ""
    quantizations: tuple[Quantization, ...] = ("none",)
    reads: tuple[str, ...]
    is_fixed: bool = False
    int8_is_fixed: bool = False
    extra: str = ""
    module: str = ""


_VIEWS = ("inference_scales", "add_flipped_images")
_ENDS = (*_VIEWS, "input_size", "batch", "outputs")
FORMATS: Mapping[str, Format] = {
    "saved_model": Format(
        title="SavedModel", reads=(*_VIEWS, "save_inference_graph", "export_version")
    ),
    "frozen_graph": Format(
        title="frozen graph", suffix=".pb", reads=(*_ENDS, "save_inference_graph")
    ),
    "litert": Format(
        title="LiteRT",
        suffix=".tflite",
        quantizations=("none", "float16", "dynamic", "int8"),
        reads=(*_ENDS, "quantize"),
        is_fixed=True,
        int8_is_fixed=True,
        extra="litert",
        module="ai_edge_litert",
    ),
    "onnx": Format(
        title="ONNX",
        suffix=".onnx",
        quantizations=("none", "float16", "int8"),
        reads=(*_ENDS, "quantize"),
        extra="onnx",
        module="onnxruntime",
    ),
    "openvino": Format(
        title="OpenVINO",
        suffix=".xml",
        quantizations=("none", "float16", "int8"),
        reads=(*_ENDS, "quantize"),
        int8_is_fixed=True,
        extra="openvino",
        module="openvino",
    ),
    "keras": Format(title="Keras", suffix=".keras", reads=()),
}
_WITH_SPLIT = Rule(
    "check_split",
    frozenset(["dataset_dir"]),
    lambda record: (
        ["dataset_dir"] if record.check_split or record.calibration_split else []
    ),
    lambda _: "without --check_split and --calibration_split",
    lambda _: "with --check_split or --calibration_split",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Exports a trained network, with all preprocessing inside, for deployment.

        python export.py --checkpoint_path=run --export_path=exported
        python export.py --checkpoint_path=run --export_path=model.onnx

    What is written is read again and compared with the network.
    """

    topic: ClassVar = "Export"
    rules: ClassVar = (
        unless(
            "benchmark",
            *("format", "quantize", "outputs", "save_inference_graph"),
            "export_version",
        ),
        # The format is given, or the path tells it.
        by_table("format", {name: each.reads for name, each in FORMATS.items()}),
        where(
            "quantize",
            "calibration_split",
            "calibration_images",
            when=lambda quantize: quantize == "int8",
            company="with --quantize=int8",
        ),
        _WITH_SPLIT,
    )
    checkpoint_path: str | None = flag(
        "Training folder, or a checkpoint's folder, prefix or .index, or zoo:NAME.",
        None,
        required=True,
    )
    export_path: str | None = flag(
        "Folder of the SavedModel, or name of the file; new. With --benchmark, a "
        "folder for all formats.",
        None,
        required=True,
    )
    export_version: int | None = flag(
        "Write the SavedModel into the folder of this number in --export_path, as "
        "servers want it.",
        None,
        within=POSITIVE,
    )
    num_classes: int | None = flag(
        "Number of classes of a checkpoint without dataset.json.",
        None,
        official=21,
        within=POSITIVE,
        common=True,
    )
    crop_size: tuple[int, int] | None = flag(
        "Height,width to which smaller images are padded; by default that of training.",
        None,
        official=(513, 513),
        within=POSITIVE,
        common=True,
    )
    inference_scales: tuple[float, ...] = flag(
        "Scales of the image whose predictions are averaged, as 0.5,1,1.5.",
        (1.0,),
        within=POSITIVE,
        common=True,
    )
    add_flipped_images: bool = flag(
        "Average with the mirrored image, too.", False, common=True
    )
    format: FormatName | None = flag(
        "What to write; by default as --export_path ends: .onnx, .tflite (litert), "
        ".xml (openvino), .pb (frozen_graph), .keras, else a saved_model.",
        None,
        common=True,
    )
    input_size: str | None = flag(
        "Height,width of the images that the file takes, or any; by default any, and "
        "--crop_size of litert, and of openvino in int8.",
        None,
        common=True,
    )
    batch: Literal["1", "any"] | None = flag(
        "Images that the file takes at a time; by default any; 1 of litert, and "
        "of openvino in int8.",
        None,
        common=True,
    )
    outputs: tuple[Output, ...] = flag(
        "What the file gives, in this order: classes, probabilities, logits.",
        ("classes", "probabilities"),
        common=True,
    )
    quantize: Quantization = flag(
        "Precision: weights in float16; weights in 8 bits (dynamic); or weights and "
        "activations in 8 bits, calibrated on pictures (int8).",
        "none",
        common=True,
    )
    calibration_split: str | None = flag(
        f"Records on which int8 is calibrated, the first {MAX_CALIBRATION}; by default "
        "those of the training.",
        None,
        common=True,
    )
    calibration_images: str | None = flag(
        f"Folder of photographs on which int8 is calibrated, the first "
        f"{MAX_CALIBRATION}.",
        None,
        common=True,
    )
    check_split: str | None = flag(
        "Records on all of which export and network are compared, mIoU included.",
        None,
        common=True,
    )
    dataset_dir: str | None = flag(
        "Folder of the records of --check_split and --calibration_split; by default "
        "that of the training.",
        None,
        common=True,
    )
    min_agreement: float | None = flag(
        "Share of equal pixels that is enough, from 0 to 1; by default 0.999, 0.99 of "
        "float16 and dynamic, 0.97 of int8.",
        None,
        within=Range(minimum=0, maximum=1),
    )
    benchmark: bool = flag(
        "Write all formats in all precisions, and a table that compares them.",
        False,
        common=True,
    )
    save_inference_graph: bool = flag("Write the graph as text, too.", False)
    dataset: str | None = flag(
        "Data set that names the classes of a checkpoint without dataset.json.",
        None,
        common=True,
    )
    check_image: str | None = flag(
        "Photograph on which export and network are compared; by default some of the "
        "training, or a packaged picture.",
        None,
        common=True,
    )
    quantize_delay_step: int = flag(
        "Step of quantized training, which is refused; leave it at -1.", -1
    )
    model: Overrides[ModelConfig] = Overrides(ModelConfig(output_stride=8))
    resize: Overrides[ResizeConfig] = Overrides(ResizeConfig())
    compatibility: CompatibilityConfig = CompatibilityConfig()

    def __post_init__(self) -> None:
        require_given(self)
        require_given(self, "inference_scales", "outputs")
        check_ranges(self)
        refuse_quantization(self)
        if self.format is None and not self.benchmark:
            _check_suffix(self.export_path or "")
            object.__setattr__(self, "format", _format_of(self.export_path))
        self._check_path()
        self._check_ends()
        self._check_pictures()

    def _check_path(self) -> None:
        if self.benchmark or not self.export_path or not self.format:
            return
        told, needed = _format_of(self.export_path), FORMATS[self.format].suffix
        if told == self.format:
            return
        if needed and (FORMATS[told].suffix or self.format != "frozen_graph"):
            raise FlagError(
                f"--format={self.format}: --export_path={self.export_path} is to end "
                f"in {needed}; or leave --format out"
            )
        if not needed:
            raise FlagError(
                f"--format={self.format}: --export_path={self.export_path} is a folder "
                f"and ends like a {told}; take another, or leave --format out"
            )

    def _check_ends(self) -> None:
        _ = self.size  # Raises where it cannot be understood.
        if len(set(self.outputs)) < len(self.outputs):
            raise FlagError(f"--outputs={text(self.outputs)}: each once is needed")
        if self.benchmark or not self.format:
            return
        possible = FORMATS[self.format].quantizations
        if len(possible) > 1 and self.quantize not in possible:
            raise FlagError(
                f"--quantize={self.quantize}: of {self.format}, one of "
                f"{text(possible)} is needed"
            )
        if self.takes_one_size and ANY in (self.input_size, self.batch):
            raise FlagError(
                f"--quantize=int8 of {self.format} is calibrated on one size; give "
                "--input_size=height,width and leave --batch out"
            )

    def _check_pictures(self) -> None:
        if self.calibration_split and self.calibration_images:
            raise FlagError(
                "--calibration_split and --calibration_images exclude each other; "
                "leave one out"
            )
        if self.check_split and self.check_image:
            raise FlagError(
                "--check_split and --check_image exclude each other; leave one out"
            )

    @property
    def takes_one_size(self) -> bool:
        """Whether the file can be of one image of one size alone."""
        return self.quantize == "int8" and FORMATS[str(self.format)].int8_is_fixed

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width by `input_size`; None of any, or where it is not given."""
        if self.input_size in (None, ANY):
            return None
        words = str(self.input_size).split(",")
        numbers = [int(word) for word in words if word.strip().isdecimal()]
        if len(numbers) != len(words) or len(words) > 2 or not all(numbers):
            raise FlagError(
                f"--input_size={self.input_size}: height,width, as 513,513, or any is "
                "needed"
            )
        return numbers[0], numbers[-1]


def _check_suffix(path: str) -> None:
    """Raises where a path ends like a file of no format, and may be a slip."""
    suffix = PurePath(path).suffix
    known = [each.suffix for each in FORMATS.values() if each.suffix]
    is_word = re.fullmatch(r"\.[a-z]+\d?", suffix, re.IGNORECASE)
    if is_word and suffix.lower() not in (*known, *_OF_A_FOLDER):
        raise FlagError(
            f"--export_path={path}: {one_of(suffix, known)}, or "
            "--format=saved_model, which writes a folder"
        )


def _format_of(path: str | None) -> FormatName:
    """The format that the end of a path tells."""
    suffix = PurePath(path or "").suffix.lower()
    names: dict[str, Any] = {each.suffix: name for name, each in FORMATS.items()}
    return names.get(suffix, "saved_model")
