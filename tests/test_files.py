"""What commands write is checked before, and whole after."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deeplab_tf import files
from deeplab_tf.errors import InputError
from deeplab_tf.files import check_writable, lock_folder, write_whole
from tests.recorded import ROOT


def test_a_folder_that_may_not_be_written_is_told_before_hours_are_spent(
    tmp_path, monkeypatch
):
    assert check_writable("run", str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(InputError, match=f"--run=.*: {tmp_path} may not be written"):
        check_writable("run", str(tmp_path / "a" / "b"))


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_whole(path, "old")

    def killed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            write_whole(path, "new")
    assert path.read_text() == "old"
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["config.json"]


def test_what_a_full_disk_cut_short_is_removed(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_whole(path, "old")

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "flush", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["config.json"]


HOLDER = """
import pathlib, sys, time
from deeplab_tf.files import lock_folder
with lock_folder(pathlib.Path(sys.argv[1]), flag="train_logdir", doing="training"):
    print("holds", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def holder(folder):
    """A process that holds a folder until it is killed."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout.readline() == b"holds\n"
            yield process
        finally:
            process.kill()


def training(folder):
    return lock_folder(folder, flag="train_logdir", doing="training")


def test_a_second_process_is_told_of_the_first_until_that_is_killed(tmp_path):
    folder = tmp_path / "run"
    begun = time.time()
    with holder(folder) as process:
        owner = json.loads((folder / ".lock").read_text())
        assert owner.pop("since") == pytest.approx(begun, abs=60)
        assert owner == {
            "host": os.uname().nodename,
            "pid": process.pid,
            "command": f"-c {folder}",
        }
        with pytest.raises(InputError) as raised, training(folder):
            pass
        assert str(raised.value).startswith(
            f"--train_logdir={folder}: process {process.pid} on host "
            f"{os.uname().nodename} has been training there since "
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (folder / ".lock").exists()
        with training(folder):
            owner = json.loads((folder / ".lock").read_text())
            assert owner["pid"] == os.getpid()
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(10, "(0 min)"), (3 * 60, "(3 min)"), (50 * 3600, "(50 h)")],
)
def test_how_long_a_process_has_been_there(tmp_path, monkeypatch, seconds, told):
    monkeypatch.setattr(files.time, "time", lambda: 1e9 - seconds)
    with training(tmp_path):
        monkeypatch.setattr(files.time, "time", lambda: 1e9)
        with pytest.raises(InputError) as raised, training(tmp_path):
            pass
    style = "%Y-%m-%d %H:%M"  # In full where it is another day than the real today.
    since = time.strftime(style, time.localtime(1e9 - seconds))
    assert str(raised.value).endswith(
        f" since {since} {told}; wait for it, or choose another folder"
    )


def test_a_folder_to_which_nothing_came_is_not_left(tmp_path):
    with pytest.raises(InputError, match="no such"), training(tmp_path / "a" / "b"):
        raise InputError("no such data")
    assert list(tmp_path.iterdir()) == []
    with training(tmp_path / "a"):
        (tmp_path / "a" / "config.json").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["config.json"]


def test_a_lock_that_its_holder_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """Whoever opened the file before, and locks it after, holds nothing."""
    lock, calls = fcntl.flock, []

    def removed_meanwhile(place, how):
        if not calls:
            (tmp_path / ".lock").unlink()
        calls.append(place)
        lock(place, how)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with training(tmp_path):
        assert len(calls) == 2
        with pytest.raises(InputError, match="has been training"), training(tmp_path):
            pass


def test_a_link_in_the_place_of_the_lock_is_refused_and_its_target_left(tmp_path):
    folder, other = tmp_path / "run", tmp_path / "precious"
    folder.mkdir()
    other.write_text("precious")
    (folder / ".lock").symlink_to(other)
    refused = pytest.raises(InputError, match=r"/\.lock is a symbolic link")
    with refused, training(folder):
        pass
    assert other.read_text() == "precious"
    (folder / ".lock").unlink()
    (folder / ".lock").symlink_to(tmp_path / "not_there")
    with refused, training(folder):
        pass
    assert not (tmp_path / "not_there").exists()


RACER = """
import pathlib, sys
from deeplab_tf.errors import InputError
from deeplab_tf.files import lock_folder
folder = pathlib.Path(sys.argv[1])
mark = folder / "at_work"
print("ready", flush=True)
sys.stdin.readline()
for _ in range(200):
    try:
        with lock_folder(folder, flag="train_logdir", doing="training"):
            mark.touch(exist_ok=False)  # Fails where somebody else is at work.
            mark.unlink()
    except InputError:
        pass
"""


@pytest.mark.slow
def test_raced_starts_are_never_two_at_once(tmp_path):
    """Each removes the lock file at its end, while others open it and wait."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(tmp_path)],
            **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
            cwd=ROOT,
        )
        for _ in range(4)
    ]
    for racer in racers:
        assert racer.stdout.readline() == b"ready\n"
    for racer in racers:
        racer.stdin.write(b"go\n")
        racer.stdin.flush()
    errors = [racer.communicate()[1].decode() for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4, errors
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_locks_is_warned_of(tmp_path, monkeypatch, caplog):
    def unsupported(place, how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    with training(tmp_path):
        assert "cannot be locked (Operation not supported); see yours" in caplog.text


def test_a_process_of_another_host_that_did_not_end_in_order_is_told_of(
    tmp_path, caplog
):
    owner = {"host": "elsewhere", "pid": 12, "command": "train.py", "since": 0.0}
    (tmp_path / ".lock").write_text(json.dumps(owner))
    with training(tmp_path):
        pass
    assert "process 12 on host elsewhere has been training there since" in caplog.text
    caplog.clear()
    (tmp_path / ".lock").write_text("{")
    with training(tmp_path):
        pass
    assert caplog.text == ""


def test_a_link_where_the_unfinished_file_is_to_be_is_not_followed(tmp_path):
    precious, path = tmp_path / "precious", tmp_path / "config.json"
    precious.write_text("precious")
    for make in (
        lambda place: place.symlink_to(precious),
        lambda place: place.symlink_to(tmp_path / "nowhere"),
        lambda place: place.hardlink_to(precious),
        os.mkfifo,
    ):
        make(tmp_path / ".config.json.new")
        write_whole(path, "new")
        assert path.read_text() == "new"
        assert not path.is_symlink()
        path.unlink()
    assert precious.read_text() == "precious"
    assert [item.name for item in tmp_path.iterdir()] == ["precious"]


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "flush", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        write_whole(tmp_path / "config.json", "new")
    assert raised.value.filename == str(tmp_path / "config.json")


def test_a_folder_is_removed_and_a_link_to_one_is_not_followed(tmp_path):
    (tmp_path / "folder" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    files.remove(tmp_path / "link")
    files.remove(tmp_path / "nothing")
    assert [item.name for item in tmp_path.iterdir()] == ["folder"]
    files.remove(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda lock, other: lock.hardlink_to(other), "a hard link to another file"),
        (lambda lock, other: os.mkfifo(lock), "no plain file"),
        (lambda lock, other: lock.mkdir(), "no plain file"),
    ],
)
def test_what_is_no_file_of_its_own_is_no_lock(tmp_path, make, kind):
    other = tmp_path / "precious"
    other.write_text("precious")
    (tmp_path / "run").mkdir()
    make(tmp_path / "run" / ".lock", other)
    refused = pytest.raises(InputError, match=rf"/\.lock is {kind}; remove it, or")
    with refused, training(tmp_path / "run"):
        pass
    assert other.read_text() == "precious"


@pytest.mark.parametrize(
    "note",
    [
        "[1, 2]",
        "null",
        '{"host": "elsewhere", "pid": 1, "command": "x", "since": "yesterday"}',
        '{"host": "elsewhere", "pid": 1, "command": "x", "since": 1e300}',
        '{"host": 3, "pid": 1, "command": "x", "since": 0}',
        "[" * 100_000,
    ],
)
def test_a_lock_of_another_shape_names_nobody(tmp_path, caplog, note):
    (tmp_path / ".lock").write_text(note)
    with training(tmp_path):
        pass
    assert caplog.text == ""
