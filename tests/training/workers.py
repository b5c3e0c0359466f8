"""Processes of their own that train: on several hosts, or on devices out of one CPU.

`start` starts them; what they do is below it. Each leaves `<number>.npz` in the folder.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

STEPS = 3
BATCH = 8


def start(folder, *, hosts=1, replicas=1):
    """The processes of a run, without waiting for them."""
    listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(hosts)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in listening]
    for server in listening:
        server.close()
    folder.mkdir()
    return [_process(folder, i, addresses, replicas) for i in range(hosts)]


def _process(folder, number, addresses, replicas):
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    if len(addresses) > 1:
        task = {"type": "worker", "index": number}
        cluster = {"cluster": {"worker": addresses}, "task": task}
        environment["TF_CONFIG"] = json.dumps(cluster)
    command = [sys.executable, "-m", __name__, str(folder), str(number), str(replicas)]
    return subprocess.Popen(
        command,
        env=environment,
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )


def trained(strategy, *, frozen):
    """A trainer after some steps, its weights by name and its losses."""
    import numpy as np
    import tensorflow as tf

    from deeplab_tf.models.weight_names import weights_by_name

    with strategy.scope():
        trainer = _trainer(strategy, frozen)
    data = tf.data.Dataset.from_tensor_slices(scenes(BATCH)).repeat()
    each = BATCH // strategy.num_replicas_in_sync

    def read(context):
        count, number = context.num_input_pipelines, context.input_pipeline_id
        return data.shard(count, number).batch(each, drop_remainder=True)

    batches = iter(strategy.distribute_datasets_from_function(read))
    metrics = trainer.run(batches, STEPS)
    weights = weights_by_name(trainer.model)
    found = {name: np.array(weight.numpy()) for name, weight in weights.items()}
    return trainer, found | {"losses": np.array(metrics["loss"])}


def _trainer(strategy, frozen):
    """Two convolutions with batch norm between."""
    import keras
    from keras import layers

    from deeplab_tf.config import OptimizerConfig
    from deeplab_tf.models.layers.batch_norm import FrozenableBatchNorm
    from tests.training.trainers import trainer_of

    keras.utils.set_random_seed(0)
    update = OptimizerConfig(base_learning_rate=0.1)
    images = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, strides=2, use_bias=False, name="c0")(images)
    replicas = strategy.num_replicas_in_sync
    norm = FrozenableBatchNorm(frozen=frozen, replicas=replicas, name="c0.BatchNorm")
    x = layers.ReLU()(norm(x))
    model = keras.Model(images, layers.Conv2D(6, 1, name="logits.semantic")(x))
    return trainer_of(model, strategy, update)


def scenes(count, size=33):
    """Noise, brighter where it goes on, with labels; fewer of the first images count.

    So replicas differ in their statistics and in how many pixels they score.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (count, size, size, 3)).astype(np.float32)
    images *= np.linspace(0.2, 1, count, dtype=np.float32)[:, None, None, None]
    labels = rng.integers(0, 6, (count, size, size, 1)).astype(np.int32)
    labels[: count // 2, : size // 2] = 255
    numbers = np.arange(count, dtype=np.int64)
    return {"image": images, "label": labels, "number": numbers}


def _main(folder, number, replicas):
    import numpy as np

    from deeplab_tf.config import DevicesConfig
    from deeplab_tf.training.distribution import hosts
    from deeplab_tf.training.distribution.strategy import (
        images_per_replica,
        make_strategy,
    )

    strategy = make_strategy(DevicesConfig(cpu_replicas=replicas))
    images_per_replica(BATCH, strategy)
    found = {}
    for frozen in (True, False):
        trainer, values = trained(strategy, frozen=frozen)
        found |= {f"{frozen}/{name}": value for name, value in values.items()}
    np.savez(folder / f"{number}.npz", **found)
    if hosts.count_hosts(strategy) > 1:
        _together(folder, number, strategy, trainer)


def _together(folder, number, strategy, trainer):
    """What hosts say to each other, and then the end of one of them."""
    from deeplab_tf.checkpoints.manager import CheckpointManager
    from deeplab_tf.errors import InputError
    from deeplab_tf.models.weight_names import weights_by_name
    from deeplab_tf.training.distribution import hosts
    from deeplab_tf.training.optim import gradients

    said = {
        "chief": hosts.is_chief(strategy),
        "agreed": hosts.all_reduce_min(strategy, 7 + number),
        "gathered": hosts.all_gather(strategy, 15 * number),
    }
    hosts.check_same_step(strategy, 3, folder)
    try:
        hosts.check_same_step(strategy, 3 * number, folder)
    except InputError as error:
        said["differ"] = str(error)
    state = {
        "weights": weights_by_name(trainer.model),
        "slots": gradients.slots(trainer.optimizer, trainer.weights),
        "counters": {"global_step": trainer.optimizer.iterations},
    }
    checkpoints = CheckpointManager(folder / "run", state, keep=2)
    if hosts.is_chief(strategy):
        checkpoints.save(STEPS)
    hosts.all_reduce_min(strategy, 0)
    weight = next(iter(state["weights"].values()))
    before = weight.numpy()
    weight.assign(weight * 0)
    said["resumed"] = str(checkpoints.resume()), bool((weight.numpy() == before).all())
    (folder / f"{number}.json").write_text(json.dumps(said))
    try:
        with hosts.raise_on_lost_host(strategy):
            while True:
                hosts.all_reduce_min(strategy, 0)
                time.sleep(0.01)
    except InputError as error:
        sys.exit(_ended(error))


def _ended(error):
    sys.stderr.write(f"ERROR: {error}\n")
    return error.exit_code


if __name__ == "__main__":
    _main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
