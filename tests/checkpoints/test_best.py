"""The best checkpoint of a run, whatever happens while it is kept."""

import contextlib
import json
import os
import shutil

import keras
import numpy as np
import pytest

from deeplab_tf.checkpoints import reader, run_folder
from deeplab_tf.checkpoints.manager import CheckpointManager, best_scores, keep_best
from deeplab_tf.config import DataConfig, TrainConfig
from deeplab_tf.data.specs import DATASETS
from deeplab_tf.errors import InputError
from tests.checkpoints.killing import Killed, stopping


def saved(folder, step, keep=5):
    """A checkpoint whose one weight is the step."""
    weights = {"a/weights": keras.Variable(np.full(3, step, np.float32))}
    return CheckpointManager(folder, {"weights": weights}, keep=keep).save(step)


def weight(folder):
    stored = reader.open_checkpoint(str(folder))
    return float(stored.values(["a/weights"])["a/weights"][0])


def test_a_checkpoint_is_kept_while_none_is_better(tmp_path):
    assert best_scores(tmp_path) == {}
    for step, miou, better in (
        (1, None, False),
        (2, float("nan"), False),
        (3, 0.5, True),
        (4, 0.4, False),
        (5, 0.5, False),
        (6, 0.6, True),
        (7, None, False),
    ):
        prefix = saved(tmp_path, step, keep=1)
        assert keep_best(tmp_path, prefix, {"miou": miou, "iou": {"a": miou}}) == better
    expected = {"step": 6, "miou": 0.6, "iou": {"a": 0.6}}
    assert best_scores(tmp_path) == expected
    assert json.loads((tmp_path / "best" / "metrics.json").read_text()) == expected
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [
        "checkpoint",
        "metrics.json",
        "model.ckpt-6.data-00000-of-00001",
        "model.ckpt-6.index",
    ]
    assert weight(tmp_path / "best") == 6
    assert weight(tmp_path) == 7  # The run's own went on, and removed the others.


def test_another_metric_chooses_another_checkpoint(tmp_path):
    """What is written is read by versions that know mIoU alone, and theirs by this."""
    scores = {
        1: {"miou": 0.5, "iou": {"cat": 0.3, "dog": None}},
        2: {"miou": 0.6, "iou": {"cat": 0.2, "dog": 0.1}},
        3: {"miou": 0.4, "iou": {"cat": 0.4, "dog": 0.1}, "boundary_miou": 0.1},
    }
    for metric, kept in (
        ("miou", [1, 2]),
        ("class:cat", [1, 3]),
        ("class:dog", [2]),  # None is no candidate, as good is not better.
        ("boundary_iou", [3]),
    ):
        folder = tmp_path / metric
        better = [
            step
            for step, each in scores.items()
            if keep_best(folder, saved(folder, step), each, metric)
        ]
        assert better == kept
        said = json.loads((folder / "best" / "metrics.json").read_text())
        assert said.pop("best_metric", "miou") == metric
        assert said == {"step": kept[-1], **scores[kept[-1]]}


def test_a_best_one_by_another_metric_is_judged_by_the_new_one(tmp_path):
    keep_best(tmp_path, saved(tmp_path, 1), {"miou": 0.5, "iou": {"cat": 0.3}})
    worse = {"miou": 0.9, "iou": {"cat": 0.2}}
    assert not keep_best(tmp_path, saved(tmp_path, 2), worse, "class:cat")
    edges = {"miou": 0.1, "boundary_miou": 0.1}  # That of the one there is not known.
    assert keep_best(tmp_path, saved(tmp_path, 3), edges, "boundary_iou")


def test_the_best_is_a_folder_as_that_of_a_run(tmp_path):
    spec = DATASETS["camvid"]
    config = TrainConfig(
        train_logdir=str(tmp_path),
        data=DataConfig(dataset="camvid", dataset_dir="records"),
    )
    run_folder.write(tmp_path, config, spec)
    keep_best(tmp_path, saved(tmp_path, 3), {"miou": 0.5})
    assert run_folder.read(tmp_path / "best") == run_folder.read(tmp_path)
    assert run_folder.read(tmp_path / "best").model == config.model
    moved = shutil.copytree(tmp_path / "best", tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "best")
    assert reader.find_checkpoint(str(moved)) == str(moved / "model.ckpt-3")
    assert best_scores(tmp_path) == {}


def test_a_disk_without_links_has_copies(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    prefix = saved(tmp_path, 3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", unsupported)
        assert keep_best(tmp_path, prefix, {"miou": 0.5})
    assert weight(tmp_path / "best") == 3
    assert (tmp_path / "best" / "model.ckpt-3.index").stat().st_nlink == 1
    assert not list((tmp_path / "best").glob(".*"))


@pytest.mark.parametrize("links", [True, False])
def test_no_moment_of_keeping_leaves_less_than_a_best_one(tmp_path, monkeypatch, links):
    """Killed before each change: the old or the new, with its own scores."""
    older = tmp_path / "older"
    keep_best(older, saved(older, 3), {"miou": 0.5})
    saved(older, 7)
    seen = []
    for moment in range(100):
        folder = tmp_path / str(moment)
        shutil.copytree(older, folder)
        prefix = str(folder / "model.ckpt-7")
        with monkeypatch.context() as patch:
            if not links:
                patch.setattr(os, "link", unlinked)
            steps = iter(range(100))
            for name in ("unlink", "replace", "link", "fsync"):
                patch.setattr(os, name, stopping(getattr(os, name), steps, moment))
            with contextlib.suppress(Killed):
                keep_best(folder, prefix, {"miou": 0.6})
                break
        at_once = weight(folder / "best")
        found = best_scores(folder)
        seen.append((at_once, found["miou"], weight(folder / "best")))
        keep_best(folder, prefix, {"miou": 0.6})
        assert weight(folder / "best") == 7
        assert len(list((folder / "best").glob("*.index"))) == 1
        assert not list((folder / "best").glob(".*"))
    assert set(seen) == {(3, 0.5, 3), (3, 0.6, 7), (7, 0.6, 7)}
    assert seen == sorted(seen)


def unlinked(*_):
    raise OSError(95, "Operation not supported")


def test_scores_without_their_checkpoint_are_none(tmp_path):
    keep_best(tmp_path, saved(tmp_path, 3), {"miou": 0.5})
    (tmp_path / "best" / "model.ckpt-3.index").unlink()
    assert best_scores(tmp_path) == {}
    (tmp_path / "best" / "metrics.json").write_text("{")
    assert best_scores(tmp_path) == {}
    assert keep_best(tmp_path, str(tmp_path / "model.ckpt-3"), {"miou": 0.1})
    assert weight(tmp_path / "best") == 3


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("[]", "(a list, where an object is needed)"),
        ("{", "(Expecting"),
        ('{"miou": 0.5}', "(it lacks 'step')"),
        ('{"step": 3, "miou": "high"}', "(\"miou\" is 'high')"),
        ('{"step": null, "miou": 0.5}', '("step" is None)'),
    ],
)
def test_scores_of_another_shape_lose_no_best_checkpoint(tmp_path, content, why):
    keep_best(tmp_path, saved(tmp_path, 3), {"miou": 0.5})
    path = tmp_path / "best" / "metrics.json"
    path.write_text(content)
    with pytest.raises(InputError) as raised:
        keep_best(tmp_path, saved(tmp_path, 4), {"miou": 0.1})
    assert weight(tmp_path / "best") == 3
    said = str(raised.value)
    assert said.startswith(f"{path}: not the scores of a checkpoint {why}")
    assert said.endswith(
        "; move " + str(path.parent) + " away, and the best is chosen anew"
    )
