"""What a step is on GPUs, as far as it can be seen without one: its graph, its options.

On two devices out of a CPU, and under XLA, what it computes is looked at, too.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from deeplab_tf.config import OptimizerConfig
from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
from deeplab_tf.training import step
from deeplab_tf.training.optim import gradients
from deeplab_tf.training.optim.ema import ExponentialMovingAverage
from deeplab_tf.training.optim.loss_scale import LossScale
from tests.training.trainers import trainer_of

ONE = tf.distribute.get_strategy()
UPDATE = OptimizerConfig(base_learning_rate=0.1, gradient_clip_norm=0.5)


def make_trainer(strategy=ONE, update=UPDATE):
    """A convolution, batch norm, and a classifier; on each device by itself."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        images = keras.Input((9, 9, 3))
        x = layers.Conv2D(4, 3, strides=2, use_bias=False, name="c0")(images)
        x = FrozenableBatchNorm(momentum=0.9, name="c0.BatchNorm")(x)
        model = keras.Model(images, layers.Conv2D(6, 1, name="logits.semantic")(x))
        return trainer_of(model, strategy, update)


def scenes(count=4):
    """The second half is brighter."""
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (count, 9, 9, 3)).astype(np.float32)
    images[count // 2 :] *= 3
    return {
        "image": images,
        "label": rng.integers(0, 6, (count, 9, 9, 1)).astype(np.int32),
        "number": np.arange(count, dtype=np.int64),
    }


def batches_of(data, strategy=ONE):
    each = len(data["image"]) // strategy.num_replicas_in_sync
    halves = tf.data.Dataset.from_tensor_slices(data).batch(each, drop_remainder=True)
    return iter(strategy.distribute_datasets_from_function(lambda _: halves.repeat()))


def values(trainer):
    """Of all that an update moves, by name."""
    slots = gradients.slots(trainer.optimizer, trainer.weights)
    named = trainer.weights | slots
    named |= {f"{name}/average": v for name, v in trainer.ema_weights.items()}
    return {name: np.array(value.numpy()) for name, value in named.items()}


def graph_of(trainer, batches):
    concrete = trainer._run.get_concrete_function(batches, tf.constant(1))
    return concrete.graph.as_graph_def()


def test_a_step_that_overflows_moves_nothing_and_yet_counts():
    """Weights, slots and averages stay, of NaN and of infinite gradients."""
    trainer = make_trainer()
    trainer.loss_scale = LossScale()
    trainer.ema = ExponentialMovingAverage(trainer.weights, 0.9)
    batches = batches_of(scenes())
    assert trainer.run(batches, 1)["skipped"] == [0]
    before = values(trainer)
    assert any(np.any(value != 0) for n, value in before.items() if "Momentum" in n)
    trainer.loss_scale.variables["scale"].assign(np.inf)
    metrics = trainer.run(batches, 1)
    assert metrics["skipped"] == [1]
    for name, value in values(trainer).items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)
    assert trainer.step == 2
    trainer.loss_scale.variables["scale"].assign(2.0)
    assert trainer.run(batches, 1)["skipped"] == [0]
    after = values(trainer)
    assert all(np.any(after[name] != value) for name, value in before.items())


@pytest.mark.nightly
def test_a_loss_scale_changes_no_other_step():
    """It is a power of two, and what is chosen is what was computed."""
    found = []
    for scale in (None, LossScale()):
        trainer = make_trainer()
        trainer.loss_scale = scale
        trainer.run(batches_of(scenes()), 2)
        found.append(values(trainer))
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-6, atol=1e-7)


def test_no_branch_of_a_step_is_chosen_by_what_a_device_has_computed():
    """The host would wait for it. What remains is whether the clock is looked at."""
    trainer = make_trainer()
    trainer.loss_scale = LossScale()
    trainer.time_data = False
    graph = graph_of(trainer, batches_of(scenes()))
    nodes = [node for each in graph.library.function for node in each.node_def]
    assert not [node.name for node in nodes if node.op in ("If", "StatelessIf")]


