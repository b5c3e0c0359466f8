"""The commands: flags -> config -> one run().

A wing is imported when its command runs, so that `--help` does not load TensorFlow.
"""

from deeplab_tf import cli, compat, flags, noise
from deeplab_tf.config import (
    EvalConfig,
    ExportConfig,
    PredictConfig,
    TrainConfig,
    VisConfig,
)

# Flags of research/deeplab that have nothing to do here, and what has it instead.
RETIRED: flags.Retired = {
    "clone_on_cpu": (bool, "without a GPU, the CPU is used"),
    "num_clones": (int, "all GPUs are used; CUDA_VISIBLE_DEVICES chooses among them"),
    "num_replicas": (int, "TF_CONFIG or Slurm names the hosts; --strategy"),
    "num_ps_tasks": (int, "there are no parameter servers; all hosts train alike"),
    "master": (str, "TF_CONFIG or Slurm names the hosts"),
    "task": (int, "TF_CONFIG or Slurm tells which host this is"),
    "startup_delay_steps": (int, "replicas start together"),
}
RETIRED_AFTER_TRAINING: flags.Retired = {
    "master": (str, "it runs on this machine"),
    "label_weights": (str, "it weighs the loss of train.py"),
}


def train() -> None:
    """`deeplab-train`, `python train.py`."""
    cli.run(TrainConfig, _train, retired=RETIRED)


def evaluate() -> None:
    """`deeplab-eval`, `python eval.py`."""
    cli.run(EvalConfig, _evaluate, retired=RETIRED_AFTER_TRAINING)


def export() -> None:
    """`deeplab-export`, `python export.py`."""
    cli.run(ExportConfig, _export, retired=RETIRED_AFTER_TRAINING)


def visualize() -> None:
    """`deeplab-vis`, `python vis.py`."""
    cli.run(VisConfig, _visualize, retired=RETIRED_AFTER_TRAINING)


def predict() -> None:
    """`deeplab-predict`."""
    cli.run(PredictConfig, _predict)


def _train(config: TrainConfig) -> None:
    compat.require_tensorflow_backend("training")
    noise.load_tensorflow()
    from deeplab_tf.training import run, setup

    setup.require_statistics(config)
    run.train(config)


def _evaluate(config: EvalConfig) -> None:
    compat.require_tensorflow_backend("evaluation")
    noise.load_tensorflow()
    from deeplab_tf.evaluation import run

    run.evaluate(config)


def _export(config: ExportConfig) -> None:
    compat.require_tensorflow_backend("export")
    noise.load_tensorflow()
    from deeplab_tf.exporting import run

    run.export(config)


def _visualize(config: VisConfig) -> None:
    compat.require_tensorflow_backend("drawing predictions")
    noise.load_tensorflow()
    from deeplab_tf.visualizing import run

    run.visualize(config)


def _predict(config: PredictConfig) -> None:
    from deeplab_tf.batch_inference import run  # TensorFlow loads for some models.

    run.predict(config)
