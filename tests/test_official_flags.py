"""Every flag of the official scripts exists, with its type and default."""

import dataclasses
import re
import shlex
import typing

import pytest

from deeplab_tf import commands, flags
from deeplab_tf.config import EvalConfig, ExportConfig, TrainConfig, VisConfig

# Of research/deeplab, as "name default"; None and lists as Python has them.
COMMON = """
add_image_level_feature True
aspp_convs_filters 256
aspp_with_batch_norm True
aspp_with_concat_projection True
aspp_with_separable_conv True
aspp_with_squeeze_and_excitation False
batch_norm_decay 0.9997
decoder_filters 256
decoder_output_is_logits False
decoder_output_stride ()
decoder_use_separable_conv True
decoder_use_sum_merge False
dense_prediction_cell_json ''
depth_multiplier 1.0
divisible_by None
image_pooling_crop_size None
image_pooling_stride (1,1)
image_pyramid ()
image_se_uses_qsigmoid False
keep_aspect_ratio True
label_weights ()
logits_kernel_size 1
max_resize_value None
merge_method 'max'
min_resize_value None
model_variant 'mobilenet_v2'
multi_grid ()
nas_remove_os32_stride False
nas_stem_output_num_conv_filters 20
nas_use_classification_head False
prediction_with_upsampled_logits True
resize_factor None
use_bounded_activation False
atrous_rates ()
quantize_delay_step -1
"""
TRAIN = """
output_stride 16
adam_epsilon 1e-08
adam_learning_rate 0.001
base_learning_rate 0.0001
dataset 'pascal_voc_seg'
dataset_dir None
decay_steps 0.0
drop_path_keep_prob 1.0
end_learning_rate 0.0
fine_tune_batch_norm True
hard_example_mining_step 0
initialize_last_layer True
last_layer_gradient_multiplier 1.0
last_layers_contain_logits_only False
learning_policy 'poly'
learning_power 0.9
learning_rate_decay_factor 0.1
learning_rate_decay_step 2000
log_steps 10
max_scale_factor 2.0
min_scale_factor 0.5
momentum 0.9
optimizer 'momentum'
profile_logdir None
save_interval_secs 1200
save_summaries_images False
save_summaries_secs 600
scale_factor_step_size 0.25
slow_start_learning_rate 0.0001
slow_start_step 0
tf_initial_checkpoint None
top_k_percent_pixels 1.0
train_batch_size 8
train_crop_size (513,513)
train_logdir None
train_split 'train'
training_number_of_steps 30000
upsample_logits True
weight_decay 4e-05
"""
EVAL = """
output_stride 16
add_flipped_images False
checkpoint_dir None
dataset 'pascal_voc_seg'
dataset_dir None
eval_batch_size 1
eval_crop_size (513,513)
eval_interval_secs 300
eval_logdir None
eval_scales (1.0,)
eval_split 'val'
max_number_of_evaluations 1
"""
VIS = """
output_stride 16
add_flipped_images False
also_save_raw_predictions False
checkpoint_dir None
colormap_type 'pascal'
dataset 'pascal_voc_seg'
dataset_dir None
eval_interval_secs 300
eval_scales (1.0,)
max_number_of_iterations 1
vis_batch_size 1
vis_crop_size (513,513)
vis_logdir None
vis_split 'val'
"""
EXPORT = """
output_stride 8
add_flipped_images False
checkpoint_path None
crop_size (513,513)
export_path None
inference_scales (1.0,)
num_classes 21
save_inference_graph False
"""
SCRIPTS = {TrainConfig: TRAIN, EvalConfig: EVAL, VisConfig: VIS, ExportConfig: EXPORT}
CASES = [
    (record, *line.split(" "))
    for record, listed in SCRIPTS.items()
    for line in (COMMON + listed).split("\n")
    if line
]


