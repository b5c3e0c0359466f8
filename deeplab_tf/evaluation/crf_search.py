"""CRF search: w1, sigma_alpha and sigma_beta for a network, from coarse to fine.

Chen et al. 2015, section 5.2, and 2018, section 4.1: w2 and sigma_gamma stay at 3, the
others are searched on 100 images. The papers give ranges and the last steps, not the
coarse ones; here the corners and the middle of v2's ranges come first, then the
neighbors of the best, by the papers' steps and beyond the ranges, until it stays.
"""

import dataclasses
import functools
import itertools
import json
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from deeplab_tf import console
from deeplab_tf.config import EvalConfig
from deeplab_tf.crf import engines
from deeplab_tf.data.records import Records
from deeplab_tf.data.shard_checksums import Verification
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import crf_search_worker, metrics
from deeplab_tf.evaluation.crf_search_worker import Point, at
from deeplab_tf.files import make_folder, write_whole
from deeplab_tf.parallel import map_in_processes
from deeplab_tf.prediction import replicas
from deeplab_tf.prediction.predictions import Prediction
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.prediction.tiles import make_tiles

_COARSE = ((3.0, 6.0), (30.0, 60.0, 90.0), (3.0, 6.0))
_STEPS = (1.0, 10.0, 1.0)
_MOVES = 3  # Of the best point; each costs at most 26 more.
_IMAGES = 100


@dataclasses.dataclass(frozen=True)
class CachedSplit:
    """Images, labels and logits in a file each, so that logits are computed once.

    Attributes:
        paths: Of the files.
        num_classes: Of the data set.
        ignore_label: Of the data set.
        plain: Confusion matrix without a CRF.
    """

    paths: Sequence[str]
    num_classes: int
    ignore_label: int
    plain: np.ndarray


def search(
    predictor: Predictor,
    records: Records,
    config: EvalConfig,
    *,
    start: engines.Parameters,
    engine: str,
) -> dict[str, Any]:
    """Tries points and writes `crf_search.json`; returns what it holds.

    Args:
        predictor: Whose logits are refined.
        records: Of the split.
        config: All settings.
        start: What stays as it is.
        engine: See `engines.find_engine`.
    """
    folder = Path(config.eval_logdir or "")
    with make_folder(folder):
        images, tried = _try_points(predictor, records, config, start, engine, folder)
        result = _summarize(images, start, tried)
        write_whole(folder / "crf_search.json", json.dumps(result, indent=1) + "\n")
    logging.info(table(tried, metrics.mean_iou(images.plain)))
    best = at(start, _best(tried))
    logging.info("The best of %d: %s", len(tried), engines.flags(best))
    logging.info("Wrote %s", folder / "crf_search.json")
    return result


def _try_points(
    predictor: Predictor,
    records: Records,
    config: EvalConfig,
    start: engines.Parameters,
    engine: str,
    folder: Path,
) -> tuple[CachedSplit, dict[Point, float]]:
    """The images, of which logits lie in `folder` for a while, and scores by point."""
    verification = Verification(records.checksums)
    predictions = predictor.predict_split(
        records,
        scales=config.inference.eval_scales,
        flip=config.inference.add_flipped_images,
        output="logits",
        tiles=make_tiles(config.tiles),
        devices=replicas.visible_gpus(batch_size=1),
    )
    with tempfile.TemporaryDirectory(prefix="logits_", dir=folder) as cache:
        first = itertools.islice(predictions, _IMAGES)
        images = _write_cache(predictor, first, Path(cache))
        verification.wait()
        if not images.plain.any():
            raise InputError(
                f"--eval_split={config.eval_split}: all pixels of its "
                f"{len(images.paths)} images are the ignore label "
                f"{predictor.spec.ignore_label}: there is no score to search by"
            )
        tried = climb(functools.partial(_mean_ious, images, start, engine))
    return images, tried


