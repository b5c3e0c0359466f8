"""Networks on Keras' JAX backend: what they are on TensorFlow."""

import importlib.util
import os
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import crf_rnn_networks
from deeplab_tf.models.layers import backend_ops
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from tests.models.families import FAMILIES
from tests.models.on_backend import LEARNING
from tests.recorded import ROOT


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """All numbers of both backends; JAX, which compiles, does its work in two."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed")
    folder = tmp_path_factory.mktemp("backends")
    jobs = [("tensorflow", 0, 1), ("jax", 0, 2), ("jax", 1, 2)]
    running = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.models.on_backend"),
                *(folder / f"{i}.npz", str(first), str(step)),
            ],
            cwd=ROOT,
            # Compiling for speed would take longer than all else.
            env=os.environ
            | {"KERAS_BACKEND": backend, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
            stdout=subprocess.DEVNULL,
        )
        for i, (backend, first, step) in enumerate(jobs)
    ]
    assert [process.wait() for process in running] == [0, 0, 0]
    expected, *parts = (dict(np.load(folder / f"{i}.npz")) for i in range(3))
    return expected, parts[0] | parts[1]


def scale(values):
    return np.sqrt(np.mean(np.square(values, dtype=np.float64)))


def of(name, kind, recorded):
    """Pairs of TensorFlow's and JAX's numbers of a network, by what they are."""
    expected, found = recorded
    assert expected.keys() == found.keys()
    return {
        key: (values, found[key])
        for key, values in expected.items()
        if key.startswith(f"{name}/{kind}")
    }


@pytest.mark.nightly
@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_gradients_are_those_on_tensorflow(recorded, name):
    for kind in ("logits", "gradient"):
        pairs = of(name, kind, recorded)
        assert pairs
        # What is a thousandth of others is the rest of a sum that cancels.
        least = 1e-3 * max(scale(wanted) for wanted, _ in pairs.values())
        for what, (wanted, got) in pairs.items():
            assert 0 < scale(wanted) < np.inf, what
            assert scale(got - wanted) < 1e-5 * max(scale(wanted), least), what


@pytest.mark.nightly
def test_batch_norm_learns_as_on_tensorflow(recorded):
    """It divides by deviations, of two values in the image pooling: roundings grow."""
    name = f"{LEARNING}, learning"
    moved = of(name, "state", recorded)
    assert moved
    for what, (wanted, got) in moved.items():
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5, err_msg=what)
    gradients = of(name, "gradient", recorded)
    # An offset before another batch norm has no effect: roundings alone.
    least = 1e-5 * max(scale(wanted) for wanted, _ in gradients.values())
    effective = 0
    for what, (wanted, got) in (gradients | of(name, "logits", recorded)).items():
        if scale(wanted) < least:
            assert scale(got) < least, what
            continue
        effective += 1
        assert scale(got - wanted) < 2e-4 * scale(wanted), what
    assert effective > 0.9 * len(gradients)


@pytest.mark.parametrize(("length", "size"), [(5, 9), (9, 4), (3, 1), (1, 3), (4, 4)])
def test_composed_resizing_is_that_of_tensorflow(rng, length, size):
    x = rng.normal(size=(2, length, 3, 4)).astype(np.float32)
    expected = resize.bilinear(x, (size, 5))
    with mock.patch.object(backend_ops, "on_tensorflow", return_value=False):
        found = backend_ops.resize_bilinear(tf.constant(x), (size, 5))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("training", [False, True])
def test_composed_batch_norm_is_that_of_tensorflow(rng, training):
    x = rng.normal(3, 2, (2, 3, 4, 5)).astype(np.float32)
    found = []
    for on_tensorflow in (True, False):
        layer = FrozenableBatchNorm(momentum=0.9, epsilon=1e-3)
        with mock.patch.object(
            backend_ops, "on_tensorflow", return_value=on_tensorflow
        ):
            y = layer(x, training=training)
        found.append([y, *layer.get_weights()])
    for composed, fused in zip(*found, strict=True):
        np.testing.assert_allclose(composed, fused, atol=2e-6)


def test_a_crf_says_which_backend_it_needs():
    config = ModelConfig(architecture="crf_rnn", depth_multiplier=1 / 64)
    with (
        mock.patch.object(crf_rnn_networks, "on_tensorflow", return_value=False),
        pytest.raises(FlagError, match="KERAS_BACKEND=tensorflow"),
    ):
        build(config, 3)
