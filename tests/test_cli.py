"""What a command does beside its work: environment, log, end; and what it leaves."""

import logging as standard_logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import logging

from deeplab_tf import cli
from deeplab_tf.errors import FlagError, InputError
from tests.recorded import ROOT


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("no such folder"), 1, "ERROR: no such folder\n"),
        (FlagError("--seed=x"), 2, "ERROR: --seed=x\n"),
        (
            OSError(28, "No space left on device", "run/x"),
            1,
            "ERROR: run/x: No space left on device\n",
        ),
        (KeyboardInterrupt(), 130, "ERROR: interrupted\n"),
        (
            InputError("photo\nERROR: all is lost\x1b[2J\u202e\udce9.jpg: no image"),
            1,
            r"ERROR: photo\nERROR: all is lost\x1b[2J\u202e\xe9.jpg: no image" + "\n",
        ),
        (
            InputError("no network", "fetch it by hand"),
            1,
            "ERROR: no network\nfetch it by hand\n",
        ),
        (
            OSError(28, "No space left on device"),
            1,
            "ERROR: the disk is full: [Errno 28] No space left on device\n",
        ),
        (
            OSError("20 requested and 4 written"),
            1,
            "ERROR: 20 requested and 4 written\n",
        ),
        (
            RuntimeError("{{function_node x}} run/events.out; No space left on device"),
            1,
            "ERROR: the disk is full: run/events.out; No space left on device\n",
        ),
        (
            MemoryError("Unable to allocate 9 GiB"),
            1,
            "ERROR: out of memory (Unable to allocate 9 GiB); smaller batches or crops "
            "need less\n",
        ),
    ],
)
def test_a_mistake_is_one_line_and_a_code(error, code, line, capsys):
    def command():
        raise error

    assert cli.exit_code_of(command) == code
    assert capsys.readouterr().err == line


def test_what_is_no_mistake_of_a_user_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.exit_code_of(lambda: 1 / 0)


def test_the_environment_is_set_for_what_is_loaded_later(monkeypatch):
    wanted = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "KERAS_BACKEND": "tensorflow",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_GPU_THREAD_MODE": "gpu_private",
    }
    for name in wanted:
        monkeypatch.setenv(name, "")  # Which is restored after the test.
        monkeypatch.delenv(name)
    seen = {}
    cli.exit_code_of(lambda: seen.update(os.environ))
    assert {name: seen.get(name) for name in wanted} == wanted
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    cli.exit_code_of(lambda: seen.update(os.environ))
    assert seen["KERAS_BACKEND"] == "jax"


def test_a_command_leaves_logging_as_it_was():
    def state():
        handler = logging.get_absl_handler()
        return (
            handler.formatter,
            list(handler.filters),
            list(standard_logging.root.handlers),
            logging.get_verbosity(),
        )

    before, during = state(), []
    cli.exit_code_of(lambda: during.append(state()))
    assert state() == before
    assert during[0] != before


def test_importing_the_package_changes_nothing_of_the_process():
    code = """
import logging, os, signal, sys
def state():
    numbers = signal.SIGINT, signal.SIGTERM
    return dict(os.environ), [signal.getsignal(n) for n in numbers], logging.root.level
before = state()
import deeplab_tf, deeplab_tf.commands, deeplab_tf.parallel, deeplab_tf.compat
assert state() == before
assert logging.root.handlers == []
assert not {"tensorflow", "keras"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_command_refuses_a_backend_on_which_it_cannot_run():
    done = subprocess.run(
        [
            *(sys.executable, "train.py", "--dataset_dir=records"),
            "--train_logdir=run",
        ],
        env=os.environ | {"KERAS_BACKEND": "jax"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "ERROR: KERAS_BACKEND=jax: training needs tensorflow; on another backend, "
        "networks can be built and applied\n"
    )


def test_the_name_of_a_file_makes_no_line_of_the_log(caplog):
    def command():
        logging.warning("%s: passed over", "a\nERROR: b\x1b[31m")
        logging.warning("%s", InputError("a\nERROR: b"))
        logging.info("two lines\nof ours: %d %.1f %s", 3, np.float32(0.5), Path("c\td"))
        logging.info(100 * "-" + "%")

    assert cli.exit_code_of(command) == 0
    shown = [cli.LineFormatter().format(record) for record in caplog.records]
    assert "\n".join(shown).split("\n") == [
        r"WARNING: a\nERROR: b\x1b[31m: passed over",
        r"WARNING: a\nERROR: b",
        "two lines",
        r"of ours: 3 0.5 c\td",
        100 * "-" + "%",
    ]


def test_keras_reads_no_settings_of_a_home_folder_in_a_command(monkeypatch):
    monkeypatch.setenv("KERAS_HOME", "")
    monkeypatch.delenv("KERAS_HOME")
    seen = {}
    cli.exit_code_of(lambda: seen.update(os.environ))
    assert seen["KERAS_HOME"] == os.devnull


def test_ctrl_c_while_modules_are_loaded_is_a_line(capsys, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "__excepthook__", lambda *error: told.append(error[0]))
    cli.tell_interrupt(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err == "ERROR: interrupted\n"
    cli.tell_interrupt(ValueError, ValueError(), None)
    assert told == [ValueError]
