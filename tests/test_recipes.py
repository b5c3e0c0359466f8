"""Every recipe: its commands are understood. test_lineage.py takes its first steps."""

import re
import shlex

import pytest

from deeplab_tf import flags
from deeplab_tf.config import EvalConfig, TrainConfig
from deeplab_tf.files import RECIPES

NAMES = sorted(path.stem for path in RECIPES.glob("*.flags"))


def comment(name):
    """What stands before the flags, a paragraph and its commands."""
    lines = (RECIPES / f"{name}.flags").read_text().splitlines()
    return [line[1:].strip() for line in lines if line.startswith("#")]


def commands(name):
    text = "\n".join(comment(name)).replace("\\\n", " ")
    found = [line for line in text.splitlines() if line.startswith("python ")]
    return {command.split()[1]: shlex.split(command)[2:] for command in found}


def test_there_are_recipes():
    assert len(NAMES) > 25


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_a_recipe_are_understood(name, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    found = commands(name)
    assert f"--recipe={name}" in found["train.py"]
    config = flags.parse(TrainConfig, ["train", *found["train.py"]])
    if "eval.py" in found:
        given = flags.parse(EvalConfig, ["eval", *found["eval.py"]])
        given.model.onto(config.model)
    assert "no effect" not in caplog.text


OWN = {"shapes", "mobilenet_v2_finetune"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OWN])
def test_a_recipe_tells_its_paper_and_the_number_it_aims_at(name):
    text = " ".join(comment(name))
    assert re.search(r"(et al\.|Koltun) 20\d\d|as the (official|paper)", text)
    assert re.search(r"not measured here.*0\.\d{2,3}", text)
