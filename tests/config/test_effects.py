"""Flags that have no effect beside the others: told by rule, where they stand."""

import dataclasses
import re

import pytest

from deeplab_tf import commands, flags
from deeplab_tf.config import (
    EvalConfig,
    ExportConfig,
    ModelConfig,
    TrainConfig,
    VisConfig,
    effects,
)
from deeplab_tf.config.architectures import ARCHITECTURES, FEATURE_EXTRACTORS
from deeplab_tf.config.official import OFFICIAL
from deeplab_tf.errors import FlagError
from deeplab_tf.models.__main__ import ListConfig
from deeplab_tf.models.backbones import BACKBONES
from tests.test_official_flags import COMMON, EVAL, EXPORT, TRAIN, VIS

NEEDED = {
    TrainConfig: ("--train_logdir=run", "--dataset_dir=records"),
    EvalConfig: ("--checkpoint_dir=run", "--eval_logdir=x", "--dataset_dir=records"),
    VisConfig: ("--checkpoint_dir=run", "--vis_logdir=x", "--dataset_dir=records"),
    ExportConfig: ("--checkpoint_path=run", "--export_path=x"),
}


def parse(*args, record=TrainConfig):
    return flags.parse(record, ["program", *NEEDED[record], *args])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--learning_rate_gamma=0.1"],
            "--learning_rate_gamma=0.1 has no effect with --learning_policy=poly; "
            "leave it out",
        ),
        (
            ["--optimizer=adam", "--learning_rate_steps=5,9"],
            "--learning_rate_steps=5,9 has no effect with --optimizer=adam; leave it "
            "out",
        ),
        (
            [
                "--learning_policy=multistep",
                "--learning_rate_steps=5",
                "--learning_rate_gamma=0.1",
            ],
            "--learning_rate_gamma=0.1 has no effect with --learning_policy=multistep",
        ),
        (
            ["--focal_gamma=1"],
            "--focal_gamma=1.0 has no effect with --losses=cross_entropy",
        ),
        (
            ["--losses=dice,lovasz", "--loss_normalization=images"],
            "--loss_normalization=images has no effect with --losses=dice,lovasz",
        ),
        (
            ["--auxiliary_loss_weight=0.5"],
            "--auxiliary_loss_weight=0.5 has no effect with --architecture=deeplab_v3 "
            "--model_variant=mobilenet_v2",
        ),
        (["--tpu=here"], "--tpu=here has no effect with --strategy=auto"),
        (
            ["--strategy=one", "--sync_batch_norm=false"],
            "--sync_batch_norm=False has no effect with --strategy=one",
        ),
        (
            ["--fine_tune_batch_norm=false", "--sync_batch_norm=false"],
            "--sync_batch_norm=False has no effect without --fine_tune_batch_norm",
        ),
        (
            ["--architecture=unet", "--sync_batch_norm=false"],
            "--sync_batch_norm=False has no effect with --architecture=unet",
        ),
        (
            ["--overfit_one_batch", "--rotation_degrees=9", "--blur_sigma=1"],
            "--blur_sigma=1.0 --rotation_degrees=9.0 have no effect with "
            "--overfit_one_batch; leave them out",
        ),
        (
            ["--official_bugs"],
            "--official_bugs=True has no effect with --keep_aspect_ratio",
        ),
    ],
)
def test_a_flag_given_by_hand_that_has_no_effect_is_named(args, message):
    with pytest.raises(FlagError, match=re.escape(message)) as raised:
        parse(*args)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("record", "args", "message"),
    [
        (
            EvalConfig,
            ["--crf_iterations=5"],
            "--crf_iterations=5 has no effect without",
        ),
        (VisConfig, ["--crf_engine=numba"], "--crf_engine=numba has no effect without"),
    ],
)
def test_so_it_is_in_the_other_commands(record, args, message):
    with pytest.raises(FlagError, match=re.escape(f"{message} --crf; leave it out")):
        parse(*args, record=record)


