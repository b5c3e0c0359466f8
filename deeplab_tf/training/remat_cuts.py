"""Where the graph of a network is cut, so that little has to be kept at the cuts."""

import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

from deeplab_tf.compat import nodes_in_call_order

_PARTS = range(2, 25)  # Tried: activations of a segment are one of so many of all.


@dataclasses.dataclass(frozen=True)
class Part:
    """Neighboring nodes of a graph.

    Attributes:
        inputs: Symbolic tensors that it reads,
        outputs: and those that it makes for others.
        nested: The network that it is, if it is one.
    """

    inputs: list[Any]
    outputs: list[Any]
    nested: keras.Model | None = None


@dataclasses.dataclass(frozen=True)
class Made:
    """What a node makes: the bytes of each tensor, and the last node that reads it."""

    sizes: tuple[int, ...]
    last_uses: tuple[int, ...]

    def beyond(self, node: int) -> int:
        """Bytes that `node`, or one after it, reads."""
        pairs = zip(self.sizes, self.last_uses, strict=True)
        return sum(size for size, last in pairs if last >= node)


def parts(model: keras.Model) -> list[Part]:
    """The network in parts, each in need of as much as all parts keep for others."""
    nodes = nodes_in_call_order(model)
    cuts = best_cuts(_made(nodes, model))
    nested = [i for i, node in enumerate(nodes) if _network(node)]
    # A network within the network is a part of its own.
    cuts = sorted({*cuts, *nested, *(i + 1 for i in nested)} - {0})
    starts = [0, *cuts[:-1]]
    return [
        _part(nodes[start:end], model, nodes[end:])
        for start, end in zip(starts, cuts, strict=True)
    ]


def activations(model: keras.Model, *, remat: bool = False) -> int:
    """Bytes of what all layers make of one image, or, with `remat`, of what is kept."""
    nodes = nodes_in_call_order(model)
    made = _made(nodes, model)
    nested = [network for node in nodes if (network := _network(node))]
    own = sum(memory(made, best_cuts(made)) if remat else (sum(e.sizes) for e in made))
    return own + sum(activations(each, remat=remat) for each in nested)


def best_cuts(made: list[Made]) -> list[int]:
    """Ends of the segments with which least is in memory at once.

    That is all that is kept between segments, and all that is in the largest one.
    """
    total = sum(sum(each.sizes) for each in made)
    tried = [cheapest(made, total // count) for count in _PARTS]
    return min(tried, key=lambda cuts: sum(memory(made, cuts)))


def memory(made: list[Made], cuts: list[int]) -> tuple[int, int]:
    """Bytes kept between segments, and bytes within the largest one."""
    kept, largest = 0, 0
    for start, end in zip([0, *cuts[:-1]], cuts, strict=True):
        kept += sum(each.beyond(end) for each in made[start:end])
        largest = max(largest, sum(sum(each.sizes) for each in made[start:end]))
    return kept, largest


def cheapest(made: list[Made], limit: int) -> list[int]:
    """Ends of the segments of `limit` bytes at most that keep least for others.

    A node that makes more is a segment of its own.
    """
    costs, starts = [0.0], [0]
    for end in range(1, len(made) + 1):
        inside, kept, best = 0, 0, (math.inf, 0)
        for start in range(end - 1, -1, -1):
            inside += sum(made[start].sizes)
            if inside > limit and start < end - 1:
                break
            kept += made[start].beyond(end)
            best = min(best, (costs[start] + kept, start))
        costs.append(best[0])
        starts.append(best[1])
    cuts = [len(made)]
    while starts[cuts[0]]:
        cuts.insert(0, starts[cuts[0]])
    return cuts


def _network(node: Any) -> keras.Model | None:
    """The network that the node calls, if it is one."""
    return node.operation if isinstance(node.operation, keras.Model) else None


def _made(nodes: list[Any], model: keras.Model) -> list[Made]:
    last_uses = {id(x): i for i, node in enumerate(nodes) for x in node.input_tensors}
    last_uses |= {id(x): len(nodes) for x in model.outputs}
    return [
        Made(
            tuple(map(_bytes, node.outputs)),
            tuple(last_uses.get(id(x), i) for x in node.outputs),
        )
        for i, node in enumerate(nodes)
    ]


def _bytes(tensor: Any) -> int:
    """Of one image; sides that are not known count as 1."""
    sides = (side or 1 for side in tensor.shape[1:])
    return math.prod(sides) * tf.as_dtype(tensor.dtype).size


def _part(nodes: list[Any], model: keras.Model, later: list[Any]) -> Part:
    made = {id(x): x for node in nodes for x in node.outputs}
    read = {id(x): x for node in nodes for x in node.input_tensors}
    wanted = {id(x) for node in later for x in node.input_tensors}
    wanted |= {id(x) for x in model.outputs}
    return Part(
        inputs=[x for key, x in read.items() if key not in made],
        outputs=[x for key, x in made.items() if key in wanted],
        nested=_network(nodes[0]),
    )
