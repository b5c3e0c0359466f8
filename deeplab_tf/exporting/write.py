"""Writing an export: made under another name, read again, compared, and then there."""

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.config.export import FORMATS
from deeplab_tf.errors import InputError, require_module
from deeplab_tf.exporting import (
    fold_batch_norm,
    frozen_graph,
    function,
    inference_graph,
    info,
    memory,
    model_card,
    pictures,
    report,
    saved_model,
    to_litert,
    to_onnx,
    to_openvino,
    warmup,
)
from deeplab_tf.exporting.check import check
from deeplab_tf.exporting.function import Ends
from deeplab_tf.exporting.pictures import Pictures
from deeplab_tf.exporting.plan import Plan
from deeplab_tf.exporting.quiet import quiet
from deeplab_tf.exporting.report import Report
from deeplab_tf.files import name_in_error
from deeplab_tf.prediction.predictor import Predictor

_TEXT = "inference_graph.pbtxt"
CONVERTERS: dict[str, Callable[..., None]] = {
    "litert": to_litert.save,
    "onnx": to_onnx.save,
    "openvino": to_openvino.save,
}
# How converters say that a format lacks an operation.
_LACKS = re.compile(
    r"'tf\.(\w+)' op is neither"  # LiteRT's;
    r"|No Op registered for (\w+)"  # ONNX's;
    r"|No conversion rule found for operations: (.+)"  # and OpenVINO's.
)
# What else than its runtime a format needs to be written.
CONVERTER_MODULES = {"onnx": ("onnx", "tf2onnx")}


def write(
    predictor: Predictor,
    target: Path,
    plan: Plan,
    samples: Pictures,
    calibration: Pictures | None = None,
) -> Report:
    """Writes an export, unless it differs from its network.

    Args:
        predictor: What is exported.
        target: File or folder; new.
        plan: What is to be written.
        samples: Pictures on which export and network are compared.
        calibration: Pictures for "int8".

    Raises:
        InputError: The export differs from the network, the format lacks what that
            computes, or what it needs is not installed; nothing was written.
    """
    require(plan.format)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = tempfile.TemporaryDirectory(prefix=".exporting-", dir=target.parent)
    with name_in_error(target), folder as made:
        path = Path(made) / target.name
        if plan.format in CONVERTERS:
            _convert(predictor, path, plan, calibration)
        elif plan.format == "keras":
            predictor.model.save(path)
        else:
            _write_tensorflow(predictor, path, plan)
        if not path.is_dir():
            info.write(info.beside(path), _describe(predictor, plan))
        memory.release()
        compared = check(path, predictor, plan, samples)
        compared.agreement.check(plan.min_agreement)
        report.write(path, compared)
        for file in sorted(Path(made).iterdir(), key=lambda file: file == path):
            file.rename(target.parent / file.name)  # What gives it its name comes last.
    return compared


def require(format: str) -> None:
    """Raises where a format's converter or runtime is not installed.

    Raises:
        InputError: Says how to install it.
    """
    facts = FORMATS[format]
    if facts.module:
        for module in (*CONVERTER_MODULES.get(format, ()), facts.module):
            require_module(module, facts.extra, needed_by=f"--format={format}")


def files_of(target: Path, format: str) -> list[Path]:
    """All that an export is made of."""
    if format == "saved_model":
        return [target]
    weights = [target.with_suffix(".bin")] if format == "openvino" else []
    return [target, *weights, info.beside(target), report.beside(target)]


def _describe(predictor: Predictor, plan: Plan) -> dict[str, Any]:
    return info.describe(
        predictor,
        format=plan.format,
        quantize=plan.quantize,
        inference=plan.inference,
        ends=plan.ends,
    )


def _convert(
    predictor: Predictor, path: Path, plan: Plan, calibration: Pictures | None
) -> None:
    """Writes what another runtime reads."""

    def feed() -> Iterator[np.ndarray]:
        size = plan.ends.size or predictor.crop_size
        for sample in calibration.read() if calibration else ():
            pixels = pictures.fit(sample.pixels, size, predictor.mean_pixel)
            yield pixels[np.newaxis]

    frozen = function.freeze(predictor, plan.inference, plan.ends)
    with quiet(), _explain_lack(plan.format):
        CONVERTERS[plan.format](
            frozen,
            plan.ends.names,
            path,
            quantize=plan.quantize,
            calibration=feed(),
        )


@contextlib.contextmanager
def _explain_lack(format: str) -> Iterator[None]:
    """Within it, the error of an operation that a format lacks is told in one line."""
    try:
        yield
    except Exception as error:
        found = [name for names in _LACKS.findall(str(error)) for name in names if name]
        if not found:
            raise
        raise InputError(
            f"--format={format} lacks what this network computes "
            f"({', '.join(sorted(set(found)))}); take saved_model or frozen_graph"
        ) from error


def _write_tensorflow(predictor: Predictor, path: Path, plan: Plan) -> None:
    """Writes a SavedModel or a frozen graph, and the graph as text if that is asked."""
    names: Sequence[str] = frozen_graph.OUTPUTS
    if plan.ends == Ends():  # As of each SavedModel, and of the official graphs.
        traced = saved_model.concrete_function(predictor, plan.inference)
    else:
        names = plan.ends.names
        traced = function.trace(predictor, plan.inference, plan.ends)
    network = fold_batch_norm.fold(inference_graph.split(traced))
    if plan.format == "frozen_graph":
        frozen_graph.save(inference_graph.freeze(network), path, names)
    else:
        with tempfile.TemporaryDirectory(prefix="deeplab-notes-") as notes:
            assets = _write_assets(Path(notes), predictor, plan)
            ignored = predictor.spec.ignore_label
            serving = saved_model.Serving(network, assets, ignore_label=ignored)
            saved_model.save(serving, path)
        warmup.write(path, predictor.model.name, predictor.crop_size)
        model_card.write(path, predictor, plan.inference)
    if plan.with_text:
        folder = path if path.is_dir() else path.parent
        tf.io.write_graph(traced.graph.as_graph_def(), str(folder), _TEXT)


def _write_assets(folder: Path, predictor: Predictor, plan: Plan) -> list[Path]:
    """Files for whoever uses the export: names, colors, and what it is."""
    spec = predictor.spec
    rows = [",".join(map(str, (i, *color))) for i, color in enumerate(spec.palette)]
    texts = {
        "labels.txt": "\n".join(spec.classes),
        "colormap.csv": "\n".join(["id,red,green,blue", *rows]),
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", "utf-8")
    info.write(folder / info.FILE_NAME, _describe(predictor, plan))
    return [folder / name for name in (*texts, info.FILE_NAME)]


def refuse_taken(target: Path, format: str, given: str) -> None:
    """Raises where something lies where an export would.

    Args:
        target: File or folder of the export.
        format: A key of `FORMATS`.
        given: The target as the user gave it.

    Raises:
        InputError: Says what.
    """
    for path in files_of(target, format):
        if path.exists():
            name = given if path == target else f"{given}: {path}"
            raise InputError(f"{name} is there already; remove it or take another")
