"""A run: it learns, stops, goes on, and leaves what others read."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints import reader, run_folder
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
    WatchConfig,
)
from deeplab_tf.data import tfrecord
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.training import setup
from deeplab_tf.training.distribution import strategy
from deeplab_tf.training.run import train
from tests.at_night import mark_nightly
from tests.recorded import ROOT, SMALL, TINY

OTHER = dataclasses.replace(TINY, depth_multiplier=1 / 8)


def config(folder, shapes, steps, **changes):
    settings = {
        "train_logdir": str(folder),
        "train_batch_size": 4,
        "model": TINY,
        "data": DataConfig(dataset_dir=str(shapes)),
        "augment": AugmentConfig(train_crop_size=(49, 49)),
        "optimizer": OptimizerConfig(
            training_number_of_steps=steps, base_learning_rate=0.05, decay_steps=50.0
        ),
    }
    watched = {field.name for field in dataclasses.fields(WatchConfig)}
    watch = {name: changes.pop(name) for name in watched & changes.keys()}
    settings["watch"] = WatchConfig(**({"log_steps": 2} | watch))
    return TrainConfig(**(settings | changes))


def weights_of(folder):
    stored = reader.open_checkpoint(str(folder))
    return stored.values(stored.keys)


def events(folder):
    """(step, summary value) of the run's event files."""
    for path in sorted(folder.glob("train/events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                yield event.step, value


def logged(folder, tag):
    """Step -> value of a scalar."""
    return {
        step: float(tf.make_ndarray(value.tensor))
        for step, value in events(folder)
        if value.tag == tag
    }


def tags(folder):
    return {value.tag for _, value in events(folder)}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, shapes):
    """A run of 6 steps."""
    folder = tmp_path_factory.mktemp("run")
    train(config(folder, shapes, 6))
    return folder


def test_a_run_leaves_its_checkpoint_settings_data_set_and_environment(trained):
    names = {path.name for path in trained.iterdir()}
    assert {
        "model.ckpt-6.index",
        "checkpoint",
        "config.json",
        "dataset.json",
        "environment.txt",
        "train",
    } <= names
    settings = json.loads((trained / "config.json").read_text())
    assert settings["model"]["depth_multiplier"] == 1 / 16
    assert settings["optimizer"]["base_learning_rate"] == 0.05
    assert "tensorflow: 2." in (trained / "environment.txt").read_text()


def test_scalars_have_the_official_tags(trained):
    assert list(logged(trained, "total_loss")) == [2, 4, 6]
    assert logged(trained, "learning_rate")[6] == pytest.approx(
        0.05 * (1 - 6 / 50) ** 0.9, rel=1e-5
    )
    assert logged(trained, "Losses/regularization")[2] > 0


def test_a_run_that_was_stopped_and_continued_equals_one_that_was_not(
    trained, tmp_path, shapes, caplog
):
    train(config(tmp_path, shapes, 4))
    keras.utils.set_random_seed(99)
    train(config(tmp_path, shapes, 6))
    assert "model.ckpt-4, step 4" in caplog.text
    whole, parts = weights_of(trained), weights_of(tmp_path)
    assert whole.keys() == parts.keys()
    for name, weight in whole.items():
        np.testing.assert_array_equal(weight, parts[name], err_msg=name)
    assert logged(trained, "total_loss")[6] == logged(tmp_path, "total_loss")[6]


@pytest.mark.nightly
def test_a_run_that_drops_paths_goes_on_as_if_never_stopped(tmp_path, shapes, shallow):
    changes = {
        "model": dataclasses.replace(
            SMALL, model_variant="nas_pnasnet", nas_stem_output_num_conv_filters=4
        ),
        "drop_path_keep_prob": 0.5,
    }
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(config(whole, shapes, 3, save_interval_steps=2, **changes))
    shutil.copytree(whole, parts)
    for path in parts.glob("model.ckpt-3.*"):
        path.unlink()
    train(config(parts, shapes, 3, **changes))
    expected, found = weights_of(whole), weights_of(parts)
    for name, weight in expected.items():
        np.testing.assert_array_equal(found[name], weight, err_msg=name)


def test_a_run_that_is_done_is_left_alone(trained, shapes, caplog):
    before = (trained / "model.ckpt-6.index").stat().st_mtime_ns
    train(config(trained, shapes, 6))
    assert "has 6 steps already" in caplog.text
    assert (trained / "model.ckpt-6.index").stat().st_mtime_ns == before


def test_a_folder_of_another_network_is_not_trained_over(trained, shapes):
    with pytest.raises(
        InputError, match=r"holds a run with --depth_multiplier=0\.0625, not 0\.125"
    ):
        train(config(trained, shapes, 8, model=OTHER))


@pytest.mark.nightly
def test_a_run_starts_from_another_ones_weights(trained, tmp_path, shapes, caplog):
    train(config(tmp_path, shapes, 1, tf_initial_checkpoint=str(trained), log_steps=1))
    total = len(weights_of(trained))
    assert f"Restored {total}/{total} weights" in caplog.text


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"train_split": "test"}, InputError, r"no shards test-\*; it has train, val"),
        ({"tf_initial_checkpoint": "nowhere"}, InputError, "no such checkpoint"),
        (
            {"model": ModelConfig(model_variant="vgg_19")},
            FlagError,
            "--model_variant=vgg_19",
        ),
        (
            {"data": DataConfig(dataset_dir="nowhere")},
            InputError,
            "--dataset_dir=nowhere: no such folder",
        ),
    ],
)
def test_a_mistake_leaves_nothing_behind(tmp_path, shapes, changes, error, message):
    folder = tmp_path / "run"
    with pytest.raises(error, match=message):
        train(config(folder, shapes, 1, **changes))
    assert not folder.exists()


