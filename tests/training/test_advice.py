"""What a run says before it costs hours."""

import dataclasses

import pytest

from deeplab_tf.checkpoints.restoring import Report
from deeplab_tf.config import AugmentConfig, DataConfig, OptimizerConfig, TrainConfig
from deeplab_tf.data.specs import camvid
from deeplab_tf.models.build import build
from deeplab_tf.models.names import weights_by_name
from deeplab_tf.training import advice
from tests.recorded import SMALL

QUIET = TrainConfig(
    train_logdir="run",
    data=DataConfig(dataset_dir="records"),
    train_batch_size=16,
    model=SMALL,
    optimizer=OptimizerConfig(training_number_of_steps=30000),
)


def warnings(caplog, config, report=None):
    model = build(config.model, 3, frozen_batch_norm=not config.fine_tune_batch_norm)
    advice.warn(config, model, report)
    return [record.getMessage() for record in caplog.records]


def test_a_sound_run_is_not_warned(caplog):
    assert warnings(caplog, QUIET) == []


def steps(count, **model):
    return dataclasses.replace(
        QUIET,
        model=dataclasses.replace(SMALL, **model),
        optimizer=OptimizerConfig(training_number_of_steps=count),
    )


def test_a_run_too_short_for_its_statistics_is_told_what_to_do(caplog):
    (message,) = warnings(caplog, steps(1000))
    assert (
        "After 1000 steps the moving statistics of batch norm are still 74 %" in message
    )
    assert "(decay 0.9997)" in message
    assert "give --batch_norm_decay=0.99," in message


@pytest.mark.parametrize(("count", "decay"), [(1000, 0.99), (30000, None), (300, 0.9)])
def test_a_decay_by_hand_or_enough_steps_need_no_advice(caplog, count, decay):
    assert warnings(caplog, steps(count, batch_norm_decay=decay)) == []


def test_statistics_that_were_restored_are_settled(caplog):
    restored = tuple(weights_by_name(build(SMALL, 3)))
    report = Report(restored=restored, excluded=(), missing=(), unused=())
    assert warnings(caplog, steps(1000), report) == []


def test_frozen_statistics_need_not_settle(caplog):
    config = dataclasses.replace(
        steps(10), fine_tune_batch_norm=False, train_batch_size=2
    )
    report = Report(restored=(), excluded=(), missing=(), unused=())
    assert warnings(caplog, config, report) == []


def test_frozen_statistics_have_to_come_from_somewhere(caplog):
    config = dataclasses.replace(QUIET, fine_tune_batch_norm=False)
    (message,) = warnings(caplog, config)
    assert "there is none: give --tf_initial_checkpoint" in message


def test_small_batches_are_warned_of(caplog):
    config = dataclasses.replace(QUIET, train_batch_size=4)
    (message,) = warnings(caplog, config)
    assert "from 4 images at a time" in message
    assert "--fine_tune_batch_norm=false" in message


def test_crops_that_do_not_align_are_told(caplog):
    config = dataclasses.replace(
        QUIET, augment=AugmentConfig(train_crop_size=(512, 513))
    )
    (message,) = warnings(caplog, config)
    assert "multiple of 16, plus one" in message


def test_classes_are_listed_with_their_share_of_the_pixels(caplog):
    spec = dataclasses.replace(camvid.SPEC, pixel_counts={"train": (75, 25, *[0] * 9)})
    advice.tell_classes(spec, "train")
    advice.tell_classes(spec, "val")
    assert (
        "camvid, 11 classes: 0 Sky 75.0%, 1 Building 25.0%, 2 Pole 0.0%" in caplog.text
    )
    assert "0 Sky, 1 Building, 2 Pole" in caplog.text
