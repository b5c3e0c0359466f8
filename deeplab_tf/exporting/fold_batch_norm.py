"""Batch norm folded into the convolutions before it, in a network for inference.

With statistics that stay, batch norm is a factor and an offset for each channel: the
factor goes into the weights, the offset becomes a bias, which TensorFlow computes with
the convolution. Between the two may stand the `BatchToSpaceND` of a dilated one.

Reference: Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference (2018), section 3.2, https://arxiv.org/abs/1712.05877
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.exporting.inference_graph import InferenceGraph, placeholder

_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
_STATISTICS = slice(1, 5)  # Among the inputs: gamma, beta, mean, variance.


def fold(network: InferenceGraph) -> InferenceGraph:
    """The same network with fewer ops; numbers change by float32 rounding alone.

    Batch norm that follows something else than a convolution, or one whose output is
    used elsewhere, too, stays.

    Args:
        network: It is not to be used any more.
    """
    graph = network.graph
    ends = {name.split(":")[0] for name in network.outputs}
    _splice_identities(graph.node, ends)
    folding = _Folding(graph, network.weights, ends)
    for node in list(graph.node):
        if node.op == "FusedBatchNormV3":
            folding.fold(node)
    nodes = [*graph.node, *folding.added]
    _splice_identities(nodes, ends)
    folded = tf.compat.v1.GraphDef(versions=graph.versions, library=graph.library)
    inputs = {name.split(":")[0] for name in network.inputs}
    folded.node.extend(_used(nodes, inputs, ends))
    names = {node.name for node in folded.node}
    weights = {n: v for n, v in folding.weights.items() if n in names}
    return dataclasses.replace(network, graph=folded, weights=weights)


class _Folding:
    """A graph while its batch norms are folded.

    Args:
        graph: A GraphDef without `Identity`.
        weights: Values of its placeholders.
        ends: Nodes whose values are wanted.
    """

    def __init__(
        self, graph: Any, weights: Mapping[str, np.ndarray], ends: set[str]
    ) -> None:
        self.added: list[Any] = []  # Nodes that are to be in the graph, too.
        self.weights = dict(weights)
        self._nodes = {node.name: node for node in graph.node}
        self._readers = Counter(name for node in graph.node for name in node.input)
        self._readers.update(ends)
        self._folded: dict[tuple[str, ...], tuple[str, str]] = {}

    def fold(self, norm: Any) -> None:
        """Makes a batch norm the identity, the convolution before it a biased one."""
        convolution = self._convolution_of(norm)
        if convolution is None:
            return
        weights, bias = self._fold_weights(convolution, norm)
        biased = self._add("BiasAdd", convolution.name)
        convolution.name += "/unbiased"
        convolution.input[1] = weights
        biased.input.extend([convolution.name, bias])
        biased.attr["T"].CopyFrom(convolution.attr["T"])
        del norm.input[1:]
        kind = norm.attr["T"].type
        norm.op = "Identity"
        norm.attr.clear()
        norm.attr["T"].type = kind

    def _convolution_of(self, norm: Any) -> Any:
        """What a batch norm follows, if both can be folded."""
        usual = (
            not norm.attr["is_training"].b
            and norm.attr["T"].type == tf.float32.as_datatype_enum
            and all(self._is_constant(name) for name in norm.input[_STATISTICS])
            and not any(self._readers[f"{norm.name}:{i}"] for i in range(1, 6))
        )
        node = self._single(norm.input[0])
        if node is not None and node.op == "BatchToSpaceND":
            node = self._single(node.input[0])
        if not usual or node is None or node.op not in _CONVOLUTIONS:
            return None
        is_last = node.attr["data_format"].s in (b"", b"NHWC")
        return node if is_last and self._is_constant(node.input[1]) else None

    def _single(self, name: str) -> Any:
        """The node of that output, if nothing else reads it."""
        return self._nodes.get(name) if self._readers[name] == 1 else None

    def _is_constant(self, name: str) -> bool:
        node = self._nodes.get(name)
        return name in self.weights or (node is not None and node.op == "Const")

    def _fold_weights(self, convolution: Any, norm: Any) -> tuple[str, str]:
        """Names of the new weights, once for all convolutions of the same weights."""
        key = (convolution.input[1], *norm.input[_STATISTICS])
        if key not in self._folded:
            weights, *statistics = map(self._value, key)
            gamma, beta, mean, variance = (s.astype(np.float64) for s in statistics)
            factor = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
            shape = (
                weights.shape[-1:] if convolution.op == "Conv2D" else weights.shape[2:]
            )
            self._folded[key] = (
                self._weight(f"{norm.name}/weights", weights * factor.reshape(shape)),
                self._weight(f"{norm.name}/bias", beta - mean * factor),
            )
        return self._folded[key]

    def _value(self, name: str) -> np.ndarray:
        if name in self.weights:
            return self.weights[name]
        return tf.make_ndarray(self._nodes[name].attr["value"].tensor)

    def _weight(self, name: str, value: np.ndarray) -> str:
        self.weights[name] = value.astype(np.float32)
        self.added.append(placeholder(name, self.weights[name]))
        return name

    def _add(self, op: str, name: str) -> Any:
        node = tf.compat.v1.NodeDef(op=op, name=name)
        self.added.append(node)
        return node


def _splice_identities(nodes: Iterable[Any], ends: set[str]) -> None:
    """Lets whatever reads an `Identity` read what that reads.

    None is waited for, nor are constants: order matters to ops with effects alone.
    """
    pure = {f"^{node.name}" for node in nodes if node.op in ("Const", "Identity")}
    sources = {
        node.name: node.input[0]
        for node in nodes
        if node.op == "Identity" and len(node.input) == 1 and node.name not in ends
    }

    def source(name: str) -> str:
        while name in sources:
            name = sources[name]
        return name

    for node in nodes:
        for i, name in enumerate(node.input):
            if name in sources:
                node.input[i] = source(name)
        kept = [name for name in node.input if name not in pure]
        if len(kept) < len(node.input):
            node.input[:] = kept


def _used(nodes: Sequence[Any], inputs: set[str], ends: set[str]) -> Iterator[Any]:
    """Yields the inputs, and the nodes that an end depends on."""
    by_name = {node.name: node for node in nodes}
    used = set(inputs)
    waiting = [*ends]
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting += [each.lstrip("^").split(":")[0] for each in by_name[name].input]
    return (node for node in nodes if node.name in used)
