"""Records that fsspec opens: built there, trained on, evaluated; damage is named."""

import itertools
import json

import fsspec
import numpy as np
import pytest

from deeplab_tf import storage
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    EvalConfig,
    ExportConfig,
    ResizeConfig,
    TfdsConfig,
)
from deeplab_tf.data import corrupt_records, pipeline
from deeplab_tf.data.open_split import open_split
from deeplab_tf.data.pipeline import InputData
from deeplab_tf.datasets.build_shapes_data import ShapesConfig, build
from deeplab_tf.errors import InputError
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.exporting.run import export
from deeplab_tf.training.run import train
from tests.training.test_loop import config as train_config

FOLDER = "memory://bucket/shapes"


@pytest.fixture(scope="module")
def remote():
    build(ShapesConfig(output_dir=FOLDER, train_size=6, val_size=2))
    yield FOLDER
    fsspec.filesystem("memory").rm("/bucket", recursive=True)


def test_records_are_built_trained_on_and_evaluated_through_fsspec(remote, tmp_path):
    run = tmp_path / "run"
    train(train_config(run, remote, 2))
    said = json.loads((run / "config.json").read_text())
    assert said["data"]["dataset_dir"] == remote
    scores = evaluate(
        EvalConfig(
            checkpoint_dir=str(run),
            eval_logdir=str(tmp_path / "eval"),
            data=DataConfig(dataset_dir=remote),
            max_number_of_evaluations=1,
        )
    )
    assert 0 <= scores["miou"] <= 1


def batches(folder, count=5):
    _, records = open_split(DataConfig(dataset_dir=folder), TfdsConfig(), "train")
    source = InputData(
        records=records, ignore_label=255, mean_pixel=(0.0,) * 3, resize=ResizeConfig()
    )
    found = pipeline.training_batches(
        source, AugmentConfig(train_crop_size=(33, 33)), 2, seed=1
    )
    read = corrupt_records.read_batches(found, records)
    return list(itertools.islice(read, count)), records


def test_they_are_those_of_a_disk(remote, tmp_path):
    local = tmp_path / "shapes"
    memory = fsspec.filesystem("memory")
    memory.get("/bucket/shapes/", str(local), recursive=True)
    for one, two in zip(batches(remote)[0], batches(str(local))[0], strict=True):
        assert list(one["name"].numpy()) == list(two["name"].numpy())
        np.testing.assert_array_equal(one["image"], two["image"])
        np.testing.assert_array_equal(one["label"], two["label"])


def test_a_damaged_one_is_named(remote):
    memory, copy = fsspec.filesystem("memory"), "memory://bucket/damaged"
    memory.copy("/bucket/shapes/", "/bucket/damaged/", recursive=True)
    path = next(p for p in batches(copy)[1].paths if "00001-of" in p)
    content = bytearray(storage.read(path))
    content[200] ^= 1
    with storage.write_whole(path) as file:
        file.write(content)
    with pytest.raises(
        InputError, match=r"00001-of-00002.tfrecord: record 0 is damaged"
    ):
        batches(copy)


def test_what_is_not_there_is_told(remote):
    with pytest.raises(InputError, match=r"memory://none: no such folder"):
        batches("memory://none")
    message = rf"{FOLDER}: no shards test-.; it has train, val"
    with pytest.raises(InputError, match=message):
        open_split(DataConfig(dataset_dir=remote), TfdsConfig(), "test")
    with pytest.raises(InputError, match="holds records already; choose another"):
        build(ShapesConfig(output_dir=FOLDER, train_size=1, val_size=1))


def test_runs_need_a_disk(remote):
    with pytest.raises(
        InputError, match=r"--train_logdir=memory://run: .* needs a disk"
    ):
        train(train_config("memory://run", remote, 1))


@pytest.mark.nightly
def test_exports_are_copied_there(run):
    config = ExportConfig(
        checkpoint_path=str(run), export_path="memory://bucket/exports/model"
    )
    export(config)
    assert storage.exists("memory://bucket/exports/model/saved_model.pb")
    with pytest.raises(InputError, match="memory://bucket/exports/model is there"):
        export(config)


def test_a_path_of_python_is_local(tmp_path):
    (tmp_path / "file").write_bytes(b"12")
    assert not storage.is_remote(tmp_path)
    assert storage.is_folder(tmp_path)
    assert storage.exists(tmp_path / "file")
    assert storage.size(tmp_path / "file") == 2
