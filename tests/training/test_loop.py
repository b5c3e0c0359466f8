"""What a run does between its steps, and in several parts or precisions."""

import dataclasses
import json
import re
import shlex
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import flags
from deeplab_tf.checkpoints import best_metric, manager, run_log
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    DevicesConfig,
    EvalConfig,
    ExportConfig,
    OptimizerConfig,
    TrainConfig,
    VisConfig,
    WatchConfig,
)
from deeplab_tf.data import spec as specs
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.files import lock_folder
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.monitoring import outcome
from deeplab_tf.training.run import train
from deeplab_tf.training.setup import make_trainer
from tests.at_night import mark_nightly
from tests.evaluation.test_run import fill, rewritten
from tests.recorded import SMALL, TINY
from tests.training.test_run import weights_of


def config(folder, shapes, steps, *, rate=0.05, **changes):
    settings = {
        "train_logdir": str(folder),
        "train_batch_size": 2,
        "model": TINY,
        "data": DataConfig(dataset_dir=str(shapes)),
        "augment": AugmentConfig(train_crop_size=(33, 33)),
        "optimizer": OptimizerConfig(
            training_number_of_steps=steps, base_learning_rate=rate
        ),
    }
    return TrainConfig(**(settings | changes))


def lines(folder, name):
    """Of `metrics.jsonl`, those that have a value of this name."""
    read = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line for line in read if name in line]


@pytest.fixture(scope="module")
def watched(tmp_path_factory, shapes):
    """A run of 4 steps that is evaluated after every other one."""
    folder = tmp_path_factory.mktemp("watched")
    watch = WatchConfig(log_steps=2, eval_interval_steps=2)
    train(config(folder, shapes, 4, watch=watch))
    return folder


def test_a_run_leaves_its_curves(watched):
    text = (watched / "curves.svg").read_text()
    titles = re.findall(r'<text class="heading"[^>]*>([^<]*)</text>', text)
    kept = manager.best_scores(watched)
    best = f"mIoU, best {100 * kept['miou']:.2f} % at step {kept['step']}"
    assert titles == ["Loss; regularization in gray", "Learning rate", best]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("metric", "title"),
    [("boundary_iou", "boundary IoU"), ("class:ball", "IoU of ball")],
)
def test_the_best_is_chosen_by_the_metric_that_was_asked_for(
    shapes, tmp_path, metric, title, caplog
):
    watch = WatchConfig(eval_interval_steps=1, best_metric=metric)
    train(config(tmp_path, shapes, 3, watch=watch))
    scores = run_log.scores(tmp_path, metric)
    kept = manager.best_scores(tmp_path)
    assert (kept["step"], best_metric.value(kept, metric)) == run_log.best(scores)
    assert f"best {title} {100 * max(scores.values()):.2f} % at step" in caplog.text
    assert title in (tmp_path / "curves.svg").read_text()


def test_a_class_that_is_not_there_ends_a_run_before_it_begins(shapes, tmp_path):
    watch = WatchConfig(eval_interval_steps=1, best_metric="class:zebra")
    with pytest.raises(
        FlagError, match="class:zebra: no class of shapes; it has ground"
    ):
        train(config(tmp_path / "run", shapes, 3, watch=watch))
    assert not (tmp_path / "run").exists()


def test_evaluations_change_nothing_of_a_run(watched, shapes, tmp_path):
    train(config(tmp_path, shapes, 4))
    found = weights_of(watched)
    for name, weight in weights_of(tmp_path).items():
        np.testing.assert_array_equal(found[name], weight, err_msg=name)


def test_the_best_checkpoint_is_a_run_of_its_own(watched, shapes, tmp_path):
    """The scores of the loop are those of eval.py, digit for digit."""
    told = {line["step"]: line for line in lines(watched, "miou")}
    assert list(told) == [2, 4]
    kept = manager.best_scores(watched)
    assert kept["miou"] == max(line["miou"] for line in told.values())
    scores = evaluate(
        EvalConfig(
            checkpoint_dir=str(watched / "best"),
            eval_logdir=str(tmp_path),
            data=DataConfig(dataset_dir=str(shapes)),
        )
    )
    assert scores["iou"] == told[kept["step"]]["iou"]
    assert scores["miou"] == kept["miou"]


def commands(text):
    """Those that a run's end names, by their word: the line as a list of words."""
    lines = [shlex.split(line) for line in re.findall(r"^  (\S.*--.*)$", text, re.M)]
    return {words[0].removeprefix("deeplab-"): words for words in lines}


