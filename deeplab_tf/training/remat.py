"""Activations that are computed again in the backward pass rather than kept.

Reference: Chen et al. 2016, "Training deep nets with sublinear memory cost",
https://arxiv.org/abs/1604.06174. The graph of the network is cut into parts; of each,
only what later ones read is kept. A part is a function of tensors without side effects,
its weights, moving statistics and seeds among them: so it draws the same masks the
second time, and statistics move once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.training import remat_cuts

Tensors = Sequence[tf.Tensor]


def wrapped(model: keras.Model) -> Callable[..., Any]:
    """A function that does what a functional model does, and keeps less in training.

    Cuts are best where the model is of a fixed input size. A network within the model,
    as in an image pyramid, is cut itself.

    Returns:
        (images, training=True) -> outputs as those of the model.
    """
    parts = remat_cuts.parts(model)
    # The backward pass begins with the last one: there is nothing to be won.
    steps = [_step(part, again=part is not parts[-1]) for part in parts]

    def call(images: tf.Tensor, *, training: bool = True) -> Any:
        known = {id(model.inputs[0]): tf.convert_to_tensor(images)}
        for part, step in zip(parts, steps, strict=True):
            found = step([known[id(x)] for x in part.inputs], training)
            known |= {id(x): y for x, y in zip(part.outputs, found, strict=True)}
        outputs = [known[id(x)] for x in model.outputs]
        return outputs if len(outputs) > 1 else outputs[0]

    return call


def _step(part: remat_cuts.Part, *, again: bool) -> Callable[[Tensors, bool], Tensors]:
    """Inputs of the part and `training` -> its outputs."""
    if part.nested:
        nested = wrapped(part.nested)
        return lambda inputs, training: tf.nest.flatten(
            nested(*inputs, training=training)
        )
    model = keras.Model(part.inputs, part.outputs)

    def step(inputs: Tensors, training: bool) -> Tensors:
        found, updates = _pure(model, inputs, training=training, again=again)
        for variable, value in updates:
            variable.assign(value)
        return found

    return step


def _pure(
    model: keras.Model, inputs: Tensors, *, training: bool, again: bool
) -> tuple[Tensors, list[tuple[Any, tf.Tensor]]]:
    """Outputs, and the variables that change, each with what it changes to."""
    learning, others = model.trainable_variables, model.non_trainable_variables
    changed: list[Any] = []

    def function(inputs: Tensors, weights: Tensors) -> Tensors:
        learned, before = weights[: len(learning)], weights[len(learning) :]
        found, after = model.stateless_call(
            learned, before, list(inputs), training=training
        )
        moved = [
            (variable, new)
            for variable, old, new in zip(others, before, after, strict=True)
            if new is not old
        ]
        changed[:] = [variable for variable, _ in moved]
        return [*tf.nest.flatten(found), *(new for _, new in moved)]

    weights = [tf.convert_to_tensor(each.value) for each in (*learning, *others)]
    run = recomputed if again else _once
    found = run(function, inputs, weights)
    count = len(model.outputs)
    return found[:count], list(zip(changed, found[count:], strict=True))


def _once(
    function: Callable[[Tensors, Tensors], Tensors], inputs: Tensors, weights: Tensors
) -> Tensors:
    return function(inputs, weights)


def recomputed(
    function: Callable[[Tensors, Tensors], Tensors], inputs: Tensors, weights: Tensors
) -> Tensors:
    """`function(inputs, weights)`, of which a gradient tape keeps these alone.

    Args:
        function: Of tensors alone, without side effects.
        inputs: Of which everything depends that is worth to be forgotten.
        weights: Its other arguments.
    """

    @tf.custom_gradient
    def call(*tensors: tf.Tensor) -> tuple[Tensors, Callable[..., Tensors]]:
        inputs, weights = tensors[:count], tensors[count:]

        def gradient(*upstream: tf.Tensor) -> Tensors:
            again = [*_later(inputs, upstream), *weights]
            sources = [x for x in again if x.dtype.is_floating]
            with tf.GradientTape() as tape:
                tape.watch(sources)
                found = function(again[:count], again[count:])
            pairs = zip(found, upstream, strict=True)
            targets, slopes = zip(
                *((y, dy) for y, dy in pairs if y.dtype.is_floating), strict=True
            )
            gradients = iter(tape.gradient(targets, sources, slopes))
            return [next(gradients) if x.dtype.is_floating else None for x in again]

        return function(inputs, weights), gradient

    count = len(inputs)
    return call(*inputs, *weights)


def _later(tensors: Tensors, upstream: Tensors) -> Tensors:
    """The same tensors, which are not there before the gradient is.

    Or a compiler would find that all has been computed already, and keep it.
    """
    slope = next(dy for dy in upstream if dy.dtype.is_floating)
    first = tf.reduce_max(tf.reshape(slope, [-1])[:1])
    zero = tf.where(tf.math.is_finite(first), first * 0, tf.zeros_like(first))
    with tf.control_dependencies([zero]):
        return [
            x + tf.cast(zero, x.dtype) if x.dtype.is_floating else tf.identity(x)
            for x in tensors
        ]
