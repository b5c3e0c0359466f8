"""A data set of tensorflow_datasets as records."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from deeplab_tf.config import TfdsConfig
from deeplab_tf.data import spec as specs
from deeplab_tf.data import tfrecord
from deeplab_tf.dataset_builders.parallel_config import ParallelConfig
from deeplab_tf.errors import FlagError, InputError
from tests import pets
from tests.data.tfds.test_tfds import folder, stored

__all__ = ["folder"]  # A fixture.
NAMED = TfdsConfig(class_names=pets.CLASSES, tfds_label_map=pets.CHANGES)


def build(builder, folder, output, **changes):
    module = builder("tfds")
    settings = {
        "dataset": "tiny_pets",
        "dataset_dir": str(folder / "tfds"),
        "output_dir": str(output),
        "tfds": NAMED,
        "shards": 2,
    }
    module.build(module.BuildTfdsConfig(**(settings | changes)))
    return specs.load(output)


def test_records_are_those_of_a_folder_of_the_same_files(builder, folder, tmp_path):
    spec = build(builder, folder, tmp_path / "tfds", splits=("train", "val=test"))
    for name, split in (("train", "train"), ("val", "test")):
        lines = "\n".join(stored(folder, split))
        (tmp_path / f"{name}.txt").write_text(lines)
    module = builder("folder")
    module.build(
        module.FolderConfig(
            name="tiny_pets",
            image_dir=str(folder / "photos"),
            label_dir=str(folder / "masks"),
            train_list=str(tmp_path / "train.txt"),
            val_list=str(tmp_path / "val.txt"),
            class_names=pets.CLASSES,
            label_map=pets.CHANGES,
            output_dir=str(tmp_path / "folder"),
            shards=2,
        )
    )
    expected = specs.load(tmp_path / "folder")
    assert spec == expected
    assert spec.split_sizes == {"train": 12, "val": 5}
    for split in ("train", "val"):
        for path in tfrecord.find_shards(str(tmp_path / "folder"), split):
            other = path.replace("/folder/", "/tfds/")
            assert Path(path).read_bytes() == Path(other).read_bytes()


def test_slices_become_splits(builder, folder, tmp_path):
    splits = ("train=train[:75%]", "val=train[75%:]")
    spec = build(builder, folder, tmp_path, splits=splits)
    assert spec.split_sizes == {"train": 9, "val": 3}
    names = [
        tfrecord.parse_example(record)["name"].numpy().decode()
        for split in ("train", "val")
        for path in tfrecord.find_shards(str(tmp_path), split)
        for record in tfrecord.read(path)
    ]
    assert names == stored(folder, "train")


@pytest.mark.nightly
def test_processes_change_nothing(builder, folder, tmp_path):
    one = build(builder, folder, tmp_path / "one")
    two = ParallelConfig(processes=2)
    assert build(builder, folder, tmp_path / "two", parallel=two) == one


def test_without_splits_all_are_written(builder, folder, tmp_path):
    spec = build(builder, folder, tmp_path, name="mine")
    assert spec.split_sizes == {"train": 12, "test": 5}
    assert spec.name == "mine"


def test_a_mask_that_breaks_the_contract_is_named(builder, folder, tmp_path):
    with pytest.raises(
        InputError, match=r"^tfds:tiny_pets \w+: example \d+ \(pet_"
    ) as e:
        build(
            builder,
            folder,
            tmp_path / "records",
            tfds=TfdsConfig(class_names=("a", "b")),
        )
    assert "neither classes (0 to 1)" in str(e.value)
    assert str(e.value).endswith("Map them to classes: --tfds_label_map=2:...,3:...")
    assert not list(tmp_path.glob("records/*"))


def test_masks_that_count_from_1_name_the_flag_of_this_builder(
    builder, folder, tmp_path
):
    three = TfdsConfig(class_names=("pet", "background", "border"))
    with pytest.raises(InputError) as e:
        build(builder, folder, tmp_path / "records", tfds=three)
    assert "give --tfds_label_map=1:0,2:1,..., which makes 1 the class 0" in str(
        e.value
    )
    assert "build_folder_data" not in str(e.value)


class OtherPets(pets.TinyPets):
    mask = tfds.features.Image(shape=(None, None, 1), dtype=np.uint16)


def prepared(folder, masks):
    """Pets whose masks are the images that `masks` makes of ids."""
    pets.draw(folder)
    for number in range(17):
        mask = Image.fromarray(masks(pets.trimap(number)))
        mask.save(folder / "masks" / f"{pets.name(number)}.png")
    pets.prepare(OtherPets, folder, folder / "tfds")


def test_masks_in_colors_name_no_flag_that_this_builder_has_not(builder, tmp_path):
    prepared(tmp_path, lambda ids: np.stack([ids * 60] * 3, -1))
    with pytest.raises(InputError) as e:
        build(builder, tmp_path, tmp_path / "records", dataset="other_pets")
    assert "a mask of colors (RGB)" in str(e.value)
    assert str(e.value).endswith("are 0, 1, 2, ..., and prepare the data set again")


def test_ids_of_16_bits_become_classes(builder, folder, tmp_path):
    prepared(tmp_path, lambda ids: ids.astype(np.uint16) * 1000)
    wide = TfdsConfig(
        class_names=pets.CLASSES, tfds_label_map=("1000:1", "2000:0", "3000:255")
    )
    spec = build(builder, tmp_path, tmp_path / "wide", dataset="other_pets", tfds=wide)
    expected = build(builder, folder, tmp_path / "plain")
    assert spec.pixel_counts == expected.pixel_counts


@pytest.mark.parametrize("split", ["train[:80%]", "a=train,a=test", "=train"])
def test_a_split_without_a_name_of_its_own_is_refused(builder, split):
    module = builder("tfds")
    with pytest.raises(FlagError, match="NAME=SPLIT is needed"):
        module.BuildTfdsConfig(
            dataset="a", output_dir="b", splits=tuple(split.split(","))
        )
