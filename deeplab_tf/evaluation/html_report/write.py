"""The files of a report: `report.html`, `report.json` and `label_errors.csv`."""

import datetime
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeplab_tf.checkpoints import run_curves, run_folder, run_settings
from deeplab_tf.config import EvalConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation.html_report import facts, label_errors
from deeplab_tf.evaluation.html_report.facts import Subject
from deeplab_tf.evaluation.html_report.label_errors import LabelErrors
from deeplab_tf.evaluation.html_report.pictures import Picture
from deeplab_tf.evaluation.html_report.selection import ImageSelection, ShownImage
from deeplab_tf.evaluation.scores import Evaluation
from deeplab_tf.files import write_whole
from deeplab_tf.html_pages import charts, page
from deeplab_tf.html_pages.charts import Axis, Series
from deeplab_tf.prediction.predictor import Predictor

PAGE, NUMBERS = "report.html", "report.json"
_MOST_BYTES = 4_200_000  # Of pictures in the page, which has some 0.5 MB beside them.
_MOST_OF_CURVES = 300_000  # Bytes.


class Observers:
    """What a report gathers while images pass: see `evaluate_split`."""

    def __init__(self, spec: DatasetSpec) -> None:
        self.selection = ImageSelection(spec)
        self.label_errors = LabelErrors(spec, side=self.selection.side)

    def __iter__(self) -> Iterator[ImageSelection | LabelErrors]:
        return iter((self.selection, self.label_errors))


def write_report(
    folder: Path,
    evaluation: Evaluation,
    observers: Observers,
    predictor: Predictor,
    config: EvalConfig,
) -> Path:
    """Writes the three files; returns the path of the page.

    Args:
        folder: It exists.
        evaluation: Of the network.
        observers: That saw each of its predictions.
        predictor: The network.
        config: All settings.
    """
    about = subject(predictor, config)
    numbers = facts.gather(
        evaluation, observers.selection, observers.label_errors, about
    )
    content = to_json(numbers)
    html = render(numbers, evaluation, observers, about)
    write_whole(folder / label_errors.FILE, observers.label_errors.table())
    write_whole(folder / NUMBERS, content)
    write_whole(folder / PAGE, html)
    return folder / PAGE


def to_json(numbers: Mapping[str, Any]) -> str:
    """What `report.json` holds, as a file."""
    return json.dumps(numbers, indent=1, default=lambda value: value.item()) + "\n"


def subject(predictor: Predictor, config: EvalConfig) -> Subject:
    """What is evaluated."""
    trained = Path(predictor.checkpoint).parent
    try:
        settings = run_settings.read(trained)
    except InputError:  # A checkpoint without a run, or one whose file is damaged.
        settings = {}
    # The best checkpoint has a folder of its own, in that of the run.
    places = [folder / run_curves.FILE for folder in (trained, trained.parent)]
    curves = next(filter(Path.is_file, places), None)
    content = curves.read_bytes() if curves else b""
    return Subject(
        split=config.eval_split,
        records=config.data.dataset_dir or config.data.tfds or "",
        checkpoint=predictor.checkpoint,
        step=predictor.step,
        command=shlex.join(sys.argv),
        date=datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        settings=dict(facts.flat_settings(config)),
        network=dict(facts.flat_settings(predictor.config)),
        training={
            name: run_settings.shown(value)
            for name, value in settings.items()
            if name not in run_settings.NO_FLAGS
        },
        environment=run_folder.environment(),
        curves=content if len(content) <= _MOST_OF_CURVES else b"",
    )


def render(
    numbers: Mapping[str, Any],
    evaluation: Evaluation,
    observers: Observers,
    about: Subject,
) -> str:
    """The page.

    Args:
        numbers: What `report.json` holds.
        evaluation: Of the network.
        observers: That saw each of its predictions.
        about: What was evaluated.
    """
    spec = evaluation.confusion.spec
    album = _Album(spec)
    selection, errors = observers.selection, observers.label_errors.pictured()
    worst = [album.show(each) for each in selection.worst]
    mistakes = [
        {
            "error": error,
            "label": spec.classes[error.worst.label],
            "predicted": spec.classes[error.worst.predicted],
            "picture": album.panels(error.picture),
        }
        for error in errors
        if error.picture
    ]
    best = [album.show(each) for each in selection.best]
    values = {
        "facts": numbers,
        "about": about,
        "spec": spec,
        "worst": worst,
        "best": best,
        "mistakes": mistakes,
        "mistakes_in_all": len(observers.label_errors.ranked()),
        "by_class": _by_class(selection, album),
        "charts": _charts(numbers, evaluation),
        "interval_bar": charts.interval_bar,
        "curves": page.data_url(about.curves, "image/svg+xml") if about.curves else "",
    }
    return page.render(__package__, "page.html", values)


