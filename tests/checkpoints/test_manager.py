"""Saving a run and going on with it."""

import contextlib
import os
import resource
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints import manager as manager_
from deeplab_tf.checkpoints import reader
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.errors import InputError
from tests.checkpoints.killing import Killed, stopping


def state(value=0.0, names=("a/weights", "b.c/weights")):
    weights = {name: keras.Variable(np.full((2, 3), value)) for name in names}
    counter = keras.Variable(int(value), dtype="int64")
    return {"weights": weights, "counters": {"global_step": counter}}


def values(state):
    return [float(w.numpy()[0, 0]) for w in state["weights"].values()]


def test_a_run_goes_on_from_its_newest_checkpoint(tmp_path):
    kept = state(3.0)
    checkpoints = CheckpointManager(tmp_path, kept, keep=5)
    assert checkpoints.save(3).endswith("model.ckpt-3")
    for weight in kept["weights"].values():
        weight.assign(np.full((2, 3), 7.0))
    checkpoints.save(7)
    found = state()
    assert CheckpointManager(tmp_path, found, keep=5).resume().endswith("model.ckpt-7")
    assert values(found) == [7.0, 7.0]


def test_an_empty_folder_has_nothing_to_resume(tmp_path):
    assert CheckpointManager(tmp_path / "new", state(), keep=5).resume() is None
    assert not (tmp_path / "new").exists()


def test_older_checkpoints_are_removed(tmp_path):
    checkpoints = CheckpointManager(tmp_path, state(), keep=2)
    for step in range(5):
        checkpoints.save(step)
    kept = sorted(path.name for path in tmp_path.glob("*.index"))
    assert kept == ["model.ckpt-3.index", "model.ckpt-4.index"]


def flipped(data, place):
    """One bit is another."""
    found = bytearray(data)
    found[place] ^= 1
    return bytes(found)


