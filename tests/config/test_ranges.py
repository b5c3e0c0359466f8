"""Numbers have ranges: on the command line, in a record, and in a run's settings."""

import dataclasses
import typing

import pytest

from deeplab_tf import flag_help, flags
from deeplab_tf.config import (
    EvalConfig,
    ExportConfig,
    ModelConfig,
    OptimizerConfig,
    PredictConfig,
    ResizeConfig,
    TrainConfig,
    VisConfig,
)
from deeplab_tf.config.fields import Range
from deeplab_tf.dataset_report.__main__ import CheckConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.__main__ import ListConfig
from tests.config.test_effects import parse

# Checked by more than a range, or of which every number means something.
FREE = {
    *("output_stride", "cascaded_blocks", "decoder_output_stride", "profile_steps"),
    *("quantize_delay_step", "max_number_of_evaluations", "max_number_of_iterations"),
}
RECORDS = (
    *(TrainConfig, EvalConfig, VisConfig, ExportConfig, PredictConfig),
    *(ListConfig, CheckConfig),
)


def numbers():
    """Records' parts and fields that are numbers or lists of them."""
    for record in RECORDS:
        for part, _ in flag_help.groups(record):
            hints = typing.get_type_hints(part)
            for field in dataclasses.fields(part):
                kinds = {hints[field.name], *typing.get_args(hints[field.name])}
                nested = {k for kind in kinds for k in typing.get_args(kind)}
                if {int, float} & (kinds | nested) and "help" in field.metadata:
                    yield part, field


def test_every_number_has_a_range():
    without = {f.name for _, f in numbers() if not f.metadata["within"]}
    assert without == FREE


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("--base_learning_rate=-0.1", "-0.1: 0 or more is needed"),
        ("--end_learning_rate=-1", "-1.0: 0 or more is needed"),
        ("--learning_power=-1", "-1.0: 0 or more is needed"),
        ("--adam_epsilon=0", "0.0: more than 0 is needed"),
        ("--learning_rate_decay_factor=-2", "-2.0: 0 or more is needed"),
        ("--slow_start_learning_rate=-1", "-1.0: 0 or more is needed"),
        ("--last_layer_gradient_multiplier=-1", "-1.0: 0 or more is needed"),
        ("--label_weights=1,-1", "1.0,-1.0: 0 or more is needed"),
        ("--save_interval_secs=-1", "-1: 0 or more is needed"),
        ("--save_summaries_secs=-1", "-1: 0 or more is needed"),
        ("--gradient_accumulation_steps=0", "0: more than 0 is needed"),
        ("--contrast_jitter=1.5", "1.5: between 0, for none, and 1"),
        ("--rotation_degrees=-1", "-1.0: between 0, for none, and 180"),
        ("--seed=10000000000", "10000000000: at most 2147483647 is needed"),
        ("--train_batch_size=3000000000", "3000000000: at most 2147483647 is needed"),
        ("--learning_rate_steps=5,3000000000", "at most 2147483647 is needed"),
        ("--base_learning_rate=1e39", "1e+39: at most 3.4e+38 is needed"),
        ("--weight_decay=inf", "inf: a number is needed"),
        ("--momentum=nan", "nan: a number is needed"),
    ],
)
def test_a_number_outside_of_its_range_is_told_with_it(args, message):
    with pytest.raises(FlagError) as raised:
        parse(args)
    assert str(raised.value).startswith(args.partition("=")[0])
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("record", "settings", "message"),
    [
        (OptimizerConfig, {"base_learning_rate": -0.1}, "0 or more is needed"),
        (OptimizerConfig, {"weight_decay": float("nan")}, "a number is needed"),
        (ModelConfig, {"decoder_filters": 2**40}, "at most 2147483647 is needed"),
        (ResizeConfig, {"min_resize_value": 0}, "more than 0 is needed"),
    ],
)
def test_so_it_is_where_a_record_is_made_from_python_or_a_config_json(
    record, settings, message
):
    with pytest.raises(FlagError, match=message):
        record(**settings)


@pytest.mark.parametrize(
    ("within", "text", "inside", "outside"),
    [
        (Range(minimum=0), "0 or more", (0, 5), (-1,)),
        (Range(above=0), "more than 0", (0.1,), (0, -1)),
        (Range(minimum=1, maximum=3), "1 to 3", (1, 3), (0, 4)),
        (Range(minimum=0, below=1), "at least 0, less than 1", (0, 0.9), (1,)),
        (Range(above=0, maximum=1), "more than 0, at most 1", (1,), (0, 1.5)),
    ],
)
def test_a_range_holds_its_numbers_and_says_which(within, text, inside, outside):
    assert str(within) == text
    assert all(number in within for number in inside)
    assert not any(number in within for number in outside)


@pytest.mark.parametrize("script", ["build_shapes_data", "build_tfds_data"])
def test_builders_have_ranges_too(script):
    from tests.test_flag_help import record_of

    name = {"build_shapes_data": "train_size", "build_tfds_data": "shards"}[script]
    args = ["--dataset=x", "--output_dir=y"] if script == "build_tfds_data" else []
    with pytest.raises(FlagError, match=f"--{name}=-1: more than 0 is needed"):
        flags.parse(record_of(script), [script, *args, f"--{name}=-1"])
