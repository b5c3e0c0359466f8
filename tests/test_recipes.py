"""Every recipe: its commands are understood. test_lineage.py takes its first steps."""

import re
import shlex

import pytest

from benchmarks import ablations
from deeplab_tf import flags
from deeplab_tf.config import EvalConfig, TrainConfig
from deeplab_tf.files import RECIPES
from deeplab_tf.flagfile import recipes
from deeplab_tf.models.build import build

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


# Ablation -> architecture, output stride, atrous rates, image pooling, multi-grid.
ABLATIONS = {
    "fcn8s": ("fcn8s", None, (), None, ()),
    "segnet_basic": ("segnet_basic", None, (), None, ()),
    "deeplab_v1_largefov": ("deeplab_v1_largefov", None, (), None, ()),
    "deeplab_v2_aspp": ("deeplab_v2_aspp", None, (2, 4, 8, 12), None, ()),
    "unet": ("unet", None, (), None, ()),
    "pspnet": ("pspnet", 16, (), None, ()),
    "deeplab_v3": ("deeplab_v3", 16, (2, 4, 6), True, ()),
    "deeplab_v3plus": ("deeplab_v3plus", 16, (2, 4, 6), True, ()),
    "plain": ("deeplab_v3", 16, (), True, ()),
    "stride32": ("deeplab_v3", 32, (), True, ()),
    "no_pooling": ("deeplab_v3", 16, (), False, ()),
    "one_rate": ("deeplab_v3", 16, (12,), False, ()),
    "three_rates": ("deeplab_v3", 16, (6, 12, 18), False, ()),
    "decoder": ("deeplab_v3plus", 16, (), True, ()),
    "resnet_18": ("deeplab_v3", 16, (), True, ()),
    "multi_grid": ("deeplab_v3", 16, (), True, (1, 2)),
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_is_what_it_says(name, caplog):
    given = [f"--recipe=ablations/{name}", "--dataset_dir=x", "--train_logdir=x"]
    config = flags.parse(TrainConfig, ["train", *given])
    assert "no effect" not in caplog.text
    assert config.data.dataset == "camvid"
    assert config.loss.class_weights == "recipes/camvid_inverse_log.weights"
    model = config.model
    head, stride, rates, pooling, multi_grid = ABLATIONS[name]
    assert (model.head, model.atrous_rates, model.multi_grid) == (
        head,
        rates,
        multi_grid,
    )
    assert stride in (None, model.output_stride)
    assert pooling in (None, model.add_image_level_feature)
    assert build(model, 11, input_size=(113, 161)).output_shape[-1] == 11


def test_every_ablation_is_run():
    names = [name for name in recipes() if name.startswith("ablations/")]
    assert sorted(names) == sorted(f"ablations/{name}" for name in ABLATIONS)
    assert sorted(ablations.NAMES) == sorted(ABLATIONS)
    for pair in ablations.PAIRS:
        assert set(pair) <= set(ABLATIONS)


OWN = {"shapes", "mobilenet_v2_finetune", "camvid_mobilenet_v2"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OWN])
def test_a_recipe_tells_its_paper_and_the_number_it_aims_at(name):
    text = " ".join(comment(name))
    assert re.search(r"(et al\.|Koltun) 20\d\d|as the (official|paper)", text)
    assert re.search(r"not measured here.*0\.\d{2,3}", text)
