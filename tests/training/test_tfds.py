"""Training, evaluation and pictures straight from tensorflow_datasets."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    EvalConfig,
    ExportConfig,
    OptimizerConfig,
    TfdsConfig,
    TrainConfig,
    VisConfig,
)
from deeplab_tf.config.fields import Overrides
from deeplab_tf.data import image_files
from deeplab_tf.data import spec as specs
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.exporting.run import export
from deeplab_tf.training.run import train
from deeplab_tf.visualizing.run import visualize
from tests import pets
from tests.data.tfds.test_tfds import NAMED, folder, oxford
from tests.recorded import TINY
from tests.training.test_run import weights_of

__all__ = ["folder", "oxford"]  # Fixtures.


def config(run, folder, steps=2, **changes):
    settings = {
        "train_logdir": str(run),
        "train_split": "train[:80%]",
        "train_batch_size": 4,
        "model": TINY,
        "data": DataConfig(dataset="tfds:tiny_pets", dataset_dir=str(folder / "tfds")),
        "tfds": NAMED,
        "augment": AugmentConfig(train_crop_size=(33, 33)),
        "optimizer": OptimizerConfig(
            training_number_of_steps=steps, base_learning_rate=0.05, decay_steps=50.0
        ),
    }
    return TrainConfig(**(settings | changes))


@pytest.fixture(scope="module")
def run(tmp_path_factory, folder):
    """A run of four steps of four, of ten examples: it ends in the second epoch."""
    path = tmp_path_factory.mktemp("run")
    train(config(path, folder, 4))
    return path


def test_a_run_keeps_what_its_classes_mean(run):
    spec = specs.load(run)
    assert (spec.name, spec.classes) == ("tfds:tiny_pets", pets.CLASSES)
    settings = json.loads((run / "config.json").read_text())
    assert settings["tfds"]["tfds_label_map"] == list(pets.CHANGES)


@pytest.mark.nightly
def test_a_run_that_was_stopped_and_continued_equals_one_that_was_not(
    run, folder, tmp_path
):
    train(config(tmp_path, folder, 3))
    keras.utils.set_random_seed(99)
    train(config(tmp_path, folder, 4))
    whole, parts = weights_of(run), weights_of(tmp_path)
    for name, weight in whole.items():
        np.testing.assert_array_equal(weight, parts[name], err_msg=name)


def scores(run, folder, output, **changes):
    settings = {
        "checkpoint_dir": str(run),
        "eval_logdir": str(output),
        "eval_split": "test",
        "data": DataConfig(dataset_dir=str(folder / "tfds")),
    }
    return evaluate(EvalConfig(**(settings | changes)))


@pytest.mark.parametrize("dataset", [None, "tfds:tiny_pets"])
def test_evaluation_needs_no_more_than_the_run(run, folder, tmp_path, dataset):
    data = DataConfig(dataset=dataset, dataset_dir=str(folder / "tfds"))
    found = scores(run, folder, tmp_path, data=data)
    assert found["num_images"] == 5
    confusion = np.loadtxt(tmp_path / "confusion_matrix.csv", int, delimiter=",")
    ids = [pets.trimap(number) for number in pets.SPLITS["test"]]
    assert confusion.sum(axis=1).tolist() == [
        sum(int((each == label).sum()) for each in ids) for label in (2, 1)
    ]


def test_records_of_the_same_examples_score_the_same(run, folder, builder, tmp_path):
    module = builder("tfds")
    module.build(
        module.BuildTfdsConfig(
            dataset="tiny_pets",
            dataset_dir=str(folder / "tfds"),
            output_dir=str(tmp_path / "records"),
            splits=("test",),
            tfds=NAMED,
        )
    )
    straight = scores(run, folder, tmp_path / "a")
    data = DataConfig(dataset_dir=str(tmp_path / "records"))
    assert scores(run, folder, tmp_path / "b", data=data) == straight


def looks(run, folder, output, name, **given):
    data = DataConfig(dataset=f"tfds:{name}", dataset_dir=str(folder / "tfds"))
    asked = {"data": data, "tfds": Overrides(TfdsConfig(), given)}
    yield lambda: scores(run, folder, output, **asked)
    drawn = VisConfig(checkpoint_dir=str(run), vis_logdir=str(output), **asked)
    yield lambda: visualize(drawn)
    yield lambda: visualize(dataclasses.replace(drawn, image=str(folder / "photos")))


@pytest.mark.nightly
def test_the_run_tells_nothing_of_another_data_set(run, folder, tmp_path):
    """Neither its ids nor its names: 4 names, of the feature, are not the 2 of it."""
    message = r"tfds:tiny_pets \(2 classes\), not on tfds:named_pets \(4 classes\)"
    for look in looks(run, folder, tmp_path, "named_pets"):
        with pytest.raises(InputError, match=message):
            look()
    assert not list(tmp_path.iterdir())


@pytest.mark.nightly
def test_another_version_is_the_same_data_set(run, folder, tmp_path):
    evaluation, *_ = looks(run, folder, tmp_path, "tiny_pets:1.0.0")
    assert list(evaluation()["iou"]) == list(pets.CLASSES)


def test_pictures_show_the_truth(run, folder, tmp_path):
    visualize(
        VisConfig(
            checkpoint_dir=str(run),
            vis_logdir=str(tmp_path),
            vis_split="test[:2]",
            data=DataConfig(dataset_dir=str(folder / "tfds")),
        )
    )
    drawn = sorted(p.name for p in tmp_path.rglob("*_overlay.png"))
    assert len(drawn) == 2
    image = tmp_path / "segmentation_results" / drawn[0].replace("_overlay", "_image")
    number = int(drawn[0].split("_")[1])
    assert image_files.read_image(image).shape[:2] == pets.trimap(number).shape


@pytest.mark.nightly
@pytest.mark.slow
def test_an_export_knows_the_classes(run, tmp_path):
    export(ExportConfig(checkpoint_path=str(run), export_path=str(tmp_path / "model")))
    labels = (tmp_path / "model" / "assets" / "labels.txt").read_text()
    assert labels.split() == list(pets.CLASSES)


def test_ids_beyond_the_classes_are_told_with_the_flag_that_changes_them(
    folder, tmp_path
):
    plain = TfdsConfig(class_names=("background", "pet", "border"))
    with pytest.raises(InputError) as error:
        train(config(tmp_path / "run", folder, tfds=plain))
    said = str(error.value)
    assert said.startswith("tfds:tiny_pets train: example 0 (pet_")
    assert "They seem to count from 1: give --tfds_label_map=1:0,2:1" in said
    assert not (tmp_path / "run").exists()


def test_a_palette_mask_is_refused_without_records(tmp_path):
    pets.draw(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        ids = image_files.read_mask(path)
        path.write_bytes(
            image_files.png(ids, ((0, 0, 0), (9, 9, 9), (8, 8, 8), (7, 7, 7)))
        )
    pets.prepare(pets.TinyPets, tmp_path, tmp_path / "tfds")
    with pytest.raises(InputError, match=r"has a palette, .* datasets/build_tfds_data"):
        train(config(tmp_path / "run", tmp_path))


def test_settings_of_tfds_are_refused_for_records(shapes, folder, tmp_path):
    with pytest.raises(FlagError, match=r"--class_names is for --dataset=tfds:NAME"):
        config(tmp_path, folder, data=DataConfig(dataset_dir=str(shapes)))
    with pytest.raises(FlagError, match="--tfds_label_map is for"):
        EvalConfig(
            checkpoint_dir="run",
            eval_logdir="eval",
            data=DataConfig(dataset_dir="records"),
            tfds=Overrides(TfdsConfig(), {"tfds_label_map": ("1:0",)}),
        )


def test_another_order_of_the_classes_is_no_resumption(run, folder, tmp_path):
    swapped = dataclasses.replace(NAMED, class_names=pets.CLASSES[::-1])
    with pytest.raises(InputError, match=r'class 0 is "background" there, "pet" here'):
        train(config(run, folder, 6, tfds=swapped))
    data = DataConfig(dataset="tfds:tiny_pets", dataset_dir=str(folder / "tfds"))
    given = Overrides(TfdsConfig(), {"class_names": pets.CLASSES[::-1]})
    with pytest.raises(InputError, match="in another order"):
        scores(run, folder, tmp_path, data=data, tfds=given)
    assert not list(tmp_path.iterdir())


def test_classes_under_other_names_are_taken_when_told_so(run, folder, tmp_path):
    data = DataConfig(
        dataset="tfds:tiny_pets",
        dataset_dir=str(folder / "tfds"),
        classes_renamed=True,
    )
    tfds_config = Overrides(TfdsConfig(), {"class_names": ("ground", "animal")})
    found = scores(run, folder, tmp_path, data=data, tfds=tfds_config)
    assert list(found["iou"]) == ["ground", "animal"]


@pytest.mark.nightly
def test_oxford_iiit_pet_trains_by_its_name_alone(oxford, tmp_path, monkeypatch):
    """Its metadata are the real ones, its examples are drawn."""

    def as_dataset(self, split, decoders=None, read_config=None, **kwargs):
        examples = {
            "image": [],
            "segmentation_mask": [],
            "file_name": [],
        }
        for number in range(split.from_, split.to):
            ids = pets.trimap(number)
            examples["image"].append(image_files.png(np.stack([ids] * 3, -1)))
            examples["segmentation_mask"].append(image_files.png(ids))
            examples["file_name"].append(f"{pets.name(number)}.jpg")
        return tf.data.Dataset.from_tensor_slices(examples)

    with tfds.testing.mock_data(as_dataset_fn=as_dataset, data_dir=oxford):
        data = DataConfig(dataset="tfds:oxford_iiit_pet")
        train(
            config(tmp_path, oxford, data=data, tfds=TfdsConfig(), train_split="train")
        )
        found = evaluate(
            EvalConfig(
                checkpoint_dir=str(tmp_path),
                eval_logdir=str(tmp_path / "eval"),
                eval_split="test",
                data=data,
            )
        )
    assert found["num_images"] == 3
    assert list(found["iou"]) == ["background", "pet"]
