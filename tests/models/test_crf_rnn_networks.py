"""CRF-RNN on FCN-8s and on dilated convolutions."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.build import build
from deeplab_tf.models.heads.crf_rnn_networks import HEADS
from deeplab_tf.models.layers.initializers import BilinearKernel
from deeplab_tf.models.weight_names import weights_by_name
from tests.golden.weight_rule import weight

NARROW = {
    name: ModelConfig(architecture=name, depth_multiplier=1 / 64) for name in HEADS
}
each = pytest.mark.parametrize("config", NARROW.values(), ids=NARROW)
MATRICES = ("spatial", "bilateral", "compatibility")


def photograph(rng, height, width):
    """A few smooth colors, as a photograph has, with a little noise."""
    colors = rng.integers(0, 3, (1, -(-height // 8), -(-width // 8), 3)) * 90.0
    images = colors.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    return (images + rng.uniform(0, 5, images.shape)).astype(np.float32)


def randomize(model):
    """Weights by the rule, but those of the layer as they start."""
    for name, variable in weights_by_name(model).items():
        if not name.startswith("crf_rnn"):
            variable.assign(weight(name, tuple(variable.shape), 1.3))


@pytest.mark.nightly
@each
def test_logits_have_the_size_of_the_image(config, rng):
    assert config.logits_stride == 1
    for training_form in (False, True):
        model = build(config, 3, training_form=training_form)
        for size in ((24, 40), (33, 9), (1, 1)):
            assert model(photograph(rng, *size)).shape == (1, *size, 3)


@each
def test_without_its_kernels_the_layer_passes_scores_on(config, rng):
    model = build(config, 3)
    randomize(model)
    for name in MATRICES[:2]:
        matrix = weights_by_name(model)[f"crf_rnn/{name}"]
        matrix.assign(tf.zeros_like(matrix))
    scores = model.get_layer("logits.crop").output
    before, after = keras.Model(model.input, [scores, model.output])(
        photograph(rng, 24, 32)
    )
    assert np.std(before) > 0
    np.testing.assert_allclose(after, before, atol=1e-6 * np.abs(before).max())


def test_deconvolutions_before_the_last_learn_from_the_bilinear_start():
    weights = weights_by_name(build(NARROW["crf_rnn"], 3))
    for name, learns in (("2", True), ("_pool3", True), ("8", False)):
        kernel = weights[f"logits/upscore{name}/weights"]
        assert kernel.trainable == learns
        np.testing.assert_array_equal(kernel, BilinearKernel()(kernel.shape))
    biased = {name for name in weights if "upscore" in name and "biases" in name}
    assert biased == {"logits/upscore2/biases"}


@pytest.mark.slow
def test_the_network_has_the_published_count():
    config = dataclasses.replace(NARROW["crf_rnn"], depth_multiplier=1.0)
    counts = {
        name: int(np.prod(w.shape))
        for name, w in weights_by_name(build(config, 21)).items()
    }
    layer = sum(counts[f"crf_rnn/{name}"] for name in MATRICES)
    assert layer == 1323
    assert sum(counts.values()) - layer == 134489780
