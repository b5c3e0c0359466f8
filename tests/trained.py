"""Training folders of networks that nobody had to train: their weights are a rule's."""

from deeplab_tf.checkpoints import run_folder
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import AugmentConfig, DataConfig, TrainConfig
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from tests.recorded import assign_rule_weights


def write_run(folder, shapes, network, spec=shapes_spec.SPEC):
    """A run on the embedded set, of crops of 65 pixels; returns its folder."""
    model = build(network, spec.num_classes)
    assign_rule_weights(model, 1.3)
    config = TrainConfig(
        train_logdir=str(folder),
        model=network,
        data=DataConfig(dataset_dir=str(shapes)),
        augment=AugmentConfig(train_crop_size=(65, 65)),
    )
    run_folder.write(folder, config, spec)
    CheckpointManager(folder, {"weights": weights_by_name(model)}, keep=1).save(100)
    return folder
