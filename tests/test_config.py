"""The records of settings."""

import dataclasses

import pytest

from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    DevicesConfig,
    EvalConfig,
    InferenceConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ResizeConfig,
    TrainConfig,
    WatchConfig,
)
from deeplab_tf.config.fields import Overrides
from deeplab_tf.errors import FlagError


def test_overrides_change_what_was_saved_and_nothing_else():
    saved = ModelConfig(model_variant="xception_65", atrous_rates=(6, 12, 18))
    changed = Overrides(ModelConfig(), {"output_stride": 8}).onto(saved)
    assert changed == dataclasses.replace(saved, output_stride=8)


def test_overrides_fall_back_on_their_defaults():
    overrides = Overrides(ModelConfig(output_stride=8), {"multi_grid": (1, 2, 4)})
    assert overrides.onto(None) == ModelConfig(output_stride=8, multi_grid=(1, 2, 4))


def test_overrides_are_checked_together_with_what_was_saved():
    with pytest.raises(FlagError, match="decoder_output_stride=5"):
        Overrides(ModelConfig(), {"decoder_output_stride": (5,)}).onto(None)
    larger = Overrides(ResizeConfig(), {"max_resize_value": 769})
    with pytest.raises(FlagError, match="needs --min_resize_value"):
        larger.onto(None)
    saved = ResizeConfig(min_resize_value=513, max_resize_value=513)
    assert larger.onto(saved).max_resize_value == 769


@pytest.mark.parametrize(
    ("strides", "stride"), [((), 16), ((4,), 4), ((8,), 8), ((16, 4), 4)]
)
def test_logits_have_the_least_stride(strides, stride):
    assert ModelConfig(decoder_output_stride=strides).logits_stride == stride


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ModelConfig(atrous_rates=(6, 0)), "--atrous_rates=6,0: more than 0"),
        (lambda: ModelConfig(batch_norm_decay=1.0), "--batch_norm_decay=1.0: between"),
        (lambda: ModelConfig(decoder_output_stride=(4, 8)), "from large to small"),
        (lambda: ResizeConfig(max_resize_value=513), "needs --min_resize_value"),
        (lambda: OptimizerConfig(training_number_of_steps=0), "more than 0"),
        (
            lambda: OptimizerConfig(training_number_of_steps=5, slow_start_step=6),
            "--slow_start_step=6 is not below --training_number_of_steps=5",
        ),
        (lambda: AugmentConfig(max_scale_factor=0.1), "is below --min_scale_factor"),
        (lambda: AugmentConfig(scale_factor_step_size=-0.25), "0 or more is needed"),
        (lambda: OptimizerConfig(momentum=1.5), "--momentum=1.5: between 0 and 1"),
        (lambda: OptimizerConfig(decay_steps=-1.0), "--decay_steps=-1.0: 0 or more"),
        (
            lambda: OptimizerConfig(learning_policy="multistep"),
            "--learning_policy=multistep needs --learning_rate_steps",
        ),
        (
            lambda: OptimizerConfig(learning_rate_steps=(20, 10)),
            "--learning_rate_steps=20,10: from small to large",
        ),
        (lambda: OptimizerConfig(learning_rate_steps=(0,)), "_steps=0: more than 0"),
        (lambda: OptimizerConfig(learning_rate_gamma=-1.0), "_gamma=-1.0: 0 or more"),
        (
            lambda: OptimizerConfig(gradient_multipliers=("conv(=2",)),
            r"_multipliers=conv\(=2: conv\( is no regular expression \(missing",
        ),
        (
            lambda: OptimizerConfig(gradient_multipliers=("logits",)),
            "=logits: PATTERN=FACTOR is needed, as logits=10",
        ),
        (
            lambda: OptimizerConfig(gradient_multipliers=("a=1", "logits=ten")),
            "=logits=ten: PATTERN=FACTOR is needed",
        ),
        (
            lambda: OptimizerConfig(gradient_multipliers=("logits=-1",)),
            "=logits=-1: PATTERN=FACTOR is needed",
        ),
        (lambda: LossConfig(hard_example_mining_step=-1), "_step=-1: 0 or more"),
        (
            lambda: LossConfig(class_weights="inverse_log", label_weights=(1.0, 2.0)),
            "--class_weights=inverse_log and --label_weights=1.0,2.0: one of them",
        ),
        (lambda: LossConfig(auxiliary_loss_weight=-1.0), "_weight=-1.0: 0 or more"),
        (
            lambda: LossConfig(losses=("iou",)),
            "--losses=iou: one of cross_entropy, focal, dice, lovasz is needed",
        ),
        (lambda: LossConfig(losses=("dice=0",)), "--losses=dice=0: .* more than 0"),
        (lambda: LossConfig(losses=()), "--losses is missing"),
        (
            lambda: LossConfig(losses=("dice",), label_smoothing=0.1),
            "--label_smoothing=0.1 is of cross_entropy, which --losses=dice has not",
        ),
        (
            lambda: LossConfig(losses=("dice",), label_weights=(1.0, 2.0)),
            "--label_weights=1.0,2.0 is of cross_entropy and focal, which",
        ),
        (lambda: LossConfig(label_smoothing=1.0), "--label_smoothing=1.0: a share"),
        (lambda: OptimizerConfig(ema_decay=1.0), "--ema_decay=1.0: between 0 and 1"),
        (
            lambda: WatchConfig(early_stopping_patience=3),
            "--early_stopping_patience=3 needs --eval_interval_steps",
        ),
        (
            lambda: WatchConfig(profile_logdir="p", profile_steps=(5,)),
            "--profile_steps=5: the first and the last",
        ),
        (
            lambda: WatchConfig(profile_steps=(5, 6)),
            "--profile_steps=5,6 needs --profile_logdir",
        ),
        (
            lambda: DevicesConfig(strategy="one", cpu_replicas=2),
            "--cpu_replicas=2 is for --strategy=mirrored, not one",
        ),
        (lambda: DevicesConfig(gradient_accumulation_steps=0), "_steps=0: more than 0"),
        (lambda: ModelConfig(logits_kernel_size=0), "--logits_kernel_size=0: more"),
        (lambda: InferenceConfig(eval_scales=()), "--eval_scales is missing"),
        (lambda: InferenceConfig(eval_scales=(0.0,)), "--eval_scales=0.0: more than 0"),
        (lambda: TrainConfig(), "--train_logdir is missing"),
        (lambda: TrainConfig(train_logdir="run"), "--dataset_dir is missing"),
        (lambda: EvalConfig(), "--checkpoint_dir is missing"),
    ],
)
def test_settings_that_cannot_be_meant_name_their_flag(make, message):
    with pytest.raises(FlagError, match=message):
        make()


def test_training_refuses_what_no_network_here_has():
    data = DataConfig(dataset_dir="records")
    with pytest.raises(FlagError, match=r"--quantize_delay_step=5: .* leave it at -1"):
        TrainConfig(train_logdir="run", data=data, quantize_delay_step=5)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5])
def test_some_paths_are_kept(share):
    data = DataConfig(dataset_dir="records")
    with pytest.raises(FlagError, match=f"--drop_path_keep_prob={share}: a share, as"):
        TrainConfig(train_logdir="run", data=data, drop_path_keep_prob=share)


def test_a_seed_is_not_negative():
    data = DataConfig(dataset_dir="records")
    with pytest.raises(FlagError, match="--seed=-1: 0 or more is needed"):
        TrainConfig(train_logdir="run", data=data, seed=-1)