class _Album:
    """The pictures of a page: each once, and none when there would be too many."""

    def __init__(self, spec: DatasetSpec) -> None:
        self._spec = spec
        self._left = _MOST_BYTES
        self._shown: set[int] = set()

    def show(self, shown: ShownImage, label: int | None = None) -> dict[str, Any]:
        """An image for the template; only named if it is on the page already."""
        is_new = shown.number not in self._shown
        picture = self.panels(shown.picture) if is_new else None
        if picture and picture["panels"]:
            self._shown.add(shown.number)
        described = facts.image(shown, self._spec)
        count = self._spec.num_classes
        return described | {
            "number": shown.number,
            "is_above": not is_new,
            "picture": picture,
            "iou": None if label is None else shown.iou(label, count),
        }

    def panels(self, picture: Picture) -> dict[str, Any]:
        """Panels as data URLs, and the legend of a picture."""
        urls = [
            {"title": title, "url": page.data_url(content), "size": size}
            for title, content, size in picture.panels
        ]
        needed = sum(len(each["url"]) for each in urls)
        if needed > self._left:
            urls = []
        else:
            self._left -= needed
        legend = [
            (self._spec.classes[i], page.hex_color(self._spec.palette[i]))
            for i in picture.classes
        ]
        return {"panels": urls, "legend": legend}


def _by_class(selection: ImageSelection, album: _Album) -> list[dict[str, Any]]:
    """Worst and best images of each class that has some.

    The worst of all classes come first in the pictures that a page has room for.
    """
    rows = []
    for label in range(album._spec.num_classes):
        worst, best = selection.of_class(label)
        if worst or best:
            rows.append((label, worst, best))
    shown = {label: [album.show(w, label) for w in worst] for label, worst, _ in rows}
    return [
        {
            "id": label,
            "worst": shown[label],
            "best": [album.show(each, label) for each in best],
        }
        for label, _, best in rows
    ]


def _charts(numbers: Mapping[str, Any], evaluation: Evaluation) -> dict[str, Any]:
    drawn: dict[str, Any] = {"confusion": _confusion(evaluation)}
    drawn["images"] = charts.histogram(
        numbers["image_miou"],
        Axis(title="mIoU of the image"),
        label="Histogram of the images by their own mIoU",
        what="images",
    )
    if calibration := numbers["scores"].get("calibration"):
        drawn |= _calibration(calibration)
    if trimaps := evaluation.confusion.trimaps:
        drawn["trimap"] = _trimap(numbers["scores"], [*trimaps])
    return drawn


def _confusion(evaluation: Evaluation) -> Any:
    """The heat map of the classes that occur or are predicted."""
    matrix, classes = evaluation.confusion.matrix, evaluation.confusion.spec.classes
    some = np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1))
    return charts.heat_map(
        matrix[np.ix_(some, some)],
        [classes[i] for i in some],
        label=(
            f"Confusion matrix of {len(some)} classes: a row a true class, a column a "
            "predicted one, the share of the true class as shade"
        ),
    )


def _calibration(calibration: Mapping[str, Any]) -> dict[str, Any]:
    filled = [each for each in calibration["bins"] if each["pixels"]]
    total = sum(each["pixels"] for each in filled)
    reliability = Series(
        name="pixels",
        points=[(each["confidence"], each["accuracy"]) for each in filled],
        weights=[each["pixels"] / total for each in filled],
    )
    guide = Series(name="calibrated", points=[(0, 0), (1, 1)], kind="guide")
    curve = [tuple(point) for point in calibration["risk_coverage"]]
    highest = max((risk for _, risk in curve), default=0.0)
    return {
        "reliability": charts.line_chart(
            [guide, reliability],
            Axis(title="confidence"),
            Axis(title="right"),
            label=(
                "Reliability curve: share of right pixels by confidence; calibrated "
                "networks lie on the diagonal"
            ),
        ),
        "risk": charts.line_chart(
            [Series(name="wrong of those kept", points=curve)],
            Axis(title="pixels kept, the surest first"),
            Axis(title="wrong of them", high=_above(highest), show=_fine),
            label=(
                "Risk-coverage curve: share of wrong pixels among the surest, by how "
                "many are kept"
            ),
        ),
    }


def _trimap(scores: Mapping[str, Any], widths: Sequence[int]) -> Any:
    lines = [("mIoU", "main", scores)]
    if "without_crf" in scores:
        lines = [
            ("with CRF", "main", scores),
            ("without CRF", "other", scores["without_crf"]),
        ]
    series = []
    for name, kind, each in lines:
        values = [each["trimap_miou"][str(width)] for width in widths]
        points = [
            (float(width), float("nan") if value is None else value)
            for width, value in sorted(zip(widths, values, strict=True))
        ]
        series.append(Series(name=name, points=points, kind=kind))
    whole = scores["miou"]
    if whole is not None:
        ends = [(0.0, whole), (float(max(widths)), whole)]
        series.insert(0, Series(name="all pixels", points=ends, kind="guide"))
    return charts.line_chart(
        series,
        Axis(
            title="pixels from a boundary, at most",
            high=float(max(widths)),
            show="{:.0f}".format,
        ),
        Axis(title="mIoU"),
        label=(
            "Trimap curve: mIoU of the pixels within some of a boundary; the dashed "
            "line is that of all pixels"
        ),
    )


def _above(value: float) -> float:
    """A round end of an axis, at or above a value."""
    return next((end for end in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if value <= end), 1.0)


def _fine(value: float) -> str:
    return f"{100 * value:.3g} %"