def shown_defaults(record):
    """Flag name -> default as `--help` has it."""
    found = {}
    for field in dataclasses.fields(record):
        if "help" in field.metadata:
            found[field.name] = field.metadata["shown"]
        elif dataclasses.is_dataclass(field.default):
            inner = getattr(field.default, "defaults", field.default)
            for own in dataclasses.fields(inner):
                shown = own.metadata["shown"]
                given = getattr(inner, own.name)
                found[own.name] = shown if given == own.default else given
    return found


@pytest.mark.parametrize(("record", "name", "default"), CASES)
def test_the_official_flag_has_its_official_default(record, name, default):
    if name == "label_weights" and record is not TrainConfig:
        assert name in commands.RETIRED_AFTER_TRAINING
        return
    assert shown_defaults(record)[name] == eval(default)


@pytest.mark.parametrize(
    "name", ["clone_on_cpu", "master", "num_clones", "num_ps_tasks"]
)
def test_flags_of_distributed_tensorflow_1_are_accepted(name):
    assert name in commands.RETIRED


@pytest.mark.parametrize("record", SCRIPTS)
def test_every_flag_has_help_of_a_sentence(record):
    def check(cls):
        for field in dataclasses.fields(cls):
            if "help" in field.metadata:
                assert re.match(r"[A-Z].*\.$", field.metadata["help"]), field.name
            elif dataclasses.is_dataclass(field.default):
                check(type(getattr(field.default, "defaults", field.default)))

    check(record)
    assert typing.get_type_hints(record)


def test_defaults_that_act_otherwise_than_they_show_are_these():
    """What `--help` shows there holds unless a run, or a data set, says otherwise."""
    shown_otherwise = {
        name
        for record in SCRIPTS
        for part in (record, *(type(d) for d in _inner(record)))
        for name, field in part.__dataclass_fields__.items()
        if "help" in field.metadata and field.metadata["shown"] != field.default
    }
    assert shown_otherwise == {
        "batch_norm_decay",
        "colormap_type",
        "crop_size",
        "dataset",
        "eval_crop_size",
        "model_variant",
        "num_classes",
        "output_stride",
        "vis_crop_size",
    }


def _inner(record):
    defaults = [field.default for field in dataclasses.fields(record)]
    return [
        getattr(default, "defaults", default)
        for default in defaults
        if dataclasses.is_dataclass(default)
    ]


# Of the official pages on VOC, Cityscapes, ADE20K and export.
NETWORK = """--model_variant="xception_65" --atrous_rates=6 --atrous_rates=12
 --atrous_rates=18 --output_stride=16 --decoder_output_stride=4"""
COMMANDS = {
    "train voc": f"""train.py --logtostderr --training_number_of_steps=30000
 --train_split="train" {NETWORK} --train_crop_size="513,513" --train_batch_size=1
 --dataset="pascal_voc_seg" --tf_initial_checkpoint=init/model.ckpt
 --train_logdir=train --dataset_dir=tfrecord""",
    "train cityscapes": f"""train.py --logtostderr --training_number_of_steps=90000
 --train_split="train_fine" {NETWORK} --train_crop_size="769,769"
 --train_batch_size=1 --dataset="cityscapes" --tf_initial_checkpoint=init/model.ckpt
 --train_logdir=train --dataset_dir=tfrecord --num_clones=4 --clone_on_cpu=false""",
    "train ade20k": f"""train.py --logtostderr --training_number_of_steps=150000
 --train_split="train" {NETWORK} --train_crop_size="513,513" --train_batch_size=4
 --min_resize_value=513 --max_resize_value=513 --resize_factor=16 --dataset="ade20k"
 --tf_initial_checkpoint=init/model.ckpt --train_logdir=train
 --dataset_dir=tfrecord""",
    "eval voc": f"""eval.py --logtostderr --eval_split="val" {NETWORK}
 --eval_crop_size="513,513" --dataset="pascal_voc_seg" --checkpoint_dir=train
 --eval_logdir=eval --dataset_dir=tfrecord --max_number_of_evaluations=1""",
    "eval cityscapes": f"""eval.py --logtostderr --eval_split="val_fine" {NETWORK}
 --eval_crop_size="1025,2049" --dataset="cityscapes" --checkpoint_dir=train
 --eval_logdir=eval --dataset_dir=tfrecord --eval_scales=0.5 --eval_scales=0.75
 --eval_scales=1.0 --add_flipped_images=true""",
    "vis cityscapes": f"""vis.py --logtostderr --vis_split="val_fine" {NETWORK}
 --vis_crop_size="1025,2049" --dataset="cityscapes" --colormap_type="cityscapes"
 --checkpoint_dir=train --vis_logdir=vis --dataset_dir=tfrecord --master=''""",
    "export": f"""export_model.py --logtostderr --checkpoint_path=train/model.ckpt-10
 --export_path=export/frozen_inference_graph.pb {NETWORK} --num_classes=21
 --crop_size=513 --crop_size=513 --inference_scales=1.0""",
}
RECORDS = {
    "train": (TrainConfig, commands.RETIRED),
    "eval": (EvalConfig, commands.RETIRED_AFTER_TRAINING),
    "vis": (VisConfig, commands.RETIRED_AFTER_TRAINING),
    "export": (ExportConfig, commands.RETIRED_AFTER_TRAINING),
}


