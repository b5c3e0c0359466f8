"""Command lines -> records."""

import re

import pytest

from deeplab_tf import flags
from deeplab_tf.config import (
    EvalConfig,
    ExportConfig,
    ModelConfig,
    TrainConfig,
    VisConfig,
)
from deeplab_tf.config.architectures import ARCHITECTURES, FEATURE_EXTRACTORS
from deeplab_tf.config.fields import Overrides
from deeplab_tf.errors import FlagError, one_of

TRAIN = ("--train_logdir=run", "--dataset_dir=records")


def parse(*args, record=TrainConfig, required=TRAIN, retired=None):
    return flags.parse(record, ["program", *required, *args], retired=retired)


def test_a_flag_is_the_field_of_its_name():
    config = parse("--base_learning_rate=0.007", "--output_stride=8", "--seed=3")
    assert config.optimizer.base_learning_rate == 0.007
    assert config.model.output_stride == 8
    assert config.seed == 3


def test_what_is_not_given_keeps_the_default_of_the_record():
    assert parse() == TrainConfig(train_logdir="run", data=parse().data)
    assert parse().model == ModelConfig()


@pytest.mark.parametrize(
    ("args", "value"),
    [
        (["--atrous_rates=6,12,18"], (6, 12, 18)),
        (["--atrous_rates=6", "--atrous_rates=12", "--atrous_rates=18"], (6, 12, 18)),
        (["--atrous_rates=1,2", "--atrous_rates=6,12"], (6, 12)),
        (["--atrous_rates="], ()),
    ],
)
def test_lists_are_written_with_commas_or_by_repetition(args, value):
    assert parse(*args).model.atrous_rates == value


@pytest.mark.parametrize(
    ("args", "size"),
    [
        (["--train_crop_size=513"], (513, 513)),
        (["--train_crop_size=513,769"], (513, 769)),
        (["--train_crop_size=513", "--train_crop_size=769"], (513, 769)),
        (["--train_crop_size=65,65", "--train_crop_size=97,129"], (97, 129)),
    ],
)
def test_crop_sizes_are_one_number_two_or_two_flags(args, size):
    assert parse(*args).augment.train_crop_size == size


@pytest.mark.parametrize("form", ["--flagfile={}", "-flagfile={}"])
def test_later_flags_win_over_a_flagfile_also_where_they_are_lists(tmp_path, form):
    recipe = tmp_path / "recipe.flags"
    recipe.write_text(
        "# A comment.\n--train_crop_size=769,769\n--atrous_rates=6\n"
        "--atrous_rates=12\n--model_variant=xception_65\n"
    )
    config = parse(form.format(recipe), "--train_crop_size=321", "--atrous_rates=3")
    assert config.augment.train_crop_size == (321, 321)
    assert config.model.atrous_rates == (3,)
    assert config.model.model_variant == "xception_65"


def test_a_flagfile_wins_over_what_stands_before_it(tmp_path):
    recipe = tmp_path / "recipe.flags"
    recipe.write_text("--output_stride=8\n")
    config = parse("--output_stride=32", "--flagfile", str(recipe))
    assert config.model.output_stride == 8


