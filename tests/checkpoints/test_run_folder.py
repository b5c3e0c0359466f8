"""What a training folder says of its run, and whether a run may go on in it."""

import dataclasses
import json
import sys

import pytest

from deeplab_tf.checkpoints import run_folder
from deeplab_tf.config import (
    AugmentConfig,
    DataConfig,
    ExportConfig,
    ResizeConfig,
    TfdsConfig,
    TrainConfig,
)
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.errors import InputError
from deeplab_tf.exporting.run import export
from tests.recorded import SMALL

SPEC = DatasetSpec(
    name="own",
    classes=("road", "car", "sky"),
    palette=distinct_colors(3),
    split_sizes={"train": 367},
    checksums={"train": "0123456789", "val": "abc"},
)


def config(folder, **data):
    return TrainConfig(
        train_logdir=str(folder),
        model=SMALL,
        data=DataConfig(**({"dataset_dir": "records"} | data)),
    )


@pytest.fixture
def begun(tmp_path):
    """A folder in which a run has come to its first checkpoint."""
    run_folder.write(tmp_path, config(tmp_path), SPEC)
    (tmp_path / "model.ckpt-1.index").touch()
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-1"\n')
    return tmp_path


def test_a_run_tells_the_largest_image_that_it_learned_from(tmp_path):
    sizes = {"train": (360, 480), "val": (720, 960)}
    spec = dataclasses.replace(SPEC, largest_images=sizes)
    run_folder.write(tmp_path, config(tmp_path), spec)
    assert run_folder.read(tmp_path).largest_image == (360, 480)
    run_folder.write(tmp_path, config(tmp_path), SPEC)
    assert run_folder.read(tmp_path).largest_image is None


def check(folder, *, renamed=False, **changes):
    spec = dataclasses.replace(SPEC, **changes)
    run_folder.check(folder, config(folder, classes_renamed=renamed), spec)


def test_what_a_folder_said_before_is_kept_under_a_number(begun, caplog):
    (begun / "events.out.tfevents.1795880055.host.21280.7.v2").touch()
    first = {path.name: path.read_text() for path in begun.iterdir()}
    run_folder.write(begun, config(begun), SPEC)
    assert {path.name for path in begun.iterdir()} == set(first)
    changed = dataclasses.replace(config(begun), train_batch_size=3)
    run_folder.write(begun, changed, SPEC)
    assert (begun / "config.1.json").read_text() == first["config.json"]
    assert json.loads((begun / "config.json").read_text())["train_batch_size"] == 3
    assert f"Kept what {begun} said of the run before: config.1.json" in caplog.text
    assert not (begun / "environment.1.txt").exists()  # It says the same.
    renamed = dataclasses.replace(SPEC, classes=("street", "car", "sky"))
    (begun / "environment.txt").write_text("tensorflow: 2.20.0\n")
    run_folder.write(begun, config(begun), renamed)
    assert json.loads((begun / "config.2.json").read_text())["train_batch_size"] == 3
    assert (begun / "environment.2.txt").read_text() == "tensorflow: 2.20.0\n"
    assert json.loads((begun / "dataset.2.json").read_text())["classes"][0] == "road"
    assert (begun / "config.1.json").read_text() == first["config.json"]


def test_settings_that_changed_are_told_old_and_new(begun):
    assert run_folder.changes(begun, config(begun)) == []
    changed = dataclasses.replace(
        config(begun),
        train_batch_size=3,
        tf_initial_checkpoint="weights",
        augment=AugmentConfig(train_crop_size=(97, 129)),
        resize=ResizeConfig(min_resize_value=64, max_resize_value=96),
        fine_tune_batch_norm=False,
    )
    assert set(run_folder.changes(begun, changed)) == {
        "--train_batch_size: 8 -> 3",
        "--tf_initial_checkpoint: not given -> weights",
        "--train_crop_size: 513,513 -> 97,129",
        "--min_resize_value: not given -> 64",
        "--max_resize_value: not given -> 96",
        "--fine_tune_batch_norm: True -> False",
    }
    path = begun / "config.json"
    settings = json.loads(path.read_text())
    del settings["train_batch_size"]  # Of a version that did not have it.
    path.write_text(json.dumps(settings))
    assert len(run_folder.changes(begun, changed)) == 5
    path.write_text("[]")
    assert run_folder.changes(begun, changed) == []


def test_a_run_goes_on_with_its_own_records_in_silence(begun, caplog):
    check(begun)
    check(begun, palette=distinct_colors(4)[1:], name="mine")
    assert not caplog.text


def test_a_run_does_not_go_on_with_classes_in_another_order(begun):
    with pytest.raises(InputError) as error:
        check(begun, classes=("road", "sky", "car"))
    assert str(error.value) == (
        f"{begun}: holds a run on other classes of own than those in records: class 1 "
        'is "car" there, "sky" here, in another order; build the records in that one, '
        "or choose another --train_logdir"
    )


