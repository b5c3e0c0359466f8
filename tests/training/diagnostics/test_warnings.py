"""What a run says before it costs hours."""

import dataclasses

import numpy as np
import pytest

from deeplab_tf.checkpoints.restore import RestoreReport
from deeplab_tf.config import (
    DataConfig,
    DevicesConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)
from deeplab_tf.data.labels.statistics import LabelStatistics
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import LOGITS
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.diagnostics import warnings as run_warnings
from deeplab_tf.training.losses.class_weights import PixelCounts
from tests.recorded import SMALL


def test_settings_are_seen_in_the_network(caplog):
    """Its batch norms, and which of their statistics come from a checkpoint."""
    config = TrainConfig(
        train_logdir="run",
        data=DataConfig(dataset_dir="records"),
        train_batch_size=16,
        model=SMALL,
        optimizer=OptimizerConfig(training_number_of_steps=1000),
        devices=DevicesConfig(gradient_accumulation_steps=4),
    )
    model = build(SMALL, 3)
    run_warnings.warn_of_settings(config, model, None)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert "from 4 images at a time" in messages[0]
    assert "initial values (decay 0.9997)" in messages[1]
    restored = tuple(weights_by_name(model))
    report = RestoreReport(restored=restored, excluded=(), missing=(), unused=())
    diagnosis = run_warnings.diagnose_settings(config, model, report)
    assert diagnosis.wrong == ()
    assert list(diagnosis.advice) == messages[:1]
    several = run_warnings.diagnose_settings(config, model, report, 2)
    assert several == diagnosis
    devices = dataclasses.replace(config.devices, sync_batch_norm=False)
    local = dataclasses.replace(config, devices=devices)
    (sentence,) = run_warnings.diagnose_settings(local, model, report, 2).advice
    assert "from 2 images at a time" in sentence
    frozen = dataclasses.replace(config, fine_tune_batch_norm=False)
    model = build(SMALL, 3, frozen_batch_norm=True)
    (sentence,) = run_warnings.diagnose_settings(frozen, model, None).advice
    assert "there is none: give --tf_initial_checkpoint" in sentence


PETS = DatasetSpec(
    name="pets",
    classes=("ground", "black cat", "dog"),
    palette=distinct_colors(3),
    pixel_counts={"train": (5, 2, 1)},
)
NOTHING = LabelStatistics()


def test_classes_are_a_table_of_ids_names_shares_and_weights():
    shares = run_warnings.class_shares(PETS, "train", None, NOTHING)
    loss = LossConfig(label_weights=(0.8, 1.5, 1.0))
    assert run_warnings.class_table(PETS, loss, shares).splitlines() == [
        "pets, 3 classes, label 255 ignored:",
        " id  class        share   weight",
        "  0  ground     62.500%   0.8000",
        "  1  black cat  25.000%   1.5000",
        "  2  dog        12.500%   1.0000",
    ]


def test_a_class_that_is_ignored_has_neither_share_nor_weight():
    spec = dataclasses.replace(PETS, ignore_label=0)
    shares = run_warnings.class_shares(spec, "train", None, NOTHING)
    lines = run_warnings.class_table(spec, LossConfig(), shares).splitlines()
    assert lines[2:] == [
        "  0  ground              ignored",
        "  1  black cat  66.667%   1.0000",
        "  2  dog        33.333%   1.0000",
    ]


def test_shares_are_counted_or_of_the_description_or_of_what_was_checked():
    counts = PixelCounts(np.array([1, 1, 2]), np.array([4, 4, 4]))
    assert run_warnings.class_shares(PETS, "train", counts, NOTHING).tolist() == [
        0.25,
        0.25,
        0.5,
    ]
    tally = LabelStatistics(pixels={0: 3, 2: 1, 255: 100})
    assert run_warnings.class_shares(PETS, "val", None, tally).tolist() == [
        0.75,
        0,
        0.25,
    ]
    assert run_warnings.class_shares(PETS, "val", None, NOTHING) is None
    one = LossConfig(label_weights=(2.0,))
    assert run_warnings.class_table(PETS, one, None).endswith(
        "  2  dog" + 18 * " " + "2.0000"
    )


@pytest.mark.parametrize("excluded", [(), LOGITS])
def test_logits_of_other_classes_are_warned_of_unless_they_start_anew(
    tmp_path, caplog, excluded
):
    dataclasses.replace(PETS, classes=("ground", "dog", "black cat")).save(tmp_path)
    (tmp_path / "model.ckpt-1.index").touch()
    run_warnings.warn_of_other_classes(PETS, str(tmp_path / "model.ckpt-1"), excluded)
    different = 'class 1 is "dog" there, "black cat" here, in another order. Its logits'
    assert (different in caplog.text) == (not excluded)


def test_logits_of_the_same_classes_are_not_warned_of(tmp_path, caplog):
    PETS.save(tmp_path)
    (tmp_path / "model.ckpt-1.index").touch()
    run_warnings.warn_of_other_classes(PETS, str(tmp_path / "model.ckpt-1"), ())
    assert not caplog.text


@pytest.mark.parametrize(
    ("loss", "loss_weights", "expected"),
    [
        (LossConfig(), (1.0,), np.log(3)),
        (LossConfig(), (0.4, 1.0), 1.4 * np.log(3)),
        (LossConfig(label_weights=(2.0,)), (1.0,), 2 * np.log(3)),
        # Half of the labels weigh 1, a quarter 4, a quarter 2: on average 2.
        (LossConfig(label_weights=(1.0, 4.0, 2.0)), (1.0,), 2 * np.log(3)),
        (
            LossConfig(losses=("cross_entropy=0.5", "focal"), focal_gamma=2.0),
            (1.0,),
            (0.5 + 4 / 9) * np.log(3),
        ),
        (LossConfig(losses=("cross_entropy", "dice")), (1.0,), None),
        (LossConfig(loss_normalization="images"), (1.0,), None),
    ],
)
def test_a_network_that_knows_nothing_has_a_loss_to_expect(
    loss, loss_weights, expected
):
    shares = np.array([0.5, 0.25, 0.25])
    found = run_warnings.expected_first_loss(loss, shares, 3, loss_weights)
    assert found == (expected and pytest.approx(expected, rel=1e-12))


@pytest.mark.parametrize(
    ("observed", "initial", "level"),
    [
        (1.2, None, "INFO"),
        (3.2, None, "INFO"),
        (3.4, None, "WARNING"),
        (99.0, "model.ckpt-1", "INFO"),
    ],
)
def test_the_first_loss_is_told_beside_it(observed, initial, level, caplog):
    run_warnings.log_first_loss(observed, 1.1, initial)
    (record,) = caplog.records
    assert record.levelname == level
    assert f"{observed:.4f}; that of a network that knows nothing: 1.1000" in (
        record.getMessage()
    )
    assert ("--save_summaries_images" in caplog.text) == (level == "WARNING")
    run_warnings.log_first_loss(observed, None, initial)
    assert len(caplog.records) == 1