DAMAGE = {
    "empty": (".data-00000-of-00001", lambda data: b""),
    "half": (".data-00000-of-00001", lambda data: data[: len(data) // 2]),
    "short": (".data-00000-of-00001", lambda data: data[:-1]),
    "first": (".data-00000-of-00001", lambda data: flipped(data, 5)),
    "last": (".data-00000-of-00001", lambda data: flipped(data, len(data) - 1)),
    "no data": (".data-00000-of-00001", None),
    "index": (".index", lambda data: data[: len(data) // 2]),
    "no index": (".index", lambda data: b""),
    "changed index": (".index", lambda data: flipped(data, 40)),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(
    tmp_path, caplog, damage
):
    CheckpointManager(tmp_path, state(3.0), keep=5).save(3)
    CheckpointManager(tmp_path, state(7.0), keep=5).save(7)
    suffix, broken = DAMAGE[damage]
    path = tmp_path / f"model.ckpt-7{suffix}"
    path.write_bytes(broken(path.read_bytes())) if broken else path.unlink()
    found = state(1.0)
    checkpoints = CheckpointManager(tmp_path, found, keep=5)
    assert checkpoints.resume().endswith("model.ckpt-3")
    assert "model.ckpt-7 is damaged" in caplog.text
    assert everything(found) == everything(state(3.0))
    # What is broken is kept, and its step can be saved again.
    assert (tmp_path / "damaged" / "model.ckpt-7.index").exists()
    assert tf.train.latest_checkpoint(tmp_path) == str(tmp_path / "model.ckpt-3")
    assert not list(tmp_path.glob("model.ckpt-7*"))
    checkpoints.save(7)
    assert (
        CheckpointManager(tmp_path, state(), keep=5).resume().endswith("model.ckpt-7")
    )


def everything(state):
    return {
        (kind, name): variable.numpy().tolist()
        for kind, named in state.items()
        for name, variable in named.items()
    }


def test_of_several_hosts_one_writes(tmp_path):
    CheckpointManager(tmp_path, state(3.0), keep=5).save(3)
    CheckpointManager(tmp_path, state(7.0), keep=5).save(7)
    (tmp_path / "model.ckpt-7.data-00000-of-00001").write_bytes(b"")
    before = sorted(tmp_path.iterdir())
    other = CheckpointManager(tmp_path, state(), keep=1, writes=False)
    assert other.resume().endswith("model.ckpt-3")
    other.save(8)
    assert sorted(tmp_path.iterdir()) == before


def test_checkpoints_that_cannot_be_read_are_not_trained_over(tmp_path):
    CheckpointManager(tmp_path, state(), keep=5).save(3)
    for data in tmp_path.glob("*.data*"):
        data.write_bytes(b"")
    with pytest.raises(InputError, match="none of its checkpoints can be read"):
        CheckpointManager(tmp_path, state(), keep=5).resume()


def test_a_checkpoint_of_another_network_is_not_taken(tmp_path):
    CheckpointManager(tmp_path, state(), keep=5).save(3)
    other = state(names=("a/weights", "d/weights"))
    with pytest.raises(InputError, match="is of another network or optimizer"):
        CheckpointManager(tmp_path, other, keep=5).resume()


LISTINGS = {
    "missing": None,
    "empty": "",
    "cut short": 'model_checkpoint_path: "model.ck',
    "without a path": 'all_model_checkpoint_paths: "model.ckpt-9"\n',
    "of files that are gone": 'model_checkpoint_path: "model.ckpt-11"\n'
    'all_model_checkpoint_paths: "model.ckpt-10"\n'
    'all_model_checkpoint_paths: "model.ckpt-11"\n',
    "of nonsense": "\udcff\x00",
}


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_folder_whose_listing_is_broken_is_resumed_too(tmp_path, listing):
    for step in (8, 9, 10):
        CheckpointManager(tmp_path, state(step), keep=5).save(step)
    path, text = tmp_path / "checkpoint", LISTINGS[listing]
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode(errors="surrogateescape"))
    checkpoints = CheckpointManager(tmp_path, state(), keep=2)
    assert checkpoints.resume().endswith("model.ckpt-10")
    checkpoints.save(11)
    assert reader.newest(str(tmp_path)).endswith("model.ckpt-11")
    listed = tf.train.get_checkpoint_state(tmp_path).all_model_checkpoint_paths
    assert [Path(prefix).name for prefix in listed] == [
        "model.ckpt-10",
        "model.ckpt-11",
    ]


def test_an_older_checkpoint_can_be_chosen_in_the_listing(tmp_path):
    """As TensorFlow has it: `model_checkpoint_path` is the one to take."""
    for step in (3, 7):
        CheckpointManager(tmp_path, state(step), keep=5).save(step)
    listing = tmp_path / "checkpoint"
    text = listing.read_text()
    assert text.startswith('model_checkpoint_path: "model.ckpt-7"\n')
    listing.write_text(text.replace("ckpt-7", "ckpt-3", 1))
    assert (
        CheckpointManager(tmp_path, state(), keep=5).resume().endswith("model.ckpt-3")
    )


def test_no_moment_of_saving_leaves_less_than_a_whole_checkpoint(tmp_path, monkeypatch):
    """Killed before each change of the folder; the next save cleans up."""
    older = tmp_path / "older"
    for step in (3, 5):
        CheckpointManager(older, state(step), keep=2).save(step)
    seen = []
    for moment in range(100):
        folder = tmp_path / str(moment)
        shutil.copytree(older, folder)
        with monkeypatch.context() as patch:
            steps = iter(range(100))
            for name in ("unlink", "replace", "rmdir", "mkdir", "fsync"):
                patch.setattr(os, name, stopping(getattr(os, name), steps, moment))
            with contextlib.suppress(Killed):
                CheckpointManager(folder, state(7.0), keep=2).save(7)
                break
        found = state()
        checkpoints = CheckpointManager(folder, found, keep=2)
        checkpoints.resume()
        seen.append(values(found)[0])
        checkpoints.save(9)
        kept = [path.name for path in folder.glob("*.index")]
        newest = f"model.ckpt-{seen[-1]:.0f}.index"
        assert sorted(kept) == [newest, "model.ckpt-9.index"]
        assert not list(folder.glob(".*"))
    assert sorted(set(seen)) == [5.0, 7.0]
    assert seen == sorted(seen)


@contextlib.contextmanager
def small_files(folder):
    """Files may have 100 kB; Python ignores the signal, so that writing fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def full_disk(folder):
    """All space but 50 kB is taken."""
    free = shutil.disk_usage(folder).free
    (folder / "other").write_bytes(bytes(free - 50_000))
    yield
    (folder / "other").unlink()


@pytest.fixture
def disk(tmp_path):
    """A disk of 4 MB, where this may mount one."""
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(tmp_path)]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root, outside of most containers, mounts a small disk")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def large(value):
    """A state of 0.8 MB."""
    weights = {"a/weights": keras.Variable(np.full((200, 1000), value, np.float32))}
    return {"weights": weights}


def check_full(folder, full, reason):
    checkpoints = CheckpointManager(folder, large(3.0), keep=1)
    checkpoints.save(3)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with full(folder):
        with pytest.raises(InputError) as raised:
            checkpoints.save(7)
        after = {path: path.read_bytes() for path in folder.iterdir()}
    after.pop(folder / "other", None)
    assert after == before
    assert str(raised.value).startswith(
        f"{folder}: model.ckpt-7 could not be saved ({reason}), and "
    )
    assert "MB are free there; the last good checkpoint is model.ckpt-3" in str(
        raised.value
    )
    checkpoints.save(7)
    assert (
        CheckpointManager(folder, large(0.0), keep=1).resume().endswith("model.ckpt-7")
    )
    assert not list(folder.glob("model.ckpt-3*"))


def test_a_save_that_fails_leaves_the_last_checkpoint(tmp_path):
    check_full(tmp_path, small_files, "File too large")


def test_a_full_disk_leaves_the_last_checkpoint(disk):
    check_full(disk, full_disk, "No space left on device")


def test_a_disk_that_fills_after_the_data_lists_what_is_whole(tmp_path, monkeypatch):
    checkpoints = CheckpointManager(tmp_path, state(3.0), keep=1)
    checkpoints.save(3)

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(manager_, "write_whole", full)
        with pytest.raises(InputError, match=r"good checkpoint is model\.ckpt-3"):
            checkpoints.save(7)
    assert sorted(path.name for path in tmp_path.glob("*.index")) == [
        "model.ckpt-3.index"
    ]


def with_averages(value, average):
    found = state(value)
    averages = {name: keras.Variable(np.full((2, 3), average)) for name in WEIGHTS}
    return found | {"averages": averages}


WEIGHTS = ("a/weights", "b.c/weights")


def test_averages_are_resumed_as_they_are(tmp_path):
    CheckpointManager(tmp_path, with_averages(3.0, 2.5), keep=5).save(3)
    found = with_averages(0.0, 0.0)
    CheckpointManager(tmp_path, found, keep=5).resume()
    assert everything(found) == everything(with_averages(3.0, 2.5))


def test_averages_that_a_run_has_not_kept_begin_as_its_weights(tmp_path, caplog):
    CheckpointManager(tmp_path, state(3.0), keep=5).save(3)
    found = with_averages(0.0, 0.0)
    checkpoints = CheckpointManager(tmp_path, found, keep=5)
    checkpoints.resume()
    assert everything(found) == everything(with_averages(3.0, 3.0))
    assert "they begin as its weights (--ema_decay)" in caplog.text
    checkpoints.save(3)  # Of the same step, but with averages now.
    CheckpointManager(tmp_path, with_averages(0.0, 0.0), keep=5).resume()
    assert caplog.text.count("they begin as") == 1


def test_averages_are_not_dropped_silently(tmp_path):
    CheckpointManager(tmp_path, with_averages(3.0, 2.5), keep=5).save(3)
    with pytest.raises(InputError, match="has moving averages; give --ema_decay as in"):
        CheckpointManager(tmp_path, state(), keep=5).resume()


def test_the_scale_of_losses_is_kept_where_both_runs_have_one(tmp_path):
    def scaled(value):
        return state(value) | {"scaling": {"loss_scale": keras.Variable(value)}}

    CheckpointManager(tmp_path / "16", scaled(8.0), keep=5).save(8)
    CheckpointManager(tmp_path / "32", state(4.0), keep=5).save(4)
    found = [scaled(1.0), scaled(1.0), state()]
    for folder, each in zip(("16", "32", "16"), found, strict=True):
        CheckpointManager(tmp_path / folder, each, keep=5).resume()
    scales = [float(each["scaling"]["loss_scale"].numpy()) for each in found[:2]]
    assert scales == [8.0, 1.0]
    assert [values(each)[0] for each in found] == [8.0, 4.0, 8.0]


def test_a_weight_of_another_shape_is_named_before_any_is_taken(tmp_path):
    CheckpointManager(tmp_path, state(3.0), keep=5).save(3)
    found = state()
    found["weights"]["b.c/weights"] = keras.Variable(np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"has another shape of b\.c/weights; choose"):
        CheckpointManager(tmp_path, found, keep=5).resume()
    assert values(found) == [0.0, 0.0]


def test_a_checkpoint_as_tensorflow_saves_it_is_resumed(tmp_path):
    """With its own counter, as runs of earlier versions have it."""
    given = state(3.0)
    plain = {
        kind: {name: variable.value for name, variable in named.items()}
        for kind, named in given.items()
    }
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(**plain), tmp_path, 5, checkpoint_name="model.ckpt"
    )
    manager.save(checkpoint_number=3)
    found = state()
    assert CheckpointManager(tmp_path, found, keep=5).resume().endswith("model.ckpt-3")
    assert everything(found) == everything(given)


def test_all_replicas_take_what_was_saved(tmp_path, two_devices):
    with two_devices.scope():
        given, found = state(3.0), state()
        given["seeds"], found["seeds"] = (
            {"dropout": keras.Variable([1, seed], dtype="uint32")} for seed in (7, 0)
        )
    CheckpointManager(tmp_path, given, keep=5).save(3)
    CheckpointManager(tmp_path, found, keep=5).resume()
    for kind, name, value in (
        ("weights", "a/weights", np.full((2, 3), 3.0)),
        ("seeds", "dropout", [1, 7]),
    ):
        copies = two_devices.experimental_local_results(found[kind][name].value)
        assert len(copies) == 2
        for copy in copies:
            np.testing.assert_array_equal(copy.numpy(), value)
