"""Update rules, decay and multipliers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import OptimizerConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.training.optim import gradients as gradients_
from tests.recorded import golden


def weights(*names):
    return {name: keras.Variable(np.ones((2, 2), np.float32)) for name in names}


def make_optimizer(config, named):
    optimizer = gradients_.make_optimizer(config)
    gradients_.build_slots(optimizer, named, config)
    return optimizer


def test_momentum_has_the_rate_outside_the_velocity():
    named = weights("a/weights")
    config = OptimizerConfig(
        learning_policy="step",
        base_learning_rate=1.0,
        learning_rate_decay_step=1,
        momentum=0.5,
    )
    optimizer = make_optimizer(config, named)
    (weight,) = named.values()
    w, v = 1.0, 0.0
    for step in range(3):
        optimizer.apply([np.full((2, 2), 0.3, np.float32)], [weight])
        v = 0.5 * v + 0.3
        w -= 0.1**step * v
        np.testing.assert_allclose(weight, np.full((2, 2), w), atol=1e-6)


def test_sgd_has_the_rate_inside_the_velocity():
    """Caffe's: the step after the rate fell to a tenth still carries the first one."""
    named = weights("a/weights")
    config = OptimizerConfig(
        optimizer="sgd",
        learning_policy="step",
        base_learning_rate=1.0,
        learning_rate_decay_step=1,
        momentum=0.5,
    )
    optimizer = make_optimizer(config, named)
    # v: 0.3; 0.5 * 0.3 + 0.1 * 0.3 = 0.18; 0.5 * 0.18 + 0.01 * 0.3 = 0.093.
    for expected in (0.7, 0.52, 0.427):
        gradient = np.full((2, 2), 0.3, np.float32)
        optimizer.apply([gradient], list(named.values()))
        found = named["a/weights"]
        np.testing.assert_allclose(found, np.full((2, 2), expected), atol=1e-6)


@pytest.mark.parametrize("rule", ["momentum", "sgd"])
def test_without_momentum_it_is_plain_descent(rule):
    named = weights("a/weights")
    config = OptimizerConfig(
        optimizer=rule, learning_policy="step", base_learning_rate=0.5, momentum=0.0
    )
    optimizer = make_optimizer(config, named)
    for _ in range(2):
        optimizer.apply([np.full((2, 2), 0.3, np.float32)], list(named.values()))
    np.testing.assert_allclose(named["a/weights"], np.full((2, 2), 0.7), atol=1e-6)
    assert len(gradients_.slots(optimizer, named)) == 1


def test_adam_is_that_of_the_paper():
    named = weights("a/weights")
    config = OptimizerConfig(optimizer="adam", adam_learning_rate=0.01)
    optimizer = make_optimizer(config, named)
    (weight,) = named.values()
    w, m, v = 1.0, 0.0, 0.0
    for step, g in enumerate((0.3, -0.1, 0.5), start=1):
        optimizer.apply([np.full((2, 2), g, np.float32)], [weight])
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        w -= rate * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(weight, np.full((2, 2), w), atol=1e-6)


def test_adamw_decays_kernels_outside_of_the_gradient():
    """At the rate of the policy, times the multiplier of the weight."""
    named = weights("a/weights", "a/biases", "logits/weights")
    config = OptimizerConfig(
        optimizer="adamw",
        learning_policy="step",
        learning_rate_decay_step=1,
        learning_rate_decay_factor=0.5,
        base_learning_rate=0.01,
        weight_decay=0.1,
        last_layer_gradient_multiplier=10.0,
    )
    optimizer = make_optimizer(config, named)
    w, m, v = np.ones(3), 0.0, 0.0
    for step, g in enumerate((0.3, -0.1, 0.5), start=1):
        given = [np.full((2, 2), g, np.float32)] * 3
        given = gradients_.multiply(given, named, config)
        optimizer.apply(given, list(named.values()))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        adam = m / (1 - 0.9**step) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
        rate = 0.01 * 0.5 ** (step - 1) * np.array([1, 2, 10])
        w = w - rate * (adam + np.array([0.1, 0, 0.1]) * w)
        found = [weight.numpy()[0, 0] for weight in named.values()]
        np.testing.assert_allclose(found, w, rtol=1e-5)
    assert float(gradients_.regularization(named, config)) == 0