@pytest.mark.parametrize(
    "args",
    [
        ["--recipe=voc_xception_65"],
        ["--recipe", "voc_xception_65"],
        ["--flagfile=recipes/voc_xception_65.flags"],
        ["--flagfile=/no/checkout/recipes/voc_xception_65.flags"],
    ],
)
def test_a_packaged_recipe_is_found_from_any_folder(args, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = parse("--model_variant=xception_41", *args, "--output_stride=8").model
    assert (model.model_variant, model.output_stride) == ("xception_65", 8)
    assert model.atrous_rates == (6, 12, 18)


@pytest.mark.parametrize(
    "arg",
    ["--recipe=ablations/stride32", "--flagfile=/no/recipes/ablations/stride32.flags"],
)
def test_a_recipe_in_a_folder_is_found_from_any_folder(arg, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert parse(arg).model.output_stride == 32
    with pytest.raises(FlagError, match="no such file"):
        parse("--flagfile=ablations/stride32.flags")
    with pytest.raises(FlagError, match="no such file"):
        parse("--flagfile=recipes/../recipes/shapes.flags")
    with pytest.raises(FlagError, match=r"did you mean ablations/stride32\?"):
        parse("--recipe=stride32")
    with pytest.raises(FlagError, match="--recipe=ablations/_lineage: "):
        parse("--recipe=ablations/_lineage")


def test_a_recipe_of_ones_own_wins_over_the_packaged_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = tmp_path / "recipes" / "voc_xception_65.flags"
    recipe.parent.mkdir()
    recipe.write_text("--model_variant=xception_41\n")
    config = parse("--flagfile=recipes/voc_xception_65.flags")
    assert config.model.model_variant == "xception_41"
    assert parse("--recipe=voc_xception_65").model.model_variant == "xception_65"


def test_a_flagfile_may_start_from_a_recipe_and_win_over_it(tmp_path):
    mine = tmp_path / "mine.flags"
    mine.write_text(
        "--atrous_rates=1\n// What is mine.\n--recipe=voc_xception_65\n"
        "--train_batch_size=4\n--atrous_rates=3\n--output_stride=8\n"
    )
    config = parse(f"--flagfile={mine}", "--output_stride=32")
    assert config.model.model_variant == "xception_65"
    assert config.model.atrous_rates == (3,)
    assert config.model.output_stride == 32
    assert config.train_batch_size == 4


def test_a_flagfile_that_reads_itself_is_refused(tmp_path):
    one, two = tmp_path / "one.flags", tmp_path / "two.flags"
    one.write_text(f"--flagfile={two}\n")
    two.write_text(f"--flagfile={one}\n")
    with pytest.raises(FlagError, match=f"--flagfile={one}: the file reads itself"):
        parse(f"--flagfile={one}")


def test_an_unknown_recipe_lists_those_that_there_are():
    with pytest.raises(FlagError) as raised:
        parse("--recipe=voc_xception")
    assert str(raised.value).startswith(
        "--recipe=voc_xception: did you mean voc_xception_65? One of ade20k_xception_65"
    )
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("mobilenetv2", "mobilenet_v2"),
        ("ResNet50", "resnet_50"),
        ("xception-65", "xception_65"),
        ("vgg", "vgg_16"),
        ("segformer", ""),
    ],
)
def test_a_choice_that_there_is_not_is_told_the_nearest(given, near):
    said = one_of(given, FEATURE_EXTRACTORS)
    if near:
        begin = f"did you mean {near}? One of mobilenet_v2, mobilenet_v3_large_seg, "
        assert said.startswith(begin)
        assert said.endswith(", ... is needed")
    else:
        assert said == f"one of {', '.join(FEATURE_EXTRACTORS)} is needed"
    assert one_of("deeplabv3+", ARCHITECTURES).startswith(
        "did you mean deeplab_v3plus?"
    )
    assert one_of("warm", ["error", "warn"]) == (
        "did you mean warn? One of error, warn is needed"
    )


def test_items_of_a_list_may_have_blanks_around():
    assert parse("--atrous_rates=6, 12 ,18").model.atrous_rates == (6, 12, 18)


@pytest.mark.parametrize("text", ["false", "0", "False"])
def test_booleans_take_words_and_numbers(text):
    assert not parse(f"--fine_tune_batch_norm={text}").fine_tune_batch_norm
    assert not parse("--nofine_tune_batch_norm").fine_tune_batch_norm


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--trian_split=val"], "'trian_split'. Did you mean: train_split?"),
        (["--initialize_last_layer", "=", "False"], "remove the spaces around ="),
        (["--model_variant", "=", "xception_65"], "remove the spaces around ="),
        (["--model_variant", "=xception_65"], "remove the spaces around ="),
        (["--train_split=", "val"], "remove the spaces around ="),
        (["--train_split", "=val"], "remove the spaces around ="),
        (["train"], "belong to no flag: train"),
        (["train_crop_size=321"], "train_crop_size=321; write --train_crop_size=321"),
        (["check", "--seed=3"], "belong to no flag: check; write --check"),
        (["crop=321"], "two dashes, and there is none called crop"),
        (
            ["\u2013train_split=val"],
            "web page or a text program; write --train_split=val",
        ),
        (["\u2014\u2014seed=3"], "web page or a text program; write --seed=3"),
        (["-\u2212seed=3"], "web page or a text program; write --seed=3"),
        (["--train_split=\u201cval\u201d"], 'program; write --train_split="val"'),
        (["--lr=1"], "'lr'. Did you mean: base_learning_rate?"),
        (["--learning_rate=1"], "Did you mean: base_learning_rate?"),
        (["--epochs=9"], "training_number_of_steps? (steps, not epochs: images /"),
        (["--batch-size=9"], "Did you mean: train_batch_size?"),
        (["--backbone=unet"], "Did you mean: model_variant?"),
        (["--model=unet"], "Did you mean: architecture?"),
        (["--num_classes=3"], "flag 'num_classes': the records tell it"),
        (["--train-split=val"], "'train-split'. Did you mean: train_split?"),
        (["--learnrate_policy=step"], "Did you mean: learning_policy?"),
        (["--validate_flags=no"], "--validate_flags=no: one of error, warn is needed"),
        (["--train_crop_size=1,2,3"], "--train_crop_size=1,2,3: one size, or height"),
        (["--train_crop_size=321x321"], "321x321: as 321, or height,width as 321,321"),
        (
            ["--atrous_rates=6", "12", "18"],
            "12 18; join the items of a list by commas: --atrous_rates=6,12,18",
        ),
        (["--atrous_rates", "6", "12"], "by commas: --atrous_rates=6,12"),
        (["--train_crop_size=big"], "--train_crop_size=big: a whole number is needed"),
        (["--base_learning_rate=1e"], "--base_learning_rate=1e: a number is needed"),
        (["--output_stride=10"], "--output_stride=10: one of 8, 16, 32 is needed"),
        (["--learning_policy=exponential"], "one of poly, step, fixed, inv,"),
        (["--flagfile=no.flags"], "--flagfile=no.flags: no such file"),
        (["--momentum"], "Missing value for flag --momentum"),
        (["--base_learning_rate=nan"], "--base_learning_rate=nan: a number is needed"),
        (
            ["--fine_tune_batch_norm=maybe"],
            "--fine_tune_batch_norm=maybe: true or false is needed",
        ),
        (["--nofine_tune_batch_norm=true"], "does not take an argument"),
    ],
)
def test_a_command_line_that_cannot_be_meant_says_why(args, message):
    with pytest.raises(FlagError, match=re.escape(message)):
        parse(*args)


