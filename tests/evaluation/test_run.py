"""Evaluation of a trained network, and what it inherits from the run."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import (
    DataConfig,
    EvalConfig,
    InferenceConfig,
    ModelConfig,
    ResizeConfig,
    VisConfig,
)
from deeplab_tf.config.fields import Overrides
from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.evaluation import metrics
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.visualizing.run import visualize
from tests.recorded import TINY


def config(run, shapes, folder, **changes):
    settings = {
        "checkpoint_dir": str(run),
        "eval_logdir": str(folder),
        "data": DataConfig(dataset_dir=str(shapes)),
    }
    return EvalConfig(**(settings | changes))


def given(defaults, **settings):
    return Overrides(defaults, settings)


def test_every_image_counts_once_at_its_own_size(run, shapes, tmp_path, caplog):
    scores = evaluate(config(run, shapes, tmp_path))
    assert caplog.messages[-1] == (
        f"Next: deeplab-vis --checkpoint_dir={run} --dataset_dir={shapes} "
        "--vis_logdir=pictures"
    )
    assert scores["checkpoint"] == f"{run}/model.ckpt-100"
    assert scores["step"] == 100
    assert scores["num_images"] == 7
    assert json.loads((tmp_path / "metrics.json").read_text()) == scores
    confusion = np.loadtxt(tmp_path / "confusion_matrix.csv", int, delimiter=",")
    counted = 0
    for path in (shapes / "labels" / "val").iterdir():
        counted += int((image_files.read_mask(path) != 255).sum())
    assert confusion.sum() == counted


def test_batches_change_no_score(run, shapes, tmp_path):
    one = evaluate(config(run, shapes, tmp_path / "a"))
    four = evaluate(config(run, shapes, tmp_path / "b", eval_batch_size=4))
    assert one["miou"] == pytest.approx(four["miou"], abs=1e-6)
    assert one["num_images"] == four["num_images"]


def test_raw_pictures_score_as_the_evaluation(run, shapes, tmp_path):
    scores = evaluate(config(run, shapes, tmp_path / "eval"))
    visualize(
        VisConfig(
            checkpoint_dir=str(run),
            vis_logdir=str(tmp_path / "vis"),
            data=DataConfig(dataset_dir=str(shapes)),
            also_save_raw_predictions=True,
        )
    )
    confusion = np.zeros((6, 6), np.int64)
    for path in (shapes / "labels" / "val").iterdir():
        raw = tmp_path / "vis" / "raw_segmentation_results" / path.name
        label, predicted = map(image_files.read_mask, (path, raw))
        confusion += metrics.confusion_matrix(label, predicted, 6, 255)
    assert metrics.mean_iou(confusion) == pytest.approx(scores["miou"], abs=1e-9)


def test_the_network_is_that_of_the_run_and_flags_by_hand_win(
    v3plus_run, shapes, tmp_path
):
    run = v3plus_run
    plain = evaluate(config(run, shapes, tmp_path / "a"))
    denser = given(ModelConfig(), output_stride=8)
    other = evaluate(config(run, shapes, tmp_path / "b", model=denser))
    assert plain["miou"] != other["miou"]
    lacking = given(ModelConfig(), decoder_output_stride=())
    with pytest.raises(InputError, match="check --decoder_output_stride=4"):
        evaluate(config(run, shapes, tmp_path / "c", model=lacking))
    assert not (tmp_path / "c").exists()


@pytest.mark.nightly
def test_the_crop_is_that_of_the_run_unless_given(run, shapes, tmp_path):
    inherited = evaluate(config(run, shapes, tmp_path / "a"))
    same = evaluate(config(run, shapes, tmp_path / "b", eval_crop_size=(65, 65)))
    padded = evaluate(config(run, shapes, tmp_path / "c", eval_crop_size=(257, 257)))
    assert inherited == same
    assert inherited["pixel_accuracy"] != padded["pixel_accuracy"]


@pytest.mark.nightly
def test_several_looks_have_the_official_tag(run, shapes, tmp_path):
    looks = InferenceConfig(eval_scales=(0.5, 1.0), add_flipped_images=True)
    evaluate(config(run, shapes, tmp_path, inference=looks))
    tags = {
        value.tag
        for path in tmp_path.glob("events*")
        for record in tf.data.TFRecordDataset(str(path))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }
    assert "eval/miou_0.5_1.0_flipped_overall" in tags
    assert "eval/iou/ball" in tags


def test_images_are_resized_as_in_training(run, shapes, tmp_path):
    resize = given(ResizeConfig(), min_resize_value=33, max_resize_value=49)
    scores = evaluate(config(run, shapes, tmp_path, resize=resize))
    assert scores["num_images"] == 7
    confusion = np.loadtxt(tmp_path / "confusion_matrix.csv", int, delimiter=",")
    assert confusion.sum() < 7 * 49 * 49


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"eval_split": "test"}, InputError, r"no shards test-\*; it has train, val"),
        ({"checkpoint_dir": "nowhere"}, InputError, "nowhere: no such checkpoint"),
    ],
)
def test_a_mistake_leaves_nothing_behind(
    run, shapes, tmp_path, changes, error, message
):
    with pytest.raises(error, match=message):
        evaluate(config(run, shapes, tmp_path / "eval", **changes))
    assert not (tmp_path / "eval").exists()


def test_a_data_set_of_other_classes_is_an_error(run, shapes, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    for shard in shapes.glob("val-*"):
        (folder / shard.name).symlink_to(shard)
    spec = dataclasses.replace(
        shapes_spec.SPEC, name="other", classes=("a", "b", "c", "d", "e", "f")
    )
    spec.save(folder)
    with pytest.raises(
        InputError, match=r"was trained on shapes \(6 classes\), not on o"
    ):
        evaluate(config(run, folder, tmp_path / "eval"))
    contradicting = DataConfig(dataset_dir=str(folder), dataset="camvid")
    with pytest.raises(FlagError, match=r"--dataset=camvid: .* says other"):
        evaluate(config(run, folder, tmp_path / "eval", data=contradicting))


def test_more_than_one_evaluation_waits_for_new_checkpoints(
    run, shapes, tmp_path, monkeypatch
):
    """Two rounds: the second begins when a checkpoint has appeared."""
    folder = tmp_path / "run"
    folder.mkdir()
    waits = []

    def appear(seconds):
        waits.append(seconds)
        model = build(TINY, 6)
        CheckpointManager(folder, {"weights": weights_by_name(model)}, keep=5).save(
            len(waits)
        )

    for name in ("config.json", "dataset.json"):
        (folder / name).write_text((run / name).read_text())
    monkeypatch.setattr("time.sleep", appear)
    settings = {"max_number_of_evaluations": 2, "eval_interval_secs": 7}
    evaluate(config(folder, shapes, tmp_path / "eval", **settings))
    assert waits == [7, 7]


def rewritten(source, target, change, *, which=slice(-1, None)):
    """Records of `source` of which some are changed, the last one by default."""
    target.mkdir()
    shapes_spec.SPEC.save(target)
    shards = tfrecord.find_shards(str(source), "val")
    records = [record for path in shards for record in tfrecord.read(path)]
    for index in range(len(records))[which]:
        example = tf.train.Example.FromString(records[index])
        change(example.features.feature)
        records[index] = example.SerializeToString()
    with tf.io.TFRecordWriter(str(target / "val-00000-of-00001.tfrecord")) as writer:
        for record in records:
            writer.write(record)
    return target


def fill(label, dtype=np.uint8):
    """A change: every pixel of the label has this id."""

    def change(feature):
        size = (feature["image/height"].int64_list.value[0],)
        size += (feature["image/width"].int64_list.value[0],)
        png = image_files.png(np.full(size, label, dtype))
        feature["image/segmentation/class/encoded"].bytes_list.value[0] = png

    return change


def test_wrong_ids_beyond_the_sample_name_their_image(run, shapes, tmp_path, caplog):
    records = rewritten(shapes, tmp_path / "records", fill(77))
    settings = config(run, records, tmp_path / "eval", validate_labels="off")
    with pytest.raises(InputError, match=r"label of val_0006: ids \[77\] are no"):
        evaluate(settings)
    assert not (tmp_path / "eval").exists()
    draw(run, records, tmp_path / "vis")
    assert (
        "Labels of 1 images hold ids that are no classes, first val_0006; they are "
        "drawn as ignored"
    ) in caplog.text


def test_damage_beyond_the_sample_is_told(run, shapes, tmp_path):
    def change(feature):
        encoded = feature["image/encoded"].bytes_list.value
        encoded[0] = encoded[0][: len(encoded[0]) // 2]

    records = rewritten(shapes, tmp_path / "records", change)
    settings = config(run, records, tmp_path / "eval", validate_labels="off")
    with pytest.raises(InputError, match=r"00001.tfrecord: record 6 is damaged"):
        evaluate(settings)
    with pytest.raises(InputError, match=r"record 6 \(val_0006\): its image or label"):
        evaluate(dataclasses.replace(settings, validate_labels="full"))


def draw(run, records, folder):
    data = DataConfig(dataset_dir=str(records))
    visualize(VisConfig(checkpoint_dir=str(run), vis_logdir=str(folder), data=data))


def test_a_label_that_tensorflow_would_misread_is_told_beyond_the_sample(
    run, shapes, tmp_path
):
    records = rewritten(shapes, tmp_path / "records", fill(1, np.uint16))
    settings = config(run, records, tmp_path / "eval", validate_labels="off")
    message = (
        r"00001\.tfrecord: record 6 \(val_0006\): its label PNG has 16 bits, which .*; "
        r"build the records again with datasets/build_folder_data\.py$"
    )
    with pytest.raises(InputError, match=message):
        evaluate(settings)
    assert not (tmp_path / "eval").exists()


def test_pictures_are_of_the_shards_that_are_described(run, shapes, tmp_path):
    """A shard of another build may have the size of the one in whose place it is."""
    records = rewritten(shapes, tmp_path / "records", lambda feature: None)
    shard = records / "val-00000-of-00001.tfrecord"
    described = {
        "shards": {shard.name: hashlib.sha256(b"another").hexdigest()},
        "shard_sizes": {shard.name: shard.stat().st_size},
    }
    dataclasses.replace(shapes_spec.SPEC, **described).save(records)
    message = r"00001\.tfrecord: not the shard that dataset\.json describes: it was"
    with pytest.raises(InputError, match=message):
        draw(run, records, tmp_path / "vis")
    assert not (tmp_path / "vis").exists()