def test_multiplied_gradients_are_those_of_all_rules_but_adamw():
    named = weights("a/weights", "logits/biases")
    config = {"last_layer_gradient_multiplier": 10.0}
    given = [np.float32(0.5), np.float32(0.25)]
    for rule, expected in (("sgd", [0.5, 5]), ("adam", [0.5, 5]), ("adamw", given)):
        rules = OptimizerConfig(optimizer=rule, **config)
        assert gradients_.multiply(given, named, rules) == expected


@pytest.mark.parametrize(
    "given",
    [
        {"last_layer_gradient_multiplier": 10.0},
        {"gradient_multipliers": ("logits=2", "a=0")},
    ],
)
def test_multipliers_without_effect_are_told(given, caplog):
    gradients_.make_optimizer(OptimizerConfig(optimizer="adam", **given))
    assert "--optimizer=adamw" in caplog.text


def test_multipliers_with_effect_are_not_told(caplog):
    frozen = {"gradient_multipliers": ("a=0",)}
    gradients_.make_optimizer(OptimizerConfig(optimizer="adam", **frozen))
    for rule in ("adamw", "momentum"):
        gradients_.make_optimizer(
            OptimizerConfig(optimizer=rule, last_layer_gradient_multiplier=10.0)
        )
    assert not caplog.text


# Of Adam, 0.5 * g / (g + 2) in the first step: its root of v is g * 0.001 ** 0.5.
@pytest.mark.parametrize(
    ("rule", "expected"), [("momentum", 1), ("sgd", 1), ("adam", 0.25), ("adamw", 0.25)]
)
def test_gradients_summed_over_the_replicas_are_not_summed_again(
    rule, expected, two_devices
):
    config = OptimizerConfig(
        optimizer=rule,
        learning_policy="fixed",
        base_learning_rate=0.5,
        adam_learning_rate=0.5,
        adam_epsilon=2 * 0.001**0.5,
        weight_decay=0.0,
    )
    with two_devices.scope():
        named = {"a/weights": keras.Variable(3.0)}
        optimizer = make_optimizer(config, named)

    @tf.function
    def step():
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce("SUM", [tf.constant(1.0)])
        optimizer.apply(gradients, list(named.values()))

    two_devices.run(step)
    copies = two_devices.experimental_local_results(named["a/weights"].value)
    assert [float(w) for w in copies] == pytest.approx([3 - expected] * 2, rel=1e-4)
    assert int(optimizer.iterations.numpy()) == 1


@pytest.mark.parametrize(
    ("greatest", "expected"),
    [(0.0, [[3, 0], [4]]), (5.0, [[3, 0], [4]]), (1.0, [[0.6, 0], [0.8]])],
)
def test_gradients_are_shortened_as_one_vector(greatest, expected):
    gradients = [tf.constant([3.0, 0.0]), tf.constant([4.0])]
    found, norm = gradients_.clip_by_global_norm(gradients, greatest)
    assert float(norm) == 5
    for gradient, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(gradient, wanted, rtol=1e-6)


@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_a_norm_that_is_no_number_leaves_the_gradients(wrong):
    found, norm = gradients_.clip_by_global_norm([tf.constant([3.0, wrong])], 1.0)
    assert not np.isfinite(norm)
    np.testing.assert_array_equal(found[0], [3, wrong])


ADAM = ["a/weights/Adam", "b/biases/Adam", "a/weights/Adam_1", "b/biases/Adam_1"]


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ("momentum", ["a/weights/Momentum", "b/biases/Momentum"]),
        ("sgd", ["a/weights/Velocity", "b/biases/Velocity"]),
        ("adam", ADAM),
        ("adamw", ADAM),
    ],
)
def test_slots_have_the_names_of_tensorflow_1(rule, names):
    named = weights("a/weights", "b/biases")
    optimizer = make_optimizer(OptimizerConfig(optimizer=rule), named)
    assert list(gradients_.slots(optimizer, named)) == names


