"""On what a run computes: which devices, and that their number changes nothing."""

import json
import os
import time

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import DevicesConfig
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.training.distribution import hosts
from deeplab_tf.training.distribution.strategy import (
    images_per_replica,
    log_precision,
    make_strategy,
    prefetch_to_device,
)
from tests.training import workers


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    for name in os.environ:
        if name == "TF_CONFIG" or name.startswith("SLURM_"):
            monkeypatch.delenv(name)


def cluster_of(monkeypatch, *hosts):
    content = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(content))


def test_without_gpus_it_is_the_cpu(caplog):
    strategy = make_strategy(DevicesConfig())
    assert images_per_replica(6, strategy) == 6
    assert "One CPU: batch 6" in caplog.text
    assert hosts.is_chief(strategy)
    assert hosts.all_gather(strategy, 3) == [3]
    assert hosts.all_reduce_min(strategy, 5) == 5


def test_one_line_tells_of_devices_and_batch(two_devices, caplog):
    assert images_per_replica(16, two_devices, accumulation_steps=2) == 8
    told = (
        "MirroredStrategy: 2 replicas, global batch 16 (8 per replica), in 2 parts of 4"
    )
    assert told in caplog.text


@pytest.mark.parametrize(
    ("batch", "parts", "nearest"),
    [
        (5, 1, "over 2 devices: take 4 or 6"),
        (1, 1, "over 2 devices: take 2"),
        (6, 2, "over 2 devices in 2 parts: take 4 or 8"),
    ],
)
def test_a_batch_that_cannot_be_shared_out_names_those_that_can(
    two_devices, batch, parts, nearest
):
    with pytest.raises(FlagError, match=f"--train_batch_size={batch} {nearest}$"):
        images_per_replica(batch, two_devices, accumulation_steps=parts)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"strategy": "mirrored"}, "CUDA_VISIBLE_DEVICES.*--cpu_replicas=2 tries"),
        ({"strategy": "multi_worker"}, "neither TF_CONFIG nor Slurm names hosts"),
        ({"strategy": "tpu"}, "--strategy=tpu: no TPU at --tpu=local"),
    ],
)
def test_devices_that_are_not_there_are_named_with_what_would_do(settings, complaint):
    with pytest.raises(InputError, match=complaint) as raised:
        make_strategy(DevicesConfig(**settings))
    assert "\n" not in str(raised.value)


def test_a_tpu_is_said_never_to_have_been_tried(caplog):
    with pytest.raises(InputError, match="no TPU"):
        make_strategy(DevicesConfig(strategy="tpu"))
    assert "--strategy=tpu: this was never tried" in caplog.text


def test_one_cpu_is_divided_before_it_computes():
    tf.zeros(())
    with pytest.raises(InputError, match="--cpu_replicas=3: TensorFlow has begun"):
        make_strategy(DevicesConfig(cpu_replicas=3))


def test_hosts_come_together_before_one_computes(monkeypatch):
    tf.zeros(())
    cluster_of(monkeypatch, "a:1", "b:2")
    with pytest.raises(InputError, match="TensorFlow has begun to compute"):
        make_strategy(DevicesConfig())


def test_replicas_out_of_a_cpu_are_for_one_host(monkeypatch):
    cluster_of(monkeypatch, "a:1", "b:2")
    with pytest.raises(FlagError, match="--cpu_replicas=2 is for one host"):
        make_strategy(DevicesConfig(cpu_replicas=2))


def test_a_cluster_of_one_is_one(monkeypatch):
    cluster_of(monkeypatch, "a:1")
    assert hosts.count_hosts(make_strategy(DevicesConfig())) == 1


@pytest.mark.parametrize(("gpus", "expected"), [(2, "NCCL"), (0, "RING")])
def test_hosts_with_gpus_communicate_by_nccl(monkeypatch, caplog, gpus, expected):
    """Which TensorFlow does not choose by itself."""
    cluster_of(monkeypatch, "a:1", "b:2")
    devices = [f"GPU:{i}" for i in range(gpus)]
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: devices)
    made = []
    monkeypatch.setattr(
        tf.distribute,
        "MultiWorkerMirroredStrategy",
        lambda resolver, communication_options: made.append(
            (resolver.num_accelerators(), communication_options)
        ),
    )
    make_strategy(DevicesConfig())
    ((accelerators, options),) = made
    assert accelerators == {"GPU": gpus}
    assert options.implementation.value == expected
    assert f"Hosts communicate by {expected}" in caplog.text


def gpus(monkeypatch, *names):
    """Devices of these names are taken for GPUs."""
    devices = [tf.config.LogicalDevice(name, "GPU") for name in names]
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: devices)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: devices)


