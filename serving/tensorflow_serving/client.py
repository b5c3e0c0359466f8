"""Classes of photographs from TensorFlow Serving, by REST or gRPC.

    python client.py photo.jpg another.png
    python client.py --grpc=127.0.0.1:8500 photo.jpg another.png

REST needs NumPy and Pillow; gRPC needs tensorflow and tensorflow-serving-api, too.
Photographs of any sizes go in one request; each is written as PHOTO.classes.png.
"""

import argparse
import base64
import io
import json
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

MODEL, SIGNATURE = "segmentation", "serving_files"
CLASSES, SIZES = "SemanticPredictions", ("heights", "widths")


def upright(photograph: Path) -> bytes:
    """A photograph as the server takes it, which reads no EXIF data: as PNG."""
    stream = io.BytesIO()
    ImageOps.exif_transpose(Image.open(photograph)).convert("RGB").save(stream, "PNG")
    return stream.getvalue()


def rest_request(files: Sequence[bytes]) -> dict[str, Any]:
    """The JSON of a REST request: `POST /v1/models/segmentation:predict`."""
    encoded = [{"b64": base64.b64encode(file).decode()} for file in files]
    return {"signature_name": SIGNATURE, "inputs": {"image_bytes": encoded}}


def rest(address: str, files: Sequence[bytes]) -> list[np.ndarray]:
    """Class ids of each file, uint8 `[H, W]`."""
    request = urllib.request.Request(
        f"http://{address}/v1/models/{MODEL}:predict",
        json.dumps(rest_request(files)).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        outputs = json.load(response)["outputs"]
    return crop({name: np.array(values) for name, values in outputs.items()})


def grpc_request(files: Sequence[bytes]) -> Any:
    """The message of a gRPC request, a `PredictRequest`."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = MODEL
    request.model_spec.signature_name = SIGNATURE
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(list(files)))
    return request


def grpc(address: str, files: Sequence[bytes]) -> list[np.ndarray]:
    """Class ids of each file, uint8 `[H, W]`."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    # An answer of some photographs is larger than the usual 4 MB.
    options = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        outputs = service.Predict(grpc_request(files), timeout=60).outputs
    return crop({name: tf.make_ndarray(outputs[name]) for name in outputs})


def crop(outputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Class ids of each file, without what fills the batch."""
    sizes = zip(*(outputs[name] for name in SIZES), strict=True)
    return [
        classes[:height, :width].astype(np.uint8)
        for classes, (height, width) in zip(outputs[CLASSES], sizes, strict=True)
    ]


def main() -> None:
    """Asks for the photographs of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", nargs="+", type=Path)
    parser.add_argument("--rest", default="127.0.0.1:8501", help="host:port")
    parser.add_argument("--grpc", help="host:port, instead of --rest")
    given = parser.parse_args()
    files = [upright(photograph) for photograph in given.photographs]
    answers = grpc(given.grpc, files) if given.grpc else rest(given.rest, files)
    for photograph, classes in zip(given.photographs, answers, strict=True):
        path = photograph.with_suffix(".classes.png")
        Image.fromarray(classes).save(path)
        print(f"{path}: classes {', '.join(map(str, np.unique(classes)))}")


if __name__ == "__main__":
    main()
