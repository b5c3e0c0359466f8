"""Diagnoses follow from numbers, and end in what would do."""

import dataclasses
import math
import re

import numpy as np
import pytest

from deeplab_tf.config import (
    DataConfig,
    DevicesConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
)
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.training.diagnostics import diagnoses, two_steps
from deeplab_tf.training.diagnostics.diagnoses import OneBatch, Settings
from deeplab_tf.training.diagnostics.two_steps import TwoSteps

SPEC = shapes_spec.SPEC
CONFIG = TrainConfig(
    train_logdir="run",
    train_batch_size=4,
    data=DataConfig(dataset_dir="records"),
    optimizer=OptimizerConfig(base_learning_rate=0.05),
)
QUIET = Settings(
    crop_size=(513, 513),
    multiple=16,
    images=16,
    steps=30000,
    learns_statistics=True,
    lacks_statistics=False,
    new_decays=(0.99, 0.9997),
)
NEITHER = diagnoses.Diagnosis()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"steps": 1000, "new_decays": (0.99,)},  # A decay by hand.
        {"steps": 300, "new_decays": (0.9,)},
        {"steps": 1000, "new_decays": ()},  # All were restored.
        {"images": 2, "learns_statistics": False, "new_decays": ()},
    ],
)
def test_sound_settings_need_no_advice(changes):
    seen = dataclasses.replace(QUIET, **changes)
    assert diagnoses.of_settings(seen) == NEITHER


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_size": (512, 513)}, "multiple of 16, plus one"),
        ({"images": 4}, "from 4 images at a time, and results suffer below 12"),
        ({"lacks_statistics": True}, "there is none: give --tf_initial_checkpoint"),
        (
            {"steps": 1000},
            "After 1000 steps the moving statistics of batch norm are still 74 % of "
            "their initial values (decay 0.9997), and evaluation uses them: give "
            "--batch_norm_decay=0.99, or",
        ),
    ],
)
def test_settings_that_disappoint_are_advised_on(changes, message):
    diagnosis = diagnoses.of_settings(dataclasses.replace(QUIET, **changes))
    (advice,) = diagnosis.advice
    assert message in advice
    assert diagnosis.wrong == ()


def test_batch_norm_of_one_image_is_wrong():
    diagnosis = diagnoses.of_settings(dataclasses.replace(QUIET, images=1))
    (wrong,) = diagnosis.wrong
    assert "sees one image at a time" in wrong
    assert diagnosis.advice == ()


def test_labels_that_are_mostly_ignored_are_told():
    assert diagnoses.of_first_batch(0.8, 255) == NEITHER
    (advice,) = diagnoses.of_first_batch(0.9, 255).advice
    assert "90% of the first batch's pixels are ignored" in advice
    (wrong,) = diagnoses.of_first_batch(1.0, 255).wrong
    assert "are 255, the ignore label" in wrong


@pytest.mark.parametrize(
    ("losses", "rate", "change", "message"),
    [
        ((1.8, 1.7), 0.1, 0.005, None),
        ((1.8, 30.0), 0.1, 0.05, "went from 1.8 to 30 in one step; .*rate=0.01$"),
        ((1.8, float("nan")), 0.1, 5.0, "to nan in one step; .*rate=0.0001$"),
        # A warm-up of a tenth: the full rate would change ten times as much.
        ((1.8, 1.8), 0.01, 0.05, "the kernels by 0.5 of their norm; .*rate=0.001$"),
    ],
)
def test_a_rate_is_too_high_by_evidence(losses, rate, change, message):
    steps = TwoSteps(
        metrics={"loss": losses}, seconds=(9.0, 1.0), rate=rate, change=change
    )
    diagnosis = two_steps.diagnose(steps, 0.1, 1.79)
    if message is None:
        assert diagnosis == NEITHER
    else:
        (wrong,) = diagnosis.wrong
        assert re.search(message, wrong)


def facts(**changes):
    image = {"name": "cat_1", "finite": True, "pixels": {"0": 10, "255": 5}}
    plain = {
        "rate": 0.04,
        "metrics": {"loss": [1.4, 1.5, math.nan]},
        "before": [],
        "checkpoint": None,
        "images": [image],
        "has_batch_norm": False,
        "replicas": 1,
    }
    for name, value in changes.items():
        if name in image:
            image[name] = value
        else:
            plain[name] = value
    return plain


NORM = "batch norm learns from 4 images"
RATE = "--base_learning_rate=0.05 is too high"
HALF = DevicesConfig(precision="mixed_float16")
LOCAL = DevicesConfig(sync_batch_norm=False)


