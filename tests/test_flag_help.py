"""`--help`: short, by topic, and of sentences that stand alone; and docs/flags.md."""

import re
import runpy

import pytest

from deeplab_tf import commands, flag_help, flags
from deeplab_tf.config import (
    EvalConfig,
    ExportConfig,
    PredictConfig,
    TrainConfig,
    VisConfig,
)
from deeplab_tf.dataset_report.__main__ import CheckConfig
from deeplab_tf.models.__main__ import ListConfig
from tests.recorded import ROOT

RECORDS = {
    "train": TrainConfig,
    "eval": EvalConfig,
    "vis": VisConfig,
    "export": ExportConfig,
    "predict": PredictConfig,
    "models": ListConfig,
    "check": CheckConfig,
}
SCRIPTS = sorted(path.stem for path in (ROOT / "datasets").glob("*.py"))


MAKE = runpy.run_path(str(ROOT / "docs" / "make_flags.py"), run_name="make_flags")


def record_of(script):
    return MAKE["record_of"](ROOT / "datasets" / f"{script}.py")


ALL = [*RECORDS, *SCRIPTS]


@pytest.fixture(scope="module")
def records():
    return RECORDS | {script: record_of(script) for script in SCRIPTS}


def show(record, capsys, *args, columns="80"):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", columns)
        with pytest.raises(SystemExit) as exit_:
            flags.parse(record, ["program", *args], retired=commands.RETIRED)
    assert exit_.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ALL)
def test_help_is_short_and_as_wide_as_the_terminal(name, records, capsys):
    lines = show(records[name], capsys, "--help").splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 80 or name.startswith(("build", "remove"))
    wide = show(records[name], capsys, "--help", columns="120").splitlines()
    assert len(wide) <= len(lines)
    assert max(map(len, wide)) <= 120


@pytest.mark.parametrize("name", ["train", "eval", "vis", "export"])
def test_help_begins_with_what_a_command_does_and_an_example(name, capsys):
    lines = show(RECORDS[name], capsys, "--help").splitlines()
    assert re.match(r"[A-Z]\w+s .*\.$", lines[0])
    assert lines[2].startswith(f"    python {name}.py --")
    assert "Required:" in lines[3:8]


def test_what_is_required_comes_first(capsys):
    text = show(TrainConfig, capsys, "--help")
    required = text.split("Required:\n")[1].split("\n\n")[0]
    assert re.findall(r"^  --(\w+)", required, re.MULTILINE) == [
        "train_logdir",
        "dataset_dir",
    ]


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("optimizer", "one of momentum, sgd, adam, adamw; default: momentum"),
        (
            "learning_policy",
            "one of poly, step, fixed, inv, multistep, cosine; default: poly",
        ),
        (
            "strategy",
            "one of auto, one, mirrored, multi_worker, tpu; default: auto",
        ),
        (
            "precision",
            "one of float32, mixed_float16, mixed_bfloat16; default: float32",
        ),
        ("model_variant", "one of mobilenet_v2, mobilenet_v3_large_seg,"),
        ("architecture", "one of fcn32s, fcn16s, fcn8s,"),
        ("output_stride", "one of 8, 16, 32,"),
        ("validate_labels", "one of off, sample, full; default: sample"),
        ("train_batch_size", "more than 0; default: 8"),
        ("check", "true or false; default: false"),
    ],
)
def test_common_flags_show_choices_range_and_default(name, facts, capsys):
    text = " ".join(show(TrainConfig, capsys, "--help").split())
    own = text.split(f" --{name} ")[1].split(" --")[0]
    assert facts in text
    assert facts.split(";")[0] in own or name == "architecture"


@pytest.mark.parametrize("name", ALL)
def test_helpfull_has_every_flag(name, records, capsys):
    text = show(records[name], capsys, "--helpfull")
    shown = re.findall(r"^  --(\w+)", text, re.MULTILINE)
    assert sorted(set(flags.names(records[name])) - set(shown)) == []
    assert len(shown) == len(set(shown))


def test_choices_are_shown_of_what_few_use(capsys):
    text = " ".join(show(TrainConfig, capsys, "--helpfull").split())
    assert "one of max, avg; default: max" in text
    assert "one of pixels, images; default: pixels" in text


@pytest.mark.parametrize("name", ALL)
def test_a_text_of_help_stands_alone(name, records):
    """It leans on no line before it, for most of them are not shown."""
    for topic, entries in flag_help.topics(records[name], {}):
        assert re.match(r"[A-Z]", topic)
        assert not topic.endswith("Config")
        for entry in entries:
            assert re.match(r"[A-Z].*\.$", entry.help), entry.name
            assert not re.match(r"(Of|Its|Their|The same|With it)\b", entry.help), entry
            assert not re.search(r"\b(for|in|of) (it|them)\.$", entry.help), entry


def test_the_page_of_all_flags_is_what_the_script_writes():
    page = MAKE["page"]()
    assert page == (ROOT / "docs" / "flags.md").read_text(), "docs/make_flags.py"
    for script in SCRIPTS:
        assert f"## python datasets/{script}.py" in page
    assert "with --learning_policy=inv |" in page
