"""What a run says and writes down, and that going on changes none of it."""

import json
import math
from collections import defaultdict

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.plugins.hparams import metadata

from deeplab_tf.checkpoints import run_log
from deeplab_tf.config import DataConfig, TrainConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.evaluation.confusion import Confusion
from deeplab_tf.training.monitoring import metrics_file
from deeplab_tf.training.monitoring.logs import Logs
from deeplab_tf.training.monitoring.metrics_file import History

LOSSES = [2.0, 1.0, 0.1, 0.2, 0.7, 0.4]


def steps(numbers, **more):
    losses = [LOSSES[number - 1] for number in numbers]
    fixed = {"loss": losses, "regularization": [0.5] * len(losses)}
    return fixed | {name: [value] * len(losses) for name, value in more.items()}


def open_logs(folder, first=0, **settings):
    return Logs(folder, first=first, total=6, batch_size=4, **settings)


def lines(folder):
    return [
        json.loads(line)
        for line in (folder / metrics_file.FILE).read_text().splitlines()
    ]


def events(folder):
    """Tag -> {step: value} of event files."""
    found = defaultdict(dict)
    for path in folder.glob("events*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                found[value.tag][event.step] = tf.make_ndarray(value.tensor)
    return found


def test_an_interval_is_a_line_of_means(tmp_path):
    with open_logs(tmp_path) as logs:
        logs.add(steps([1, 2], gradient_norm=3.0, data_wait=0.0))
        logs.add(steps([3], gradient_norm=math.inf, loss_scale=512.0, skipped=1.0))
        logs.write(3, 0.01)
    (line,) = lines(tmp_path)
    assert line["loss"] == pytest.approx(3.1 / 3, rel=1e-12)
    assert line["gradient_norm"] == 3.0  # Of the steps that did not overflow.
    assert (line["step"], line["skipped"], line["loss_scale"]) == (3, 1.0, 512.0)
    assert (line["regularization"], line["learning_rate"]) == (0.5, 0.01)
    assert line["data_wait_share"] == 0.0
    assert line["images_per_second"] > 0
    found = events(tmp_path / "train")
    assert float(found["total_loss"][3]) == pytest.approx(3.1 / 3 + 0.5)
    assert float(found["gradient_norm"][3]) == 3.0


def test_what_is_not_finite_is_null_as_json_has_it(tmp_path):
    History(tmp_path, 0).append(1, {"loss": math.nan, "iou": {"cat": math.inf}})
    (line,) = lines(tmp_path)
    assert (line["loss"], line["iou"]) == (None, {"cat": None})


def run(folder, parts, every=3):
    """Steps, a call a part; at the end of a part, a checkpoint and a new process."""
    for part in parts:
        with open_logs(folder, part[0] - 1) as logs:
            for step in part:
                logs.add(steps([step], gradient_norm=1.0))
                if step % every == 0:
                    logs.write(step, 0.01)
            logs.save_interval(part[-1])


@pytest.mark.parametrize(
    "parts",
    [
        ([1, 2, 3, 4], [5, 6]),  # Stopped within an interval,
        ([1], [2], [3, 4, 5, 6]),  # twice within one,
        ([1, 2, 3], [4, 5, 6]),  # or between two.
    ],
)
def test_losses_are_those_of_a_run_that_did_not_stop(tmp_path, parts):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run(whole, [range(1, 7)])
    run(stopped, parts)
    names = ("step", "loss", "regularization", "gradient_norm", "learning_rate")
    expected, found = (
        [[line[name] for name in names] for line in lines(folder)]
        for folder in (whole, stopped)
    )
    assert found == expected
    assert [loss for _, loss, *_ in expected] == [
        pytest.approx(3.1 / 3, rel=1e-12),
        pytest.approx(1.3 / 3, rel=1e-12),
    ]


def test_a_run_killed_after_its_checkpoint_tells_the_same_again(tmp_path):
    """Checkpoints at 2 and 4; a kill as a line is written; back to 4, then to 2."""
    run(tmp_path, [[1, 2], [3, 4], [5, 6]])
    whole = [line["loss"] for line in lines(tmp_path)]
    path = tmp_path / metrics_file.FILE
    path.write_text(path.read_text()[:-20])
    run(tmp_path, [[5, 6]])
    assert [line["loss"] for line in lines(tmp_path)] == whole
    run(tmp_path, [[3, 4], [5, 6]])
    assert [line["loss"] for line in lines(tmp_path)] == whole


def test_lines_of_steps_that_come_again_are_dropped(tmp_path):
    before = History(tmp_path, 0)
    for step in (2, 4, 6):
        before.append(step, {"loss": 1.0})
    kept = (tmp_path / metrics_file.FILE).read_text().splitlines(keepends=True)[:2]
    History(tmp_path, 4)
    assert (tmp_path / metrics_file.FILE).read_text() == "".join(kept)
    History(tmp_path, 0)
    assert not lines(tmp_path)


def test_a_damaged_line_costs_no_other(tmp_path):
    (tmp_path / metrics_file.FILE).write_bytes(
        b'{"step": 1, "miou": 0.5}\n\x00\x00\x00\n[1]\n{"step": 3, "miou": null}\n{"st'
    )
    assert run_log.scores(tmp_path) == {1: 0.5, 3: None}
    History(tmp_path, 5).append(5, {"miou": 0.25})
    assert run_log.scores(tmp_path) == {1: 0.5, 3: None, 5: 0.25}
    assert run_log.scores(tmp_path / "other") == {}


def test_a_full_disk_ends_no_run(tmp_path, caplog):
    kept = History(tmp_path, 0)
    (tmp_path / metrics_file.FILE).symlink_to("/dev/full")
    kept.append(1, {"loss": 1.0})
    assert "metrics.jsonl could not be written (No space left on device)" in caplog.text


def test_waiting_for_data_is_shown_and_told_once(tmp_path, caplog, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with open_logs(tmp_path) as logs:
        for step in (1, 2, 3):
            logs.add(steps([step], data_wait=0.8))
            now[0] += 2.0
            logs.write(step, 0.01)
            assert len(caplog.records) == (1 if step == 1 else step + 1)
    assert "2.0 images/s  data 40%  " in caplog.text
    assert "40 % of the time went by waiting for data. What would do" in caplog.text
    assert lines(tmp_path)[1]["data_wait_share"] == pytest.approx(0.4)


def test_what_is_no_step_does_not_slow_the_steps_down(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with open_logs(tmp_path) as logs:
        logs.add(steps([1, 2]))
        now[0] += 2.0
        with logs.pause_clock():
            now[0] += 50.0
        logs.write(2, 0.01)
    (line,) = lines(tmp_path)
    assert line["images_per_second"] == pytest.approx(2 * 4 / 2.0)
    assert "data_wait_share" not in line  # Nobody measured it.


SCORES = {
    "miou": 0.25,
    "pixel_accuracy": 0.5,
    "iou": {"ground": 0.5, "cat": 0.0, "dog": None},
    "num_images": 7,
}
CONFUSION = Confusion(
    DatasetSpec(
        name="pets",
        classes=tuple(SCORES["iou"]),
        palette=((0, 0, 0), (9, 0, 0), (0, 9, 0)),
    )
)


def test_an_evaluation_has_a_line_and_the_official_tags(tmp_path, caplog):
    with open_logs(tmp_path) as logs:
        logs.log_evaluation(4, SCORES, CONFUSION, "val")
    (line,) = lines(tmp_path)
    assert {name: line[name] for name in SCORES} == SCORES
    assert "step 4  mIoU 25.00 %  pixel accuracy 50.00 %  of 7 images" in caplog.text
    found = {tag: values[4] for tag, values in events(tmp_path / "val").items()}
    assert found.pop("eval/confusion_matrix")[2].startswith(b"\x89PNG")
    assert {tag: float(value) for tag, value in found.items()} == {
        "eval/miou_1.0_overall": 0.25,
        "eval/pixel_accuracy": 0.5,
        "eval/iou/ground": 0.5,
        "eval/iou/cat": 0.0,
    }


def test_weights_and_flags_are_shown(tmp_path):
    config = TrainConfig(train_logdir="run", data=DataConfig(dataset_dir="records"))
    with open_logs(tmp_path) as logs:
        logs.settings(0, config)
        logs.histograms(2, {"logits/weights": tf.Variable([1.0, 1.0, 3.0])})
    found = events(tmp_path / "train")
    (buckets,) = found["logits/weights"].values()
    assert buckets[:, 2].sum() == 3  # All values are in one of them.
    table = str(found["flags"][0])
    assert "| --train_crop_size | 513,513 |" in table
    assert "| --dataset_dir | records |" in table


def test_settings_are_hyperparameters_of_the_run(tmp_path):
    """As TensorBoard's own reader of HParams sees them."""
    config = TrainConfig(train_logdir="run", data=DataConfig(dataset_dir="records"))
    with open_logs(tmp_path) as logs:
        logs.settings(0, config)
    (path,) = tmp_path.glob("events*")
    begun = [
        metadata.parse_session_start_info_plugin_data(content).hparams
        for record in tf.data.TFRecordDataset(str(path))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
        if value.tag == metadata.SESSION_START_INFO_TAG
        and (content := value.metadata.plugin_data.content)
    ]
    (settings,) = begun
    assert settings["train_batch_size"].number_value == 8
    assert settings["train_crop_size"].string_value == "513,513"
    assert settings["fine_tune_batch_norm"].bool_value is True
    assert "tf_initial_checkpoint" not in settings  # It is not given.


def test_a_worker_that_is_not_the_first_writes_nothing(tmp_path):
    with open_logs(tmp_path / "run", writes=False) as logs:
        logs.add(steps([1]))
        logs.write(1, 0.01)
        logs.log_evaluation(1, SCORES, CONFUSION, "val")
        logs.histograms(1, {"weights": tf.Variable(np.ones(2))})
        logs.save_interval(1)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["scalar", "create_file_writer"])
def test_a_disk_that_fills_under_the_events_ends_no_run(
    tmp_path, monkeypatch, caplog, kind
):
    def full(*_, **__):
        text = "events.out; No space left on device"
        raise tf.errors.ResourceExhaustedError(None, None, text)

    with open_logs(tmp_path) as logs:
        for step in (1, 2):
            with monkeypatch.context() as patch:
                if step == 1:
                    patch.setattr(tf.summary, kind, full)
                logs.add(steps([step]))
                logs.write(step, 0.01)
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]
    (said,) = [r.getMessage() for r in caplog.records if "events" in r.getMessage()]
    assert said == (
        f"{tmp_path / 'train'}: no more events are written there (events.out; No space "
        "left on device); the run goes on"
    )


@pytest.mark.parametrize(
    "content", ["[]", "3", "null", "{", '{"2": 3}', '{"2": {"loss": "x"}}']
)
def test_sums_of_another_shape_are_told_and_left_out(tmp_path, caplog, content):
    (tmp_path / metrics_file.PENDING).write_text(content)
    with open_logs(tmp_path, first=2) as logs:
        logs.add(steps([3]))
        logs.write(3, 0.01)
    assert [line["step"] for line in lines(tmp_path)] == [3]
    assert "metrics_pending.json: not sums of steps (" in caplog.text


def test_lines_of_another_shape_are_none(tmp_path):
    texts = ["[1]", '{"step": "1"}', '{"step": 2, "miou": "x"}', '{"step": 3}']
    (tmp_path / metrics_file.FILE).write_text("\n".join(texts))
    assert run_log.read(tmp_path) == [{"step": 3}]
