"""mIoU of a checkpoint on photographs that are blurred, noisy, dark, in fog, ...

    python benchmarks/robustness.py --checkpoint_dir=run --dataset_dir=records \
      --json=robustness.jsonl

Each corruption has five strengths, which are in one table below. A line is written as
each strength is scored; the same command goes on where it was stopped. Chance follows
from the number of the image, so that the same pixels come again.
"""

import dataclasses
import io
import json
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from PIL import Image

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from deeplab_tf import cli, runtime
from deeplab_tf.config import EvalConfig, ModelConfig
from deeplab_tf.config.data import DataConfig
from deeplab_tf.config.fields import Overrides, flag, require_given
from deeplab_tf.data import decode, tfrecord
from deeplab_tf.data.records import Records
from deeplab_tf.errors import FlagError
from deeplab_tf.evaluation import bootstrap, report
from deeplab_tf.evaluation.scores import Counter, Evaluation
from deeplab_tf.files import write_whole
from deeplab_tf.prediction import load
from deeplab_tf.prediction.predictor import Predictor

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

STRENGTHS = 5
CLEAN = "none"
_AIRLIGHT = 230.0  # Of fog by day, in 0...255.


@dataclasses.dataclass(frozen=True)
class Corruption:
    """A way in which photographs get worse.

    Attributes:
        change: Image float32 `[H, W, 3]` in 0...255, value, chance -> such an image,
            whose values may leave that range.
        what: The value says of it.
        values: Of the strengths 1 to 5.
    """

    change: Change
    what: str
    values: tuple[float, ...]


def _blur(image: np.ndarray, sigma: float, chance: np.random.Generator) -> np.ndarray:
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        length = image.shape[axis]
        around = [(reach, reach) if i == axis else (0, 0) for i in range(3)]
        padded = np.pad(image, around, "edge")
        image = sum(
            weight * padded.take(range(i, i + length), axis)
            for i, weight in enumerate(weights)
        )
    return image


def _noise(image: np.ndarray, std: float, chance: np.random.Generator) -> np.ndarray:
    return image + std * chance.standard_normal(image.shape, np.float32)


def _jpeg(image: np.ndarray, quality: float, chance: np.random.Generator) -> np.ndarray:
    content = io.BytesIO()
    Image.fromarray(_pixels(image)).save(content, "JPEG", quality=int(quality))
    return np.asarray(Image.open(content), np.float32)


def _light(image: np.ndarray, factor: float, chance: np.random.Generator) -> np.ndarray:
    return image * factor


def _contrast(
    image: np.ndarray, factor: float, chance: np.random.Generator
) -> np.ndarray:
    mean = image.mean()
    return mean + factor * (image - mean)


def _haze(image: np.ndarray, depth: float, chance: np.random.Generator) -> np.ndarray:
    """Koschmieder's law: what is far fades into the airlight by exp(-optical depth).

    Distances are not known: the top of the image is taken for twice as far as the
    bottom, and `depth` is that of the top.
    """
    rows = np.linspace(1, 0.5, len(image), dtype=np.float32)
    seen = np.exp(-depth * rows)[:, np.newaxis, np.newaxis]
    return seen * image + (1 - seen) * _AIRLIGHT


