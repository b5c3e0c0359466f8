"""Frozen graph: a TensorFlow 1 GraphDef with the official names of its ends."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.exporting.saved_model import CLASSES, IMAGES, PROBABILITIES

RAW_CLASSES, RAW_PROBABILITIES = "RawSemanticPredictions", "RawSemanticProbabilities"
OUTPUTS = (CLASSES, PROBABILITIES, RAW_CLASSES, RAW_PROBABILITIES)


def graph_def(frozen: Any) -> Any:
    """A GraphDef from `ImageTensor:0` to `SemanticPredictions:0` and so on.

    Args:
        frozen: Of `compat.variables_to_constants`; its
            outputs are those of `OUTPUTS`, in order.
    """
    (source,) = frozen.inputs
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.uint8, (None, None, None, 3), IMAGES)
        outputs = tf.graph_util.import_graph_def(
            frozen.graph.as_graph_def(),
            input_map={source.name: images},
            return_elements=[output.name for output in frozen.outputs],
            name="network",
        )
        for name, tensor in zip(OUTPUTS, outputs, strict=True):
            if name == RAW_CLASSES:
                tensor = tf.cast(tensor, tf.float32)  # As the official ones are.
            tf.identity(tensor, name)
    return graph.as_graph_def()


def save(frozen: Any, path: Path) -> None:
    """Writes the GraphDef."""
    path.write_bytes(graph_def(frozen).SerializeToString())


def load(path: Path) -> Any:
    """A function of the graph in a file: images -> classes and probabilities.

    Raises:
        ValueError: It is not such a file.
    """
    content = tf.compat.v1.GraphDef.FromString(path.read_bytes())

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        with tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(content, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            fed = {f"{IMAGES}:0": images}
            wanted = {name: f"{name}:0" for name in (CLASSES, PROBABILITIES)}
            return session.run(wanted, fed)

    return run