def test_the_end_of_a_run_says_what_it_reached_and_what_comes_next(
    watched, shapes, monkeypatch
):
    monkeypatch.setattr(sys, "argv", ["deeplab-train"])
    watch = WatchConfig(log_steps=2, eval_interval_steps=2)
    settings = config(watched, shapes, 4, watch=watch)
    text = outcome.describe(watched, settings, shapes_spec.SPEC, 4)
    best, loss = manager.best_scores(watched), lines(watched, "loss")[-1]["loss"]
    assert text.splitlines()[0] == (
        f"Trained 4 steps, loss {loss:.4f}, best mIoU {100 * best['miou']:.2f} % at "
        f"step {best['step']}"
    )
    named = commands(text)
    assert list(named) == ["eval", "vis", "export"]
    evaluation = flags.parse(EvalConfig, named["eval"])
    assert evaluation.checkpoint_dir == str(watched / "best")
    assert evaluation.eval_logdir == str(watched / "eval")
    assert evaluation.data == settings.data
    pictures = flags.parse(VisConfig, named["vis"])
    assert pictures.vis_logdir == str(watched / "vis")
    exported = flags.parse(ExportConfig, named["export"])
    assert exported.checkpoint_path == str(watched / "best")
    assert exported.export_path == str(watched / "exported")


@pytest.mark.parametrize(
    ("shards", "expected"),
    [
        (("train", "val"), "val"),
        (("train_fine", "val_fine", "test_fine"), "val_fine"),
        (("train", "test"), "test"),
        (("train", "holdout"), "holdout"),
        (("train",), None),
    ],
)
def test_the_split_that_comes_next_is_one_that_there_is(tmp_path, shards, expected):
    records, folder = tmp_path / "my records", tmp_path / "run"
    for path in (records, folder, folder / "exported"):
        path.mkdir()
    for split in shards:
        (records / f"{split}-00000-of-00001.tfrecord").touch()
    settings = config(folder, records, 4)
    named = commands(outcome.describe(folder, settings, shapes_spec.SPEC, 4))
    export = flags.parse(ExportConfig, named["export"])
    assert export.checkpoint_path == str(folder)  # There is no best one.
    assert export.export_path == str(folder / "exported-2")
    if expected:
        assert flags.parse(EvalConfig, named["eval"]).eval_split == expected
        assert flags.parse(VisConfig, named["vis"]).vis_split == expected
    else:
        assert list(named) == ["export"]


def test_a_run_without_progress_stops_and_stays(shapes, tmp_path, caplog):
    watch = WatchConfig(eval_interval_steps=1, early_stopping_patience=2)
    settings = config(tmp_path, shapes, 50, rate=1e-12, watch=watch)
    # Its statistics stay, too: each evaluation is the first one again.
    settings = dataclasses.replace(settings, fine_tune_batch_norm=False)
    train(settings)
    assert "Stopped at step 3: no better mIoU in 2 evaluations" in caplog.text
    assert manager.best_scores(tmp_path)["step"] == 1
    train(settings)
    assert [line["step"] for line in lines(tmp_path, "miou")] == [1, 2, 3]


def test_no_score_is_told_and_stops_nothing(shapes, tmp_path, caplog):
    records = rewritten(shapes, tmp_path / "records", fill(255), which=slice(None))
    for shard in shapes.glob("train-*"):
        (records / shard.name).symlink_to(shard)
    watch = WatchConfig(eval_interval_steps=1, early_stopping_patience=1)
    train(config(tmp_path / "run", records, 3, watch=watch))
    assert [line["miou"] for line in lines(tmp_path / "run", "miou")] == [None] * 3
    why = (
        "--eval_split=val: all pixels of its 7 images are the ignore label 255: there "
        "is no score"
    )
    assert [record.message for record in caplog.records].count(why) == 3
    assert "nan" not in caplog.text
    assert "best" not in caplog.text
    assert not (tmp_path / "run" / "best").exists()


