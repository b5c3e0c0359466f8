"""Warm-up requests: TensorFlow Serving answers them before it says that it is ready.

The first request of a signature would otherwise wait while its graph is optimized.
The file is a TFRecord of `tensorflow.serving.PredictionLog`, whose messages are written
here field by field: the package that has them, tensorflow-serving-api, wants another
build of TensorFlow beside the one that is installed.

Reference: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_tf.data import image_files
from deeplab_tf.data.tfrecord_writer import proto_field
from deeplab_tf.exporting.saved_model import FILES, IMAGES, SIGNATURES

FILE_NAME = "assets.extra/tf_serving_warmup_requests"  # In the folder of a SavedModel.
_GRAY = 127
# Numbers of the fields: of PredictionLog and PredictLog,
_PREDICT_LOG, _REQUEST = 6, 1
# of PredictRequest and an entry of its map,
_MODEL_SPEC, _INPUTS, _KEY, _VALUE = 1, 2, 1, 2
# and of ModelSpec.
_NAME, _SIGNATURE = 1, 3


def write(folder: Path, name: str, size: tuple[int, int]) -> None:
    """Writes one request of each signature, for a gray image.

    Args:
        folder: Of the SavedModel.
        name: Of the model, for people: a server does not look at it here.
        size: Height, width of the image.
    """
    pixels = tf.make_tensor_proto(_GRAY, tf.uint8, (1, *size, 3))  # Of a few bytes.
    encoded = image_files.png(np.full((*size, 3), _GRAY, np.uint8))
    inputs = {IMAGES: pixels, FILES: tf.make_tensor_proto([encoded])}
    path = folder / FILE_NAME
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as file:
        for signature, given in SIGNATURES.items():
            tensor = inputs[given].SerializeToString()
            file.write(_prediction_log(name, signature, given, tensor))


def _prediction_log(name: str, signature: str, given: str, tensor: bytes) -> bytes:
    """A serialized `PredictionLog` of a `PredictRequest`.

    Args:
        name: Of the model.
        signature: That is asked.
        given: Name of its input.
        tensor: A serialized `TensorProto`.
    """
    spec = proto_field(_NAME, name.encode()) + proto_field(
        _SIGNATURE, signature.encode()
    )
    entry = proto_field(_KEY, given.encode()) + proto_field(_VALUE, tensor)
    request = proto_field(_MODEL_SPEC, spec) + proto_field(_INPUTS, entry)
    return proto_field(_PREDICT_LOG, proto_field(_REQUEST, request))