def test_the_next_batch_of_one_gpu_is_copied_ahead(monkeypatch):
    gpus(monkeypatch, "/device:CPU:1")
    numbers = tf.data.Dataset.range(3)
    batches = list(prefetch_to_device(numbers, tf.distribute.get_strategy()))
    assert [int(batch) for batch in batches] == [0, 1, 2]
    assert {batch.device[-5:] for batch in batches} == {"CPU:1"}


def test_what_cannot_be_read_is_told_as_before_where_batches_are_copied(monkeypatch):
    """And in its place: `corrupt_records` finds the record by what is said."""
    gpus(monkeypatch, "/device:CPU:1")
    numbers = tf.data.Dataset.from_tensor_slices([1.0, 0.0]).map(
        lambda number: tf.debugging.check_numerics(1 / number, "the second one")
    )
    batches = iter(prefetch_to_device(numbers, tf.distribute.get_strategy()))
    assert float(next(batches)) == 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="the second one"):
        next(batches)


def test_strategies_that_copy_ahead_are_left_to_it(monkeypatch, two_devices):
    numbers = tf.data.Dataset.range(3)
    assert prefetch_to_device(numbers, tf.distribute.get_strategy()) is numbers
    gpus(monkeypatch, "/device:CPU:0", "/device:CPU:1")
    assert prefetch_to_device(numbers, two_devices) is numbers


@pytest.mark.parametrize(
    ("names", "precision", "is_told"),
    [
        (["GPU:0"], "float32", True),
        (["GPU:0"], "mixed_bfloat16", False),
        ([], "float32", False),
    ],
)
def test_float32_on_a_gpu_is_said_to_be_tf32(
    monkeypatch, caplog, names, precision, is_told
):
    gpus(monkeypatch, *names)
    log_precision(precision)
    assert ("NVIDIA_TF32_OVERRIDE=0" in caplog.text) == is_told


def test_other_errors_of_one_host_stay_what_they_are():
    one = tf.distribute.get_strategy()
    with (
        pytest.raises(tf.errors.UnavailableError),
        hosts.raise_on_lost_host(one),
    ):
        raise tf.errors.UnavailableError(None, None, "a disk")


@pytest.fixture(scope="module")
def alone():
    """Weights and losses of one device, with batch norm frozen and learning."""
    one = tf.distribute.get_strategy()
    return {frozen: workers.trained(one, frozen=frozen)[1] for frozen in (True, False)}


def assert_same(path, alone):
    """That differences are rounding, against the greatest of each weight."""
    found = np.load(path)
    for frozen, values in alone.items():
        for name, value in values.items():
            difference = np.abs(found[f"{frozen}/{name}"] - value).max()
            assert difference <= 1e-5 * np.abs(value).max(), (frozen, name)


@pytest.mark.nightly
def test_four_devices_train_as_one(tmp_path, alone):
    (process,) = workers.start(tmp_path / "four", replicas=4)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert_same(tmp_path / "four" / "0.npz", alone)


@pytest.fixture(scope="module")
def two_hosts(tmp_path_factory):
    """Folder, what each host said, and how one ended after the other was killed."""
    folder = tmp_path_factory.mktemp("hosts") / "run"
    processes = workers.start(folder, hosts=2)
    said = [folder / f"{number}.json" for number in range(2)]
    deadline = time.monotonic() + 300
    while not all(path.exists() for path in said):
        ended = [process.poll() for process in processes]
        assert ended == [None, None], processes[ended[0] is None].stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    processes[1].kill()
    _, errors = processes[0].communicate(timeout=120)
    processes[1].communicate()
    answers = [json.loads(path.read_text()) for path in said]
    return folder, answers, (processes[0].returncode, errors)


@pytest.mark.nightly
@pytest.mark.slow
def test_two_hosts_train_as_one_device(two_hosts, alone):
    for number in range(2):
        assert_same(two_hosts[0] / f"{number}.npz", alone)


@pytest.mark.nightly
@pytest.mark.slow
def test_hosts_agree(two_hosts):
    """The second was asked to stop, and counts one more."""
    chief, other = two_hosts[1]
    assert (chief["chief"], other["chief"]) == (True, False)
    for host in (chief, other):
        assert host["agreed"] == 7
        assert host["gathered"] == [0, 15]
        assert "checkpoints of different steps, 0, 3;" in host["differ"]


@pytest.mark.nightly
@pytest.mark.slow
def test_what_the_chief_alone_has_saved_all_take_up(two_hosts):
    folder, answers, _ = two_hosts
    prefix = str(folder / "run" / "model.ckpt-3")
    assert [host["resumed"] for host in answers] == [[prefix, True]] * 2


@pytest.mark.nightly
@pytest.mark.slow
def test_a_host_whose_other_is_killed_ends_and_says_what_to_do(two_hosts):
    code, errors = two_hosts[2]
    assert code == 3
    assert "ERROR: another host of this run has ended" in errors
    assert "with the same command" in errors
    assert "Traceback" not in errors
