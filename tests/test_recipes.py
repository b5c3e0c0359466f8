"""Every recipe: its commands are understood, and it takes two steps."""

import functools
import re
import shlex

import numpy as np
import pytest

from deeplab_tf import flags
from deeplab_tf.checkpoints import reader
from deeplab_tf.config import EvalConfig, TrainConfig
from deeplab_tf.data import image_files, specs, tfrecord
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.files import RECIPES
from deeplab_tf.models.heads import HEADS
from deeplab_tf.training.run import train

NAMES = sorted(path.stem for path in RECIPES.glob("*.flags"))
# Height, width of the images of each data set.
SIZES = {
    "pascal_voc_seg": (375, 500),
    "cityscapes": (1024, 2048),
    "ade20k": (512, 683),
    "camvid": (360, 480),
    "pascal_context": (375, 500),
}


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
def test_the_commands_of_a_recipe_are_understood(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = commands(name)
    assert f"--recipe={name}" in found["train.py"]
    assert flags.parse(TrainConfig, ["train", *found["train.py"]])
    if "eval.py" in found:
        assert flags.parse(EvalConfig, ["eval", *found["eval.py"]])


OWN = {"shapes", "mobilenet_v2_finetune"}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in OWN])
def test_a_recipe_tells_its_paper_and_the_number_it_aims_at(name):
    text = " ".join(comment(name))
    assert re.search(r"(et al\.|Koltun) 20\d\d|as the (official|paper)", text)
    assert re.search(r"not measured here.*0\.\d{2,3}", text)


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Makes a data set of two pictures of chance, in the shape of the real one."""

    def make(name, split):
        folder = tmp_path_factory.mktemp(name)
        spec = specs.DATASETS.get(name) or DatasetSpec(
            name=name,
            classes=tuple(f"class_{i}" for i in range(60)),
            palette=distinct_colors(60),
        )
        spec.save(folder)
        found = [_record(spec, seed) for seed in range(2)]
        tfrecord.write_shards(found, folder, split, per_shard=[2])
        return folder

    return functools.cache(make)


def _record(spec, seed):
    """Noise whose labels are stripes of all classes."""
    size = SIZES.get(spec.name, (375, 500))
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    ids = [i for i in range(spec.num_classes) if i != spec.ignore_label]
    label = np.resize(np.array(ids, np.uint8), size)
    return tfrecord.Record(
        name=str(seed),
        image=image_files.png(image),
        image_format="png",
        size=size,
        label=image_files.png(label),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("shallow")
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_takes_two_steps(name, records, tmp_path, monkeypatch):
    """On small crops, two at a time, and as narrow as the network can be had."""
    monkeypatch.chdir(tmp_path)
    flagfile = f"--flagfile=recipes/{name}.flags"
    folder = f"--train_logdir={tmp_path}"
    asked = flags.parse(TrainConfig, ["train", flagfile, folder, "--dataset_dir=x"])
    data = records(asked.data.dataset or "own", asked.train_split)
    given = [
        *(
            "--training_number_of_steps=2",
            "--train_batch_size=2",
            "--slow_start_step=0",
        ),
        *("--train_crop_size=65,65", f"--dataset_dir={data}", "--log_steps=1"),
    ]
    if asked.model.depth_multiplier == 1:
        given.append("--depth_multiplier=0.0625")
    if HEADS[asked.model.head].frozen_batch_norm:
        # The rate is for trained weights. Values of others grow from unit to unit, as
        # nothing normalizes them, and two steps at that rate make them infinite.
        given.append("--base_learning_rate=1e-9")
    config = flags.parse(TrainConfig, ["train", flagfile, folder, *given])
    train(config)
    assert reader.step_of(reader.find(str(tmp_path))) == 2