def _write_cache(
    predictor: Predictor, predictions: Iterable[Prediction], folder: Path
) -> CachedSplit:
    spec = predictor.spec
    paths: list[str] = []
    plain = np.zeros((spec.num_classes,) * 2, np.int64)
    for each in console.bar(predictions, unit="image", desc="logits"):
        label = np.asarray(each.label)
        plain += metrics.confusion_matrix(
            label, each.classes, spec.num_classes, spec.ignore_label
        )
        paths.append(str(folder / f"{len(paths)}.npz"))
        np.savez(
            paths[-1], image=each.image, logits=np.asarray(each.logits), label=label
        )
    return CachedSplit(paths, spec.num_classes, spec.ignore_label, plain)


def climb(score: Any) -> dict[Point, float]:
    """Scores the coarse grid, then what surrounds the best, until the best stays.

    Args:
        score: Points -> their scores, in order.

    Returns:
        Scores by point, in the order of their trial.
    """
    points: Iterable[Point] = itertools.product(*_COARSE)
    tried: dict[Point, float] = {}
    for _ in range(1 + _MOVES):
        new = [point for point in points if point not in tried]
        tried |= zip(new, score(new), strict=True)
        best = _best(tried)
        logging.info(
            "Tried %d points; the best so far: w1 %g, sigma_alpha %g, sigma_beta %g, "
            "mIoU %.4f",
            len(tried),
            *best,
            tried[best],
        )
        points = _around(best)
        if all(point in tried for point in points):
            break
    return tried


def _best(tried: dict[Point, float]) -> Point:
    return max(tried, key=lambda point: tried[point])


def _around(point: Point) -> list[Point]:
    """The point and its neighbors, by the papers' steps; ranges are above 0."""
    w1, alpha, beta = (
        [value + step * move for move in (-1, 0, 1) if value + step * move > 0]
        for value, step in zip(point, _STEPS, strict=True)
    )
    return list(itertools.product(w1, alpha, beta))


def _mean_ious(
    images: CachedSplit, start: engines.Parameters, engine: str, points: list[Point]
) -> list[float]:
    """Mean IoU of each point over the images; one CRF serves all with its ranges."""
    task = functools.partial(
        crf_search_worker.confusions,
        start=start,
        engine=engine,
        num_classes=images.num_classes,
        ignore_label=images.ignore_label,
    )
    ranges = sorted({point[1:] for point in points})
    groups = [[i for i, p in enumerate(points) if p[1:] == same] for same in ranges]
    calls = (
        (group, (path, [points[i] for i in group]))
        for path in images.paths
        for group in groups
    )
    number = len(images.paths) * len(groups)
    total = np.zeros((len(points), images.num_classes, images.num_classes), np.int64)
    results = map_in_processes(task, calls, total=number)
    for group, matrices in console.bar(results, total=number, unit="image"):
        total[group] += matrices
    return [metrics.mean_iou(confusion) for confusion in total]


def table(tried: dict[Point, float], plain: float) -> str:
    """Every point, the best first, and what there is without a CRF."""
    lines = ["   w1  sigma_alpha  sigma_beta    mIoU"]
    for point in sorted(tried, key=lambda point: -tried[point]):
        w1, alpha, beta = point
        lines.append(f"{w1:5g}  {alpha:11g}  {beta:10g}  {tried[point]:.4f}")
    lines.append(f"without a CRF                   {plain:.4f}")
    return "\n".join(lines)


def _summarize(
    images: CachedSplit, start: engines.Parameters, tried: dict[Point, float]
) -> dict[str, Any]:
    points = [
        dict(zip(engines.SEARCHED, point, strict=True)) | {"miou": score}
        for point, score in tried.items()
    ]
    best = _best(tried)
    return {
        "best": dataclasses.asdict(at(start, best)) | {"miou": tried[best]},
        "without_crf": {"miou": metrics.mean_iou(images.plain)},
        "num_images": len(images.paths),
        "points": points,
    }
