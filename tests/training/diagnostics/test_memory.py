"""Memory: what a step needs, and how much there is."""

import dataclasses
import subprocess

import keras
import pytest
import tensorflow as tf
from keras import layers

from deeplab_tf.config import AugmentConfig, DevicesConfig, OptimizerConfig
from deeplab_tf.models.mixed_precision import dtype_policy
from deeplab_tf.training.diagnostics import memory
from tests.recorded import SMALL
from tests.training.test_run import config
from tests.training.trainers import trainer_of

MB = 10**6


def needs(**changes):
    sizes = {
        "weights": 50 * MB,
        "learned": 40 * MB,
        "slots": 40 * MB,
        "averages": 0,
        "image": 300 * MB,
        "loss": 0,
        "images": 8,
    }
    return memory.Needs(**(sizes | changes))


def test_the_memory_of_a_step_is_that_of_gradients_and_images():
    """0.2 GB to compile, 40 MB of gradients, 0.9 * 8 * 300 MB."""
    assert needs().step() == 200 * MB + 40 * MB + 2160 * MB
    assert needs().step(4) == 200 * MB + 80 * MB + 540 * MB
    assert needs(replicas=2).step() == 200 * MB + 2 * 2200 * MB
    assert needs().checkpoint == 90 * MB


def test_large_losses_are_those_of_one_image():
    """0.63 GB each at 513x513 and 150 classes: of 16 images one, of 2 both."""
    fixed = needs(images=0).step()
    losses = {"image": 0, "loss": 630 * MB}
    assert needs(**losses, images=16).step() == fixed + 567 * MB
    assert needs(**losses, images=2).step() == fixed + 2 * 567 * MB
    parts = 8  # Of two images; gradients are added up.
    assert needs(**losses, images=16).step(parts) == fixed + (40 + 2 * 567) * MB


def test_the_estimate_is_near_what_was_measured():
    """MobileNetV2, v3+, 321: resident memory grew by 0.72 and 2.34 GB."""
    sizes = {"image": 304 * MB, "loss": 10 * MB, "learned": 9 * MB}
    assert needs(**sizes, images=2).step() == pytest.approx(718e6, rel=0.15)
    assert needs(**sizes, images=8).step() == pytest.approx(2338e6, rel=0.15)


def test_the_smallest_number_of_parts_that_fits_is_advised(tmp_path, shapes):
    settings = config(tmp_path, shapes, 1, model=SMALL)
    room = memory.Room(free=1000 * MB, bound="a test")
    assert memory.too_little(needs(images=2), room, settings) is None
    sentence = memory.too_little(needs(), room, settings)
    assert "needs about 2.4 GB more, and 1.0 GB are left (a test): " in sentence
    assert "--gradient_accumulation_steps=4 (2 images at a time)" in sentence
    assert "--remat=true" in sentence
    wide = AugmentConfig(train_crop_size=(513, 513))
    settings = dataclasses.replace(
        settings, augment=wide, devices=DevicesConfig(remat=True)
    )
    sentence = memory.too_little(needs(), room, settings)
    # 760 of 2160 MB are left for images: 513 * sqrt(0.352) = 304; 289 is aligned.
    assert sentence.endswith("--train_crop_size=289,289")
    assert "--remat" not in sentence


def test_half_precision_halves_what_layers_compute_and_not_the_loss(tmp_path, shapes):
    """It counted a quarter: tensors tell their type, and were halved once more."""
    sizes = []
    for precision in ("float32", "mixed_bfloat16"):
        with dtype_policy(precision):
            images = keras.Input((33, 33, 3), dtype="float32")
            model = keras.Model(images, layers.Conv2D(5, 3, name="conv")(images))
        settings = config(
            tmp_path, shapes, 1, devices=DevicesConfig(precision=precision)
        )
        trainer = trainer_of(model, tf.distribute.get_strategy(), OptimizerConfig())
        sizes.append(memory.needs(trainer, settings, images=1, replicas=1))
    whole, half = sizes
    assert whole.image == 31 * 31 * 5 * 4
    assert half.image == whole.image / 2
    assert half.loss == whole.loss > 0


@pytest.mark.parametrize(
    ("named", "asked"),
    [(None, None), ("1", "--id=1"), ("2,GPU-5f, -1,0", "--id=2,GPU-5f")],
)
def test_of_gpus_those_count_that_the_process_sees(monkeypatch, named, asked):
    """A card that is full, and another's, was taken for one of this run."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if named:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    count = len(named.split(",")[:2]) if named else 2
    visible = ["GPU"] * count
    monkeypatch.setattr(memory.tf.config, "get_visible_devices", lambda kind: visible)
    commands = []

    def run(command, **settings):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="9000\n8000\n")

    monkeypatch.setattr(memory.subprocess, "run", run)
    (room,) = memory._gpus()
    assert room.free == 8000 * 2**20
    assert [part for part in commands[0] if part.startswith("--id")] == (
        [asked] if asked else []
    )


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
