"""What all tests share: two CPU devices, seeds, and a small data set."""

import gc
import importlib
import itertools
import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from deeplab_tf import compat, files
from deeplab_tf.config import ExportConfig
from deeplab_tf.exporting.run import export
from deeplab_tf.models.backbones import BACKBONES
from tests import narrow
from tests.recorded import SHARED, SMALL, TINY
from tests.trained import write_run

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
# Networks of tests are small: sharing out their ops, and simplifying graphs that run
# twice, costs a quarter of the time of all. A worker each is what keeps cores busy.
tf.config.threading.set_intra_op_parallelism_threads(1)
if "DEEPLAB_TEST_GRAPPLER" not in os.environ:  # Users have it on, and a night's run.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
gc.set_threshold(10000, 20, 20)

logging.set_verbosity(logging.INFO)

_BETWEEN_COLLECTIONS = 40  # Tests.
_TOO_LONG = 20.0  # Seconds of a test that others wait for with each change.


def pytest_terminal_summary(terminalreporter):
    """Warns of slow tests, in the form that GitHub shows beside a change.

    What a fixture of several tests took counts for the one that came first.
    """
    for reports in terminalreporter.stats.values():
        for report in reports:
            seconds = getattr(report, "duration", 0.0)
            if seconds > _TOO_LONG and "nightly" not in report.keywords:
                terminalreporter.write_line(
                    f"::warning title=Slow test::{report.nodeid} ({report.when}) took "
                    f"{seconds:.0f} s, more than {_TOO_LONG:.0f}"
                )


def pytest_collection_finish(session):
    """Lets no collection look through TensorFlow and all tests again.

    That would take a third of a second, for each of thousands of tests. Once: what is
    frozen later would never be collected.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """What is remembered of shards stays here, also of processes that tests start."""
    os.environ[files.CACHE] = str(tmp_path_factory.mktemp("cache"))


_tests = itertools.count()


@pytest.fixture(autouse=True)
def _fresh():
    compat.forget_custom_gradients()
    # To collect garbage takes a third of a second where large networks were made.
    keras.utils.clear_session(free_memory=next(_tests) % _BETWEEN_COLLECTIONS == 0)
    keras.utils.set_random_seed(0)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def shallow(monkeypatch):
    """Feature extractors of few units, where the kinds of them are what matters."""
    for name, backbone in BACKBONES.items():
        monkeypatch.setitem(BACKBONES, name, narrow.narrow(backbone))


@pytest.fixture(scope="session")
def two_devices():
    """The one MirroredStrategy of this process; a second one's collectives collide."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(scope="session")
def shared():
    """The folder of weights, photographs and recorded numbers; skips without it."""
    if not SHARED.is_dir():
        pytest.skip("../shared, with weights and photographs, is not on this machine")
    return SHARED


@pytest.fixture(scope="session")
def builder():
    """Imports `deeplab_tf.datasets.build_<name>_data`."""
    return lambda name: importlib.import_module(
        f"deeplab_tf.datasets.build_{name}_data"
    )


@pytest.fixture(scope="session")
def shapes(tmp_path_factory, builder):
    """Folder of records of the embedded data set: 24 to train, 7 to test."""
    folder = tmp_path_factory.mktemp("shapes")
    module = builder("shapes")
    config = module.ShapesConfig(output_dir=str(folder), train_size=24, val_size=7)
    module.build(config)
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory, shapes):
    """Folder of a run on the embedded set: rule weights of few layers, crop 65."""
    return write_run(tmp_path_factory.mktemp("run"), shapes, TINY)


@pytest.fixture(scope="session")
def v3plus_run(tmp_path_factory, shapes):
    """The same of a DeepLab v3+."""
    return write_run(tmp_path_factory.mktemp("run"), shapes, SMALL)


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory):
    """SavedModel of `run`, with the graph as text."""
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(
        ExportConfig(
            checkpoint_path=str(run),
            export_path=str(folder),
            save_inference_graph=True,
        )
    )
    return folder
