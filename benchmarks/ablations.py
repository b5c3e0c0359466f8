"""The lineage of DeepLab, and what its parts are worth: CamVid, the same time each.

    python benchmarks/ablations.py --dataset_dir=camvid_records --output_dir=ablations

Each recipe of recipes/ablations is trained for `--minutes` on this machine: some steps
are timed first, and the schedule is that of as many steps as fit. Then it is evaluated,
and those that differ in one thing are compared image by image. Given again, the command
goes on where it was stopped: a training from a checkpoint at most a minute back. What
all of them reached is in ablations.json.
"""

import csv
import dataclasses
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import logging

# What is measured is this checkout, from wherever the script is called.
sys.path.insert(0, str(Path(__file__).parents[1]))

from deeplab_tf import cli
from deeplab_tf.config.fields import POSITIVE, check_ranges, flag, require_given
from deeplab_tf.errors import FlagError, InputError, one_of
from deeplab_tf.evaluation import image_counts
from deeplab_tf.files import write_whole
from deeplab_tf.text_files import read_lines, read_text

ROOT = Path(__file__).parents[1]
# From random weights, at half size.
LINEAGE = (
    "fcn8s",
    "segnet_basic",
    "deeplab_v1_largefov",
    "deeplab_v2_aspp",
    "unet",
    "pspnet",
    "deeplab_v3",
    "deeplab_v3plus",
)
# Pairs that differ in one thing, which the second one has. All but the last are from
# Google's MobileNetV2, at full size.
PAIRS = (
    ("stride32", "plain"),  # Atrous convolution.
    ("no_pooling", "plain"),  # Image pooling.
    ("one_rate", "three_rates"),  # ASPP.
    ("plain", "decoder"),
    ("resnet_18", "multi_grid"),
)
_FINE_TUNED = {name for pair in PAIRS[:-1] for name in pair}
_PARTS = tuple(dict.fromkeys(name for pair in PAIRS for name in pair))
NAMES = (*LINEAGE, *_PARTS)
# How one of them is evaluated once more, by name.
LOOKED_AT = "decoder"
LOOKS: Mapping[str, Sequence[str]] = {
    "stride8": ("--output_stride=8",),
    "scales": ("--eval_scales=0.75,1,1.5",),
    "scales_flips": ("--eval_scales=0.75,1,1.5", "--add_flipped_images"),
    "crf": ("--crf=voc_v2_resnet101",),
}
_TIMED_STEPS = 60
_WARM_UP = 20  # Of these, which are not timed.


@dataclasses.dataclass(frozen=True, kw_only=True)
class AblationsConfig:
    """Trains and evaluates networks of the lineage, and variants, for the same time."""

    dataset_dir: str | None = flag("Records of CamVid.", None, required=True)
    output_dir: str | None = flag("Of runs and evaluations.", None, required=True)
    tf_initial_checkpoint: str = flag(
        "MobileNetV2 for VOC, for those that start from it; by default the zoo's.", ""
    )
    names: tuple[str, ...] = flag(f"Of {', '.join(NAMES)}.", NAMES)
    minutes: float = flag("Of training, each.", 15.0, within=POSITIVE)

    def __post_init__(self) -> None:
        require_given(self)
        check_ranges(self)
        for name in self.names:
            if name not in NAMES:
                raise FlagError(f"--names={name}: {one_of(name, NAMES)}")


def run(config: AblationsConfig) -> None:
    """Trains, evaluates and compares.

    Raises:
        FlagError: The folder has trainings of other minutes.
        InputError: A command failed; it has said why.
    """
    for name in config.names:
        _train(config, name)
        _evaluate(config, name, name)
    looks = {f"{LOOKED_AT}_{look}": flags for look, flags in LOOKS.items()}
    if LOOKED_AT in config.names:
        for name, flags in looks.items():
            _evaluate(config, LOOKED_AT, name, flags)
    groups = [LINEAGE, *PAIRS, (LOOKED_AT, *looks)]
    compared = [row for names in groups for row in _compare(config, names)]
    reached = {
        name: _reached(config, name)
        for name in (*NAMES, *looks)
        if _is_evaluated(_folder(config, "evals", name))
    }
    summary = {"minutes": config.minutes, "networks": reached, "compared": compared}
    write_whole(
        Path(config.output_dir or "") / "ablations.json", json.dumps(summary, indent=1)
    )


def _reached(config: AblationsConfig, name: str) -> dict[str, Any]:
    """Scores of an evaluation, and what the training of its network took."""
    scores = json.loads(read_text(_folder(config, "evals", name) / "metrics.json"))
    kept = ("miou", "miou_interval", "pixel_accuracy", "iou")
    trial = _folder(config, "trials", name).with_suffix(".json")
    training = json.loads(read_text(trial)) if trial.exists() else {}
    if training:
        training["minutes_taken"] = _minutes_taken(_folder(config, "runs", name))
    return {**training, **{key: scores[key] for key in kept}}


