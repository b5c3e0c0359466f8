"""A check of a run names what is wrong with it, and one batch is learned by heart."""

import dataclasses
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import OptimizerConfig
from deeplab_tf.data import spec as specs
from deeplab_tf.data import tfrecord
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.diagnostics import memory
from deeplab_tf.training.run import train
from tests.recorded import ROOT, SMALL, TINY
from tests.training.test_run import config


def checked(folder, shapes, **changes):
    """Lines of a check that finds something wrong."""
    with pytest.raises(InputError, match=r"--check: \d things? (is|are) wrong"):
        train(config(folder, shapes, 600, check=True, **changes))


@pytest.fixture
def no_room(monkeypatch):
    """So little memory that no step is taken."""
    room = memory.Room(free=1, bound="a test")
    monkeypatch.setattr(memory, "room", lambda: room)


def with_classes(count, shapes):
    """The description of the data set, with its first classes alone."""
    spec = specs.load(Path(shapes))
    classes, palette = spec.classes[:count], spec.palette[:count]
    return dataclasses.replace(spec, classes=classes, palette=palette, pixel_counts={})


def test_a_run_that_is_fine_leaves_nothing_behind(tmp_path, shapes, caplog):
    model = dataclasses.replace(TINY, batch_norm_decay=0.9997)
    settings = {"check": True, "train_batch_size": 12, "model": model}
    train(config(tmp_path / "run", shapes, 600, **settings))
    assert "nothing is wrong" in caplog.text
    for fact in ("Memory: ", "Disk: ", "Time: ", "Loss: ", "that knows nothing: 1.79"):
        assert fact in caplog.text
    assert "600 steps: about" in caplog.text
    assert "Advice: After 600 steps the moving statistics" in caplog.text
    assert not (tmp_path / "run").exists()


def test_all_that_is_wrong_is_told_at_once(tmp_path, shapes, caplog, no_room):
    """Ids that are no class with their record, batch norm of one image, memory."""
    shutil.copytree(shapes, tmp_path / "records")
    with_classes(4, shapes).save(tmp_path / "records")
    checked(tmp_path / "run", tmp_path / "records", train_batch_size=1, model=TINY)
    assert "train-00000-of-00002.tfrecord" in caplog.text
    assert "Wrong: Batch norm sees one image at a time" in caplog.text
    assert "--fine_tune_batch_norm=false" in caplog.text
    assert "Wrong: No step was taken: a step needs about 0.2 GB" in caplog.text
    assert "--remat=true" in caplog.text
    assert "Loss: " not in caplog.text


def test_other_classes_in_the_folder_and_in_the_checkpoint(
    tmp_path, shapes, caplog, no_room
):
    model = build(SMALL, 3)
    CheckpointManager(tmp_path, {"weights": weights_by_name(model)}, keep=1).save(7)
    with_classes(3, shapes).save(tmp_path)
    checked(tmp_path, shapes, model=SMALL, tf_initial_checkpoint=str(tmp_path))
    assert f"Wrong: {tmp_path}: holds a run on" in caplog.text
    assert "it has 3 classes, the data set 6" in caplog.text
    assert (
        "--initialize_last_layer=false --last_layers_contain_logits_only=true"
        in caplog.text
    )


def test_a_missing_shard_is_named(tmp_path, shapes, caplog):
    shutil.copytree(shapes, tmp_path / "records")
    Path(tfrecord.find_shards(str(tmp_path / "records"), "train")[0]).unlink()
    checked(tmp_path / "run", tmp_path / "records")
    assert "1 shards train-*, of 2 by their names" in caplog.text


def test_several_hosts_are_refused(tmp_path, shapes, monkeypatch):
    cluster = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", '
    monkeypatch.setenv("TF_CONFIG", cluster + '"index": 0}}')
    with pytest.raises(FlagError, match="--check is for one host"):
        train(config(tmp_path, shapes, 1, check=True))


@pytest.mark.nightly
def test_a_limit_of_2_gib_stops_a_check_before_its_steps(tmp_path, shapes):
    """Of data: with 2 GiB of addresses, TensorFlow does not even start."""
    command = [sys.executable, "train.py", "--check", f"--dataset_dir={shapes}"]
    command += [f"--train_logdir={tmp_path}", "--train_batch_size=64"]
    command += ["--train_crop_size=321", "--depth_multiplier=0.25"]
    most = 2 * 2**30
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (most, most)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "(the process's limit of 2.1 GB, ulimit -d): " in ended.stderr
    assert "--gradient_accumulation_steps=" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_one_batch_is_judged_in_the_end(tmp_path, shapes, caplog):
    settings = config(tmp_path, shapes, 2, train_batch_size=2, model=TINY)
    train(dataclasses.replace(settings, overfit_one_batch=True))
    assert "One batch is not overfitted (known by heart) after 2 steps: " in caplog.text


@pytest.mark.nightly
def test_one_batch_is_learned_by_heart(tmp_path, shapes, caplog):
    rate = OptimizerConfig(
        training_number_of_steps=100, base_learning_rate=0.2, decay_steps=1e6
    )
    settings = config(tmp_path, shapes, 100, optimizer=rate, train_batch_size=2)
    train(dataclasses.replace(settings, overfit_one_batch=True))
    assert "One batch is overfitted, known by heart: " in caplog.text