@pytest.mark.golden
@pytest.mark.parametrize(
    "graph",
    [
        "mobilenet_v2_os16",
        "nas_pnasnet_os16",
        "resnet_v1_50_beta_os16",
        "xception_65_os16",
    ],
)
def test_decay_and_multipliers_of_every_variable_are_the_official_ones(graph):
    recorded = golden(f"train_graph/{graph}.json")
    config = OptimizerConfig(last_layer_gradient_multiplier=10.0)
    logits_only = OptimizerConfig(
        last_layer_gradient_multiplier=10.0, last_layers_contain_logits_only=True
    )
    multiplier = gradients_.gradient_multiplier
    for name, facts in recorded["variables"].items():
        if facts["trainable"]:
            assert gradients_.decays(name) == (facts["l2"] is not None), name
            assert multiplier(name, config) == facts["grad_mult_all10"], name
            assert multiplier(name, logits_only) == facts["grad_mult_logits10"], name


@pytest.mark.parametrize(
    ("name", "decays", "multiplier"),
    [
        ("MobilenetV2/Conv/weights", True, 1),
        ("MobilenetV2/Conv/BatchNorm/gamma", False, 1),
        ("aspp1_depthwise/depthwise_weights", False, 10),
        ("aspp1_pointwise/weights", True, 10),
        ("decoder/feature_projection0/BatchNorm/beta", False, 10),
        ("logits/semantic/weights", True, 10),
        ("logits/semantic/biases", False, 20),
        ("hnasnet/cell_2/comb_iter_1/left/separable_3x3_1/depthwise_weights", True, 1),
        ("hnasnet/cell_2/comb_iter_1/left/separable_3x3_1/pointwise_weights", True, 1),
        ("hnasnet/cell_2/comb_iter_0/left/bn_atr_5x5/gamma", False, 1),
        ("MobilenetV3/expanded_conv/squeeze_excite/Conv/biases", False, 2),
    ],
)
def test_kernels_decay_and_last_layers_learn_faster(name, decays, multiplier):
    config = OptimizerConfig(last_layer_gradient_multiplier=10.0)
    assert gradients_.decays(name) == decays
    assert gradients_.gradient_multiplier(name, config) == multiplier


@pytest.mark.parametrize(
    ("name", "multiplier"),
    [
        ("logits/semantic/weights", 5),  # The last layers' 10, times the first match.
        ("logits/semantic/biases", 10),
        ("resnet_101/conv1/BatchNorm/gamma", 0),
        ("vgg_16/fc6_1/biases", 6),
        ("vgg_16/conv1/conv1_1/weights", 1),
    ],
)
def test_the_first_pattern_in_a_name_multiplies_on_top(name, multiplier):
    config = OptimizerConfig(
        last_layer_gradient_multiplier=10.0,
        gradient_multipliers=("BatchNorm=0", "^logits=.5", "logits=7", r"fc[67]_\d=3"),
    )
    assert gradients_.gradient_multiplier(name, config) == multiplier


def test_what_is_multiplied_by_zero_does_not_learn():
    named = weights("a/weights", "a/biases", "b/weights")
    config = OptimizerConfig(gradient_multipliers=("^a/=0",))
    assert list(gradients_.select_trainable(named, config)) == ["b/weights"]
    frozen = OptimizerConfig(gradient_multipliers=("weights=0",))
    learning = gradients_.select_trainable(named, frozen)
    assert list(learning) == ["a/biases"]
    assert float(gradients_.regularization(learning, frozen)) == 0


def test_a_pattern_of_no_weight_lists_the_scopes():
    named = weights("vgg_16/fc6/weights", "vgg_16/fc7/weights", "logits/weights")
    config = OptimizerConfig(gradient_multipliers=("fc6=2", "fc9=2"))
    with pytest.raises(
        FlagError, match=r"fc9 is in .* no weight; .* vgg_16/fc6, .*, logits$"
    ):
        gradients_.select_trainable(named, config)


def test_that_nothing_learns_is_an_error():
    config = OptimizerConfig(gradient_multipliers=("weights=0",))
    with pytest.raises(FlagError, match="no weight learns"):
        gradients_.select_trainable(weights("a/weights"), config)


def test_decay_is_half_the_squares_of_the_kernels():
    named = weights("a/weights", "a/depthwise_weights", "a/biases")
    config = OptimizerConfig(weight_decay=0.1)
    found = gradients_.regularization(named, config)
    assert float(found) == pytest.approx(0.1 * 4 / 2)
