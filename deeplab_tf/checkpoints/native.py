"""Saving a run and going on with it: weights, slots, step and random state by name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import logging

from deeplab_tf.checkpoints import reading
from deeplab_tf.checkpoints.reading import DAMAGE
from deeplab_tf.errors import InputError

State = Mapping[str, Mapping[str, Any]]


class Keeper:
    """The checkpoints of a training folder, `model.ckpt-<step>`.

    Args:
        folder: Of the run.
        state: Keras variables by kind and official name; "weights" among the kinds.
        keep: How many checkpoints; older ones are removed.
    """

    def __init__(self, folder: Path, state: State, *, keep: int) -> None:
        self._folder = folder
        plain = {
            kind: {name: variable.value for name, variable in named.items()}
            for kind, named in state.items()
        }
        self._checkpoint = tf.train.Checkpoint(**plain)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            str(folder),
            max_to_keep=keep,
            checkpoint_name="model.ckpt",
        )

    def save(self, step: int) -> str:
        """Writes a checkpoint; an earlier one of this step is replaced."""
        return self._manager.save(checkpoint_number=step)

    def resume(self) -> str | None:
        """Takes the state of the newest checkpoint that can be read.

        Returns:
            Its prefix; None where there is no checkpoint.

        Raises:
            InputError: There are checkpoints, and none is of this network.
        """
        found = reading.prefixes(str(self._folder))
        for prefix in reversed(found):
            try:
                self._checkpoint.restore(prefix).assert_consumed()
            except DAMAGE as error:
                logging.warning(
                    "%s is damaged (%s); trying the one before", prefix, error
                )
                continue
            except (AssertionError, ValueError):
                raise InputError(
                    f"{prefix} is of another network or optimizer; choose another "
                    "--train_logdir, or give the flags of that run"
                ) from None
            return prefix
        if found:
            raise InputError(f"{self._folder}: none of its checkpoints can be read")
        return None
