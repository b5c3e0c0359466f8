"""A table of runs: what their files say, however damaged they are."""

import json
import os

import pytest

from deeplab_tf.checkpoints import run_state
from deeplab_tf.errors import InputError
from deeplab_tf.files import LOCK, find_lock, lock_folder
from deeplab_tf.runs import table
from deeplab_tf.runs.__main__ import RunsConfig, run
from deeplab_tf.runs.listing import find_runs, sort_runs
from tests.training.test_loop import config as train_config

STALE = {"host": "node7", "pid": 4711, "command": "train.py", "since": 1795649667.0}


def write_run(folder, *, steps, total=100, mious=(), batch=4, **settings):
    """A run of so many steps; its log has a line each 10, at 8 images a second."""
    folder.mkdir(parents=True)
    watch = {"best_metric": "miou", "early_stopping_patience": 0}
    watch = {name: settings.pop(name, value) for name, value in watch.items()}
    said = {
        "schema": 1,
        "train_logdir": str(folder),
        "train_batch_size": batch,
        "optimizer": {"training_number_of_steps": total, "base_learning_rate": 0.01},
        "watch": watch,
        **settings,
    }
    (folder / "config.json").write_text(json.dumps(said))
    lines = [
        {"step": step, "time": 1e9 + steps, "loss": 1.0, "images_per_second": 8.0}
        for step in range(10, steps + 1, 10)
    ]
    lines += [
        {"step": 10 * (i + 1), "time": 1e9 + steps, "miou": miou}
        for i, miou in enumerate(mious)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text)
    (folder / f"model.ckpt-{steps}.index").write_bytes(b"i" * 1000)
    return folder


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    write_run(folder / "done", steps=100, mious=[0.5, 0.61, 0.6])
    write_run(folder / "more" / "half", steps=50, mious=[0.7], seed=3)
    crashed = write_run(folder / "crashed", steps=20)
    (crashed / LOCK).write_text(json.dumps(STALE))
    best = folder / "done" / "best"
    write_run(best, steps=20)  # Of a run, no run of its own.
    (best / "model.ckpt-20.index").unlink()
    os.link(folder / "done" / "model.ckpt-100.index", best / "model.ckpt-100.index")
    (folder / "exported").mkdir()
    (folder / "exported" / "config.json").write_text('{"model": {}}')
    return folder


def by_name(folder):
    return {each.name: each for each in find_runs(folder)}


def test_states_steps_scores_and_times_are_those_of_the_files(runs):
    found = by_name(runs)
    assert list(found) == ["crashed", "done", "more/half"]
    assert [each.state.state for each in found.values()] == [
        "crashed",
        "finished",
        "stopped",
    ]
    done = found["done"]
    assert (done.state.steps, done.state.total) == (100, 100)
    assert done.best == (20, 0.61)
    assert done.seconds == pytest.approx(100 * 4 / 8)
    assert done.last == 1e9 + 100
    files = {
        path.stat().st_ino: path.stat().st_size for path in (runs / "done").rglob("*.*")
    }
    assert done.size == sum(files.values())  # What best/ links counts once.
    assert found["crashed"].best is None


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("name", ["crashed", "done", "more/half"]),
        ("miou", ["more/half", "done", "crashed"]),
        ("steps", ["done", "more/half", "crashed"]),
        ("time", ["done", "more/half", "crashed"]),
    ],
)
def test_runs_are_sorted(runs, by, expected):
    assert [each.name for each in sort_runs(find_runs(runs), by)] == expected


def test_a_run_whose_folder_is_held_is_running(runs):
    half = runs / "more" / "half"
    with (half / "metrics.jsonl").open("a") as file:
        file.write('{"step": 57, "loss": 1.0}\n')
    assert find_lock(half) is None
    with lock_folder(half, flag="train_logdir", doing="training"):
        assert find_lock(half).is_held
        assert find_lock(half).owner.pid == os.getpid()
        state = by_name(runs)["more/half"].state
        assert (state.state, state.steps) == ("running", 57)
        assert not run_state.is_finished(half)
    state = by_name(runs)["more/half"].state
    assert (state.state, state.steps) == ("stopped", 50)