@pytest.mark.parametrize(
    ("record", "args"),
    [
        (TrainConfig, ["--optimizer=adamw", "--learning_rate_gamma=0.0001"]),
        (TrainConfig, ["--learning_policy=inv", "--learning_rate_gamma=0.1"]),
        (TrainConfig, ["--losses=focal,dice", "--focal_gamma=1"]),
        (TrainConfig, ["--architecture=pspnet", "--auxiliary_loss_weight=0.5"]),
        (EvalConfig, ["--crf=voc_v1", "--crf_iterations=5"]),
        (EvalConfig, ["--crf_search", "--crf_iterations=5"]),
        (EvalConfig, ["--max_number_of_evaluations=2", "--eval_interval_secs=5"]),
    ],
)
def test_what_has_effect_or_is_the_default_passes(record, args, caplog):
    parse(*args, record=record)
    assert not caplog.text


@pytest.mark.parametrize(
    ("record", "args", "told"),
    [
        (
            TrainConfig,
            [
                "--depth_multiplier=0.5",
                "--divisible_by=4",
                "--model_variant=resnet_v1_50",
            ],
            "--depth_multiplier=0.5 --divisible_by=4 have no effect with "
            "--architecture=deeplab_v3 --model_variant=resnet_v1_50; leave them out",
        ),
        (
            TrainConfig,
            [
                "--architecture=unet",
                "--atrous_rates=6",
                "--multi_grid=1,2",
                "--decoder_filters=9",
                "--logits_kernel_size=3",
            ],
            "--atrous_rates=6 --decoder_filters=9 --logits_kernel_size=3 "
            "--multi_grid=1,2 have no effect with --architecture=unet",
        ),
        (TrainConfig, ["--decoder_filters=9"], "--decoder_filters=9 has no effect"),
        (
            TrainConfig,
            ["--nas_stem_output_num_conv_filters=9"],
            "--nas_stem_output_num_conv_filters=9 has no effect",
        ),
        (
            TrainConfig,
            ["--optimizer=adam", "--learning_policy=step", "--momentum=0.5"],
            "--learning_policy=step --momentum=0.5 have no effect with",
        ),
        (
            TrainConfig,
            ["--hard_example_mining_step=9"],
            "--hard_example_mining_step=9 has no effect with "
            "--top_k_percent_pixels=1.0",
        ),
        (
            TrainConfig,
            ["--initialize_last_layer=false"],
            "has no effect without --tf_initial_checkpoint",
        ),
        (TrainConfig, ["--keep_aspect_ratio=false"], "without --min_resize_value"),
        (TrainConfig, ["--eval_split=test"], "without --eval_interval_steps"),
        (TrainConfig, ["--save_summaries_secs=9"], "without --save_summaries_images"),
        (
            TrainConfig,
            ["--save_interval_secs=9", "--save_interval_steps=9"],
            "--save_interval_secs=9 has no effect with --save_interval_steps=9",
        ),
        (
            TrainConfig,
            [
                "--min_scale_factor=1",
                "--max_scale_factor=1",
                "--scale_factor_step_size=0",
            ],
            "--scale_factor_step_size=0.0 has no effect with --min_scale_factor=1.0 "
            "--max_scale_factor=1.0",
        ),
        (
            VisConfig,
            ["--image=photo.jpg", "--vis_split=test"],
            "--vis_split=test has no effect with --image=photo.jpg; leave it out",
        ),
        (
            EvalConfig,
            ["--eval_interval_secs=9"],
            "--eval_interval_secs=9 has no effect with --max_number_of_evaluations=1",
        ),
    ],
)
def test_one_of_research_deeplab_is_warned_of(record, args, told, caplog):
    parse(*args, record=record)
    assert told in caplog.text
    assert len(caplog.records) == 1


def test_one_of_a_flagfile_is_warned_of_also_where_it_is_nested(tmp_path, caplog):
    inner, outer = tmp_path / "inner.flags", tmp_path / "outer.flags"
    inner.write_text("--learning_rate_gamma=0.1\n")
    outer.write_text(f"--flagfile={inner}\n--focal_gamma=1\n")
    parse(f"--flagfile={outer}")
    file = "(of the recipe or flagfile) has no effect"
    assert f"--learning_rate_gamma=0.1 {file}" in caplog.text
    assert f"--focal_gamma=1.0 {file}" in caplog.text
    assert "leave" not in caplog.text
    with pytest.raises(FlagError, match=r"--focal_gamma=2\.5 has no effect"):
        parse(f"--flagfile={outer}", "--focal_gamma=2.5")


def test_warnings_may_be_asked_for_in_place_of_errors(caplog):
    parse("--validate_flags=warn", "--focal_gamma=1")
    assert "--focal_gamma=1.0 has no effect with --losses=cross_entropy" in caplog.text


