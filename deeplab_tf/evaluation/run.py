"""Evaluation: one pass over a split with a trained network."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import logging

from deeplab_tf import console
from deeplab_tf.config import EvalConfig, InferenceConfig
from deeplab_tf.crf import engines
from deeplab_tf.data.labels import validate_records
from deeplab_tf.data.records import Records
from deeplab_tf.data.shard_checksums import Verification
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import crf_search, metrics, report
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.files import check_writable
from deeplab_tf.prediction import load, predictions
from deeplab_tf.prediction.predictor import Predictor


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """How well a network predicts a split.

    Attributes:
        confusion: Of the predictions, after the CRF if there is one.
        without_crf: Of those before it, if there is one.
        crf: Its parameters and engine, as `metrics.json` has them, if there is one.
    """

    confusion: Confusion
    without_crf: Confusion | None = None
    crf: dict[str, Any] | None = None

    @property
    def miou(self) -> float:
        """Mean IoU."""
        return metrics.mean_iou(self.confusion.matrix)

    @property
    def scores(self) -> dict[str, Any]:
        """What `metrics.json` holds."""
        scores = report.summary(self.confusion)
        if self.without_crf:
            scores["crf"] = self.crf
            scores["without_crf"] = report.summary(self.without_crf)
        return scores

    def by_crf(self) -> dict[str, Confusion]:
        """The confusion without the CRF and, if there is one, with it."""
        if not self.without_crf:
            return {"without CRF": self.confusion}
        return {"without CRF": self.without_crf, "with CRF": self.confusion}


def evaluate(config: EvalConfig) -> dict[str, Any]:
    """Scores a network, or each new checkpoint of it; or searches a CRF for it.

    Returns:
        What `metrics.json` holds, or `crf_search.json` after a search.

    Raises:
        InputError: Something given is not usable; nothing was written.
    """
    check_writable("eval_logdir", config.eval_logdir)
    engine = engines.find_engine(config.refinement.crf_engine)
    task: Callable[..., dict[str, Any]]
    if config.crf_search:
        start = engines.start_of_search(config.refinement)
        task = functools.partial(crf_search.search, start=start, engine=engine)
    else:
        crf = engines.parameters_of(config.refinement)
        task = functools.partial(_evaluate, crf=crf, engine=engine)
    scores: dict[str, Any] = {}
    for path in load.iterate_checkpoints(
        config.checkpoint_dir or "",
        config.max_number_of_evaluations,
        config.eval_interval_secs,
    ):
        predictor, records = load.load_with_records(
            path,
            config,
            split=config.eval_split,
            crop_size=config.eval_crop_size,
            validate_labels=config.validate_labels,
        )
        scores = task(predictor, records, config)
    return scores


def _evaluate(
    predictor: Predictor,
    records: Records,
    config: EvalConfig,
    *,
    crf: engines.Parameters | None,
    engine: str,
) -> dict[str, Any]:
    evaluation = evaluate_split(
        predictor,
        records,
        inference=config.inference,
        batch_size=config.eval_batch_size,
        trimap_widths=config.trimap_widths,
        crf=crf,
        crf_engine=engine,
    )
    matrix, scores = evaluation.confusion.matrix, evaluation.scores
    logging.info(report.table(matrix, predictor.spec))
    if crf or config.trimap_widths:
        logging.info(report.comparison(evaluation.by_crf()))
    report.warn_of_collapse(matrix, predictor.spec)
    folder, tag = Path(config.eval_logdir or ""), _tag(config.inference)
    report.write(folder, scores, evaluation.confusion, step=predictor.step, tag=tag)
    logging.info("Wrote %s and %s", folder / "metrics.json", report.CONFUSION)
    return scores


def evaluate_split(
    predictor: Predictor,
    records: Records,
    *,
    inference: InferenceConfig = InferenceConfig(),
    batch_size: int = 1,
    trimap_widths: tuple[int, ...] = (),
    crf: engines.Parameters | None = None,
    crf_engine: str = "auto",
) -> Evaluation:
    """Evaluates a network on every record of a split; writes nothing.

    Args:
        predictor: Of the network.
        records: Of the split.
        inference: Test-time augmentation.
        batch_size: Images at a time.
        trimap_widths: Pixels within so many of a boundary are counted, too.
        crf: Parameters of a fully connected CRF behind the network.
        crf_engine: See `engines.find_engine`.

    Raises:
        InputError: A record cannot be read, its label is of other classes, a shard is
            not the one that `dataset.json` describes, or no pixel counts.
    """
    validate_records.check_not_empty(records)
    total, verification = records.count(), Verification(records.checksums)
    split = predictor.predict_split(
        records,
        batch_size=batch_size,
        scales=inference.eval_scales,
        flip=inference.add_flipped_images,
        output="logits" if crf else "classes",
    )
    plain, refined = (Confusion(predictor.spec, trimap_widths) for _ in range(2))
    engine = engines.find_engine(crf_engine) if crf else ""
    with console.bar(total=total, unit="image") as bar:
        if crf is None:
            for prediction in split:
                plain.add(prediction)
                bar.update()
        else:
            for prediction, classes in predictions.refine_in_processes(
                split, crf, engine, total=total
            ):
                plain.add(prediction)
                refined.add(prediction, classes)
                bar.update()
    verification.wait()
    _check_scored(plain, records)
    if crf is None:
        return Evaluation(confusion=plain)
    return Evaluation(
        confusion=refined,
        without_crf=plain,
        crf=dataclasses.asdict(crf) | {"engine": engine},
    )


def _check_scored(confusion: Confusion, records: Records) -> None:
    if why := report.why_no_score(confusion):
        first = records.where(0).rpartition(":")[0]
        raise InputError(
            f"{first}: of this split, {why}; take a split that is labeled, or build it "
            "with its labels"
        )


def _tag(inference: InferenceConfig) -> str:
    """As the official event files have it: `miou_1.0`."""
    scales = "".join(f"_{scale}" for scale in inference.eval_scales)
    return f"miou{scales}" + ("_flipped" if inference.add_flipped_images else "")
