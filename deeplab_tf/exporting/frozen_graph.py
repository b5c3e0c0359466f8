"""Frozen graph: a TensorFlow 1 GraphDef with the official names of its ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from deeplab_tf.exporting.function import LOGITS
from deeplab_tf.exporting.saved_model import CLASSES, IMAGES, PROBABILITIES

RAW_CLASSES, RAW_PROBABILITIES = "RawSemanticPredictions", "RawSemanticProbabilities"
OUTPUTS = (CLASSES, PROBABILITIES, RAW_CLASSES, RAW_PROBABILITIES)


def graph_def(frozen: Any, names: Sequence[str] = OUTPUTS) -> Any:
    """A GraphDef from `ImageTensor:0` to `SemanticPredictions:0` and so on.

    Args:
        frozen: Of `compat.variables_to_constants`.
        names: Of its outputs, in order.
    """
    (source,) = frozen.inputs
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.uint8, source.shape, IMAGES)
        outputs = tf.graph_util.import_graph_def(
            frozen.graph.as_graph_def(),
            input_map={source.name: images},
            return_elements=[output.name for output in frozen.outputs],
            name="network",
        )
        for name, tensor in zip(names, outputs, strict=True):
            if name == RAW_CLASSES:
                tensor = tf.cast(tensor, tf.float32)  # As the official ones are.
            tf.identity(tensor, name)
    content = graph.as_graph_def()
    unread = f"network/{source.op.name}"  # In whose place `images` is read.
    (place,) = (i for i, node in enumerate(content.node) if node.name == unread)
    del content.node[place]
    return content


def save(frozen: Any, path: Path, names: Sequence[str] = OUTPUTS) -> None:
    """Writes the GraphDef; see `graph_def`."""
    path.write_bytes(graph_def(frozen, names).SerializeToString())


def load(path: Path) -> Any:
    """A function of the graph in a file: images -> what it gives at their size.

    Raises:
        ValueError: It is not such a file.
    """
    content = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(content, name="")
    session = tf.compat.v1.Session(graph=graph)
    names = {node.name for node in content.node} & {CLASSES, PROBABILITIES, LOGITS}
    outputs = {name: f"{name}:0" for name in names}
    return lambda images: session.run(outputs, {f"{IMAGES}:0": images})
