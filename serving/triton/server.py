"""A Triton Inference Server without containers, by nvidia-pytriton.

    pip install nvidia-pytriton onnxruntime pillow     # In an environment of its own.
    cp deeplab_tf/runtime.py serving/triton/
    python serving/triton/server.py model.onnx

It serves whatever file `runtime.Segmenter` opens, as `segmentation`: `ImageTensor`,
uint8 `[N, H, W, 3]`, to `SemanticPredictions`, uint8 `[N, H, W]`. It needs the Python
of the distribution, for which Triton brings a library of its own.
"""

import argparse

import numpy as np
import runtime  # deeplab_tf/runtime.py, copied beside this file.
from pytriton.decorators import batch
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MODEL, IMAGES, CLASSES = "segmentation", "ImageTensor", "SemanticPredictions"


def main() -> None:
    """Serves a model until it is stopped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--http_port", type=int, default=8000)
    parser.add_argument("--grpc_port", type=int, default=8001)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    segmenter = runtime.Segmenter(given.model, threads=given.threads)

    @batch
    def segment(**inputs: np.ndarray) -> dict[str, np.ndarray]:
        return {CLASSES: segmenter.run(inputs[IMAGES])[CLASSES].astype(np.uint8)}

    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=given.http_port,
        grpc_port=given.grpc_port,
        allow_metrics=False,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name=MODEL,
            infer_func=segment,
            inputs=[Tensor(name=IMAGES, dtype=np.uint8, shape=(-1, -1, 3))],
            outputs=[Tensor(name=CLASSES, dtype=np.uint8, shape=(-1, -1))],
            config=ModelConfig(max_batch_size=8),
            strict=True,
        )
        triton.serve()


if __name__ == "__main__":
    main()
