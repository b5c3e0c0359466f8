"""In what layers compute, where it is not float32 throughout."""

import contextlib
from collections.abc import Iterator

import keras
from keras.dtype_policies import DTypePolicyMap

# Images, of which 8 bits lose what lies between their values, and scores, with all that
# adds and resizes them.
_EXACT = (
    r"normalized|image\.[0-9._]+|logits|logits\..*|merged_logits|auxiliary\.logits"
    r"|context\.final"
)


@contextlib.contextmanager
def computing(precision: str) -> Iterator[None]:
    """Layers that are made within compute in that precision; weights are float32.

    Batch norm takes its statistics, and resizing its sums, in float32 in any case; the
    layers of scores and those of images are float32 altogether.

    Args:
        precision: "float32", "mixed_float16" or "mixed_bfloat16".
    """
    if precision == "float32":
        yield
        return
    before = keras.config.dtype_policy()
    exact = dict.fromkeys([_EXACT], keras.dtype_policies.get("float32"))
    keras.config.set_dtype_policy(DTypePolicyMap(precision, exact))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
