"""Mixed precision: which layers compute in half precision, and which in float32."""

import contextlib
import re
from collections.abc import Iterator

import keras
from keras.dtype_policies import DTypePolicyMap

from deeplab_tf.models.heads import HEADS

# Images, of which 8 bits lose what lies between their values, and a pyramid's scores.
_OF_EVERY_NETWORK = (r"normalized", r"image\.[0-9._]+", r"merged_logits")


@contextlib.contextmanager
def dtype_policy(precision: str) -> Iterator[None]:
    """Layers that are made within compute in that precision; weights are float32.

    Batch norm takes its statistics, and resizing its sums, in float32 in any case; the
    layers of scores (`Head.float32`) and those of images are float32 altogether.

    Args:
        precision: "float32", "mixed_float16" or "mixed_bfloat16".
    """
    if precision == "float32":
        yield
        return
    before = keras.config.dtype_policy()
    exact = {_float32_names(): keras.dtype_policies.get("float32")}
    keras.config.set_dtype_policy(DTypePolicyMap(precision, exact))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _float32_names() -> str:
    """Regular expression of the names of layers that stay float32, of any head."""
    scopes = {scope: None for head in HEADS.values() for scope in head.float32}
    names = [re.escape(scope.replace("/", ".")) + r"(\..*)?" for scope in scopes]
    return "|".join((*_OF_EVERY_NETWORK, *names))
