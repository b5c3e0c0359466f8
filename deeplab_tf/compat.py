"""Private names of TensorFlow and Keras, here alone: what an upgrade has to look at.

Each has its test in tests/test_compat.py. Nothing is loaded before it is called, so
that commands start at once, and networks build where there is no TensorFlow.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from pathlib import Path
from typing import Any

from deeplab_tf.errors import InputError


def allow_memory_growth() -> None:
    """Lets TensorFlow take a GPU's memory as it needs it, not all of it at its start.

    So an evaluation fits beside a training. TensorFlow reads the variable when it first
    looks for devices; later, this does nothing. A value that is there already wins.
    """
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def require_tensorflow_backend(what: str) -> None:
    """Raises where Keras computes, or would compute, with another backend.

    Args:
        what: Needs TensorFlow, as "training".

    Raises:
        InputError: Says which backend it is, and what would do.
    """
    keras = sys.modules.get("keras")  # It decides once, when it is loaded.
    backend = (
        keras.backend.backend() if keras else os.environ.get("KERAS_BACKEND") or None
    )
    if backend not in (None, "tensorflow"):
        raise InputError(
            f"KERAS_BACKEND={backend}: {what} needs tensorflow; on another backend, "
            "networks can be built and applied"
        )


def custom_gradients() -> set[str]:
    """Names under which traced graphs have registered a `tf.custom_gradient`."""
    from tensorflow.python.framework import ops

    registered = ops.gradient_registry._registry
    return {name for name in registered if name.startswith("CustomGradient-")}


def forget_custom_gradients(*, but: Set[str] = frozenset()) -> None:
    """Drops the gradients that traced graphs registered, and with them those graphs.

    TensorFlow keeps each `tf.custom_gradient` of a graph, an all-reduce has one, for as
    long as the process runs: 19 GB after 1,900 tests. To be called when these graphs
    will not be differentiated any more: after a training.

    Args:
        but: Names that stay, as those of graphs from before it.
    """
    from tensorflow.python.framework import ops

    for name in custom_gradients() - but:
        del ops.gradient_registry._registry[name]


@contextlib.contextmanager
def op_determinism(enabled: bool) -> Iterator[None]:
    """Within it, TensorFlow's ops are deterministic, if that is asked for.

    `tf.config.experimental.enable_op_determinism` alone cannot be taken back.
    """
    from tensorflow.python.framework import config

    changes = enabled and not config.is_op_determinism_enabled()
    if changes:
        config.enable_op_determinism()
    try:
        yield
    finally:
        if changes:
            config.disable_op_determinism()


def variables_to_constants(function: Any) -> Any:
    """A concrete function with its variables as constants: a frozen network."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    return convert_variables_to_constants_v2(function)


@contextlib.contextmanager
def edit_saved_model(folder: Path) -> Iterator[Any]:
    """The SavedModel message of a folder, written again with its fingerprint after."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.saved_model.fingerprinting_utils import write_fingerprint

    path = folder / "saved_model.pb"
    message = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    yield message
    path.write_bytes(message.SerializeToString(deterministic=True))
    write_fingerprint(str(folder))


def merge_call(function: Callable[..., Any], strategy: Any, *arguments: Any) -> Any:
    """`ReplicaContext.merge_call`, or the plain call where a strategy needs no merge.

    Args:
        function: Of the strategy and the arguments.
        strategy: A `tf.distribute.Strategy`, in whose replica context this is called.
        *arguments: Of each replica.
    """
    import tensorflow as tf

    return tf.__internal__.distribute.interim.maybe_merge_call(
        function, strategy, *arguments
    )


def source_layer(tensor: Any) -> str:
    """Name of the layer that a symbolic tensor of a network is an output of."""
    return tensor._keras_history.operation.name


def nodes_in_call_order(model: Any) -> list[Any]:
    """Calls of layers (`keras.src.ops.node.Node`), as Keras orders them.

    Each comes after those whose outputs it reads, and as late as can be.
    """
    levels = sorted(model._nodes_by_depth.items(), reverse=True)
    return [node for _, level in levels for node in level if not node.is_input]


def slot_index(optimizer: Any, variable: Any) -> int:
    """Place of a variable among the slots of an optimizer, as in `momentums`."""
    return optimizer._get_variable_index(variable)


def adam_moments(optimizer: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """First and second moments of `keras.optimizers.Adam`, each in variable order."""
    return optimizer._momentums, optimizer._velocities


class SummedGradients:
    """Mixin for Keras optimizers whose gradients are summed over replicas already.

    Keras would sum them once more, where a step has done so to clip by the norm of the
    whole.
    """

    def _all_reduce_sum_gradients(self, pairs: Iterable[Any]) -> list[Any]:
        return list(pairs)