def _minutes_taken(run: Path) -> float:
    """Of all steps: other work of the machine makes them more than was asked for."""
    minutes, before = 0.0, 0
    for step, seconds in _seconds_a_step(run):
        minutes += max(0, step - before) * seconds / 60
        before = step
    return minutes


def _train(config: AblationsConfig, name: str) -> None:
    steps = _steps_that_fit(config, name)
    logging.info("%s: %d steps", name, steps)
    flags = _training(config, name, _folder(config, "runs", name))
    _command("train.py", *flags, f"--training_number_of_steps={steps}")


def _evaluate(
    config: AblationsConfig, name: str, evaluation: str, flags: Sequence[str] = ()
) -> None:
    folder = _folder(config, "evals", evaluation)
    if _is_evaluated(folder):
        return
    _command(
        "eval.py",
        f"--checkpoint_dir={_folder(config, 'runs', name)}",
        f"--dataset_dir={config.dataset_dir}",
        f"--eval_logdir={folder}",
        *flags,
    )


def _is_evaluated(folder: Path) -> bool:
    """Whether what `compare` reads is there, which eval.py writes last."""
    return (folder / image_counts.FILE).exists()


def _compare(config: AblationsConfig, names: Sequence[str]) -> list[dict[str, Any]]:
    """Changes of the mIoU from the first of those that were evaluated."""
    there = [n for n in names if _is_evaluated(_folder(config, "evals", n))]
    if len(there) < 2:  # A comparison takes two.
        return []
    folders = [str(_folder(config, "evals", name)) for name in there]
    output = _folder(config, "compared", f"{there[0]}_{there[-1]}")
    _command(
        "-m", "deeplab_tf.evaluation", "compare", *folders, f"--output_dir={output}"
    )
    rows = csv.DictReader(read_lines(output / "compare.csv"))
    return [
        {
            "first": there[0],
            "second": Path(row["second"]).name,
            **{key: float(row[key]) for key in ("difference", "low", "high", "p")},
        }
        for row in rows
        if row["kind"] == "mean"
    ]


def _steps_that_fit(config: AblationsConfig, name: str) -> int:
    """Steps that take `minutes`, by a trial; found once, and kept beside the runs."""
    trial = _folder(config, "trials", name)
    kept = trial.with_suffix(".json")
    if not kept.exists():
        flags = _training(config, name, trial)
        _command("train.py", *flags, f"--training_number_of_steps={_TIMED_STEPS}")
        timed = [s for step, s in _seconds_a_step(trial) if step > _WARM_UP]
        seconds = statistics.median(timed)
        steps = max(1, round(60 * config.minutes / seconds))
        found = {"minutes": config.minutes, "seconds_a_step": seconds, "steps": steps}
        write_whole(kept, json.dumps(found))
    found = json.loads(read_text(kept))
    if found["minutes"] != config.minutes:
        raise FlagError(
            f"--minutes={config.minutes:g}: {kept} was made with "
            f"{found['minutes']:g}; take another --output_dir"
        )
    return found["steps"]


def _seconds_a_step(run: Path) -> Iterator[tuple[int, float]]:
    """Step of each log line of a training, and how long one took since the last."""
    batch = json.loads(read_text(run / "config.json"))["train_batch_size"]
    for line in map(json.loads, read_lines(run / "metrics.jsonl")):
        if "images_per_second" in line:
            yield line["step"], batch / line["images_per_second"]


def _training(config: AblationsConfig, name: str, folder: Path) -> Sequence[str]:
    """Flags of train.py, but for the number of steps."""
    flags = [
        f"--recipe=ablations/{name}",
        f"--dataset_dir={config.dataset_dir}",
        f"--train_logdir={folder}",
        "--log_steps=10",
        "--save_interval_secs=60",
    ]
    if name in _FINE_TUNED and config.tf_initial_checkpoint:
        flags.append(f"--tf_initial_checkpoint={config.tf_initial_checkpoint}")
    return flags


def _folder(config: AblationsConfig, kind: str, name: str) -> Path:
    return Path(config.output_dir or "") / kind / name


def _command(*words: str) -> None:
    first = words[0] if words[0].startswith("-") else str(ROOT / words[0])
    command = [sys.executable, first, *words[1:]]
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=here, check=False)
    if result.returncode:
        raise InputError(f"{' '.join(words)}: ended with {result.returncode}")


if __name__ == "__main__":
    cli.run(AblationsConfig, run)