def test_class_weights_of_another_number_are_an_error(tmp_path, shapes):
    loss = dataclasses.replace(config(tmp_path, shapes, 1).loss, label_weights=(1, 2))
    with pytest.raises(FlagError, match="2 weights for 6 classes of shapes"):
        train(config(tmp_path, shapes, 1, loss=loss))


def test_class_weights_of_the_records_stay_when_a_run_goes_on(tmp_path, shapes):
    loss = LossConfig(class_weights="median_frequency")
    train(config(tmp_path, shapes, 2, loss=loss))
    kept = (tmp_path / "class_weights.txt").read_text()
    assert kept.startswith("# --class_weights=median_frequency\n")
    train(config(tmp_path, shapes, 4, loss=loss))
    assert (tmp_path / "class_weights.txt").read_text() == kept


def test_a_loss_that_explodes_stops_the_run_before_it_is_saved(tmp_path, shapes):
    optimizer = OptimizerConfig(training_number_of_steps=50, base_learning_rate=1e12)
    with pytest.raises(InputError, match=r"the loss is (nan|inf); the last"):
        train(config(tmp_path, shapes, 50, optimizer=optimizer))
    assert not list(tmp_path.glob("*.index"))


@pytest.mark.nightly
def test_an_update_that_breaks_the_weights_is_not_saved(tmp_path, shapes):
    """The loss of a step is that of the weights before it."""
    optimizer = OptimizerConfig(
        training_number_of_steps=1,
        base_learning_rate=1e38,
        last_layer_gradient_multiplier=1e9,
    )
    with pytest.raises(InputError, match="step 1: a weight is not finite; the last"):
        train(config(tmp_path, shapes, 1, optimizer=optimizer))
    assert not list(tmp_path.glob("*.index"))
    # Nothing was begun in the folder.
    run_folder.check(tmp_path, config(tmp_path, shapes, 1), shapes_spec.SPEC)


@pytest.mark.nightly
def test_advice_on_batch_norm_can_be_followed_on_the_way(trained, tmp_path, shapes):
    shutil.copytree(trained, tmp_path / "run")
    model = dataclasses.replace(TINY, batch_norm_decay=0.9)
    train(config(tmp_path / "run", shapes, 7, model=model))
    assert reader.newest(str(tmp_path / "run")).endswith("model.ckpt-7")


def damaged(source, target):
    """Records of which the last of the first shard has no image."""
    shutil.copytree(source, target)
    shapes_spec.SPEC.save(target)  # Without checksums.
    path = tfrecord.find_shards(str(target), "train")[0]
    records = list(tfrecord.read(path))
    example = tf.train.Example.FromString(records[-1])
    example.features.feature["image/encoded"].bytes_list.value[0] = b"\x89PNG"
    with tf.io.TFRecordWriter(path) as writer:
        for record in [*records[:-1], example.SerializeToString()]:
            writer.write(record)
    return target


@pytest.mark.parametrize("pictures", mark_nightly([False, True], by_day=(0,)))
def test_a_record_that_cannot_be_read_ends_the_run_and_keeps_its_steps(
    tmp_path, shapes, pictures
):
    """Pictures, of images to come, reach it first."""
    records = damaged(shapes, tmp_path / "records")
    settings = config(
        tmp_path / "run",
        records,
        50,
        validate_labels="off",
        train_batch_size=1,
        log_steps=1,
        save_summaries_images=pictures,
        save_summaries_secs=0,
    )
    with pytest.raises(InputError, match=r"00000-of-00002.tfrecord: record 11 is d"):
        train(settings)
    newest = reader.newest(str(tmp_path / "run"))
    step = reader.step_of(newest)
    assert 0 < step < 50
    assert list(logged(tmp_path / "run", "total_loss"))[-1] <= step


def test_a_damaged_record_is_left_out_if_asked(tmp_path, shapes, caplog):
    records = damaged(shapes, tmp_path / "records")
    # Over an epoch.
    train(config(tmp_path / "run", records, 7, max_bad_records=1))
    assert "record 11 is damaged, and left out" in caplog.text
    assert "1 of 24 records are left out" in caplog.text


