"""Gradient checkpointing: where a graph is cut, so that little is kept at the cuts."""

import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.compat import nodes_in_call_order

_COUNTS = range(2, 25)  # Tried: activations of a segment are one of so many of all.


@dataclasses.dataclass(frozen=True)
class Segment:
    """Neighboring nodes of a graph.

    Attributes:
        inputs: Symbolic tensors that it reads,
        outputs: and those that it computes for others.
        nested: The network that it is, if it is one.
    """

    inputs: list[Any]
    outputs: list[Any]
    nested: keras.Model | None = None


@dataclasses.dataclass(frozen=True)
class NodeOutputs:
    """What a node computes: bytes of each tensor, and the last node that reads it."""

    sizes: tuple[int, ...]
    last_uses: tuple[int, ...]

    def beyond(self, node: int) -> int:
        """Bytes that `node`, or one after it, reads."""
        pairs = zip(self.sizes, self.last_uses, strict=True)
        return sum(size for size, last in pairs if last >= node)


def segments(model: keras.Model) -> list[Segment]:
    """The network in segments, each in need of as much as all keep for others."""
    nodes = nodes_in_call_order(model)
    cuts = best_cuts(_node_outputs(nodes, model))
    nested = [i for i, node in enumerate(nodes) if _network(node)]
    # A network within the network is a segment of its own.
    cuts = sorted({*cuts, *nested, *(i + 1 for i in nested)} - {0})
    starts = [0, *cuts[:-1]]
    return [
        _segment(nodes[start:end], model, nodes[end:])
        for start, end in zip(starts, cuts, strict=True)
    ]


def activations(model: keras.Model, *, remat: bool = False) -> int:
    """Bytes of what layers compute of one image, or, with `remat`, of what is kept."""
    nodes = nodes_in_call_order(model)
    outputs = _node_outputs(nodes, model)
    nested = [network for node in nodes if (network := _network(node))]
    own = sum(
        memory_at_cuts(outputs, best_cuts(outputs))
        if remat
        else (sum(e.sizes) for e in outputs)
    )
    return own + sum(activations(each, remat=remat) for each in nested)


def best_cuts(outputs: list[NodeOutputs]) -> list[int]:
    """Ends of the segments with which least is in memory at once.

    That is all that is kept between segments, and all that is in the largest one.
    """
    total = sum(sum(each.sizes) for each in outputs)
    tried = [cheapest_cuts(outputs, total // count) for count in _COUNTS]
    return min(tried, key=lambda cuts: sum(memory_at_cuts(outputs, cuts)))


def memory_at_cuts(outputs: list[NodeOutputs], cuts: list[int]) -> tuple[int, int]:
    """Bytes kept between segments, and bytes within the largest one."""
    kept, largest = 0, 0
    for start, end in zip([0, *cuts[:-1]], cuts, strict=True):
        kept += sum(each.beyond(end) for each in outputs[start:end])
        largest = max(largest, sum(sum(each.sizes) for each in outputs[start:end]))
    return kept, largest


def cheapest_cuts(outputs: list[NodeOutputs], limit: int) -> list[int]:
    """Ends of the segments of `limit` bytes at most that keep least for others.

    A node of more is a segment of its own.
    """
    costs, starts = [0.0], [0]
    for end in range(1, len(outputs) + 1):
        inside, kept, best = 0, 0, (math.inf, 0)
        for start in range(end - 1, -1, -1):
            inside += sum(outputs[start].sizes)
            if inside > limit and start < end - 1:
                break
            kept += outputs[start].beyond(end)
            best = min(best, (costs[start] + kept, start))
        costs.append(best[0])
        starts.append(best[1])
    cuts = [len(outputs)]
    while starts[cuts[0]]:
        cuts.insert(0, starts[cuts[0]])
    return cuts


def _network(node: Any) -> keras.Model | None:
    """The network that the node calls, if it is one."""
    return node.operation if isinstance(node.operation, keras.Model) else None


def _node_outputs(nodes: list[Any], model: keras.Model) -> list[NodeOutputs]:
    last_uses = {id(x): i for i, node in enumerate(nodes) for x in node.input_tensors}
    last_uses |= {id(x): len(nodes) for x in model.outputs}
    return [
        NodeOutputs(
            tuple(map(_bytes, node.outputs)),
            tuple(last_uses.get(id(x), i) for x in node.outputs),
        )
        for i, node in enumerate(nodes)
    ]


def _bytes(tensor: Any) -> int:
    """Of one image; sides that are not known count as 1."""
    sides = (side or 1 for side in tensor.shape[1:])
    return math.prod(sides) * tf.as_dtype(tensor.dtype).size


def _segment(nodes: list[Any], model: keras.Model, later: list[Any]) -> Segment:
    computed = {id(x): x for node in nodes for x in node.outputs}
    read = {id(x): x for node in nodes for x in node.input_tensors}
    wanted = {id(x) for node in later for x in node.input_tensors}
    wanted |= {id(x) for x in model.outputs}
    return Segment(
        inputs=[x for key, x in read.items() if key not in computed],
        outputs=[x for key, x in computed.items() if key in wanted],
        nested=_network(nodes[0]),
    )
