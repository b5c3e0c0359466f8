"""A check of a run names what is wrong with it, and one batch is learned by heart."""

import dataclasses
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deeplab_tf.checkpoints.manager import Keeper
from deeplab_tf.config import AugmentConfig, DevicesConfig, OptimizerConfig
from deeplab_tf.data import spec as specs
from deeplab_tf.data import tfrecord
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.diagnostics import memory, overfit_one_batch, two_steps
from deeplab_tf.training.run import train
from tests.recorded import ROOT, SMALL
from tests.training.test_run import config

MB = 10**6


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


def needs(**changes):
    sizes = {
        "weights": 50 * MB,
        "learned": 40 * MB,
        "slots": 40 * MB,
        "averages": 0,
        "image": 300 * MB,
        "images": 8,
    }
    return memory.Needs(**(sizes | changes))


def test_a_run_that_is_fine_leaves_nothing_behind(tmp_path, shapes, caplog):
    train(config(tmp_path / "run", shapes, 600, check=True, train_batch_size=12))
    assert "nothing is wrong" in caplog.text
    for fact in ("Memory: ", "Disk: ", "Time: ", "Loss: ", "that knows nothing: 1.79"):
        assert fact in caplog.text
    assert "600 steps: about" in caplog.text
    assert "Advice: After 600 steps the moving statistics" in caplog.text
    assert not (tmp_path / "run").exists()


def test_a_learning_rate_of_100_is_found_by_what_it_does(tmp_path, shapes, caplog):
    rate = OptimizerConfig(training_number_of_steps=600, base_learning_rate=100.0)
    checked(tmp_path, shapes, optimizer=rate)
    assert "Wrong: --base_learning_rate=100 is too high: " in caplog.text
    better = float(caplog.text.rpartition("--base_learning_rate=")[2].split()[0])
    assert 1e-3 < better < 1


def test_little_memory_and_batch_norm_of_one_image(tmp_path, shapes, caplog, no_room):
    checked(tmp_path, shapes, train_batch_size=1)
    assert "Wrong: Batch norm sees one image at a time" in caplog.text
    assert "--fine_tune_batch_norm=false" in caplog.text
    assert "Wrong: No step was taken: a step needs about 0.2 GB" in caplog.text
    assert "--remat=true" in caplog.text
    assert "Loss: " not in caplog.text


def test_ids_that_are_no_class_are_told_with_their_record(
    tmp_path, shapes, caplog, no_room
):
    """And what else is wrong, too."""
    shutil.copytree(shapes, tmp_path / "records")
    with_classes(4, shapes).save(tmp_path / "records")
    checked(tmp_path / "run", tmp_path / "records")
    assert "train-00000-of-00002.tfrecord" in caplog.text
    assert "No step was taken" in caplog.text


def test_other_classes_in_the_folder_and_in_the_checkpoint(
    tmp_path, shapes, caplog, no_room
):
    model = build(SMALL, 3)
    Keeper(tmp_path, {"weights": weights_by_name(model)}, keep=1).save(7)
    with_classes(3, shapes).save(tmp_path)
    checked(tmp_path, shapes, tf_initial_checkpoint=str(tmp_path))
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


def test_the_memory_of_a_step_is_that_of_gradients_and_images():
    """0.2 GB to compile, 40 MB of gradients, 0.9 * 8 * 300 MB."""
    assert needs().step() == 200 * MB + 40 * MB + 2160 * MB
    assert needs().step(4) == 200 * MB + 80 * MB + 540 * MB
    assert needs(replicas=2).step() == 200 * MB + 2 * 2200 * MB
    assert needs().checkpoint == 90 * MB


def test_the_estimate_is_near_what_was_measured():
    """MobileNetV2, v3+, 321: resident memory grew by 0.72 and 2.34 GB."""
    sizes = {"image": 304 * MB + 10 * MB, "learned": 9 * MB}
    assert needs(**sizes, images=2).step() == pytest.approx(718e6, rel=0.15)
    assert needs(**sizes, images=8).step() == pytest.approx(2338e6, rel=0.15)


def test_the_smallest_number_of_parts_that_fits_is_advised(tmp_path, shapes):
    settings = config(tmp_path, shapes, 1)
    room = memory.Room(free=1000 * MB, bound="a test")
    assert memory.too_little(needs(images=2), room, settings) is None
    told = memory.too_little(needs(), room, settings)
    assert "needs about 2.4 GB more, and 1.0 GB are left (a test): " in told
    assert "--gradient_accumulation_steps=4 (2 images at a time)" in told
    assert "--remat=true" in told
    wide = AugmentConfig(train_crop_size=(513, 513))
    settings = dataclasses.replace(
        settings, augment=wide, devices=DevicesConfig(remat=True)
    )
    told = memory.too_little(needs(), room, settings)
    # 760 of 2160 MB are left for images: 513 * sqrt(0.352) = 304; 289 is aligned.
    assert told.endswith("--train_crop_size=289,289")
    assert "--remat" not in told


