"""Which checkpoints are used, and waiting for them."""

import itertools
import shutil

import pytest

from deeplab_tf.errors import InputError
from deeplab_tf.prediction import load


def test_one_round_takes_what_is_there_and_waits_for_nothing(run, tmp_path):
    assert list(load.iterate_checkpoints(str(run), 1, 0)) == [
        str(run / "model.ckpt-100")
    ]
    with pytest.raises(InputError, match="no checkpoint in this folder"):
        list(load.iterate_checkpoints(str(tmp_path), 1, 0))


@pytest.mark.parametrize("count", [0, -1])
def test_iterating_without_number_goes_on_with_each_newer_checkpoint(
    run, tmp_path, monkeypatch, count
):
    """The checkpoints come while it sleeps."""
    steps = iter((5, 10, 15))

    def sleep(seconds):
        assert seconds == 7
        step = next(steps)
        for path in run.glob("model.ckpt-100.*"):
            shutil.copy(path, tmp_path / path.name.replace("-100.", f"-{step}."))

    monkeypatch.setattr(load.time, "sleep", sleep)
    prefixes = itertools.islice(load.iterate_checkpoints(str(tmp_path), count, 7), 3)
    assert [path.rsplit("-", 1)[1] for path in prefixes] == ["5", "10", "15"]


def test_a_checkpoint_that_is_a_file_is_not_waited_for(run):
    prefix = str(run / "model.ckpt-100")
    assert list(load.iterate_checkpoints(f"{prefix}.index", 3, 0)) == [prefix]
