"""A trainer of any network, for tests of what a step does."""

from deeplab_tf.config import LossConfig
from deeplab_tf.data.specs import shapes
from deeplab_tf.models.names import weights_by_name
from deeplab_tf.training import optimization
from deeplab_tf.training.step import Trainer


def trainer_of(
    model, strategy, update, *, spec=shapes.SPEC, loss=None, loss_weights=(1.0,)
):
    """Within the strategy's scope."""
    weights = optimization.learning(weights_by_name(model), update)
    optimizer = optimization.make_optimizer(update)
    optimization.build(optimizer, weights, update)
    return Trainer(
        strategy=strategy,
        model=model,
        forward=model,
        loss_weights=loss_weights,
        optimizer=optimizer,
        weights=weights,
        spec=spec,
        loss=loss or LossConfig(),
        update=update,
    )