def test_waiting_for_data_is_measured_at_one_step_in_ten_and_at_the_last_of_a_call():
    trainer = make_trainer()
    batches = batches_of(scenes())
    for count, measured in ((1, {0}), (13, {9, 12})):
        metrics = trainer.run(batches, count)
        column = step.METRICS.index("data_wait")
        rows = trainer.metrics_buffer.numpy()[:count, column]
        assert set(np.flatnonzero(np.isfinite(rows))) == measured
        mean = np.mean(rows[sorted(measured)])
        assert metrics["data_wait"] == pytest.approx([mean] * count)


def test_to_trace_a_step_takes_none_and_it_is_not_traced_again():
    trainer = make_trainer()
    batches = batches_of(scenes())
    trainer.trace(batches)
    assert trainer.step == 0
    trainer.run(batches, 2)
    assert trainer.step == 2
    assert trainer._run.experimental_get_tracing_count() == 1


def compiled_trainer(*, compiles):
    trainer = make_trainer()
    trainer.jit_compile = compiles
    trainer.ema = ExponentialMovingAverage(trainer.weights, 0.9)
    return trainer


def test_xla_compiles_the_whole_step():
    """Forward and backward pass in one part; clipping, update and averages in one."""
    graph = graph_of(compiled_trainer(compiles=True), batches_of(scenes()))
    parts = [f for f in graph.library.function if f.attr["_XlaMustCompile"].b]
    assert len(parts) == 2
    for part in parts:
        graph.library.function.remove(part)
    rest = {node.op for each in graph.library.function for node in each.node_def}
    assert "AssignSubVariableOp" not in rest
    assert not {name for name in rest if name.startswith("ResourceApply")}


@pytest.mark.nightly
def test_a_compiled_step_has_the_same_numbers():
    found = []
    for compiles in (False, True):
        trainer = compiled_trainer(compiles=compiles)
        trainer.run(batches_of(scenes()), 2)
        found.append(values(trainer))
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, rtol=1e-4, atol=1e-6)


def test_gradients_go_out_in_parts_of_32_megabytes(two_devices):
    """Three of 20 megabytes in two parts, where they were one."""

    def replica(function):
        return function([tf.zeros([5 << 20]) for _ in range(3)])

    def together(values):
        return tf.distribute.get_replica_context().all_reduce("SUM", values)

    def collectives(function):
        traced = tf.function(lambda: two_devices.run(replica, (function,)))
        operations = traced.get_concrete_function().graph.get_operations()
        return sum(each.type.startswith("Collective") for each in operations) / 2

    assert collectives(together) == 1
    assert collectives(step._sum_over_replicas) == 2


def moments(trainer, images):
    """Mean and unbiased variance of what batch norm normalizes, of each half."""
    layer = trainer.model.get_layer("c0")
    halves = np.split(layer(images).numpy().astype(np.float64), 2)
    axes = (0, 1, 2)
    return [(half.mean(axes), half.var(axes, ddof=1)) for half in halves]


def test_local_batch_norm_keeps_the_mean_of_the_replicas_statistics(two_devices):
    """And normalizes by its own images: the loss is the mean of those of each half."""
    data = scenes()
    still = OptimizerConfig(base_learning_rate=0.0, weight_decay=0.0)
    trainer = make_trainer(two_devices, still)
    norm = trainer.model.get_layer("c0.BatchNorm")
    trainer.local_statistics = [norm.moving_mean, norm.moving_variance]
    (mean, variance), (brighter, more) = moments(trainer, data["image"])
    assert np.abs(mean - brighter).max() > 0.1
    loss = trainer.run(batches_of(data, two_devices), 1)["loss"][0]
    for statistic, start, pair in (
        (norm.moving_mean, 0.0, (mean, brighter)),
        (norm.moving_variance, 1.0, (variance, more)),
    ):
        expected = 0.9 * start + 0.1 * np.mean(pair, axis=0)
        parts = two_devices.experimental_local_results(statistic.value)
        assert len(parts) == 2
        for part in parts:
            np.testing.assert_allclose(part.numpy(), expected, rtol=1e-5, atol=1e-6)
    halves = iter(tf.data.Dataset.from_tensor_slices(data).batch(2))
    of_each = make_trainer(update=still).run(halves, 2)["loss"]
    assert loss == pytest.approx(np.mean(of_each), rel=1e-5)
