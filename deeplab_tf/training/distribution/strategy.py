"""Distribution strategies: on which devices a run computes."""

import contextlib
import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from absl import logging

from deeplab_tf.config.devices import DevicesConfig
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.training.distribution import cluster, hosts
from deeplab_tf.training.distribution.cluster import Cluster

_SECONDS = 600  # To wait for hosts that start later.
_PREFETCH_THEMSELVES = (
    tf.distribute.MirroredStrategy,
    tf.distribute.MultiWorkerMirroredStrategy,
    tf.distribute.TPUStrategy,
)
_NO_GPU = (
    "TensorFlow sees no GPU: nvidia-smi has to list one, pip install "
    "'tensorflow[and-cuda]' brings the libraries, and CUDA_VISIBLE_DEVICES chooses "
    "among GPUs"
)
_TF32 = (
    "float32 on a GPU: products of matrices and convolutions are in TF32 where the "
    "card has it, with 10 bits of a number where float32 has 23; "
    "NVIDIA_TF32_OVERRIDE=0 switches it off"
)
_TPU = (
    "--strategy=tpu: this was never tried. Keras 3 has known failures on TPUs by "
    "TensorFlow, and tensorflow-tpu ends at 2.20; the networks, by themselves, are the "
    "same on Keras' JAX backend"
)


def make_strategy(config: DevicesConfig = DevicesConfig()) -> tf.distribute.Strategy:
    """The devices of a run, of which a process makes but one set.

    Several hosts, and several devices out of one CPU, have to be made before TensorFlow
    computes anything, be it to read a record.

    Raises:
        InputError: They are not there, or what names them cannot be meant.
    """
    named = config.strategy in ("auto", "multi_worker")
    several = cluster.find() if named else None
    if config.strategy == "tpu":
        return _tpu(config.tpu)
    if config.strategy == "multi_worker" and several is None:
        raise FlagError(
            "--strategy=multi_worker: neither TF_CONFIG nor Slurm names hosts; see "
            "docs/several_devices.md"
        )
    if several and (config.strategy == "multi_worker" or len(several.addresses) > 1):
        return _several_hosts(several, config)
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus and os.path.exists("/dev/nvidia0"):
        logging.warning("%s", _NO_GPU)
    if config.cpu_replicas > 1:
        return _cpu_replicas(config.cpu_replicas, len(gpus))
    if config.strategy == "mirrored" and not gpus:
        raise InputError(
            f"--strategy=mirrored: {_NO_GPU}; --cpu_replicas=2 tries it on the CPU"
        )
    if config.strategy == "mirrored" or (config.strategy == "auto" and len(gpus) > 1):
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def _cpu_replicas(replicas: int, gpus: int) -> tf.distribute.Strategy:
    if gpus:
        raise FlagError(
            f"--cpu_replicas={replicas}: there are GPUs; CUDA_VISIBLE_DEVICES=-1 hides "
            "them"
        )
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * replicas
    before = tf.config.get_logical_device_configuration(cpu) or []
    if len(before) < replicas:
        try:
            tf.config.set_logical_device_configuration(cpu, parts)
        except RuntimeError:
            raise InputError(
                f"--cpu_replicas={replicas}: TensorFlow has begun to compute in this "
                "process; start with train.py, or make the devices first"
            ) from None
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])


def _several_hosts(several: Cluster, config: DevicesConfig) -> tf.distribute.Strategy:
    if config.cpu_replicas > 1:
        raise FlagError(
            f"--cpu_replicas={config.cpu_replicas} is for one host, and there are "
            f"{len(several.addresses)}"
        )
    logging.info(
        "This is %s; waiting for %s, up to %d seconds",
        several.own_address,
        ", ".join(a for a in several.addresses if a != several.own_address) or "nobody",
        _SECONDS,
    )
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({name: list(job) for name, job in several.jobs.items()}),
        task_type=several.task_type,
        task_id=several.task_index,
        num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
        rpc_layer="grpc",
    )
    try:
        with _waiting():
            return tf.distribute.MultiWorkerMirroredStrategy(
                resolver, communication_options=_communication(resolver)
            )
    except RuntimeError:
        raise InputError(
            "several hosts: TensorFlow has begun to compute in this process; start "
            "with train.py, or make the devices first"
        ) from None
    except tf.errors.OpError as error:
        raise InputError(
            f"{several.own_address}: the hosts do not come together "
            f"({_first_line(error)}); all processes have to run, to name the same "
            "hosts, and to find their ports free and open"
        ) from None


