"""Several hosts: what they have to agree on, and that one of them is lost."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from deeplab_tf.errors import InputError


class LostHostError(InputError):
    """Another host of the run has ended, or cannot be reached."""

    exit_code = 3


def count_hosts(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together; 1 but for `--strategy=multi_worker`."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    jobs = strategy.cluster_resolver.cluster_spec().as_dict()
    return sum(len(addresses) for addresses in jobs.values())


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes what the run leaves; of one host, it does."""
    if count_hosts(strategy) == 1:
        return True
    resolver = strategy.cluster_resolver
    if resolver.task_type == "chief":
        return True
    return resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs


def all_gather(strategy: tf.distribute.Strategy, value: int) -> list[int]:
    """The number that each host gives, in the order of their replicas.

    All hosts have to call this at the same place; each waits for the others.

    Args:
        strategy: Of all hosts.
        value: This host's.

    Returns:
        One of each replica; of one host, the number alone.
    """
    if count_hosts(strategy) == 1:
        return [value]
    # One function for all calls: it is traced once, and collectives keep their order.
    return [int(each) for each in _gather(strategy, tf.constant(value, tf.int64))]


@tf.function(autograph=False)
def _gather(strategy: tf.distribute.Strategy, value: tf.Tensor) -> tf.Tensor:
    def replica(value: tf.Tensor) -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        mine = tf.one_hot(
            context.replica_id_in_sync_group,
            strategy.num_replicas_in_sync,
            on_value=value,
            off_value=tf.constant(0, tf.int64),
        )
        return context.all_reduce("SUM", mine)

    rows = strategy.run(replica, (value,))
    return strategy.experimental_local_results(rows)[0]


def all_reduce_min(strategy: tf.distribute.Strategy, value: int) -> int:
    """The least of the numbers that the hosts give."""
    return min(all_gather(strategy, value))


def wait_for_all(strategy: tf.distribute.Strategy) -> None:
    """A barrier: returns when all hosts have called it."""
    all_gather(strategy, 0)


def check_same_step(
    strategy: tf.distribute.Strategy, step: int, folder: object
) -> None:
    """Checks that all hosts go on from one step.

    Raises:
        InputError: They have found different checkpoints.
    """
    steps = sorted(set(all_gather(strategy, step)))
    if len(steps) > 1:
        raise InputError(
            f"--train_logdir={folder}: the hosts see checkpoints of different steps, "
            f"{', '.join(map(str, steps))}; they need one folder on a disk they share"
        )


@contextlib.contextmanager
def raise_on_lost_host(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Says in one line that another host is gone; what was saved stands.

    TensorFlow notices a process that ends at once, and one that is silent within half a
    minute.

    Raises:
        LostHostError: The collectives of this host have come to nothing.
    """
    try:
        yield
    except (
        tf.errors.UnavailableError,
        tf.errors.DeadlineExceededError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
    ) as error:
        if count_hosts(strategy) == 1:
            raise
        raise LostHostError(
            "another host of this run has ended or cannot be reached; its own log says "
            "why. Start all of them again with the same command: training goes on from "
            f"the last checkpoint ({_cause(error)})"
        ) from None


def _cause(error: tf.errors.OpError) -> str:
    """What TensorFlow says of it, without the places in the graph."""
    lines = [line.strip() for line in str(error).splitlines()]
    causes = [line for line in lines if line.startswith("Collective ops is aborted by")]
    return causes[0] if causes else type(error).__name__
