"""Clusters: which hosts train together, as TF_CONFIG or Slurm names them."""

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from absl import logging

from deeplab_tf.errors import InputError

_EXAMPLE = (
    '{"cluster": {"worker": ["a:2222", "b:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)
# Two jobs on one host must not meet: a job's number chooses its port.
_FIRST_PORT, _PORTS = 20000, 10000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """All hosts of a run, and which of them this one is.

    Attributes:
        jobs: Addresses, `host:port`, of the "worker"s and perhaps of a "chief".
        task_type: Job of this process.
        task_index: Its place among the addresses of the job.
    """

    jobs: Mapping[str, tuple[str, ...]]
    task_type: str
    task_index: int

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all processes; the first one is the chief."""
        return self.jobs.get("chief", ()) + self.jobs.get("worker", ())

    @property
    def own_address(self) -> str:
        """Of this process."""
        return self.jobs[self.task_type][self.task_index]


def find(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """The hosts of this run; None where nothing names any.

    Raises:
        InputError: What names them cannot be meant.
    """
    if environment.get("TF_CONFIG", "").strip():
        return _of_tf_config(environment["TF_CONFIG"])
    if "SLURM_PROCID" in environment and "SLURM_STEP_NUM_TASKS" in environment:
        return _of_slurm(environment)
    if int(environment.get("SLURM_NTASKS", "1")) > 1:
        logging.warning(
            "Slurm has given this job %s tasks, and this process was not started by "
            "srun: it trains alone",
            environment["SLURM_NTASKS"],
        )
    return None


def _of_tf_config(text: str) -> Cluster | None:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _mistaken(f"is not JSON ({error})") from None
    if not isinstance(content, dict):
        raise _mistaken("is no object of JSON")
    if not content.get("cluster"):
        return None
    jobs = _jobs(content["cluster"])
    task = content.get("task")
    if not isinstance(task, dict) or not {"type", "index"} <= task.keys():
        raise _mistaken('lacks "task" with its "type" and "index"')
    kind, index = task["type"], task["index"]
    if kind not in jobs:
        raise _mistaken(f'has a task of type "{kind}", and "cluster" has {_list(jobs)}')
    if not re.fullmatch(r"\d+", str(index)) or int(index) >= len(jobs[kind]):
        raise _mistaken(
            f'has task index {index} of the {len(jobs[kind])} in "{kind}": '
            f"0...{len(jobs[kind]) - 1} would do"
        )
    return Cluster(jobs=jobs, task_type=kind, task_index=int(index))


def _jobs(content: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(content, dict):
        raise _mistaken('has a "cluster" that is no object of JSON')
    if others := sorted(content.keys() - {"chief", "worker"}):
        raise _mistaken(
            f"has {_list(others)} in its cluster: all hosts train alike, as "
            '"worker"; evaluate with eval.py'
        )
    jobs = {name: _addresses(name, listed) for name, listed in content.items()}
    if len(jobs.get("chief", ())) > 1:
        raise _mistaken("has more than one chief")
    everyone = [address for job in jobs.values() for address in job]
    if twice := {address for address in everyone if everyone.count(address) > 1}:
        raise _mistaken(f"has {_list(sorted(twice))} twice")
    return jobs


def _addresses(name: str, listed: Any) -> tuple[str, ...]:
    if not isinstance(listed, list) or not listed:
        raise _mistaken(f'has a "{name}" that is no list of addresses')
    for address in listed:
        if not isinstance(address, str) or not re.fullmatch(r".+:\d+", address):
            raise _mistaken(f"has {address!r} for an address: host:port would do")
    return tuple(listed)


def _mistaken(what: str) -> InputError:
    return InputError(f"TF_CONFIG {what}; for example: {_EXAMPLE}")


def _list(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _of_slurm(environment: Mapping[str, str]) -> Cluster:
    """Of the step that `srun` started, a worker for each of its tasks.

    TensorFlow's own resolver sorts hosts as text, so that host 10 comes before host 9
    and processes take each other's addresses; and it needs GPUs.
    """
    try:
        number = int(environment["SLURM_PROCID"])
        hosts = list(_expand_hosts(environment["SLURM_STEP_NODELIST"]))
        tasks = list(_expand_tasks(environment["SLURM_STEP_TASKS_PER_NODE"]))
        job = int(environment["SLURM_JOB_ID"])
    except (KeyError, ValueError) as error:
        raise InputError(f"Slurm's environment is not understood: {error}") from None
    places = [(host, i) for host, count in zip(hosts, tasks) for i in range(count)]  # noqa: B905
    wanted = int(environment["SLURM_STEP_NUM_TASKS"])
    if len(places) != wanted or number >= wanted:
        raise InputError(
            f"Slurm's environment is not understood: {len(places)} places for task "
            f"{number} of {wanted}"
        )
    if int(environment.get("SLURM_LOCALID", places[number][1])) != places[number][1]:
        raise InputError(
            "Slurm has dealt its tasks out in an order of its own; "
            "srun --distribution=block would do"
        )
    port = _FIRST_PORT + job * 10 % _PORTS
    addresses = tuple(f"{host}:{port + i}" for host, i in places)
    return Cluster(jobs={"worker": addresses}, task_type="worker", task_index=number)


def _expand_hosts(listed: str) -> Iterator[str]:
    """`n[08-10,12],m` -> n08, n09, n10, n12, m."""
    if re.sub(r"\[[^\[\]]*\]", "", listed).count("["):
        raise ValueError(f"a list of hosts {listed!r}")
    for part in re.findall(r"(?:\[[^\]]*\]|[^,\[])+", listed):
        bracket = re.fullmatch(r"([^\[]*)\[([^\]]*)\](.*)", part)
        if not bracket:
            yield part
            continue
        before, ranges, after = bracket.groups()
        for span in ranges.split(","):
            first, _, last = span.partition("-")
            for number in range(int(first), int(last or first) + 1):
                for rest in _expand_hosts(after) if after else ("",):
                    yield f"{before}{number:0{len(first)}}{rest}"


def _expand_tasks(listed: str) -> Iterator[int]:
    """`2(x3),1` -> 2, 2, 2, 1."""
    for part in listed.split(","):
        repeat = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if not repeat:
            raise ValueError(f"tasks of hosts {listed!r}")
        yield from [int(repeat[1])] * int(repeat[2] or 1)
