"""Settings -> a trainer: network, optimizer, and what they keep."""

import keras
import tensorflow as tf

from deeplab_tf.config import LossConfig, TrainConfig
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import FlagError
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import HEADS
from deeplab_tf.models.mixed_precision import dtype_policy
from deeplab_tf.models.multi_scale import each_scale
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training import parts, remat
from deeplab_tf.training.optim import gradients, lr_schedules
from deeplab_tf.training.optim.ema import Averages
from deeplab_tf.training.optim.loss_scale import LossScale
from deeplab_tf.training.step import Trainer


def make_trainer(
    config: TrainConfig,
    spec: DatasetSpec,
    loss: LossConfig,
    strategy: tf.distribute.Strategy,
) -> Trainer:
    """The network in its training form, and its optimizer; within the strategy's scope.

    Args:
        config: All settings.
        spec: What the labels mean.
        loss: Of pixels, with the weights of the classes.
        strategy: On which devices.

    Raises:
        FlagError: Settings that do not go together.
    """
    devices = config.devices
    if devices.jit_compile and strategy.num_replicas_in_sync > 1:
        raise FlagError(
            "--jit_compile is for one device: XLA cannot reach the weights of another; "
            "leave it out, or take --strategy=one"
        )
    optimizer = gradients.make_optimizer(config.optimizer)
    with dtype_policy(devices.precision):
        model = build(
            config.model,
            spec.num_classes,
            input_size=config.augment.train_crop_size,
            frozen_batch_norm=not config.fine_tune_batch_norm,
            replicas=strategy.num_replicas_in_sync,
            drop_path=lr_schedules.drop_path_schedule(config, optimizer.iterations),
            training_form=True,
        )
    weights = gradients.learning(weights_by_name(model), config.optimizer)
    gradients.build(optimizer, weights, config.optimizer)
    model = each_scale(model, config.model)
    decay = config.optimizer.ema_decay
    count = devices.gradient_accumulation_steps
    return Trainer(
        strategy=strategy,
        model=model,
        forward=remat.wrapped(model) if devices.remat else model,
        loss_weights=(*_extra_weights(config, model), 1.0),
        label_grid=HEADS[config.model.head].label_grid,
        optimizer=optimizer,
        weights=weights,
        spec=spec,
        loss=loss,
        update=config.optimizer,
        sums=parts.sums(weights.values()) if count > 1 else (),
        parts=count,
        averages=Averages(weights, decay) if decay else None,
        scaling=LossScale() if devices.precision == "mixed_float16" else None,
        seed=config.seed,
        jit=devices.jit_compile,
        timed=not devices.deterministic,
    )


def _extra_weights(config: TrainConfig, model: keras.Model) -> tuple[float, ...]:
    """What the losses of logits before the last count: auxiliary ones, or scales."""
    auxiliary = HEADS[config.model.head].auxiliary
    weight = config.loss.auxiliary_loss_weight if auxiliary else 1.0
    return (weight,) * (len(model.outputs) - 1)
