"""One pass over a split with a trained network."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

from absl import logging
from tqdm import tqdm

from deeplab_tf.config import EvalConfig, InferenceConfig
from deeplab_tf.crf import engines
from deeplab_tf.data import open_split
from deeplab_tf.data.labels import validate_records
from deeplab_tf.data.records import Records
from deeplab_tf.evaluation import crf_search, report
from deeplab_tf.evaluation.confusion import Counts
from deeplab_tf.files import check_writable
from deeplab_tf.prediction import load, predictions
from deeplab_tf.prediction.load import Trained


def evaluate(config: EvalConfig) -> dict[str, Any]:
    """Scores a network, or each new checkpoint of it; or searches a CRF for it.

    Args:
        config: All settings.

    Returns:
        What `metrics.json` holds, or `crf_search.json` after a search.

    Raises:
        InputError: Something given is not usable; nothing was written.
    """
    check_writable("eval_logdir", config.eval_logdir)
    asked = config.refinement
    engine = engines.find_engine(asked.crf_engine)
    if config.crf_search:
        start = engines.start_of_search(asked)
        task = functools.partial(crf_search.search, start=start, engine=engine)
    else:
        task = functools.partial(
            _evaluate, parameters=engines.chosen(asked), engine=engine
        )
    scores: dict[str, Any] = {}
    for path in load.rounds(
        config.checkpoint_dir or "",
        config.max_number_of_evaluations,
        config.eval_interval_secs,
    ):
        scores = task(*_load(config, path), config)
    return scores


def _load(config: EvalConfig, path: str) -> tuple[Trained, Records]:
    """The network of a checkpoint, and the records of the split."""
    run = load.find_run(path)
    tfds = open_split.tfds_config(config.data, config.tfds, run.spec, run.tfds)
    spec, records = open_split.open_split(
        config.data, tfds, config.eval_split, run.spec
    )
    validate_records.check_records(records, spec, config.validate_labels)
    network = load.load(
        path,
        run,
        spec,
        model=config.model,
        resize=config.resize,
        crop_size=config.eval_crop_size,
        compatibility=config.compatibility,
    )
    return network, records


def _evaluate(
    network: Trained,
    records: Records,
    config: EvalConfig,
    *,
    parameters: engines.Parameters | None,
    engine: str,
) -> dict[str, Any]:
    counts = counts_of(network, records, config, parameters, engine)
    last = counts["with CRF" if parameters else "without CRF"]
    scores = report.summary(last)
    if parameters:
        scores["crf"] = dataclasses.asdict(parameters) | {"engine": engine}
        scores["without_crf"] = report.summary(counts["without CRF"])
    logging.info("%s", report.table(last.confusion, network.spec))
    if parameters or config.trimap_widths:
        logging.info("%s", report.comparison(counts))
    report.warn_of_collapse(last.confusion, network.spec)
    folder = Path(config.eval_logdir or "")
    tag = _tag(config.inference)
    report.write(folder, scores, last.confusion, step=network.step, tag=tag)
    logging.info("Wrote %s", folder / "metrics.json")
    return scores


def counts_of(
    network: Trained,
    records: Records,
    config: EvalConfig,
    parameters: engines.Parameters | None = None,
    engine: str = "auto",
) -> dict[str, Counts]:
    """What is counted over records, without the CRF and, if there is one, with it."""
    total = records.count()
    found = predictions.of_records(
        network,
        records,
        config.inference,
        batch_size=config.eval_batch_size,
        with_scores=parameters is not None,
    )
    plain, refined = (Counts(network.spec, config.trimap_widths) for _ in range(2))
    with tqdm(total=total, unit="image", disable=None) as bar:
        if parameters is None:
            for each in found:
                plain.add(each, each.classes)
                bar.update()
            return {"without CRF": plain}
        for each, classes in predictions.refined(
            found, parameters, engine, total=total
        ):
            plain.add(each, each.classes)
            refined.add(each, classes)
            bar.update()
    return {"without CRF": plain, "with CRF": refined}


def _tag(looks: InferenceConfig) -> str:
    """As the official event files have it: `miou_1.0`."""
    scales = "".join(f"_{scale}" for scale in looks.eval_scales)
    return f"miou{scales}" + ("_flipped" if looks.add_flipped_images else "")