@pytest.mark.parametrize(
    ("seen", "changes", "expected"),
    [
        ({}, {}, [RATE]),
        ({"has_batch_norm": True}, {}, [NORM, RATE]),
        ({"has_batch_norm": True}, {"fine_tune_batch_norm": False}, [RATE]),
        ({"has_batch_norm": True}, {"train_batch_size": 16}, [RATE]),
        (
            {"has_batch_norm": True},
            {
                "train_batch_size": 16,
                "devices": DevicesConfig(gradient_accumulation_steps=4),
            },
            [NORM, RATE],
        ),
        (  # Over all four devices, those of a batch.
            {"has_batch_norm": True, "replicas": 4},
            {"train_batch_size": 16},
            [RATE],
        ),
        (
            {"has_batch_norm": True, "replicas": 4},
            {"train_batch_size": 16, "devices": LOCAL},
            [f"{NORM} at a time (--sync_batch_norm=true, --fine_tune_", RATE],
        ),
        (
            {"has_batch_norm": True, "replicas": 4},
            {"train_batch_size": 48, "devices": LOCAL},
            [RATE],
        ),
        ({"finite": False}, {}, ["image cat_1 has values that are not", RATE]),
        ({"pixels": {"255": 15}}, {}, ["no pixel of the batch counts", RATE]),
        (
            {
                "metrics": {"loss": [3.0, 40.0, math.inf]},
                "before": [{"loss": 2.0}, {"miou": 0.5}, {"loss": 2.1}],
                "has_batch_norm": True,
            },
            {},
            ["rate, 0.04, is too high: the loss had grown from 2.1 to 40", NORM],
        ),
        (
            {"metrics": {"loss": [900.0, 3.0, math.nan]}},
            {},
            ["too high: the loss had been 900, of one that knows nothing 1.79 (--b"],
        ),
        (
            {"metrics": {"loss": [1.0], "gradient_norm": [1.0, 30.0]}},
            {},
            ["the gradient's norm had grown from 1 to 30 (--base_learning_rate=0.005"],
        ),
        (
            {"metrics": {"loss_scale": [2.0, 1.0]}},
            {"devices": HALF},
            ["overflows even at a loss scale of 1", RATE],
        ),
        (
            {"metrics": {"loss_scale": [1024.0]}},
            {"devices": HALF},
            [RATE, "float16 overflows (--precision=mixed_bfloat16"],
        ),
        (
            {},
            {"loss": LossConfig(label_weights=(1, 1, 500.0, 1, 1, 1))},
            [f"class {SPEC.classes[2]} weighs 500, the median class 1", RATE],
        ),
    ],
)
def test_what_is_seen_comes_before_what_is_usual(seen, changes, expected):
    config = dataclasses.replace(CONFIG, **changes)
    sentences = diagnoses.of_not_finite(facts(**seen), config, SPEC)
    for sentence, text in zip(sentences[:2], expected, strict=True):
        assert text in sentence


def one_batch(losses=(2.0, 1.0), right=50, later=None, predicted=(50, 50, 0)):
    return OneBatch(
        labels=np.array([60, 40, 0]),
        predicted=np.array(predicted),
        right=right,
        right_later=right if later is None else later,
        losses=losses,
        rate=0.05,
        steps=60,
    )


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        (
            one_batch(right=99),
            "One batch is overfitted, known by heart: 99.0% of its pixels",
        ),
        (one_batch(right=99, later=40), "as evaluation computes them, 40.0%"),
        (one_batch((2.0, 9.0)), "from 2 to 9, the learning rate is too high: --base_l"),
        (one_batch((2.0, 1.99, 1.98)), "too slowly: --base_learning_rate=0.5, or --tr"),
        (one_batch((2.0, 1.5, 0.9)), "still falls: --training_number_of_steps=120"),
        (one_batch(()), "the loss went from 0 to 0, too slowly"),
        (
            one_batch((2.0, 1.0), 60, predicted=(100, 0, 0)),
            "all are taken for ground, which 60.0% are, and the loss went",
        ),
    ],
)
def test_the_verdict_on_one_batch_follows_from_what_is_seen(seen, message):
    known, sentence = diagnoses.of_one_batch(seen, SPEC)
    assert message in sentence
    assert known == (seen.right == 99)


def test_a_batch_of_which_no_pixel_counts_cannot_be_learned():
    nothing = dataclasses.replace(one_batch(), labels=np.zeros(3, int))
    known, sentence = diagnoses.of_one_batch(nothing, SPEC)
    assert not known
    assert "no pixel of it counts, all are 255" in sentence