@pytest.mark.parametrize("record", [EvalConfig, VisConfig, ExportConfig])
def test_after_training_the_network_of_the_run_decides(record, caplog):
    config = parse("--decoder_filters=9", record=record)
    assert not caplog.text
    config.model.onto(ModelConfig(decoder_output_stride=(4,)))
    assert not caplog.text
    config.model.onto(ModelConfig(architecture="unet"))
    assert "--decoder_filters=9 has no effect with --architecture=unet" in caplog.text


def test_settings_of_a_run_are_not_judged(caplog):
    saved = ModelConfig(architecture="unet", decoder_filters=9, atrous_rates=(6,))
    parse(record=EvalConfig).model.onto(saved)
    parse("--output_stride=16", record=EvalConfig).model.onto(saved)
    assert not caplog.text


def test_what_only_training_reads_has_no_effect_after_it(caplog):
    parse("--batch_norm_decay=0.9", record=EvalConfig).model.onto(None)
    assert "--batch_norm_decay=0.9 has no effect after training" in caplog.text


def test_one_network_that_is_listed_is_judged_too(caplog):
    config = flags.parse(ListConfig, ["models", "--architecture=unet"])
    config.model.onto(None)
    args = ["models", "--architecture=unet", "--aspp_convs_filters=8"]
    flags.parse(ListConfig, args).model.onto(None)
    assert "--aspp_convs_filters=8 has no effect" in caplog.text


@pytest.mark.parametrize(
    ("settings", "unread"),
    [
        (
            {"dense_prediction_cell_json": "cell"},
            {"aspp_with_separable_conv", "atrous_rates"},
        ),
        ({"architecture": "deeplab_v2_aspp", "atrous_rates": (6,)}, set()),
        ({"aspp_with_batch_norm": False, "atrous_rates": (6,)}, {"aspp_convs_filters"}),
        ({"add_image_level_feature": False}, {"image_pooling_crop_size"}),
        (
            {"decoder_output_stride": (4,), "decoder_output_is_logits": True},
            {"decoder_use_separable_conv"},
        ),
        (
            {"architecture": "deeplab_v3_cascade", "atrous_rates": (6,)},
            {"atrous_rates"},
        ),
        (
            {"architecture": "deeplab_v3_cascade", "atrous_rates": (6,)}
            | {"aspp_with_batch_norm": False},
            {"aspp_convs_filters"},
        ),
    ],
)
def test_settings_within_a_network_decide_about_others(settings, unread):
    causes = effects.unread(ModelConfig(**settings))
    assert unread <= causes.keys()
    assert ("atrous_rates" in causes) == ("atrous_rates" in unread)


def test_a_setting_that_has_no_effect_itself_decides_nothing():
    model = ModelConfig(
        architecture="deeplab_v2_aspp",
        dense_prediction_cell_json="cell",
        atrous_rates=(6,),
    )
    causes = effects.unread(model)
    assert "dense_prediction_cell_json" in causes
    assert "atrous_rates" not in causes


def test_the_tables_know_every_network():
    assert list(FEATURE_EXTRACTORS) == list(BACKBONES)
    assert all(row.model_variant in BACKBONES for row in ARCHITECTURES.values())


def test_the_flags_of_research_deeplab_are_known():
    listed = {
        line.split(" ")[0]
        for lines in (COMMON, TRAIN, EVAL, VIS, EXPORT)
        for line in lines.split("\n")
        if line
    }
    retired = {*commands.RETIRED, *commands.RETIRED_AFTER_TRAINING}
    assert listed | retired <= OFFICIAL


@pytest.mark.parametrize("record", [*NEEDED, ListConfig])
def test_rules_are_about_flags_that_there_are(record):
    known = set(flags.names(record)) | set(flags.names(TrainConfig))
    assert effects.company(record).keys() <= known
    for field in dataclasses.fields(record):
        assert field.name not in ("recipe", "flagfile", "validate_flags", "help")


def test_a_warning_is_given_once_however_many_checkpoints_come(caplog):
    config = parse("--decoder_filters=9", record=EvalConfig)
    for _ in range(3):
        config.model.onto(ModelConfig(architecture="unet"))
    assert caplog.text.count("--decoder_filters=9 has no effect") == 1