@pytest.mark.parametrize(
    ("line", "files", "held"),
    [
        ("0::/job/a", ("job/memory.max", "job/memory.stat"), "anon 500000000\n"),
        (
            "4:cpu,memory:/job",
            ("memory/job/memory.limit_in_bytes", "memory/job/memory.stat"),
            "total_rss 500000000\n",
        ),
    ],
)
def test_limits_of_control_groups_are_found(tmp_path, line, files, held):
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text(line + "\n")
    (proc / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 8000000 kB\n")
    (groups / files[0]).parent.mkdir(parents=True)
    (groups / files[0]).write_text("2147483648\n")
    (groups / files[1]).write_text(held)
    room = memory.room(proc, groups)
    assert room.free == 2147483648 - 500000000
    assert room.bound == "the limit of 2.1 GB of this job or container"
    (groups / files[0]).write_text("max\n")
    assert memory.room(proc, groups).free == 8000000 * 1024


@pytest.mark.parametrize(
    ("losses", "rate", "ratio", "message"),
    [
        ((1.8, 1.7), 0.1, 0.005, None),
        ((1.8, 30.0), 0.1, 0.05, "went from 1.8 to 30 in one step; .*rate=0.01$"),
        ((1.8, float("nan")), 0.1, 5.0, "to nan in one step; .*rate=0.0001$"),
        # A warm-up of a tenth: the full rate would change ten times as much.
        ((1.8, 1.8), 0.01, 0.05, "the kernels by 0.5 of their norm; .*rate=0.001$"),
    ],
)
def test_a_rate_is_too_high_by_evidence(tmp_path, shapes, losses, rate, ratio, message):
    rates = OptimizerConfig(training_number_of_steps=9, base_learning_rate=0.1)
    settings = config(tmp_path, shapes, 9, optimizer=rates)
    steps = two_steps.Steps(
        metrics={"loss": losses}, seconds=(9.0, 1.0), rate=rate, ratio=ratio
    )
    told = two_steps.rate_too_high(steps, settings, 1.79)
    assert told is None if message is None else re.search(message, told)


def found(losses=(2.0, 1.0), right=50, later=None, predicted=(50, 50, 0)):
    return overfit_one_batch.Found(
        labels=np.array([60, 40, 0]),
        predicted=np.array(predicted),
        right=right,
        right_later=right if later is None else later,
        losses=losses,
    )


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (found(right=99), "One batch is known by heart: 99.0% of its pixels"),
        (found(right=99, later=40), "as evaluation computes them, 40.0%"),
        (found((2.0, 9.0)), "from 2 to 9, the learning rate is too high: --base_le"),
        (found((2.0, 1.99, 1.98)), "too slowly: --base_learning_rate=0.5, or --tr"),
        (found((2.0, 1.5, 0.9)), "still falls: --training_number_of_steps=120"),
        (
            found((2.0, 1.0), 60, predicted=(100, 0, 0)),
            "all are taken for ground, which 60.0% are, and the loss went",
        ),
    ],
)
def test_the_verdict_on_one_batch_follows_from_what_is_seen(
    tmp_path, shapes, case, message
):
    settings = config(tmp_path, shapes, 60)
    known, told = overfit_one_batch.told(case, settings, specs.load(Path(shapes)))
    assert message in told
    assert known == (case.right == 99)


def test_a_batch_of_which_no_pixel_counts_cannot_be_learned(tmp_path, shapes):
    nothing = dataclasses.replace(found(), labels=np.zeros(3, int))
    settings = config(tmp_path, shapes, 60)
    known, told = overfit_one_batch.told(nothing, settings, specs.load(Path(shapes)))
    assert not known
    assert "no pixel of it counts, all are 255" in told


@pytest.mark.slow
def test_one_batch_is_learned_by_heart(tmp_path, shapes, caplog):
    rate = OptimizerConfig(
        training_number_of_steps=100, base_learning_rate=0.2, decay_steps=1e6
    )
    settings = config(tmp_path, shapes, 100, optimizer=rate, train_batch_size=2)
    train(dataclasses.replace(settings, overfit_one_batch=True))
    assert "One batch is known by heart: " in caplog.text
