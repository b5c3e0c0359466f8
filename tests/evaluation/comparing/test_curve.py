"""Evaluations beside a training: their curve, and that they end with it."""

import json

import pytest

from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import InferenceConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.evaluation import image_counts
from deeplab_tf.evaluation.comparing.curve import Curve
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from tests.evaluation.test_run import config
from tests.recorded import TINY, assign_rule_weights


def read(folder):
    lines = (folder / "evaluations.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def training(run, tmp_path, monkeypatch):
    """A run of 20 steps, which saves after 10 while an evaluation waits."""
    folder, model = tmp_path / "run", build(TINY, 6)
    folder.mkdir()
    settings = json.loads((run / "config.json").read_text())
    settings["optimizer"]["training_number_of_steps"] = 20
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "dataset.json").write_text((run / "dataset.json").read_text())
    steps = iter((10, 20))

    def save(seconds):
        assert seconds == 7
        step = next(steps)
        assign_rule_weights(model, 1 + step / 20)
        CheckpointManager(folder, {"weights": weights_by_name(model)}, keep=5).save(
            step
        )

    monkeypatch.setattr("time.sleep", save)
    return folder


def test_a_curve_ends_with_the_training(training, shapes, tmp_path, caplog):
    settings = {"continuous": True, "eval_interval_secs": 7}
    scores = evaluate(config(training, shapes, tmp_path / "eval", **settings))
    lines = read(tmp_path / "eval")
    assert [line["step"] for line in lines] == [10, 20]
    assert lines[0]["miou"] != lines[1]["miou"]
    assert {name: lines[1][name] for name in scores} == scores
    assert json.loads((tmp_path / "eval" / "metrics.json").read_text()) == scores
    assert "at step" in (tmp_path / "eval" / "curves.svg").read_text()
    assert len(list((tmp_path / "eval").glob("events*"))) == 2

    stored = image_counts.load(tmp_path / "eval" / image_counts.FILE)
    assert stored.settings == lines[1]["settings"] == {"dataset_dir": str(shapes)}

    assert not evaluate(config(training, shapes, tmp_path / "eval", **settings))
    assert "model.ckpt-20 is in " in caplog.text
    assert read(tmp_path / "eval") == lines


def test_a_line_that_a_kill_cut_costs_no_other(tmp_path):
    curve = Curve(config("run", "records", tmp_path))
    (tmp_path / "evaluations.jsonl").write_text('{"step": 1, "miou": 0.')
    for step in (2, 3):
        curve.append(f"run/model.ckpt-{step}", {"miou": step / 10})
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines[1:]] == [2, 3]
    assert "best 30.00 % at step 3" in (tmp_path / "curves.svg").read_text()


def test_a_checkpoint_that_was_trained_anew_is_evaluated(tmp_path):
    curve = Curve(config("run", "records", tmp_path))
    curve.append(str(tmp_path / "model.ckpt-5"), {"miou": 0.5})
    index = tmp_path / "model.ckpt-5.index"
    index.touch()
    assert not curve.skips(str(tmp_path / "model.ckpt-5"))
    curve.append(str(tmp_path / "model.ckpt-5"), {"miou": 0.5})
    assert curve.skips(str(tmp_path / "model.ckpt-5"))
    flips = InferenceConfig(add_flipped_images=True)
    other = Curve(config("run", "records", tmp_path, inference=flips))
    assert not other.skips(str(tmp_path / "model.ckpt-5"))
    batches = Curve(config("run", "records", tmp_path, eval_interval_secs=9))
    assert batches.skips(str(tmp_path / "model.ckpt-5"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"max_number_of_evaluations": 0},
            "--max_number_of_evaluations=0 beside --continuous, which goes on until",
        ),
        ({"crf_search": True}, "--continuous=True: --crf_search does not evaluate"),
    ],
)
def test_continuous_is_alone(shapes, tmp_path, changes, message):
    with pytest.raises(FlagError, match=message):
        config("run", shapes, tmp_path, continuous=True, **changes)
