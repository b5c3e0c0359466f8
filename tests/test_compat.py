"""Each private name of TensorFlow and Keras does what it is taken for."""

import gc
import os
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from deeplab_tf import compat
from deeplab_tf.errors import InputError


def test_memory_of_a_gpu_is_taken_as_needed_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    compat.allow_memory_growth()
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    compat.allow_memory_growth()
    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"


def test_another_backend_is_refused_before_keras_is_loaded_and_after(monkeypatch):
    compat.require_tensorflow_backend("training")
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: "jax")
        with pytest.raises(InputError, match=r"^KERAS_BACKEND=jax: training needs"):
            compat.require_tensorflow_backend("training")
    monkeypatch.delitem(compat.sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(InputError, match=r"^KERAS_BACKEND=torch: training needs"):
        compat.require_tensorflow_backend("training")


def test_graphs_end_once_their_custom_gradients_are_forgotten():
    @tf.custom_gradient
    def twice(x):
        return 2 * x, lambda dy: 2 * dy

    function = tf.function(twice).get_concrete_function(tf.TensorSpec((3,)))
    graph = weakref.ref(function.graph)
    del function
    gc.collect()
    assert graph() is not None  # Else there is nothing to forget any more.
    compat.forget_custom_gradients()
    gc.collect()
    assert graph() is None


def test_gradients_from_before_a_training_can_stay():
    @tf.custom_gradient
    def twice(x):
        return 2 * x, lambda dy: 2 * dy

    tf.function(twice).get_concrete_function(tf.TensorSpec((3,)))
    before = compat.custom_gradients()
    assert before
    tf.function(twice).get_concrete_function(tf.TensorSpec((4,)))
    assert len(compat.custom_gradients()) > len(before)
    compat.forget_custom_gradients(but=before)
    assert compat.custom_gradients() == before


def test_determinism_ends_where_it_began():
    def is_deterministic():
        try:  # Deterministic ops refuse to draw without a seed.
            tf.function(lambda: tf.random.normal([1]))()
        except RuntimeError:
            return True
        return False

    tf.random.set_seed(None)
    with compat.op_determinism(False):
        assert not is_deterministic()
    with compat.op_determinism(True):
        assert is_deterministic()
        with compat.op_determinism(True):
            assert is_deterministic()
        assert is_deterministic()
    assert not is_deterministic()


def test_gradients_can_be_taken_of_graphs_traced_after_some_were_forgotten():
    compat.forget_custom_gradients()

    @tf.function
    @tf.custom_gradient
    def twice(x):
        return 2 * x, lambda dy: 5 * dy

    x = tf.constant(3.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = twice(x)
    assert tape.gradient(y, x) == 5


def test_variables_become_constants():
    weight = tf.Variable(3.0)
    function = tf.function(lambda x: weight * x)
    frozen = compat.variables_to_constants(
        function.get_concrete_function(tf.TensorSpec(()))
    )
    weight.assign(0.0)
    assert frozen(tf.constant(2.0))[0].numpy() == 6
    assert not frozen.graph.variables


def test_a_merge_call_reaches_every_replica(two_devices):
    with two_devices.scope():
        total = tf.Variable(0.0)

    def update(strategy, value):
        strategy.extended.update(total, lambda v, x: v.assign_add(x), args=(value,))

    @tf.function
    def step():
        two_devices.run(lambda: compat.merge_call(update, two_devices, 2.0))

    step()
    assert [v.numpy() for v in two_devices.experimental_local_results(total)] == [2, 2]


@pytest.fixture
def branched():
    """input -> a -> b -> sum, and a -> sum."""
    x = keras.Input((4,), name="x")
    a = layers.Dense(4, name="a")(x)
    b = layers.Dense(4, name="b")(a)
    return keras.Model(x, layers.Add(name="sum")([a, b]))


def test_a_tensor_knows_its_layer(branched):
    assert [compat.source_layer(x) for x in branched.get_layer("sum").input] == [
        "a",
        "b",
    ]
    assert compat.source_layer(branched.get_layer("a").input) == "x"


def test_nodes_come_after_what_they_read(branched):
    names = [node.operation.name for node in compat.nodes_in_call_order(branched)]
    assert names == ["a", "b", "sum"]


def test_slots_and_moments_are_those_of_the_variable():
    variables = [keras.Variable(np.zeros(n)) for n in (2, 3)]
    optimizer = keras.optimizers.Adam(1.0, beta_1=0.5, beta_2=0.75)
    optimizer.build(variables)
    assert [compat.slot_index(optimizer, v) for v in variables] == [0, 1]
    optimizer.apply([np.full(2, 4.0), np.full(3, 2.0)])
    first, second = compat.adam_moments(optimizer)
    assert [m.numpy().tolist() for m in first] == [[2, 2], [1, 1, 1]]
    assert [m.numpy().tolist() for m in second] == [[4, 4], [1, 1, 1]]


def test_summed_gradients_are_not_summed_again(two_devices):
    class Plain(compat.SummedGradients, keras.optimizers.SGD):
        pass

    with two_devices.scope():
        weight = keras.Variable(0.0)
        optimizer = Plain(1.0)
        optimizer.build([weight])

    @tf.function
    def step():
        two_devices.run(
            lambda: optimizer.apply_gradients([(tf.constant(3.0), weight.value)])
        )

    step()
    copies = two_devices.experimental_local_results(weight.value)
    assert [copy.numpy() for copy in copies] == [-3, -3]


def test_an_edited_saved_model_has_another_fingerprint(tmp_path):
    module = tf.Module()
    module.double = tf.function(lambda x: 2 * x, autograph=False)
    module.double.get_concrete_function(tf.TensorSpec([], tf.float32))
    tf.saved_model.save(module, str(tmp_path))
    read = tf.saved_model.experimental.read_fingerprint
    before = read(str(tmp_path)).saved_model_checksum
    with compat.edit_saved_model(tmp_path) as message:
        constants = [
            node
            for function in message.meta_graphs[0].graph_def.library.function
            for node in function.node_def
            if node.op == "Const" and node.attr["value"].tensor.float_val[:] == [2.0]
        ]
        assert constants
        for constant in constants:
            constant.attr["value"].tensor.float_val[:] = [3.0]
    assert read(str(tmp_path)).saved_model_checksum != before
    assert float(tf.saved_model.load(str(tmp_path)).double(tf.constant(5.0))) == 15