def test_what_was_given_is_kept_apart_from_defaults_where_a_run_is_read():
    config = parse(
        "--output_stride=16",
        record=EvalConfig,
        required=("--checkpoint_dir=a", "--eval_logdir=b", "--dataset_dir=c"),
    )
    assert config.model.given == {"output_stride": 16}
    assert config.resize.given == {}


def test_a_bare_checkpoint_is_exported_at_output_stride_8():
    config = parse(
        record=ExportConfig, required=("--checkpoint_path=a", "--export_path=b")
    )
    assert config.model.onto(None).output_stride == 8


def test_a_home_folder_is_found_behind_an_equals_sign(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert parse("--train_logdir=~/run").train_logdir == "/home/me/run"
    assert parse("--train_logdir=a~/run").train_logdir == "a~/run"


def test_retired_flags_are_not_suggested():
    with pytest.raises(FlagError, match=r"flag 'num_clone'$"):
        parse("--num_clone=4", retired={"num_clones": (int, "all GPUs are used")})


def test_retired_flags_are_accepted_with_a_line_that_says_what_replaces_them(caplog):
    retired = {"num_clones": (int, "all GPUs are used"), "clone_on_cpu": (bool, "-")}
    parse("--num_clones=4", "--clone_on_cpu", retired=retired)
    assert "--num_clones does nothing here: all GPUs are used." in caplog.text


@pytest.mark.parametrize("record", [TrainConfig, EvalConfig, VisConfig, ExportConfig])
def test_help_lists_flags_with_their_defaults_and_exits_with_0(record, capsys):
    with pytest.raises(SystemExit) as exit_:
        flags.parse(record, ["program", "--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    assert "--model_variant" in text
    assert "default: mobilenet_v2" in " ".join(text.split())


@pytest.mark.parametrize(
    ("args", "sizes"),
    [
        (["--train_crop_size=321,321", "--train_crop_size=97"], (97, 97)),
        (["--train_crop_size=97", "--train_crop_size=321,321"], (321, 321)),
        (["--train_crop_size=321,321", "--train_crop_size=97"] * 2, (97, 97)),
    ],
)
def test_of_both_ways_to_write_a_list_the_later_wins(args, sizes):
    assert parse(*args).augment.train_crop_size == sizes


@pytest.mark.parametrize(
    "flag",
    ["train_split", "tf_initial_checkpoint", "dataset", "profile_logdir", "losses"],
)
def test_a_flag_without_a_value_is_told(flag):
    with pytest.raises(FlagError, match=f"--{flag}=: a value is needed after ="):
        parse(f"--{flag}=")


def test_an_image_without_a_name_is_no_folder_of_none():
    required = ("--checkpoint_dir=a", "--vis_logdir=b")
    with pytest.raises(FlagError, match="--image=: a value is needed after ="):
        parse("--image=", record=VisConfig, required=required)


@pytest.mark.parametrize(
    "flag", ["architecture", "class_weights", "decoder_output_stride"]
)
def test_without_a_value_a_flag_whose_default_is_none_is_that_again(flag):
    assert parse(f"--{flag}=") == parse()


def test_two_commands_fit_in_one_process():
    for record in (TrainConfig, EvalConfig, TrainConfig):
        with pytest.raises(FlagError, match="is missing"):
            flags.parse(record, ["program"])


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], ("mobilenet_v2", 16)),
        (["--architecture=fcn8s"], ("vgg_16", 32)),
        (["--architecture=deeplab_v2_aspp"], ("resnet_101", 8)),
        (
            ["--model_variant=vgg_16", "--architecture=deeplab_v2_aspp"],
            ("vgg_16", 8),
        ),
        (
            ["--architecture=deeplab_v3", "--output_stride=8"],
            ("mobilenet_v2", 8),
        ),
    ],
)
def test_what_is_not_given_follows_from_the_architecture(args, expected):
    required = ["train", "--train_logdir=run", "--dataset_dir=records"]
    model = flags.parse(TrainConfig, [*required, *args]).model
    assert (model.model_variant, model.output_stride) == expected


def test_a_saved_network_keeps_its_own_where_the_architecture_is_named_again():
    saved = ModelConfig(architecture="deeplab_v2_aspp", model_variant="vgg_16")
    given = {"architecture": "deeplab_v2_aspp"}
    assert Overrides(ModelConfig(), given).onto(saved) == saved
