"""Evaluation: one pass over a split with a trained network."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from deeplab_tf import console, parallel
from deeplab_tf.checkpoints import run_state
from deeplab_tf.config import EvalConfig, InferenceConfig
from deeplab_tf.crf import engines
from deeplab_tf.data.labels import validate_records
from deeplab_tf.data.records import Records
from deeplab_tf.data.shard_checksums import Verification
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import crf_search, csv_tables, image_counts, report
from deeplab_tf.evaluation.comparing.curve import Curve, settings_of
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.evaluation.html_report import write
from deeplab_tf.evaluation.html_report.write import Observers
from deeplab_tf.evaluation.image_counts import ImageCounts
from deeplab_tf.evaluation.scores import Counter, Evaluation
from deeplab_tf.files import check_writable
from deeplab_tf.prediction import load, predictions, replicas
from deeplab_tf.prediction.predictions import Output, Prediction
from deeplab_tf.prediction.predictor import Predictor
from deeplab_tf.prediction.tiles import make_tiles
from deeplab_tf.runtime import Tiles

# Is given each prediction, its final classes `[H, W]`, and its counts.
Observer = Callable[[Prediction, np.ndarray, ImageCounts], None]


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
    curve = Curve(config)
    for path in _checkpoints(config, curve):
        predictor, records = load.load_with_records(
            path,
            config,
            split=config.eval_split,
            crop_size=config.eval_crop_size,
            validate_labels=config.validate_labels,
        )
        scores = task(predictor, records, config)
        if config.goes_on and not config.crf_search:
            curve.append(path, scores)
    return scores


def _checkpoints(config: EvalConfig, curve: Curve) -> Iterator[str]:
    """Yields those to evaluate: a number of them, or all until training is finished."""
    path, seconds = config.checkpoint_dir or "", config.eval_interval_secs
    if not config.continuous:
        count = config.max_number_of_evaluations
        return load.iterate_checkpoints(path, count, seconds)
    return load.iterate_checkpoints(
        path,
        0,
        seconds,
        is_finished=lambda: run_state.is_finished(Path(path)),
        skips=curve.skips,
    )


def _evaluate(
    predictor: Predictor,
    records: Records,
    config: EvalConfig,
    *,
    crf: engines.Parameters | None,
    engine: str,
) -> dict[str, Any]:
    observers = Observers(predictor.spec) if config.report else None
    evaluation = evaluate_split(
        predictor,
        records,
        inference=config.inference,
        batch_size=config.eval_batch_size,
        trimap_widths=config.widths,
        crf=crf,
        crf_engine=engine,
        boundary=config.report or config.boundary_iou,
        calibration=config.report or config.calibration,
        tiles=make_tiles(config.tiles),
        devices=replicas.visible_gpus(config.eval_batch_size),
        observers=[*observers] if observers else (),
        needs_probabilities=observers is not None,
    )
    origin = {"checkpoint": predictor.checkpoint, "step": predictor.step}
    matrix, scores = evaluation.confusion.matrix, evaluation.scores | origin
    logging.info(report.table(matrix, predictor.spec))
    logging.info(report.beside_table(scores))
    if crf or config.widths:
        logging.info(report.comparison(evaluation.by_crf()))
    report.warn_of_collapse(matrix, predictor.spec)
    folder, tag = Path(config.eval_logdir or ""), _tag(config.inference)
    report.write(folder, scores, evaluation.confusion, step=predictor.step, tag=tag)
    csv_tables.write(
        folder,
        evaluation,
        checkpoint=predictor.checkpoint,
        settings=settings_of(config),
    )
    beside = ", ".join((csv_tables.PER_CLASS, csv_tables.PER_IMAGE, image_counts.FILE))
    metrics_file = folder / "metrics.json"
    logging.info("Wrote %s, %s, %s", metrics_file, report.CONFUSION, beside)
    if observers:
        page = write.write_report(folder, evaluation, observers, predictor, config)
        logging.info("Wrote %s", page)
    if not config.goes_on:
        logging.info("Next: %s", _next_command(config))
    return scores


def _next_command(config: EvalConfig) -> str:
    """Pictures of what was evaluated."""
    split = config.eval_split
    return console.command_line(
        "vis",
        checkpoint_dir=config.checkpoint_dir,
        dataset=config.data.dataset,
        dataset_dir=config.data.dataset_dir,
        vis_split=None if split == "val" else split,
        vis_logdir="pictures",
    )


def evaluate_split(  # noqa: PLR0913  # Each has the name of a flag.
    predictor: Predictor,
    records: Records,
    *,
    inference: InferenceConfig = InferenceConfig(),
    batch_size: int = 1,
    trimap_widths: tuple[int, ...] = (),
    crf: engines.Parameters | None = None,
    crf_engine: str = "auto",
    boundary: bool = False,
    calibration: bool = False,
    observers: Sequence[Observer] = (),
    needs_probabilities: bool = False,
    tiles: Tiles | None = None,
    devices: Sequence[str] = (),
) -> Evaluation:
    """Evaluates a network on every record of a split; writes nothing.

    Args:
        predictor: Of the network.
        records: Of the split.
        inference: Test-time augmentation.
        batch_size: Images at a time, of each device.
        trimap_widths: Pixels within so many of a boundary are counted, too.
        crf: Parameters of a fully connected CRF behind the network.
        crf_engine: See `engines.find_engine`.
        boundary: Boundary IoU, too.
        calibration: Calibration, too; predictions have their confidence.
        observers: Each is called with every prediction, its final classes and its
            counts, in order.
        needs_probabilities: Predictions have their probabilities and confidence, as
            observers may need them; with a CRF, its marginals.
        tiles: Into which larger images are cut.
        devices: See `Predictor.predict_split`.

    Raises:
        InputError: A record cannot be read, its label is of other classes, a shard is
            not the one that `dataset.json` describes, or no pixel counts.
    """
    validate_records.check_not_empty(records)
    output: Output = "confidence" if calibration else "classes"
    output = "probabilities" if needs_probabilities else output
    split = predictor.predict_split(
        records,
        batch_size=batch_size,
        scales=inference.eval_scales,
        flip=inference.add_flipped_images,
        output="logits" if crf else output,
        tiles=tiles,
        devices=devices,
    )
    engine = engines.find_engine(crf_engine) if crf else ""
    counter = Counter(
        predictor.spec,
        trimap_widths,
        has_crf=crf is not None,
        boundary=boundary,
        calibration=calibration,
    )
    pairs = _with_crf(split, crf, engine, records.count(), output)
    _count(pairs, counter, observers, records)
    facts = dataclasses.asdict(crf) | {"engine": engine} if crf else None
    return counter.evaluation(facts)


def _with_crf(
    split: Iterator[Prediction],
    crf: engines.Parameters | None,
    engine: str,
    total: int,
    output: Output,
) -> Iterator[tuple[Prediction, Prediction]]:
    """Yields predictions without and with a CRF, twice the same if there is none.

    The latter have their confidence, too, unless `output` is classes alone. The network
    is one ahead.
    """
    split = parallel.look_ahead(split)
    pairs: Iterable[tuple[Prediction, Prediction]] = ((each, each) for each in split)
    if crf:
        pairs = predictions.before_and_after(
            split, crf, engine, total=total, keep_probabilities=output != "classes"
        )
    for plain, final in pairs:
        has_all = final.probabilities is not None
        yield plain, predictions.with_confidence(final) if has_all else final


def _count(
    pairs: Iterable[tuple[Prediction, Prediction]],
    counter: Counter,
    observers: Sequence[Observer],
    records: Records,
) -> None:
    """Counts all; raises where a shard is another one, or no pixel counts."""
    verification = Verification(records.checksums)
    with console.bar(total=records.count(), unit="image") as bar:
        for plain, final in pairs:
            counts = counter.add(plain, final)
            for observe in observers:
                observe(final, final.classes, counts)
            bar.update()
    verification.wait()
    _check_scored(counter.confusion, records)


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