# Of local_test.sh and local_test_mobilenetv2.sh.
LOCAL = {
    f"{command} {name}": f"{command} --logtostderr {network} {rest}"
    for name, network in {
        "xception": NETWORK,
        "mobilenet": '--model_variant="mobilenet_v2"',
    }.items()
    for command, rest in {
        "train": """--train_split="trainval" --train_crop_size="513,513"
 --train_batch_size=4 --training_number_of_steps="10" --fine_tune_batch_norm=true
 --tf_initial_checkpoint="init/model.ckpt" --train_logdir="train"
 --dataset_dir="tfrecord" """,
        "eval": """--eval_split="val" --eval_crop_size="513,513"
 --checkpoint_dir="train" --eval_logdir="eval" --dataset_dir="tfrecord"
 --max_number_of_evaluations=1""",
        "vis": """--vis_split="val" --vis_crop_size="513,513" --checkpoint_dir="train"
 --vis_logdir="vis" --dataset_dir="tfrecord" --max_number_of_iterations=1""",
        "export": """--checkpoint_path="train/model.ckpt-10"
 --export_path="export/frozen_inference_graph.pb" --num_classes=21 --crop_size=513
 --crop_size=513 --inference_scales=1.0""",
    }.items()
}


@pytest.mark.parametrize("name", COMMANDS | LOCAL)
def test_official_commands_have_no_flag_without_effect(name, caplog):
    """Not a warning either, but for what distributed TensorFlow 1 had."""
    record, retired = RECORDS[name.split()[0]]
    argv = shlex.split((COMMANDS | LOCAL)[name])
    config = flags.parse(record, argv, retired=retired)
    if name.split()[0] != "train":
        config.model.onto(None)
    assert "no effect" not in caplog.text


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_of_the_official_pages_are_taken_as_they_are(name):
    record, retired = RECORDS[name.split()[0]]
    config = flags.parse(record, shlex.split(COMMANDS[name]), retired=retired)
    model = config.model
    if name.split()[0] != "train":
        model = model.onto(None)
    assert model.model_variant == "xception_65"
    assert model.atrous_rates == (6, 12, 18)
    assert model.decoder_output_stride == (4,)
    if name == "train ade20k":
        assert config.resize.resize_factor == 16
        assert config.optimizer.training_number_of_steps == 150000
    if name == "eval cityscapes":
        assert config.eval_crop_size == (1025, 2049)
        assert config.inference.eval_scales == (0.5, 0.75, 1.0)
    if name == "export":
        assert config.crop_size == (513, 513)
        assert config.format == "frozen_graph"