def _scale(image: np.ndarray, factor: float, chance: np.random.Generator) -> np.ndarray:
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    # Pillow widens the filter where it shrinks, so that nothing is left out.
    resized = Image.fromarray(_pixels(image)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.asarray(resized, np.float32)


CORRUPTIONS: Mapping[str, Corruption] = {
    "blur": Corruption(
        _blur, "Gaussian, standard deviation in pixels", (1, 2, 3, 4, 6)
    ),
    "noise": Corruption(
        _noise, "Gaussian, standard deviation in 0...255", (10, 20, 35, 50, 75)
    ),
    "jpeg": Corruption(_jpeg, "quality of the encoder", (50, 30, 20, 12, 7)),
    "darker": Corruption(_light, "factor of all values", (0.7, 0.5, 0.35, 0.25, 0.15)),
    "brighter": Corruption(
        _light, "factor of all values, cut off at 255", (1.3, 1.6, 2, 2.5, 3.5)
    ),
    "contrast": Corruption(
        _contrast, "factor of the distance to the mean", (0.7, 0.5, 0.35, 0.25, 0.15)
    ),
    "haze": Corruption(
        _haze,
        "optical depth at the top, half of it at the bottom",
        (0.4, 0.8, 1.3, 2, 3),
    ),
    "smaller": Corruption(_scale, "factor of both sides", (0.8, 0.65, 0.5, 0.35, 0.25)),
    "larger": Corruption(_scale, "factor of both sides", (1.2, 1.4, 1.6, 1.8, 2.0)),
}


def corrupt(image: np.ndarray, name: str, strength: int, number: int) -> np.ndarray:
    """An image as it is after a corruption: uint8 `[H', W', 3]`.

    Args:
        image: RGB, uint8 `[H, W, 3]`.
        name: Of `CORRUPTIONS`.
        strength: 0 (the image as it is) to 5.
        number: Of the image in its split: chance follows from it. All strengths draw
            the same.
    """
    if strength == 0:
        return image
    corruption = CORRUPTIONS[name]
    chance = np.random.default_rng([number, zlib.crc32(name.encode())])
    value = corruption.values[strength - 1]
    return _pixels(corruption.change(image.astype(np.float32), value, chance))


def _pixels(image: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Scores a checkpoint on corrupted photographs."""

    checkpoint_dir: str | None = flag(
        "Training folder, checkpoint or zoo:NAME.", None, required=True
    )
    eval_split: str = flag("Split to evaluate.", "val")
    corruptions: tuple[str, ...] = flag(
        f"Of {', '.join(CORRUPTIONS)}.", tuple(CORRUPTIONS)
    )
    json: str = flag("File of JSON lines, one added as each is scored.", "")
    data: DataConfig = DataConfig()
    model: Overrides[ModelConfig] = Overrides(ModelConfig())

    def __post_init__(self) -> None:
        require_given(self)
        for name in self.corruptions:
            if name not in CORRUPTIONS:
                raise FlagError(
                    f"--corruptions={name}: one of {', '.join(CORRUPTIONS)} is needed"
                )


def benchmark(config: BenchmarkConfig) -> None:
    """Logs a line for each corruption and strength, and adds it to the file."""
    predictor, records = load.load_with_records(
        config.checkpoint_dir or "",
        EvalConfig(
            checkpoint_dir=config.checkpoint_dir,
            eval_logdir="none",
            data=config.data,
            model=config.model,
        ),
        split=config.eval_split,
        crop_size=None,
        validate_labels="sample",
    )
    path = Path(config.json) if config.json else None
    lines = path.read_text().splitlines() if path and path.exists() else []
    clean = evaluate(predictor, records, CLEAN, 0)
    for name, strength in _all(config.corruptions):
        if _is_written(lines, _subject(config, name, strength)):
            continue
        is_clean = strength == 0
        evaluation = clean if is_clean else evaluate(predictor, records, name, strength)
        scores = _scores(evaluation, clean)
        logging.info(
            "%s, strength %d: mIoU %.2f %%", name, strength, 100 * evaluation.miou
        )
        what = {"what": "" if is_clean else CORRUPTIONS[name].what}
        lines.append(json.dumps(_subject(config, name, strength) | what | scores))
        if path:
            write_whole(path, "\n".join(lines) + "\n")


def _all(corruptions: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Name and strength of each, the clean photographs first."""
    yield CLEAN, 0
    for name in corruptions:
        for strength in range(1, STRENGTHS + 1):
            yield name, strength


def evaluate(
    predictor: Predictor, records: Records, name: str, strength: int
) -> Evaluation:
    """Scores of a network on corrupted images; classes are of the label's size.

    Args:
        predictor: Of the network.
        records: Of a split.
        name: Of `CORRUPTIONS`.
        strength: 0 to 5.
    """
    counter = Counter(predictor.spec)
    for number, sample in enumerate(records.in_order()):
        image, label = (each.numpy() for each in decode.decode_record(sample))
        changed = corrupt(image, name, strength, number)
        prediction = predictor.predict(changed, output="classes")
        classes = prediction.classes
        if classes.shape != label.shape[:2]:
            classes = runtime.resize_nearest(classes, label.shape[:2])
        prediction = dataclasses.replace(
            prediction,
            classes=classes,
            label=label[..., 0],
            name=tfrecord.decode_name(sample["name"]),
        )
        counter.add(prediction, prediction)
    return counter.evaluation()


def _scores(evaluation: Evaluation, clean: Evaluation) -> dict[str, Any]:
    """Scores, and their change from the clean images by the paired bootstrap."""
    scores, classes = evaluation.scores, evaluation.confusion.spec.num_classes
    draws = [
        bootstrap.mean_of_classes(bootstrap.iou_of_resamples(each.images, classes))
        for each in (clean, evaluation)
    ]
    low, high = bootstrap.interval(draws[1] - draws[0])
    return {
        **{key: scores[key] for key in ("miou", "miou_interval", "pixel_accuracy")},
        "change": evaluation.miou - clean.miou,
        "change_interval": report.ends((float(low), float(high))),
        "num_images": scores["num_images"],
    }


def _subject(config: BenchmarkConfig, name: str, strength: int) -> dict[str, Any]:
    """What a line is of."""
    return {
        "checkpoint": config.checkpoint_dir,
        "dataset_dir": config.data.dataset_dir,
        "split": config.eval_split,
        "settings": dict(config.model.given),
        "corruption": name,
        "strength": strength,
        "value": CORRUPTIONS[name].values[strength - 1] if strength else None,
    }


def _is_written(lines: Sequence[str], subject: dict[str, Any]) -> bool:
    """Whether one of the lines is of that."""
    subject = json.loads(json.dumps(subject))
    return any(line | subject == line for line in map(json.loads, lines))


if __name__ == "__main__":
    cli.run(BenchmarkConfig, benchmark)
