"""Predicts with an export: a SavedModel, `.onnx`, `.tflite`, `.xml` or `.pb`.

    python examples/predict.py exported photo.jpg prediction.png

It runs `deeplab_tf/runtime.py`, the file to copy into a product (docs/client.md).
"""

import runpy
from pathlib import Path

CLIENT = Path(__file__).resolve().parents[1] / "deeplab_tf" / "runtime.py"

if __name__ == "__main__":
    runpy.run_path(str(CLIENT), run_name="__main__")
