"""Gradient checkpointing: activations that are computed again rather than kept.

Reference: Chen et al. 2016, "Training deep nets with sublinear memory cost",
https://arxiv.org/abs/1604.06174. The graph of the network is cut into segments; of
each, only what later ones read is kept. A segment is a function of tensors without side
effects, its weights, moving statistics and seeds among them: so it draws the same masks
the second time, and statistics move once.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.training import remat_cuts

Tensors = Sequence[tf.Tensor]


def rematerialize(model: keras.Model) -> Callable[..., Any]:
    """Gradient checkpointing: a function that does what a functional model does.

    In training, it keeps less of it for the backward pass.

    Cuts are best where the model is of a fixed input size. A network within the model,
    as in an image pyramid, is cut itself.

    Returns:
        (images, training=True) -> outputs as those of the model.
    """
    segments = remat_cuts.segments(model)
    # The backward pass begins with the last one: there is nothing to be won.
    calls = [
        _call(segment, recomputes=segment is not segments[-1]) for segment in segments
    ]

    def call(images: tf.Tensor, *, training: bool = True) -> Any:
        known = {id(model.inputs[0]): tf.convert_to_tensor(images)}
        for segment, run in zip(segments, calls, strict=True):
            outputs = run([known[id(x)] for x in segment.inputs], training)
            pairs = zip(segment.outputs, outputs, strict=True)
            known |= {id(symbolic): value for symbolic, value in pairs}
        outputs = [known[id(x)] for x in model.outputs]
        return outputs if len(outputs) > 1 else outputs[0]

    return call


def _call(
    segment: remat_cuts.Segment, *, recomputes: bool
) -> Callable[[Tensors, bool], Tensors]:
    """Inputs of the segment and `training` -> its outputs."""
    if segment.nested:
        nested = rematerialize(segment.nested)
        return lambda inputs, training: tf.nest.flatten(
            nested(*inputs, training=training)
        )
    model = keras.Model(segment.inputs, segment.outputs)

    def call(inputs: Tensors, training: bool) -> Tensors:
        outputs, updates = _call_stateless(
            model, inputs, training=training, recomputes=recomputes
        )
        for variable, value in updates:
            variable.assign(value)
        return outputs

    return call


def _call_stateless(
    model: keras.Model, inputs: Tensors, *, training: bool, recomputes: bool
) -> tuple[Tensors, list[tuple[Any, tf.Tensor]]]:
    """Outputs, and the variables that change, each with what it changes to."""
    learning, others = model.trainable_variables, model.non_trainable_variables
    changed: list[Any] = []
    arity = len(inputs)

    def function(*tensors: tf.Tensor) -> Tensors:
        inputs, weights = tensors[:arity], tensors[arity:]
        learned, before = weights[: len(learning)], weights[len(learning) :]
        outputs, after = model.stateless_call(
            learned, before, list(inputs), training=training
        )
        moved = [
            (variable, new)
            for variable, old, new in zip(others, before, after, strict=True)
            if new is not old
        ]
        changed[:] = [variable for variable, _ in moved]
        return [*tf.nest.flatten(outputs), *(new for _, new in moved)]

    weights = [tf.convert_to_tensor(each.value) for each in (*learning, *others)]
    tensors = [*inputs, *weights]
    results = recompute(function, tensors) if recomputes else function(*tensors)
    count = len(model.outputs)
    return results[:count], list(zip(changed, results[count:], strict=True))


def recompute(function: Callable[..., Tensors], tensors: Tensors) -> Tensors:
    """`function(*tensors)`, of which a gradient tape keeps the tensors alone.

    Args:
        function: Of tensors alone, without side effects.
        tensors: Those that are not floating have no gradient.
    """
    floating = [i for i, tensor in enumerate(tensors) if tensor.dtype.is_floating]

    def of_floating(*changed: tf.Tensor) -> Tensors:
        arguments = list(tensors)
        for i, tensor in zip(floating, changed, strict=True):
            arguments[i] = tensor
        return function(*arguments)

    return keras.remat(of_floating)(*(tensors[i] for i in floating))