def test_a_run_out_of_patience_is_finished_by_its_own_metric(tmp_path):
    settings = {"steps": 30, "mious": [0.5, 0.4, 0.3]}
    write_run(tmp_path / "a", **settings)
    write_run(tmp_path / "b", **settings, early_stopping_patience=2)
    write_run(
        tmp_path / "c", **settings, early_stopping_patience=2, best_metric="class:cat"
    )
    states = [run_state.is_finished(tmp_path / name) for name in "abc"]
    assert states == [False, True, False]
    assert not run_state.is_finished(tmp_path / "nowhere")


def test_the_table_has_80_columns_and_tells_what_differs(runs, capsys):
    write_run(runs / ("long_" * 20), steps=10, total=30000, mious=[0.123456], seed=7)
    run(RunsConfig(folder=str(runs), sort="miou"))
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if "long_long_" not in line) <= 80
    assert lines[0].split() == ["run", "state", "steps", "mIoU", "%", "time", "size"]
    assert lines[1].split()[:5] == [
        "more/half",
        "stopped",
        "50/100",
        "70.00",
        "0:00:25",
    ]
    long = lines.index("long_" * 20)
    assert lines[long + 1].split()[:3] == ["stopped", "10/30000", "12.35"]
    text = " ".join("\n".join(lines).split())
    assert "crashed: stale lock: process 4711 on host node7 is gone" in text
    assert "done --training_number_of_steps=100" in text
    assert "more/half --training_number_of_steps=100 --seed=3" in text
    assert "base_learning_rate" not in text  # It is the same in all.


def test_json_has_the_same(runs, capsys):
    run(RunsConfig(folder=str(runs), json=True))
    crashed, done, half = json.loads(capsys.readouterr().out)
    assert crashed["stale_lock"]
    assert not done["stale_lock"]
    assert (done["miou"], done["miou_step"], done["best_metric"]) == (0.61, 20, "miou")
    assert half["settings_that_differ"] == {"seed": 3}
    assert half["seconds"] == 25


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("config.json", b"{", "settings cannot be read: "),
        ("config.json", b"[1]", "not the settings of a run (a list"),
        ("config.json", b'{"optimizer": "none", "train_batch_size": []}', ""),
        ("metrics.jsonl", b"\xff\xfe\n[]\n{}\n", "3 of 3 lines cannot be read"),
        ("metrics.jsonl", b'{"step": 1, "time": "x", "images_per_second": -1}\n', ""),
    ],
)
def test_damage_marks_a_row_and_hides_no_other(runs, capsys, file, content, why):
    (runs / "more" / "half" / file).write_bytes(content)
    run(RunsConfig(folder=str(runs)))
    text = " ".join(capsys.readouterr().out.split())
    assert "done finished 100/100" in text
    assert ("more/half damaged" in text) == bool(why)
    assert why in text


def test_settings_of_a_run_are_those_that_train_writes(shapes, tmp_path):
    """The names that states are read from are those of the flags."""
    settings = train_config(tmp_path, shapes, 4)
    flat = {}
    for record in (settings, settings.optimizer, settings.watch):
        flat |= vars(record)
    for name in (
        "training_number_of_steps",
        "early_stopping_patience",
        "best_metric",
        "train_batch_size",
        "train_logdir",
    ):
        assert name in flat


def test_a_folder_without_runs_is_told(tmp_path):
    with pytest.raises(InputError, match="no run in it, nor below"):
        run(RunsConfig(folder=str(tmp_path)))
    with pytest.raises(InputError, match="nowhere: no such folder"):
        run(RunsConfig(folder=str(tmp_path / "nowhere")))


def test_times_are_short():
    assert table._duration(59.6) == "0:01:00"
    assert table._duration(3 * 3600 + 61) == "3:01:01"
    assert table._duration(100 * 3600) == "4 d 4 h"
