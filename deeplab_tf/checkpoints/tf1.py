"""TensorFlow 1 checkpoints, written so that old tools read what is new."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from deeplab_tf.checkpoints import reader
from deeplab_tf.errors import InputError


def write(prefix: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes `<prefix>.index` and data, and names it in the folder's `checkpoint`.

    Args:
        prefix: As "old/model.ckpt-30000"; the folder is made if need be.
        arrays: Values by TF1 variable name.

    Raises:
        InputError: There is such a checkpoint already.
    """
    if reader.is_checkpoint(prefix):
        raise InputError(f"{prefix} is there already; remove it or take another")
    Path(prefix).parent.mkdir(parents=True, exist_ok=True)
    names = sorted(arrays)
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(arrays[name]) for name in names],
    )
    tf.compat.v1.train.update_checkpoint_state(
        str(Path(prefix).parent), Path(prefix).name, [Path(prefix).name]
    )


def convert(path: str, prefix: str) -> int:
    """Writes a checkpoint, official or native, as TensorFlow 1 would; counts variables.

    Weights, the optimizer's slots and `global_step` go over, bit by bit; the state of
    random generators, which TensorFlow 1 does not keep, does not.

    Args:
        path: Training folder, or folder, prefix or `.index` of a checkpoint.
        prefix: Of the new one.

    Raises:
        InputError: There is none, it is damaged, or the new one is there already.
    """
    arrays = reader.open_checkpoint(path).all_values()
    write(prefix, arrays)
    return len(arrays)
