"""SavedModel of a network that does not learn: signatures by pixels and by files."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from deeplab_tf.compat import edit_saved_model
from deeplab_tf.config import InferenceConfig
from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.exporting import inference_graph
from deeplab_tf.exporting.inference_graph import InferenceGraph
from deeplab_tf.prediction.predictor import Predictor

Predict = Callable[[np.ndarray], Mapping[str, Any]]  # Images uint8 `[N, H, W, 3]`.
IMAGES, FILES = "ImageTensor", "image_bytes"
CLASSES, PROBABILITIES = "SemanticPredictions", "SemanticProbabilities"
HEIGHTS, WIDTHS = "heights", "widths"
SIGNATURES = {  # And the input of each.
    "serving_default": IMAGES,
    "serving_classes": IMAGES,
    "serving_bytes": FILES,
    "serving_files": FILES,
}
_PIXELS = tf.TensorSpec((None, None, None, 3), tf.uint8, IMAGES)
_ENCODED = tf.TensorSpec((None,), tf.string, FILES)
_ANY_SIZE = tf.TensorSpec((None, None, 3), tf.uint8)
MOST_CONSTANT_BYTES = 128_000_000
_SCOPE = "network"  # Of its nodes in a file.
_BLANK = image_files.png(np.zeros((1, 1, 3), np.uint8))


def concrete_function(predictor: Predictor, inference: InferenceConfig) -> Any:
    """Images uint8 `[N, H, W, 3]` -> a `BatchPrediction`, at their size."""

    @tf.function(autograph=False)
    def predict(ImageTensor: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(
            predictor.predict_batch(
                ImageTensor,
                scales=inference.eval_scales,
                flip=inference.add_flipped_images,
            )
        )

    return predict.get_concrete_function(_PIXELS)


class Serving(tf.Module):
    """What is saved: the network, fed with pixels or with files' bytes.

    No images are an answer for no images in each signature. All of them call one
    function, the network.

    Args:
        network: Images -> classes, probabilities.
        assets: Files to save with it.
        ignore_label: Id around smaller images in a batch of several sizes.
    """

    def __init__(
        self,
        network: InferenceGraph,
        assets: list[Path],
        *,
        ignore_label: int = 255,
    ) -> None:
        super().__init__()
        (self._images,) = network.inputs
        self._outputs = network.outputs[:2]
        self.constants = _choose_constants(network.weights)
        self._graph = inference_graph.with_constants(
            network, inference_graph.zeros(self.constants)
        )
        self._variables = {
            f"{name}:0": tf.Variable(value, trainable=False)
            for name, value in network.weights.items()
            if name not in self.constants
        }
        self._assets = [tf.saved_model.Asset(str(path)) for path in assets]
        self._ignore_label = ignore_label

    @tf.function(input_signature=[_PIXELS], autograph=False)
    def _predict(self, ImageTensor: tf.Tensor) -> list[tf.Tensor]:
        # At least one image: a convolution of oneDNN gives none with wrong channels.
        count = tf.shape(ImageTensor)[0]
        blank = tf.maximum(1 - count, 0)
        outputs = tf.graph_util.import_graph_def(
            self._graph,
            input_map={
                self._images: tf.pad(ImageTensor, [[0, blank], [0, 0], [0, 0], [0, 0]]),
                **{name: each.read_value() for name, each in self._variables.items()},
            },
            return_elements=self._outputs,
            name=_SCOPE,
        )
        return [output[:count] for output in outputs]

    @tf.function(input_signature=[_PIXELS], autograph=False)
    def pixels(self, ImageTensor: tf.Tensor) -> dict[str, tf.Tensor]:
        """`serving_default`: images of one size."""
        classes, probabilities = self._predict(ImageTensor)
        return {CLASSES: classes, PROBABILITIES: probabilities}

    @tf.function(input_signature=[_ENCODED], autograph=False)
    def encoded(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """`serving_bytes`: JPEG or PNG files of images of one size."""
        count = tf.size(image_bytes)
        blank = tf.fill([tf.maximum(1 - count, 0)], _BLANK)
        pixels = tf.map_fn(  # Of at least one, since it cannot stack none.
            tfrecord.decode_image,
            tf.concat([image_bytes, blank], axis=0),
            fn_output_signature=_ANY_SIZE,
        )
        return self.pixels(pixels[:count])

    @tf.function(input_signature=[_PIXELS], autograph=False)
    def classes(self, ImageTensor: tf.Tensor) -> dict[str, tf.Tensor]:
        """`serving_classes`: images of one size; ids as uint8 `[N, H, W]`.

        No softmax is computed, and 4 C + 4 times fewer bytes are sent.
        """
        return {CLASSES: tf.cast(self._predict(ImageTensor)[0], tf.uint8)}

    @tf.function(input_signature=[_ENCODED], autograph=False)
    def files(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """`serving_files`: JPEG or PNG files of images of any sizes.

        Each image goes through the network alone, so that its classes are those that it
        has alone: what is around an image changes what the network sees in it.

        Returns:
            Ids as uint8 `[N, H, W]`, of which the first `heights[i]` rows and
            `widths[i]` columns are of image i; the rest is the ignore label.
        """
        count = tf.size(image_bytes)
        sizes = tf.TensorArray(tf.int32, size=count, element_shape=[2])
        answers = tf.TensorArray(
            tf.uint8, size=count, element_shape=[None, None], infer_shape=False
        )

        def predict(i: tf.Tensor, answers: Any, sizes: Any) -> tuple[Any, Any]:
            image = tfrecord.decode_image(image_bytes[i])
            answer = self.classes(image[tf.newaxis])[CLASSES][0]
            return answers.write(i, answer), sizes.write(i, tf.shape(answer))

        answers, sizes = _loop(count, predict, answers, sizes)
        both = sizes.stack()
        largest = tf.reduce_max(tf.pad(both, [[0, 1], [0, 0]]), axis=0)

        def pad(i: tf.Tensor, padded: Any) -> tuple[Any]:
            missing = tf.stack([tf.zeros(2, tf.int32), largest - both[i]], axis=1)
            answer = tf.pad(
                answers.read(i), missing, constant_values=self._ignore_label
            )
            return (padded.write(i, answer),)

        padded = tf.TensorArray(  # With one that is left out: it cannot stack none.
            tf.uint8, size=count + 1, element_shape=[None, None], infer_shape=False
        )
        padded = padded.write(count, tf.zeros(largest, tf.uint8))
        (padded,) = _loop(count, pad, padded)
        return {
            CLASSES: padded.stack()[:count],
            HEIGHTS: both[:, 0],
            WIDTHS: both[:, 1],
        }


def _loop(count: tf.Tensor, body: Callable[..., tuple], *arrays: Any) -> tuple:
    """The arrays after `body(i, *arrays)` for each i, one at a time."""
    return tf.while_loop(
        lambda i, *_: i < count,
        lambda i, *arrays: (i + 1, *body(i, *arrays)),
        (tf.constant(0), *arrays),
        parallel_iterations=1,
    )[1:]


def _choose_constants(weights: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """All of the weights, if they are to be constants of the graph, or none.

    oneDNN arranges constant kernels once. With variables, MobileNetV2 took 2.8 times
    and ResNet-50 1.6 times as long, Xception-65 as long (on AVX2). But TensorFlow holds
    a dozen copies of constants after it has read a file, and more while it optimizes.
    """
    size = sum(each.nbytes for each in weights.values())
    return weights if size <= MOST_CONSTANT_BYTES else {}


def save(serving: Serving, folder: Path) -> None:
    """Writes the SavedModel.

    Constants are put into the file when it is there: TensorFlow copies a graph many
    times on its way into a file, each time with them.
    """
    functions = (serving.pixels, serving.classes, serving.encoded, serving.files)
    signatures = dict(zip(SIGNATURES, functions, strict=True))
    tf.saved_model.save(serving, str(folder), signatures=signatures)
    _write_constants(folder, serving.constants)


def _write_constants(folder: Path, weights: Mapping[str, np.ndarray]) -> None:
    count = 0
    with edit_saved_model(folder) as message:
        for function in message.meta_graphs[0].graph_def.library.function:
            count += inference_graph.put_weights(function.node_def, _SCOPE, weights)
    if count != len(weights):
        raise AssertionError(f"{len(weights)} weights, {count} written to {folder}")


def load(folder: Path) -> list[Predict]:
    """Functions of a SavedModel, one a signature: images -> what it predicts."""
    signatures = tf.saved_model.load(str(folder)).signatures

    def call(name: str, given: str, images: np.ndarray) -> Mapping[str, Any]:
        files = [image_files.png(image) for image in images]
        return signatures[name](tf.constant(files if given == FILES else images))

    return [functools.partial(call, name, given) for name, given in SIGNATURES.items()]
