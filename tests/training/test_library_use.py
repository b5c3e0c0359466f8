"""Training as a function of a Python program: nothing of the process stays changed."""

import gc
import logging
import os
import random
import signal
import threading

import keras
import numpy as np
import pytest
from tensorflow.python.framework import func_graph

from deeplab_tf import compat
from deeplab_tf.config import DevicesConfig
from deeplab_tf.training import loop
from deeplab_tf.training.run import train
from tests.recorded import TINY
from tests.training.test_run import config


def process_state():
    return {
        "signals": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)],
        "policy": keras.config.dtype_policy().name,
        "handlers": (logging.root.handlers[:], logging.getLogger("absl").handlers[:]),
        "filters": logging.getLogger("absl").filters[:],
        "environment": dict(os.environ),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "gradients": compat.custom_gradients(),
    }


def live_graphs():
    gc.collect()
    objects = gc.get_objects()
    return sum(type(each) is func_graph.FuncGraph for each in objects)


@pytest.mark.nightly
def test_two_trainings_leave_nothing_behind_in_a_thread_too(
    tmp_path, shapes, monkeypatch
):
    """The second one in a thread; both register gradients while they run."""
    registered, save = [], loop.save
    monkeypatch.setattr(
        loop,
        "save",
        lambda *args: registered.append(compat.custom_gradients()) or save(*args),
    )
    devices = DevicesConfig(remat=True, precision="mixed_float16", deterministic=True)
    before, graphs = process_state(), []
    for name in ("main", "thread"):
        settings = config(tmp_path / name, shapes, 2, model=TINY, devices=devices)
        if name == "main":
            train(settings)
        else:
            thread = threading.Thread(target=train, args=(settings,))
            thread.start()
            thread.join()
        assert list((tmp_path / name).glob("model.ckpt-2.index"))
        assert process_state() == before
        graphs.append(live_graphs())
    assert len(registered) == 2
    assert all(names > before["gradients"] for names in registered)
    assert graphs[1] <= graphs[0]
