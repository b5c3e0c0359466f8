"""Masks that depend on the image alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.models.layers.dropout import Dropout, DropPath
from deeplab_tf.training.step import stateless_dropout

SHAPE = (5, 7, 3)
NUMBERS = tf.range(100, 108, dtype=tf.int64)


def dropped(layer, numbers, *, seed=0):
    """What is left of ones."""
    with stateless_dropout(numbers, seed=seed):
        return layer(tf.ones((len(numbers), *SHAPE)), training=True).numpy()


def test_features_are_kept_and_scaled_or_zero():
    """The share within four standard deviations."""
    y = dropped(Dropout(0.25, name="d"), tf.range(200, dtype=tf.int64))
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / 0.75, rtol=1e-6)
    assert kept.mean() == pytest.approx(0.75, abs=4 * np.sqrt(0.25 * 0.75 / y.size))


@pytest.mark.parametrize("kind", [Dropout, DropPath])
def test_a_mask_is_the_images_wherever_in_whichever_batch_it_is(kind):
    layer = kind(0.5, name="d")
    whole = dropped(layer, NUMBERS)
    np.testing.assert_array_equal(dropped(layer, NUMBERS), whole)
    np.testing.assert_array_equal(dropped(layer, NUMBERS[::-1]), whole[::-1])
    np.testing.assert_array_equal(dropped(layer, NUMBERS[3::4]), whole[3::4])
    np.testing.assert_array_equal(dropped(kind(0.5, name="d"), NUMBERS), whole)


def test_images_layers_seeds_and_steps_have_masks_of_their_own():
    layer = Dropout(0.5, name="d")
    first, *others = dropped(layer, NUMBERS)
    others += [
        dropped(Dropout(0.5, name="e"), NUMBERS)[0],
        dropped(layer, NUMBERS, seed=1)[0],
        dropped(layer, NUMBERS + 2**40)[0],
    ]
    # Two of 105 coins each agree in all by chance of 2^-105; half of them, mostly.
    agreement = [np.mean((other != 0) == (first != 0)) for other in others]
    assert min(agreement) > 0.2
    assert max(agreement) < 0.8


def test_two_devices_draw_what_one_draws(two_devices):
    layer = Dropout(0.5, name="d")
    expected = dropped(layer, NUMBERS)

    @tf.function
    def run():
        def replica():
            context = tf.distribute.get_replica_context()
            first = 4 * context.replica_id_in_sync_group
            with stateless_dropout(NUMBERS[first : first + 4], seed=0):
                return layer(tf.ones((4, *SHAPE)), training=True)

        return two_devices.run(replica)

    found = tf.concat(two_devices.experimental_local_results(run()), 0)
    np.testing.assert_array_equal(found, expected)


def test_activations_that_are_computed_again_are_dropped_alike():
    layer = Dropout(0.5, name="d")
    x = tf.Variable(tf.ones((8, *SHAPE)))

    @tf.function
    def run():
        with stateless_dropout(NUMBERS, seed=0), tf.GradientTape() as tape:
            again = tf.recompute_grad(lambda x: layer(x, training=True) ** 2)
            y = again(x)
            return y, tape.gradient(y, x)

    y, gradient = run()
    np.testing.assert_allclose(gradient, 2 * y, rtol=1e-6)


def test_without_numbers_chance_has_the_state_that_keras_gives_it():
    keras.utils.set_random_seed(1)
    layer, x = Dropout(0.5), np.ones((4, *SHAPE), np.float32)
    first, second = layer(x, training=True), layer(x, training=True)
    assert np.any(first != second)
    np.testing.assert_array_equal(layer(x, training=False), x)


def test_half_precision_stays():
    layer = Dropout(0.5, dtype="mixed_float16")
    with stateless_dropout(NUMBERS, seed=0):
        y = layer(tf.ones((8, *SHAPE), tf.float16), training=True)
    assert y.dtype == tf.float16
    assert set(np.unique(y)) == {0.0, 2.0}