def test_a_run_goes_on_under_new_names_if_told_that_they_are_the_same(begun):
    with pytest.raises(InputError, match=r"if all mean the same, --classes_renamed"):
        check(begun, classes=("street", "car", "sky"))
    check(begun, classes=("street", "car", "sky"), renamed=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"checksums": {"train": "9876543210"}},
            "367 images 01234567 then, 367 images 98765432 now",
        ),
        (
            {"checksums": {}, "split_sizes": {"train": 400}},
            "367 images 01234567 then, 400 images now",
        ),
    ],
)
def test_records_that_have_changed_are_told(begun, caplog, changes, message):
    check(begun, **changes)
    assert f"{begun}: the records of train are not those that the run" in caplog.text
    assert message in caplog.text


@pytest.mark.parametrize(
    "changes", [{"checksums": {}, "split_sizes": {}}, {"checksums": {"val": "other"}}]
)
def test_what_is_not_known_or_not_of_the_split_is_no_change(begun, caplog, changes):
    check(begun, **changes)
    assert not caplog.text


def test_a_run_on_records_knows_where_they_lie(begun):
    assert run_folder.read(begun).shards == ("records", "train")


def test_a_run_on_tensorflow_datasets_knows_how_they_were_read(tmp_path):
    tfds = TfdsConfig(class_names=("a", "b"), tfds_label_map=("1:0", "2:1"))
    data = DataConfig(dataset="tfds:mine", dataset_dir="somewhere")
    settings = dataclasses.replace(config(tmp_path), data=data, tfds=tfds)
    run_folder.write(tmp_path, settings, SPEC)
    found = run_folder.read(tmp_path)
    assert found.tfds == tfds
    assert found.shards is None


def test_settings_of_a_run_from_before_there_were_such_are_read(begun):
    path = begun / run_folder.CONFIG
    settings = json.loads(path.read_text())
    del settings["tfds"], settings["data"]["classes_renamed"]
    path.write_text(json.dumps(settings))
    assert run_folder.read(begun).tfds == TfdsConfig()


def test_an_export_under_the_names_of_another_data_set_is_refused(run, tmp_path):
    with pytest.raises(
        InputError, match=r"was trained on shapes \(6 classes\), not on"
    ):
        export(
            ExportConfig(
                checkpoint_path=str(run),
                export_path=str(tmp_path / "model"),
                dataset="camvid",
            )
        )
    assert not list(tmp_path.iterdir())


def test_settings_have_a_schema_and_without_one_are_read_as_before(begun):
    path = begun / "config.json"
    settings = json.loads(path.read_text())
    assert settings.pop("schema") == 1
    numbered = run_folder.read(begun)
    path.write_text(json.dumps(settings))
    assert run_folder.read(begun) == numbered
    assert numbered.model == SMALL


def test_a_run_keeps_the_order_of_its_records(begun):
    """Those begun before orders had versions say nothing, and go on in the first."""
    path = begun / "config.json"
    settings = json.loads(path.read_text())
    assert settings["record_order"] == run_folder.record_order(begun) == 2
    path.write_text(json.dumps(settings | {"record_order": 3}))
    with pytest.raises(InputError) as error:
        run_folder.record_order(begun)
    assert str(error.value) == (
        f"{path}: record_order 3, of a newer deeplab_tf than this, which knows 1 to 2; "
        "update it"
    )
    del settings["record_order"]
    path.write_text(json.dumps(settings))
    assert run_folder.record_order(begun) == 1
    (begun / "checkpoint").unlink()
    (begun / "model.ckpt-1.index").unlink()
    assert run_folder.record_order(begun) == 2  # It came to nothing.


def test_settings_of_a_newer_schema_are_an_error(begun):
    path = begun / "config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"schema": 2}))
    with pytest.raises(InputError) as error:
        run_folder.read(begun)
    assert str(error.value) == (
        f"{path}: schema 2, of a newer deeplab_tf than this, which reads 1; update it"
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda settings: [settings], "(a list, where an object is needed)"),
        (lambda settings: settings | {"model": None}, "(null, where an object is"),
        (
            lambda settings: settings | {"model": {"output_stride": "16"}},
            '"output_stride" is "16")',
        ),
        (
            lambda settings: settings | {"model": {"depth": 3}},
            '"depth" is unknown to this',
        ),
        (
            lambda settings: settings | {"augment": {"train_crop_size": 5}},
            '"train_crop_size" is 5)',
        ),
        (lambda settings: settings | {"schema": "one"}, "("),
        (lambda settings: {"model": settings["model"]}, "(it lacks 'data')"),
    ],
)
def test_settings_of_another_shape_are_one_line(begun, change, why):
    path = begun / run_folder.CONFIG
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(InputError) as raised:
        run_folder.read(begun)
    said = str(raised.value)
    assert said.startswith(f"{path}: not the settings of a run ")
    assert why in said


def test_a_command_line_of_any_bytes_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--train_logdir=caf\udce9\n"])
    run_folder.write(tmp_path, config(tmp_path), SPEC)
    first = (tmp_path / "environment.txt").read_text("utf-8").splitlines()[0]
    assert first == r"command: train.py --train_logdir=caf\xe9\n"
