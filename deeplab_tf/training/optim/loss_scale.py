"""Loss scale: a loss scaled up, so that gradients in float16 do not vanish."""

from collections.abc import Sequence

import keras
import tensorflow as tf

_INITIAL = 2.0**15
_LEAST, _GREATEST = 1.0, 2.0**24
_PATIENCE = 2000


class LossScale:
    """Loss scale: a factor of the loss, which follows what the gradients bear.

    Micikevicius et al. 2018, section 3.2, https://arxiv.org/abs/1710.03740, with the
    numbers of NVIDIA's Apex and of Keras. A step whose gradients overflow is left out,
    and yet counts: steps decide which images come next.

    Attributes:
        variables: The scale, and how many steps it has borne; for the checkpoint.
    """

    def __init__(self) -> None:
        """Within the strategy's scope."""
        # One replica's value is that of all: all see the same, summed gradients.
        shared = {"trainable": False, "aggregation": "only_first_replica"}
        self.variables = {
            "scale": keras.Variable(_INITIAL, dtype="float32", **shared),
            "finite_steps": keras.Variable(0, dtype="int32", **shared),
        }

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss whose gradients are taken."""
        return loss * self.variables["scale"].value

    def unscale(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The gradients of the loss itself; exact, for the scale is a power of 2."""
        inverse = 1.0 / self.variables["scale"].value
        return [gradient * inverse for gradient in gradients]

    def update(self, is_finite: tf.Tensor) -> None:
        """Follows a step; in each replica, or once outside of them all.

        Args:
            is_finite: Whether the gradients, summed over the replicas, were.
        """
        scale, steps = self.variables["scale"], self.variables["finite_steps"]
        new_scale, new_steps = next_scale(scale.value, steps.value, is_finite)
        scale.value.assign(new_scale)
        steps.value.assign(new_steps)


def next_scale(
    scale: tf.Tensor, steps: tf.Tensor, is_finite: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The scale after a step, and how many steps it has borne.

    Halved after an overflow, not below 1; doubled after 2000 steps without, up to
    2^24, lest it grow without end where nothing overflows.
    """
    is_patient = steps + 1 >= _PATIENCE
    grown = tf.where(is_patient, tf.minimum(scale * 2.0, _GREATEST), scale)
    shrunk = tf.maximum(scale / 2.0, _LEAST)
    steps = tf.where(tf.logical_and(is_finite, ~is_patient), steps + 1, 0)
    return tf.where(is_finite, grown, shrunk), steps
