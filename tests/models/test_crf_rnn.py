"""Mean field as a layer: the paper's update, its gradients, saving."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.compat import variables_to_constants
from deeplab_tf.crf import permutohedral
from deeplab_tf.models.heads.crf_rnn import MeanField
from tests.at_night import mark_nightly

CLASSES = 4


def inputs(rng, height=12, width=12, classes=CLASSES, batch=1):
    """Random logits, and images of a few smooth colors with a little noise."""
    logits = rng.normal(0, 2, (batch, height, width, classes)).astype(np.float32)
    images = rng.integers(0, 3, (batch, -(-height // 4), -(-width // 4), 3)) * 90.0
    images = images.repeat(4, 1).repeat(4, 2)[:, :height, :width]
    images = images + rng.normal(0, 2, images.shape)
    return logits, images.clip(0, 255).astype(np.float32)


def built(classes=CLASSES, **settings):
    layer = MeanField(**settings)
    layer.build([(None, None, None, classes), (None, None, None, 3)])
    return layer


def randomized(layer, rng):
    """Matrices that are neither symmetric nor diagonal."""
    for weight in layer.weights:
        noise = rng.normal(0, 0.3, weight.shape)
        weight.assign(weight + noise.astype(np.float32))
    return layer


def softmax(x):
    exponential = np.exp(x - x.max(-1, keepdims=True))
    return exponential / exponential.sum(-1, keepdims=True)


def exact_kernel(features):
    """All pairs of `[P, d]`, the pair of a point with itself included."""
    distances = ((features[:, np.newaxis] - features[np.newaxis]) ** 2).sum(-1)
    return np.exp(-distances / 2)


def by_hand(layer, logits, image, iterations):
    """Mean field of one image in float64, with sums over all pairs of pixels."""
    height, width, classes = logits.shape
    row, column = np.mgrid[:height, :width].reshape(2, -1)
    positions = np.stack([column, row], -1)
    colors = image.reshape(-1, 3).astype(np.float64)
    bilateral = np.concatenate(
        [positions / layer.theta_alpha, colors / layer.theta_beta], -1
    )
    kernels = [exact_kernel(positions / layer.theta_gamma), exact_kernel(bilateral)]
    kernels = [kernel / kernel.sum(1, keepdims=True) for kernel in kernels]
    spatial, mixing, compatibility = (np.array(w, np.float64) for w in layer.weights)
    unaries = x = logits.reshape(-1, classes).astype(np.float64)
    for _ in range(iterations):
        q = softmax(x)
        messages = kernels[0] @ q @ spatial.T + kernels[1] @ q @ mixing.T
        x = unaries - messages @ compatibility.T
    return x.reshape(logits.shape)


@pytest.fixture
def exact_filter(monkeypatch):
    """Sums over all pairs of pixels in place of the lattice."""

    def build(features):
        features = np.array(features, np.float64)
        return tf.constant([exact_kernel(points) for points in features], tf.float32)

    monkeypatch.setattr(permutohedral, "build_lattice", build)
    monkeypatch.setattr(permutohedral, "gaussian_filter", tf.linalg.matmul)


@pytest.mark.usefixtures("exact_filter")
@pytest.mark.parametrize("iterations", [0, 1, 2, 3, 10])
def test_with_an_exact_filter_each_iteration_is_mean_field(rng, iterations):
    layer = randomized(built(iterations=iterations), rng)
    logits, images = inputs(rng)
    got = softmax(layer([logits, images])[0].numpy())
    wanted = softmax(by_hand(layer, logits[0], images[0], iterations))
    np.testing.assert_allclose(got, wanted, atol=1e-5 * max(iterations, 1))


def test_weights_start_as_the_paper_says():
    layer = built(classes=21)
    names = [weight.name for weight in layer.trainable_weights]
    assert names == ["spatial", "bilateral", "compatibility"]
    for weight, gain in zip(layer.weights, (3, 5, -1), strict=True):
        np.testing.assert_array_equal(weight, gain * np.eye(21))
    assert layer.count_params() == 1323


@pytest.mark.parametrize("iterations", [1, 5, 10])
def test_without_kernels_the_logits_stay(rng, iterations):
    layer = built(iterations=iterations)
    layer.spatial.assign(np.zeros((CLASSES, CLASSES)))
    layer.bilateral.assign(np.zeros((CLASSES, CLASSES)))
    logits, images = inputs(rng)
    np.testing.assert_array_equal(layer([logits, images]), logits)


def test_uniform_stays_uniform():
    logits, images = np.zeros((1, 9, 7, 21)), np.full((1, 9, 7, 3), 130.0)
    got = keras.ops.softmax(built(classes=21)([logits, images]))
    np.testing.assert_allclose(got, np.full((1, 9, 7, 21), 1 / 21), atol=1e-6)


def test_a_class_far_ahead_everywhere_wins(rng):
    logits, images = inputs(rng)
    logits[..., 2] += 30
    got = np.array(built()([logits, images]))
    np.testing.assert_array_equal(got.argmax(-1), 2)


def test_training_takes_fewer_iterations(rng):
    both = inputs(rng)
    layer = randomized(built(), rng)
    few = MeanField.from_config(layer.get_config() | {"iterations": 5})
    few.build([(None, None, None, CLASSES), (None, None, None, 3)])
    few.set_weights(layer.get_weights())
    np.testing.assert_array_equal(layer(both, training=True), few(both))
    assert np.abs(layer(both) - few(both)).max() > 1e-3


def test_images_of_a_batch_do_not_see_each_other(rng):
    logits, images = inputs(rng, 13, 10, batch=3)
    layer = randomized(built(), rng)
    together = layer([logits, images])
    for i in range(3):
        alone = layer([logits[i : i + 1], images[i : i + 1]])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-4)


def cost(layer, logits, images, weighting):
    return tf.reduce_sum(layer([logits, images], training=True) * weighting)


@pytest.mark.parametrize(
    "name",
    mark_nightly(["spatial", "bilateral", "compatibility", "logits"], by_day=(1, 2)),
)
def test_gradients_are_central_differences(rng, name):
    layer = randomized(built(training_iterations=3), rng)
    logits, images = inputs(rng, 9, 11)
    weighting = rng.normal(size=logits.shape).astype(np.float32)
    logits = tf.Variable(logits)
    variable = logits if name == "logits" else getattr(layer, name).value
    with tf.GradientTape() as tape:
        value = cost(layer, logits, images, weighting)
    gradient = np.array(tape.gradient(value, variable))
    start = variable.numpy()
    for _ in range(6):
        # Half uphill, so that the slope is no difference of large numbers.
        noise = rng.normal(size=start.shape)
        direction = gradient / np.linalg.norm(gradient) + noise / np.linalg.norm(noise)
        step, costs = 1e-2 / np.abs(direction).max(), []
        for sign in (1, -1):
            variable.assign(start + sign * step * direction)
            costs.append(float(cost(layer, logits, images, weighting)))
        variable.assign(start)
        slope = (costs[0] - costs[1]) / (2 * step)
        assert slope == pytest.approx((gradient * direction).sum(), rel=2e-3)


@pytest.mark.parametrize("size", mark_nightly([((9, 11),), ((1, 9),)], by_day=(0,)))
def test_a_graph_of_unknown_size_gives_what_the_layer_gives(rng, size):
    layer = randomized(built(), rng)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, None)),
            tf.TensorSpec((None, None, None, 3)),
        ]
    )
    def graph(logits, images):
        return layer([tf.ensure_shape(logits, (None, None, None, CLASSES)), images])

    logits, images = inputs(rng, *size)
    eager = layer([logits, images])
    assert eager.shape == logits.shape
    np.testing.assert_allclose(graph(logits, images), eager, atol=1e-5)


@pytest.fixture
def network(rng):
    """A functional model of unknown image size."""
    logits = keras.Input((None, None, CLASSES))
    images = keras.Input((None, None, 3))
    y = MeanField(iterations=2, name="crf")([logits, images])
    assert y.shape == (None, None, None, CLASSES)
    model = keras.Model([logits, images], y)
    randomized(model.get_layer("crf"), rng)
    return model


def test_a_saved_model_gives_the_same(rng, network, tmp_path):
    both = inputs(rng, 9, 11, batch=2)
    wanted = network(both)
    network.save(tmp_path / "model.keras")
    restored = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(restored(both), wanted, atol=1e-5)


@pytest.mark.nightly
def test_a_frozen_graph_gives_the_same(rng, network, tmp_path):
    both = inputs(rng, 9, 11, batch=2)
    wanted = network(both)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, CLASSES)),
            tf.TensorSpec((None, None, None, 3)),
        ]
    )
    def serve(logits, images):
        return network([logits, images], training=False)

    network.serve = serve
    tf.saved_model.save(network, tmp_path, signatures=serve)
    loaded = tf.saved_model.load(tmp_path)
    served = loaded.signatures["serving_default"]
    frozen = variables_to_constants(served)
    assert not frozen.variables
    content = frozen.graph.as_graph_def()
    used = {node.op for node in content.node}
    used |= {node.op for f in content.library.function for node in f.node_def}
    assert not {op for op in used if "PyFunc" in op}
    both = {"logits": both[0], "images": both[1]}
    (saved,) = served(**{k: tf.constant(v) for k, v in both.items()}).values()
    np.testing.assert_allclose(saved, wanted, atol=1e-5)
    names = {tensor.name.split(":")[0]: tensor for tensor in frozen.inputs}
    (got,) = frozen(*(tf.constant(both[name]) for name in names))
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_around_it_leaves_it_alone(rng, policy):
    logits, images = inputs(rng)
    wanted = built()([logits, images])
    keras.config.set_dtype_policy(policy)
    try:
        layer = built()
    finally:
        keras.config.set_dtype_policy("float32")
    got = layer([tf.constant(logits), tf.constant(images)])
    assert got.dtype == tf.float32
    np.testing.assert_array_equal(got, wanted)