def test_weights_are_counted_before_records_are_read(tmp_path, shapes, caplog):
    loss = LossConfig(label_weights=(1.0, 2.0))
    with pytest.raises(FlagError, match="--label_weights: 2 weights for 6 classes"):
        train(config(tmp_path, shapes, 1, loss=loss, max_bad_records=1))
    assert "reading all records" not in caplog.text


@pytest.mark.nightly
def test_records_that_stay_decoded_change_nothing(trained, tmp_path, shapes, caplog):
    train(config(tmp_path, shapes, 6, cache_decoded_gb=1.0))
    assert "all stay in memory" in caplog.text
    found = weights_of(tmp_path)
    for name, weight in weights_of(trained).items():
        np.testing.assert_array_equal(weight, found[name], err_msg=name)


@pytest.mark.nightly
def test_pictures_and_a_profile_are_written_when_asked(tmp_path, shapes):
    settings = config(
        tmp_path / "run",
        shapes,
        6,
        save_summaries_images=True,  # Each 600 seconds: in a short run, first and last.
        profile_logdir=str(tmp_path / "profile"),
    )
    train(settings)
    for name in ("image", "label", "semantic"):
        tag = f"samples/{name}"
        shown = [step for step, value in events(tmp_path / "run") if value.tag == tag]
        assert shown == [1, 6]
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


@pytest.mark.nightly
def test_two_devices_stop_and_go_on_as_one_run(tmp_path, shapes, two_devices):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(config(whole, shapes, 4), strategy=two_devices)
    train(config(parts, shapes, 2), strategy=two_devices)
    keras.utils.set_random_seed(99)
    train(config(parts, shapes, 4), strategy=two_devices)
    expected, found = weights_of(whole), weights_of(parts)
    for name, weight in expected.items():
        np.testing.assert_allclose(found[name], weight, rtol=1e-5, atol=1e-6)


def test_a_batch_that_cannot_be_shared_out_names_those_that_can(two_devices):
    assert strategy.images_per_replica(6, two_devices) == 3
    with pytest.raises(FlagError, match="over 2 devices: take 4 or 6"):
        strategy.images_per_replica(5, two_devices)


def start(folder, shapes, steps, *flags):
    command = [sys.executable, "train.py", f"--train_logdir={folder}"]
    command += [f"--dataset_dir={shapes}", "--train_batch_size=4", "--log_steps=1"]
    command += ["--depth_multiplier=0.25", "--train_crop_size=49", *flags]
    command += [f"--training_number_of_steps={steps}", "--base_learning_rate=0.05"]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, env=environment
    )


def wait_for(process, text):
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"ended without {text!r}")


@pytest.mark.nightly
def test_a_killed_run_goes_on_from_its_last_checkpoint_and_says_so(tmp_path, shapes):
    process = start(tmp_path, shapes, 100000, "--save_interval_secs=1")
    wait_for(process, "Saved")
    time.sleep(0.5)
    process.kill()
    process.communicate()
    newest = reader.newest(str(tmp_path))
    step = int(newest.rsplit("-", 1)[1])
    process = start(tmp_path, shapes, step + 2)
    wait_for(process, f"Resuming from {newest}, step {step}")
    process.communicate()
    assert process.returncode == 0
    assert reader.newest(str(tmp_path)).endswith(f"model.ckpt-{step + 2}")


@pytest.mark.nightly
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_ends_the_run(tmp_path, shapes, number):
    process = start(tmp_path, shapes, 100000)
    wait_for(process, "step 3/")
    process.send_signal(number)
    rest = process.communicate()[1]
    assert process.returncode == 128 + number
    assert "the same command goes on from here" in rest
    assert "Traceback" not in rest
    assert reader.newest(str(tmp_path)) is not None


@pytest.mark.nightly
def test_the_loss_falls(tmp_path, shapes):
    optimizer = OptimizerConfig(training_number_of_steps=60, base_learning_rate=0.1)
    train(config(tmp_path, shapes, 60, optimizer=optimizer, log_steps=10))
    losses = logged(tmp_path, "Losses/semantic")
    assert losses[60] < 0.75 * losses[10]


def test_frozen_batch_norm_needs_a_checkpoint_or_a_run(tmp_path, run):
    def check(**changes):
        settings = config(tmp_path, "records", 1, fine_tune_batch_norm=False)
        setup.require_statistics(dataclasses.replace(settings, **changes))

    with pytest.raises(FlagError, match="give --tf_initial_checkpoint, or to train"):
        check()
    check(fine_tune_batch_norm=True)
    check(tf_initial_checkpoint="zoo:mobilenetv2_coco_voc_trainaug")
    check(train_logdir=str(run))
    check(model=ModelConfig(architecture="fcn32s"))  # Has none.
    check(model=ModelConfig(architecture="refinenet"))  # Keeps them, whatever is asked.