@pytest.mark.parametrize(
    "split", ["train", pytest.param("val", marks=pytest.mark.nightly)]
)
def test_a_run_on_shards_of_another_build_ends_before_it_saves(
    shapes, tmp_path, caplog, split
):
    records, folder = tmp_path / "records", tmp_path / "run"
    shutil.copytree(shapes, records)
    spec = specs.load(records)
    name = next(name for name in sorted(spec.shards) if name.startswith(split))
    dataclasses.replace(spec, shards=spec.shards | {name: "0" * 64}).save(records)
    watch = WatchConfig(eval_interval_steps=1)
    message = rf"{name}: not the shard that dataset\.json describes: it was changed, or"
    with pytest.raises(InputError, match=message):
        train(config(folder, records, 2, watch=watch))
    assert not list(folder.glob("model.ckpt*"))
    assert "mIoU" not in caplog.text


@pytest.mark.nightly
def test_an_evaluation_that_was_missed_is_made_up_for(watched, shapes, tmp_path):
    """A run may be killed between its last checkpoint and the last evaluation."""
    watch = WatchConfig(log_steps=2, eval_interval_steps=2)
    settings = config(tmp_path, shapes, 2, watch=watch)
    train(settings)
    (expected,) = lines(tmp_path, "miou")
    kept = lines(tmp_path, "loss")
    text = "".join(f"{json.dumps(line)}\n" for line in kept)
    (tmp_path / "metrics.jsonl").write_text(text)
    train(settings)
    (found,) = lines(tmp_path, "miou")
    assert found["iou"] == expected["iou"]


def test_a_second_run_in_a_folder_is_refused(shapes, tmp_path):
    with (
        lock_folder(tmp_path, flag="train_logdir", doing="training"),
        pytest.raises(InputError, match=r"process \d+ on host .* since .*\(0 min\)"),
    ):
        train(config(tmp_path, shapes, 1))


def stepped(shapes_folder, steps=2, model=SMALL, **devices):
    """Weights after steps on 8 images of noise; batch norm frozen, dropout on."""
    keras.utils.set_random_seed(0)
    settings = config(
        "-",
        shapes_folder,
        steps,
        train_batch_size=8,
        model=model,
        fine_tune_batch_norm=False,
        devices=DevicesConfig(**devices),
    )
    strategy = tf.distribute.get_strategy()
    trainer = make_trainer(settings, shapes_spec.SPEC, settings.loss, strategy)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, (8, 33, 33, 1)).astype(np.int32)
    labels[:3, 7:] = 255  # Parts have different numbers of pixels that count.
    batch = {
        "image": rng.uniform(0, 255, (8, 33, 33, 3)).astype(np.float32),
        "label": labels,
        "number": np.arange(8, dtype=np.int64),
    }
    metrics = trainer.run(iter(tf.data.Dataset.from_tensors(batch).repeat()), steps)
    found = {n: w.numpy() for n, w in weights_by_name(trainer.model).items()}
    return found, metrics


@pytest.fixture(scope="module")
def at_once(shapes):
    """Two steps on the whole batch, in float32."""
    return stepped(shapes)


@pytest.mark.parametrize("model", mark_nightly([TINY, SMALL], by_day=(0,)))
def test_four_parts_of_two_images_are_a_batch_of_eight(shapes, model):
    whole, expected = stepped(shapes, model=model)
    parts, found = stepped(shapes, model=model, gradient_accumulation_steps=4)
    for name in ("loss", "regularization", "gradient_norm"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)
    for name, weight in whole.items():
        scale = max(np.abs(weight).max(), 1e-3)
        assert np.abs(parts[name] - weight).max() < 1e-5 * scale, name


@pytest.mark.nightly
@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_half_precision_takes_nearly_the_same_steps(shapes, at_once, precision):
    _, expected = at_once
    weights, found = stepped(shapes, precision=precision)
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=0.02)
    if precision == "mixed_float16":
        assert found["loss_scale"] == [2.0**15, 2.0**15]
        assert found["skipped"] == [0, 0]


@pytest.mark.nightly
def test_a_compiled_step_is_the_same(shapes, at_once):
    whole, expected = at_once
    compiled, found = stepped(shapes, jit_compile=True)
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-5)
    for name, weight in whole.items():
        scale = max(np.abs(weight).max(), 1e-3)
        assert np.abs(compiled[name] - weight).max() < 1e-4 * scale, name


def test_several_devices_are_not_compiled(shapes, two_devices):
    settings = config("-", shapes, 1, devices=DevicesConfig(jit_compile=True))
    with pytest.raises(
        FlagError, match="--jit_compile is not for several replicas on a CPU"
    ):
        make_trainer(settings, shapes_spec.SPEC, settings.loss, two_devices)
