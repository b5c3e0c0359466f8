"""Logits and gradients of all families on the backend of KERAS_BACKEND, to a file."""

import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops

from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from tests.golden.weight_rule import weight
from tests.models.families import FAMILIES, cut_short

BATCH, SIDE, CLASSES, SAMPLE = 2, 33, 3, 500
# Of images that bring no value so near to zero before a ReLU that rounding decides.
SEEDS = {"resnet_v1, deeplab_v3_cascade": 5}
LEARNING = "mobilenet_v2, deeplab_v3plus"  # Its statistics move, too.


def network(name, frozen):
    """A network whose weights have no values yet: initializers take long."""
    keras.backend.clear_session()
    with cut_short(), keras.StatelessScope(initialize_variables=False):
        model = build(
            FAMILIES[name],
            CLASSES,
            input_size=(SIDE, SIDE),
            frozen_batch_norm=frozen,
            training_form=True,
        )
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0  # Backends draw different numbers.
    return model


def recorded(name, model, training):
    """Logits, a part of the gradients of a sum of them, and of the state after."""
    names = {id(v): n for n, v in weights_by_name(model).items()}

    def values(variables):
        return [
            weight(names[id(v)], v.shape, 1.3)
            if id(v) in names
            else np.zeros(v.shape, v.dtype)
            for v in variables
        ]

    learning, others = model.trainable_variables, model.non_trainable_variables
    rng = np.random.default_rng(SEEDS.get(name, 0))
    images = rng.uniform(0, 255, (BATCH, SIDE, SIDE, 3)).astype(np.float32)
    shapes = [(BATCH, *output.shape[1:]) for output in model.outputs]
    slopes = [rng.normal(size=shape).astype(np.float32) for shape in shapes]

    def cost(learned, rest):
        found, state = model.stateless_call(learned, rest, images, training=training)
        found = found if isinstance(found, list) else [found]
        total = sum(ops.sum(x * dy) for x, dy in zip(found, slopes, strict=True))
        return total, (found, state)

    found, state, gradients = differentiated(cost, values(learning), values(others))
    results = {f"{name}/logits{i}": np.asarray(x) for i, x in enumerate(found)}
    for kind, variables, arrays in (
        ("gradient", learning, gradients),
        ("state", others, state),
    ):
        for variable, array in zip(variables, arrays, strict=True):
            if id(variable) in names:  # A dropout's seed is no weight.
                key = f"{name}/{kind} of {names[id(variable)]}"
                results[key] = sample(np.asarray(array))
    return results


def differentiated(cost, learned, rest):
    """Outputs and state of `cost`, and its gradients by its first argument."""
    if keras.backend.backend() == "jax":
        import jax

        step = jax.jit(jax.value_and_grad(cost, has_aux=True))
        (_, found), gradients = step(learned, rest)
    else:
        import tensorflow as tf

        learned = list(map(tf.constant, learned))
        with tf.GradientTape() as tape:
            tape.watch(learned)
            total, found = cost(learned, rest)
        gradients = tape.gradient(total, learned)
    return *found, gradients


def sample(array):
    """Some elements, for a small file."""
    rng = np.random.default_rng(array.size)
    return rng.choice(array.ravel(), min(SAMPLE, array.size), replace=False)


def main(path, first, step):
    """Of every `step`-th family, from the number `first`."""
    results = {}
    for name in list(FAMILIES)[int(first) :: int(step)]:
        began = time.process_time()
        results |= recorded(name, network(name, frozen=True), training=False)
        if name == LEARNING:
            model = network(name, frozen=False)
            results |= recorded(f"{name}, learning", model, training=True)
        print(name, round(time.process_time() - began, 1), flush=True)
    np.savez(Path(path), **results)
    if keras.backend.backend() != "tensorflow":
        assert "tensorflow" not in sys.modules


if __name__ == "__main__":
    main(*sys.argv[1:])
