"""A trainer of any network, for tests of what a step does."""

from deeplab_tf.config import LossConfig
from deeplab_tf.data.specs import shapes
from deeplab_tf.models.layers.folded_batch_norm import fold_frozen_batch_norm
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.optim import gradients
from deeplab_tf.training.step import Trainer


def trainer_of(
    model, strategy, update, *, spec=shapes.SPEC, loss=None, loss_weights=(1.0,)
):
    """Within the strategy's scope."""
    weights = gradients.select_trainable(weights_by_name(model), update)
    optimizer = gradients.make_optimizer(update)
    gradients.build_slots(optimizer, weights, update)
    return Trainer(
        strategy=strategy,
        model=model,
        forward=fold_frozen_batch_norm(model),
        loss_weights=loss_weights,
        optimizer=optimizer,
        weights=weights,
        spec=spec,
        loss_config=loss or LossConfig(),
        optimizer_config=update,
    )
