"""Which hosts train together: TF_CONFIG and Slurm, and mistakes in them."""

import json

import pytest

from deeplab_tf.errors import InputError
from deeplab_tf.training.distribution import cluster

TWO = {"worker": ["a:1", "b:2"]}


def of_tf_config(**content):
    return cluster.find({"TF_CONFIG": json.dumps(content)})


def test_tf_config_names_all_hosts_and_this_one():
    found = of_tf_config(cluster=TWO, task={"type": "worker", "index": 1})
    assert found.addresses == ("a:1", "b:2")
    assert found.own_address == "b:2"


def test_a_chief_comes_first():
    hosts = {"worker": ["b:2"], "chief": ["a:1"]}
    found = of_tf_config(cluster=hosts, task={"type": "worker", "index": "0"})
    assert found.addresses == ("a:1", "b:2")
    assert found.own_address == "b:2"


@pytest.mark.parametrize("environment", [{}, {"TF_CONFIG": " "}, {"TF_CONFIG": "{}"}])
def test_nothing_names_no_hosts(environment):
    assert cluster.find(environment) is None


ONE = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "TF_CONFIG is not JSON"),
        ("[1]", "is no object of JSON"),
        ({"cluster": [1], "task": ONE}, '"cluster" that is no object'),
        ({"cluster": TWO}, 'lacks "task" with its "type" and "index"'),
        ({"cluster": TWO, "task": {"type": "worker"}}, 'lacks "task"'),
        ({"cluster": TWO, "task": {"type": "chief", "index": 0}}, 'has "worker"'),
        (
            {"cluster": TWO, "task": {"type": "worker", "index": 2}},
            r"index 2 .* 0\.{3}1",
        ),
        ({"cluster": TWO, "task": {"type": "worker", "index": -1}}, "index -1"),
        ({"cluster": TWO | {"ps": ["c:3"]}, "task": ONE}, '"ps" in its cluster'),
        ({"cluster": {"worker": "a:1"}, "task": ONE}, '"worker" that is no list'),
        ({"cluster": {"worker": ["a"]}, "task": ONE}, "host:port would do"),
        ({"cluster": {"worker": ["a:1", "a:1"]}, "task": ONE}, '"a:1" twice'),
        ({"cluster": TWO | {"chief": ["c:1", "d:1"]}, "task": ONE}, "one chief"),
    ],
)
def test_a_mistake_in_tf_config_is_named_beside_an_example(text, complaint):
    text = text if isinstance(text, str) else json.dumps(text)
    with pytest.raises(InputError, match=complaint) as raised:
        cluster.find({"TF_CONFIG": text})
    message = str(raised.value)
    assert "\n" not in message
    example = json.loads(message.split("for example: ")[1])
    assert example["task"]["type"] in example["cluster"]


def slurm(number, *, nodes="n[9-10],x", tasks="2(x2),1", count=5, **more):
    return {
        "SLURM_PROCID": str(number),
        "SLURM_JOB_ID": "1234",
        "SLURM_STEP_NUM_TASKS": str(count),
        "SLURM_STEP_NODELIST": nodes,
        "SLURM_STEP_TASKS_PER_NODE": tasks,
    } | more


def test_slurm_deals_tasks_out_host_by_host_in_its_own_order():
    found = [cluster.find(slurm(number)) for number in range(5)]
    places = ["n9:22340", "n9:22341", "n10:22340", "n10:22341", "x:22340"]
    assert [host.own_address for host in found] == places
    assert all(list(host.addresses) == places for host in found)


@pytest.mark.parametrize(
    ("listed", "hosts"),
    [
        ("a", ["a"]),
        ("a-1,b.c", ["a-1", "b.c"]),
        ("n[08-10,12],m", ["n08", "n09", "n10", "n12", "m"]),
        ("r[1-2]n[3,5].x", ["r1n3.x", "r1n5.x", "r2n3.x", "r2n5.x"]),
    ],
)
def test_lists_of_hosts_are_those_of_slurm(listed, hosts):
    assert list(cluster._expand_hosts(listed)) == hosts


@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        (slurm(1, SLURM_LOCALID="0"), "--distribution=block"),
        (slurm(1, count=6), "5 places for task 1 of 6"),
        (slurm(0, tasks="many"), "many"),
        (slurm(0, nodes="n[1-"), "a list of hosts"),
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}, "SLURM_STEP_NODELIST"),
    ],
)
def test_what_is_not_understood_of_slurm_is_named(environment, complaint):
    with pytest.raises(InputError, match=complaint):
        cluster.find(environment)


def test_a_process_that_srun_did_not_start_trains_alone(caplog):
    assert cluster.find({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"}) is None
    assert "was not started by srun" in caplog.text
