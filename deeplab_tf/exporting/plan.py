"""What an export is to be, by the settings and by what its format reads of them."""

import dataclasses
from typing import Any

from deeplab_tf.config import ExportConfig, InferenceConfig
from deeplab_tf.config.export import ANY, FORMATS
from deeplab_tf.exporting.function import Ends


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be written.

    Attributes:
        format: A key of `FORMATS`.
        inference: Test-time augmentation inside.
        ends: What the file takes and gives.
        quantize: Precision.
        with_text: Write the graph as text, too.
        min_agreement: Share of equal pixels that is enough; by default that of the
            precision.
        in_process: Whether what needs TensorFlow is read again in this process.
    """

    format: str
    inference: InferenceConfig = InferenceConfig()
    ends: Ends = Ends()
    quantize: str = "none"
    with_text: bool = False
    min_agreement: float | None = None
    in_process: bool = True


def make(config: ExportConfig, crop_size: tuple[int, int]) -> Plan:
    """The plan of one export.

    Args:
        config: Of the command, with its format.
        crop_size: Of the network: the size of a file that takes one alone, where none
            is given.
    """
    assert config.format
    reads = FORMATS[config.format].reads
    inference = InferenceConfig(
        eval_scales=config.inference_scales,
        add_flipped_images=config.add_flipped_images,
    )
    return Plan(
        format=config.format,
        inference=inference if "inference_scales" in reads else InferenceConfig(),
        ends=_ends(config, crop_size) if "outputs" in reads else Ends(),
        quantize=config.quantize,
        with_text=config.save_inference_graph,
        min_agreement=config.min_agreement,
        in_process=not config.benchmark,
    )


def make_all(config: ExportConfig, crop_size: tuple[int, int]) -> dict[str, Plan]:
    """Names of files, and the plans of all formats in all their precisions."""
    plans = {}
    for format, facts in FORMATS.items():
        for quantize in facts.quantizations:
            stem = format if quantize == "none" else f"{format}_{quantize}"
            changes: dict[str, Any] = {"format": format, "quantize": quantize}
            each = dataclasses.replace(config, **changes)
            plans[f"{stem}{facts.suffix}"] = make(each, crop_size)
    return plans


def _ends(config: ExportConfig, crop_size: tuple[int, int]) -> Ends:
    size, batch = config.size, 1 if config.batch == "1" else None
    if FORMATS[str(config.format)].is_fixed or config.takes_one_size:
        size = crop_size if config.input_size is None else size
        batch = None if config.batch == ANY else 1
    return Ends(size=size, batch=batch, outputs=config.outputs)
