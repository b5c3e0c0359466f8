"""Inference graph: the ops of a traced network, and its weights beside them.

A weight is there once, and no graph, which TensorFlow copies many times on the way into
a file and out of it, holds it as a constant.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.compat import variables_to_constants


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class InferenceGraph:
    """A network that does not learn any more.

    Attributes:
        graph: A GraphDef, in which weights are placeholders.
        weights: Values of these placeholders, by name.
        inputs: Names of the tensors that it takes, as "ImageTensor:0".
        outputs: Names of those that it gives.
    """

    graph: Any
    weights: Mapping[str, np.ndarray]
    inputs: list[str]
    outputs: list[str]


def split(traced: Any) -> InferenceGraph:
    """The inference graph of a concrete function.

    Args:
        traced: It may have variables. Where functions inside it have some, as loops
            and conditions do, they all become constants of the graph.
    """
    handles = {
        inner.op.name: outer
        for outer, inner in zip(
            traced.captured_inputs, traced.graph.internal_captures, strict=True
        )
    }
    graph = traced.graph.as_graph_def()
    if not _are_only_read(graph, handles):
        traced = variables_to_constants(traced)
        graph, handles = traced.graph.as_graph_def(), {}
    weights = _take_weights(graph, handles)
    return InferenceGraph(
        graph=graph,
        weights=weights,
        inputs=[each.name for each in traced.inputs if each.op.name not in handles],
        outputs=[each.name for each in traced.outputs],
    )


def _are_only_read(graph: Any, handles: Mapping[str, Any]) -> bool:
    """Whether all that variables do in a graph is to be read."""
    return all(
        node.op == "ReadVariableOp"
        for node in graph.node
        for name in node.input
        if name.split(":")[0] in handles
    )


def _take_weights(graph: Any, handles: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Makes the reads of variables placeholders, and returns their values."""
    weights: dict[str, np.ndarray] = {}
    first: dict[str, str] = {}  # Handle -> the placeholder of its variable.
    reads: set[str] = set()
    for node in graph.node:
        handle = node.input[0] if node.op == "ReadVariableOp" else ""
        if handle not in handles:
            continue
        reads.add(node.name)
        kind = node.attr["dtype"].type
        node.attr.clear()
        del node.input[:]
        if handle in first:
            node.op = "Identity"
            node.input.append(first[handle])
            node.attr["T"].type = kind
            continue
        first[handle] = node.name
        value = tf.raw_ops.ReadVariableOp(
            resource=handles[handle], dtype=tf.as_dtype(kind)
        ).numpy()
        weights[node.name] = value
        _make_placeholder(node, value)
    kept = [node for node in graph.node if node.name not in handles]
    del graph.node[:]
    graph.node.extend(kept)
    _wait_for_none(graph, reads)
    return weights


def _wait_for_none(graph: Any, names: Iterable[str]) -> None:
    """Takes these nodes, which were reads, from what others wait for."""
    needless = {f"^{name}" for name in names}
    for node in graph.node:
        inputs = [name for name in node.input if name not in needless]
        if len(inputs) < len(node.input):
            node.input[:] = inputs
            if node.op == "NoOp" and not inputs:
                needless.add(f"^{node.name}")


def _make_placeholder(node: Any, value: np.ndarray) -> None:
    node.op = "Placeholder"
    node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
    shape = tf.TensorShape(value.shape).as_proto()
    node.attr["shape"].shape.CopyFrom(shape)


def placeholder(name: str, value: np.ndarray) -> Any:
    """A node for a weight."""
    node = tf.compat.v1.NodeDef(name=name)
    _make_placeholder(node, value)
    return node


def freeze(network: InferenceGraph) -> Any:
    """A concrete function with the weights as constants."""
    graph = with_constants(network, network.weights)

    def import_graph() -> None:
        tf.graph_util.import_graph_def(graph, name="")

    imported = tf.compat.v1.wrap_function(import_graph, [])
    tensor = imported.graph.get_tensor_by_name
    return imported.prune(
        [tensor(name) for name in network.inputs],
        [tensor(name) for name in network.outputs],
    )


def with_constants(network: InferenceGraph, values: Mapping[str, Any]) -> Any:
    """The GraphDef, in which these are constants.

    Args:
        network: The inference graph.
        values: Arrays, or a TensorProto each, by the names of weights.
    """
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(network.graph)
    for node in graph.node:
        if node.name in values:
            _make_constant(node, values[node.name])
    return graph


def zeros(weights: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Constants as small as a number, until `put_weights` gives them their values."""
    return {
        name: tf.make_tensor_proto(0, value.dtype, value.shape)
        for name, value in weights.items()
    }


def put_weights(nodes: Iterable[Any], scope: str, weights: Mapping[str, Any]) -> int:
    """Gives constants, that were `zeros`, their values.

    Args:
        nodes: Of the graph, or of a function, into which it was imported.
        scope: Under which name.
        weights: Of the inference graph.

    Returns:
        How many there are.
    """
    count = 0
    for node in nodes:
        if node.op == "Const" and node.name.startswith(f"{scope}/"):
            name = node.name.removeprefix(f"{scope}/")
            if name in weights:
                _make_constant(node, weights[name])
                count += 1
    return count


def _make_constant(node: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        value = tf.make_tensor_proto(value)
    node.op = "Const"
    node.attr.clear()
    node.attr["dtype"].type = value.dtype
    node.attr["value"].tensor.CopyFrom(value)
