"""Saving a run and going on with it."""

import keras
import numpy as np
import pytest

from deeplab_tf.checkpoints.native import Keeper
from deeplab_tf.errors import InputError


def state(value=0.0, names=("a/weights", "b.c/weights")):
    weights = {name: keras.Variable(np.full((2, 3), value)) for name in names}
    counter = keras.Variable(int(value), dtype="int64")
    return {"weights": weights, "counters": {"global_step": counter}}


def values(state):
    return [float(w.numpy()[0, 0]) for w in state["weights"].values()]


def test_a_run_goes_on_from_its_newest_checkpoint(tmp_path):
    kept = state(3.0)
    keeper = Keeper(tmp_path, kept, keep=5)
    assert keeper.save(3).endswith("model.ckpt-3")
    for weight in kept["weights"].values():
        weight.assign(np.full((2, 3), 7.0))
    keeper.save(7)
    found = state()
    assert Keeper(tmp_path, found, keep=5).resume().endswith("model.ckpt-7")
    assert values(found) == [7.0, 7.0]


def test_an_empty_folder_has_nothing_to_resume(tmp_path):
    assert Keeper(tmp_path / "new", state(), keep=5).resume() is None
    assert not (tmp_path / "new").exists()


def test_older_checkpoints_are_removed(tmp_path):
    keeper = Keeper(tmp_path, state(), keep=2)
    for step in range(5):
        keeper.save(step)
    kept = sorted(path.name for path in tmp_path.glob("*.index"))
    assert kept == ["model.ckpt-3.index", "model.ckpt-4.index"]


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    kept = state(3.0)
    keeper = Keeper(tmp_path, kept, keep=5)
    keeper.save(3)
    keeper.save(7)
    data = tmp_path / "model.ckpt-7.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:10])
    assert Keeper(tmp_path, state(), keep=5).resume().endswith("model.ckpt-3")
    assert "model.ckpt-7 is damaged" in caplog.text


def test_checkpoints_that_cannot_be_read_are_not_trained_over(tmp_path):
    Keeper(tmp_path, state(), keep=5).save(3)
    for data in tmp_path.glob("*.data*"):
        data.write_bytes(b"")
    with pytest.raises(InputError, match="none of its checkpoints can be read"):
        Keeper(tmp_path, state(), keep=5).resume()


def test_a_checkpoint_of_another_network_is_not_taken(tmp_path):
    Keeper(tmp_path, state(), keep=5).save(3)
    other = state(names=("a/weights", "d/weights"))
    with pytest.raises(InputError, match="is of another network or optimizer"):
        Keeper(tmp_path, other, keep=5).resume()


def test_a_folder_without_its_state_file_is_resumed_too(tmp_path):
    keeper = Keeper(tmp_path, state(3.0), keep=5)
    keeper.save(9)
    keeper.save(10)
    (tmp_path / "checkpoint").unlink()
    assert Keeper(tmp_path, state(), keep=5).resume().endswith("model.ckpt-10")
