"""Flagfiles: what stands in them means what it means in a shell, or ends in a line."""

import pytest

from deeplab_tf import flagfile, flags
from deeplab_tf.config import TrainConfig
from deeplab_tf.errors import FlagError, InputError


def parse(path, *args):
    needed = ("--train_logdir=run", "--dataset_dir=records")
    return flags.parse(TrainConfig, ["program", *needed, f"--flagfile={path}", *args])


@pytest.fixture
def file(tmp_path):
    return tmp_path / "mine.flags"


@pytest.mark.parametrize(
    "text",
    [
        "--train_split=val --seed=3\n",
        "--train_split=val \\\n  --seed=3\n",
        "--train_split=val \\\n  --seed=3",
        '--train_split="val"\n--seed="3"\n',
        "--train_split='val' # Don't.\n\n  # A comment, too.\n--seed=3 #\n",
        "--train_split val\n--seed 3\n",
        "// A comment of absl.\n--train_split=v'a'l\n\t--seed=3\t\n",
        "--train_split=val\r\n--seed=3\r\n",
        "--seed=4 --train_split=train\n--seed=3 --train_split=val\n",
    ],
)
def test_words_of_a_flagfile_are_those_of_a_shell(text, file):
    file.write_bytes(text.encode())
    config = parse(file)
    assert (config.train_split, config.seed) == ("val", 3)


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ('"a b"', "a b"),
        ("a\\ b", "a b"),
        ("a#b", "a#b"),
        ("'$HOME'", "$HOME"),
        ("'a\\d'", "a\\d"),
        ("'#a'", "#a"),
        ("it\\'s", "it's"),
    ],
)
def test_quotes_keep_what_a_shell_would_keep(word, value, file):
    file.write_text(f"--train_split={word}\n")
    assert parse(file).train_split == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--seed=3\n--train_split='val\n", "line 2: 'val: a quote is not closed"),
        ("--train_split=it's\n", "a quote is not closed"),
        ("--train_split=$USER/x\n", "$USER is not replaced in a flagfile"),
        ('--train_split="${USER}"\n', "${USER} is not replaced in a flagfile"),
        ("--train_split=`date`\n", "`date` is not replaced in a flagfile"),
        ("--train_split=a\\d\n", "quote: '--train_split=a\\d'"),
        ("--train_split=val;\n", "a flagfile holds flags alone, no commands"),
        ("--train_split=val > log.txt\n", "a flagfile holds flags alone"),
        ("python train.py --seed=3\n", "belong to no flag: python train.py"),
        ("seed=3\n", "belong to no flag: seed=3; write --seed=3"),
        ("--train_split = val\n", "remove the spaces around ="),
        ("\u2013\u2013seed=3\n", "web page or a text program; write --seed=3"),
        ("--train_split=\u2018val\u2019\n", 'program; write --train_split="val"'),
        ("--recipe=\n", "--recipe=: one of ade20k_xception_65,"),
        ("--flagfile=\n", "--flagfile=: a file is needed"),
        ("--flagfile=no.flags\n", "--flagfile=no.flags: no such file"),
        ("--flagfile=/\n", "--flagfile=/: a folder, where a file of flags should be"),
    ],
)
def test_what_cannot_be_meant_ends_in_one_line(text, message, file):
    file.write_text(text)
    with pytest.raises(FlagError) as raised:
        parse(file)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_flagfile_that_reads_itself_under_another_name_is_refused(file):
    file.write_text(f"--flagfile={file.parent}/./other.flags\n")
    (file.parent / "other.flags").symlink_to(file)
    with pytest.raises(FlagError, match="the file reads itself"):
        parse(file)


@pytest.mark.parametrize("mine", ["97", "97,97", "97\n--train_crop_size=97"])
def test_lists_of_mine_win_over_those_of_a_recipe_in_it(mine, file):
    file.write_text(f"--recipe=voc_xception_65\n--train_crop_size={mine}\n")
    assert parse(file).augment.train_crop_size == (97, 97)
    outer = file.parent / "outer.flags"
    outer.write_text(f"--flagfile={file}\n--train_crop_size=65 --atrous_rates=3\n")
    config = parse(outer)
    assert config.augment.train_crop_size == (65, 65)
    assert config.model.atrous_rates == (3,)
    assert parse(outer, "--train_crop_size=33").augment.train_crop_size == (33, 33)


def test_a_layer_says_whether_it_was_given_by_hand(file):
    file.write_text("--seed=3\n")
    layers = flagfile.layers(["--a", f"--flagfile={file}", "--b"])
    assert [tuple(layer) for layer in layers] == [
        (["--a"], True),
        (["--seed=3"], False),
        (["--b"], True),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_character_of_a_flag(encoding, file):
    file.write_text("--seed=3\r\n# Größe.\n", encoding=encoding)
    assert parse(file).seed == 3


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_another_encoding_is_told_with_the_file(encoding, file):
    file.write_text("--seed=3\n# Größe.\n", encoding=encoding)
    with pytest.raises(InputError, match=r"mine\.flags"):
        parse(file)