def _communication(
    resolver: tf.distribute.cluster_resolver.ClusterResolver,
) -> tf.distribute.experimental.CommunicationOptions:
    """How the hosts send each other gradients: GPUs by NCCL.

    Left to itself, TensorFlow takes a ring over gRPC, through the memory of each host
    (https://github.com/tensorflow/tensorflow/issues/50178).
    """
    kinds = tf.distribute.experimental.CommunicationImplementation
    gpus = resolver.num_accelerators().get("GPU", 0)
    kind = kinds.NCCL if gpus else kinds.RING
    logging.info("Hosts communicate by %s", kind.value)
    return tf.distribute.experimental.CommunicationOptions(implementation=kind)


@contextlib.contextmanager
def _waiting() -> Iterator[None]:
    """Ends the process at Ctrl-C, or in ten minutes, with 1.

    TensorFlow would wait for an hour, and lets no thread of Python run meanwhile; so it
    is the system that is asked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(_SECONDS, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            signal.signal(signal.SIGINT, before)


def _tpu(address: str) -> tf.distribute.Strategy:
    logging.warning("%s", _TPU)
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver.connect(address)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, ImportError, OSError, tf.errors.OpError) as error:
        raise InputError(
            f"--strategy=tpu: no TPU at --tpu={address} ({_first_line(error)}); a TPU "
            "host with the package tensorflow-tpu would do"
        ) from None


def prefetch_to_device(batches: Any, strategy: tf.distribute.Strategy) -> Any:
    """The same batches, the next of which is copied to the device meanwhile.

    Strategies of several devices do so by themselves, that of one GPU does not.

    Args:
        batches: Of `strategy.distribute_datasets_from_function`.
        strategy: Whose they are.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if not gpus or isinstance(strategy, _PREFETCH_THEMSELVES):
        return batches
    ahead = tf.data.experimental.prefetch_to_device(gpus[0].name, buffer_size=1)
    return batches.apply(ahead)


def log_precision(precision: str) -> None:
    """Logs what float32 is on a GPU: not what the name says."""
    gpus = tf.config.get_visible_devices("GPU")
    is_tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    if gpus and is_tf32 and precision == "float32":
        logging.info("%s", _TF32)


def images_per_replica(
    batch_size: int, strategy: tf.distribute.Strategy, *, accumulation_steps: int = 1
) -> int:
    """Images of a batch on each replica; logs both in one line.

    Args:
        batch_size: Of all replicas.
        strategy: Over which it is shared out.
        accumulation_steps: Micro-batches in which each replica computes its images.

    Raises:
        FlagError: They cannot be shared out equally.
    """
    replicas = strategy.num_replicas_in_sync
    unit = replicas * accumulation_steps
    if batch_size % unit:
        lower = batch_size // unit * unit
        nearest = f"{lower} or {lower + unit}" if lower else str(unit)
        parts = accumulation_steps
        in_parts = f" in {parts} parts" if parts > 1 else ""
        raise FlagError(
            f"--train_batch_size={batch_size} over {replicas} "
            f"device{'s' if replicas > 1 else ''}{in_parts}: take {nearest}"
        )
    each = batch_size // replicas
    devices = _describe(strategy, batch_size, each)
    logging.info("%s%s", devices, _describe_parts(each, accumulation_steps))
    return each


def _describe(strategy: tf.distribute.Strategy, batch_size: int, each: int) -> str:
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        kind = "GPU" if tf.config.get_visible_devices("GPU") else "CPU"
        return f"One {kind}: batch {batch_size}"
    name, count = type(strategy).__name__, hosts.count_hosts(strategy)
    where = f" on {count} hosts" if count > 1 else ""
    return (
        f"{name}: {replicas} replicas{where}, global batch {batch_size} "
        f"({each} per replica)"
    )


def _describe_parts(each: int, parts: int) -> str:
    return f", in {parts} parts of {each // parts}" if parts > 1 else ""


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
