"""Classes of photographs by the KServe v2 protocol, which Triton speaks, too.

    python client.py --url=http://127.0.0.1:8000/v2/models/segmentation photo.jpg

Needs NumPy and Pillow. Each photograph is written as PHOTO.classes.png.
"""

import argparse
import json
import urllib.request
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

IMAGES, CLASSES = "ImageTensor", "SemanticPredictions"
DATA_TYPES = {"UINT8": np.uint8, "INT32": np.int32}


def request(pixels: np.ndarray, *, binary: bool = True) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an inference request.

    Args:
        pixels: RGB, uint8 `[N, H, W, 3]`.
        binary: Send and ask for raw bytes, not numbers of JSON, which are four times as
            many. It is an extension of the protocol, which Triton has.
    """
    tensor = {"name": IMAGES, "shape": pixels.shape, "datatype": "UINT8"}
    output: dict[str, object] = {"name": CLASSES}
    if not binary:
        tensor["data"] = pixels.ravel().tolist()
        body = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
        return body, {"Content-Type": "application/json"}
    tensor["parameters"] = {"binary_data_size": pixels.nbytes}
    output["parameters"] = {"binary_data": True}
    head = json.dumps({"inputs": [tensor], "outputs": [output]}).encode()
    headers = {
        "Content-Type": "application/octet-stream",
        "Inference-Header-Content-Length": str(len(head)),
    }
    return head + pixels.tobytes(), headers


def response(body: bytes, head_length: str | None) -> np.ndarray:
    """Class ids `[N, H, W]` of an answer.

    Args:
        body: Of the answer.
        head_length: Its header `Inference-Header-Content-Length`, if it has one.
    """
    head = json.loads(body[: int(head_length)] if head_length else body)
    (output,) = [each for each in head["outputs"] if each["name"] == CLASSES]
    kind = DATA_TYPES[output["datatype"]]
    if head_length:
        values = np.frombuffer(body, kind, offset=int(head_length))
    else:
        values = np.array(output["data"], kind)
    return values.reshape(output["shape"])


def infer(url: str, pixels: np.ndarray, *, binary: bool = True) -> np.ndarray:
    """Class ids `[N, H, W]` of images of one size, uint8 `[N, H, W, 3]`."""
    body, headers = request(pixels, binary=binary)
    asked = urllib.request.Request(f"{url}/infer", body, headers)
    with urllib.request.urlopen(asked) as answer:
        head_length = answer.headers.get("Inference-Header-Content-Length")
        return response(answer.read(), head_length)


def main() -> None:
    """Asks for the photographs of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", nargs="+", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000/v2/models/segmentation")
    parser.add_argument("--json", action="store_true", help="numbers, not raw bytes")
    given = parser.parse_args()
    for photograph in given.photographs:
        image = ImageOps.exif_transpose(Image.open(photograph)).convert("RGB")
        pixels = np.asarray(image)[np.newaxis]
        (classes,) = infer(given.url, pixels, binary=not given.json)
        path = photograph.with_suffix(".classes.png")
        Image.fromarray(classes.astype(np.uint8)).save(path)
        print(f"{path}: classes {', '.join(map(str, np.unique(classes)))}")


if __name__ == "__main__":
    main()
