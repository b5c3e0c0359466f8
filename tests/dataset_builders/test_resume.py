"""Builds that are cut short, anywhere, by anything, and go on."""

import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import pytest

from deeplab_tf.data import image_files, tfrecord, tfrecord_writer
from deeplab_tf.data.labels import contract
from deeplab_tf.dataset_builders import (
    FileSource,
    Pair,
    ParallelConfig,
    dataset_json,
    shard,
)
from deeplab_tf.dataset_builders.shard import ShardSummary
from deeplab_tf.errors import InputError
from tests.dataset_builders.builds import TWO, build, contents, names, undisturbed
from tests.dataset_builders.synthetic import SPEC, SyntheticSource

__all__ = ["undisturbed"]  # A fixture.


class Interruption:
    """Lets so many calls of a function pass; the next ones raise an error."""

    def __init__(self, function, passes, error):
        self._function, self._passes, self._error = function, passes, error

    def __call__(self, *args, **settings):
        self._passes -= 1
        if self._passes < 0:
            raise self._error
        return self._function(*args, **settings)


def interrupted(monkeypatch, owner, name, passes, error=KeyboardInterrupt):
    function = Interruption(getattr(owner, name), passes, error)
    monkeypatch.setattr(owner, name, function)


def cut_short(monkeypatch, folder, **splits):
    """A build that ends when three shards are done."""
    with monkeypatch.context() as patch:
        interrupted(patch, tfrecord_writer, "write_shard", 3)
        with pytest.raises(KeyboardInterrupt):
            build(folder, **splits)


def resume_message(caplog):
    """What the log said of an earlier build; forgotten then."""
    every = [text for text in caplog.messages if not text.startswith("Next: ")]
    (message,) = [text for text in every if "images of" not in text]
    caplog.clear()
    return message


def test_a_build_goes_on_with_the_shards_that_are_done(
    tmp_path, monkeypatch, caplog, undisturbed
):
    cut_short(monkeypatch, tmp_path)
    assert contents(tmp_path) == {}
    caplog.clear()
    build(tmp_path)
    assert resume_message(caplog) == (
        f"{tmp_path}: keeping 3 of 6 shards of a build that was cut short"
    )
    assert contents(tmp_path) == undisturbed


def test_a_finished_shard_that_changed_is_made_again(
    tmp_path, monkeypatch, caplog, undisturbed
):
    cut_short(monkeypatch, tmp_path)
    shards = sorted((tmp_path / ".building").glob("*.tfrecord"))
    damaged = bytearray(shards[0].read_bytes())
    damaged[100] ^= 1
    shards[0].write_bytes(damaged)
    shards[1].with_suffix(".json").write_text("{")
    caplog.clear()
    build(tmp_path)
    assert "keeping 1 of 6 shards" in resume_message(caplog)
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize(
    "change",
    [
        {"train": SyntheticSource(seed=1), "val": SyntheticSource(count=3)},
        {"shards": 2},
        {"spec": dataclasses.replace(SPEC, ignore_label=254)},
    ],
    ids=["source", "shards", "spec"],
)
def test_an_unfinished_build_of_something_else_is_dropped(
    tmp_path, monkeypatch, caplog, change
):
    if "spec" in change:
        monkeypatch.setattr(contract, "check_statistics", lambda *_: None)
    build(tmp_path / "fresh", **change)
    cut_short(monkeypatch, tmp_path / "records")
    caplog.clear()
    build(tmp_path / "records", **change)
    assert "of other data; anew" in resume_message(caplog)
    assert contents(tmp_path / "records") == contents(tmp_path / "fresh")


def test_files_that_change_are_another_source(tmp_path):
    image, mask = tmp_path / "a.png", tmp_path / "a_mask.png"
    image.write_bytes(image_files.png(np.zeros((2, 2, 3), np.uint8)))
    mask.write_bytes(image_files.png(np.zeros((2, 2), np.uint8)))
    files = FileSource(pairs=[Pair(name="a", image=image, label=mask)])
    first = files.identity()
    assert dataclasses.replace(files).identity() == first
    mapped = dataclasses.replace(files, table=contract.id_table({0: 1}))
    other = dataclasses.replace(files, read_mask=image_files.read_image)
    os.utime(mask, ns=(1, 1))
    assert len({first, files.identity(), mapped.identity(), other.identity()}) == 4


def state(folder, builds):
    """Which of two builds a reader would take the folder for; None where it refuses."""
    try:
        shards = [
            Path(shard).name
            for split in ("train", "val")
            for shard in tfrecord.find_shards(str(folder), split)
        ]
    except InputError:
        return None
    files = contents(folder)
    read = {name: files[name] for name in ("dataset.json", *shards)}
    return next(name for name, build in builds.items() if read == build)


@pytest.mark.parametrize("shards", [3, 2])
def test_no_moment_of_the_last_step_leaves_two_builds_mixed(
    tmp_path, monkeypatch, undisturbed, shards
):
    """Cut short before each change of the output folder, which has an older build."""
    folder = tmp_path / "older"
    build(
        folder,
        shards=shards,
        train=SyntheticSource(seed=1),
        val=SyntheticSource(seed=1, count=3),
    )
    builds = {"older": contents(folder), "newer": undisturbed}
    assert builds["older"] != undisturbed
    seen = []
    for moment in range(100):
        records = tmp_path / f"records_{moment}"
        shutil.copytree(folder, records)
        with monkeypatch.context() as patch:
            steps = iter(range(100))
            for name in ("unlink", "replace", "rmdir"):
                patch.setattr(
                    os, name, stopping(getattr(os, name), records, steps, moment)
                )
            with contextlib.suppress(KeyboardInterrupt):
                build(records)
                break
        seen.append(state(records, builds))
        build(records)
        assert contents(records) == undisturbed
    # Old until the first old shard goes, new once the last new one came.
    runs = [name for i, name in enumerate(seen) if i == 0 or name != seen[i - 1]]
    assert runs == ["older", None, "newer"]
    # 2 splits of so many old shards go, and what lies where the description is written;
    # it and 6 shards come.
    assert seen.count(None) == 2 * shards + 7


def stopping(function, folder, steps, moment):
    def call(*args, **settings):
        target = Path(args[-1])
        if target.parent == folder and next(steps) >= moment:
            raise KeyboardInterrupt
        return function(*args, **settings)

    return call


def test_a_build_cut_short_at_its_end_is_completed_before_another_begins(
    tmp_path, monkeypatch, caplog, undisturbed
):
    with monkeypatch.context() as patch:
        steps = iter(range(100))
        patch.setattr(os, "replace", stopping(os.replace, tmp_path, steps, 3))
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path)
    with pytest.raises(InputError, match="a build was cut short there: run its comm"):
        tfrecord.find_shards(str(tmp_path), "val")
    with monkeypatch.context() as patch:
        interrupted(patch, dataset_json, "describe", 0)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path)
    caplog.clear()
    with pytest.raises(InputError, match="a damaged image"):
        build(tmp_path, train=SyntheticSource(damaged=(9,)))
    assert "cut short at its end, is complete" in resume_message(caplog)
    assert contents(tmp_path) == undisturbed


def test_what_was_cut_short_at_its_end_is_described_beside_the_next(
    tmp_path, monkeypatch
):
    build(
        tmp_path,
        shards=2,
        train=SyntheticSource(seed=1),
        val=SyntheticSource(seed=1, count=3),
    )
    with monkeypatch.context() as patch:
        steps = iter(range(100))
        patch.setattr(os, "unlink", stopping(os.unlink, tmp_path, steps, 3))
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path)
    spec = build(tmp_path, train=SyntheticSource(seed=2))
    assert spec.split_sizes == {"train": 24, "val": 3}
    assert spec.shards.keys() == contents(tmp_path).keys() - {"dataset.json"}


def test_a_full_disk_leaves_the_old_build_and_the_finished_shards(
    tmp_path, monkeypatch, undisturbed
):
    build(tmp_path)
    with monkeypatch.context() as patch:
        error = OSError(28, "No space left on device", "shard")
        interrupted(patch, tfrecord_writer, "write_shard", 2, error)
        with pytest.raises(OSError, match="No space left"):
            build(tmp_path, train=SyntheticSource(seed=1))
    assert contents(tmp_path / ".building").keys() >= {
        "train-00000-of-00003.tfrecord",
        "train-00001-of-00003.tfrecord",
    }
    shutil.rmtree(tmp_path / ".building")
    assert contents(tmp_path) == undisturbed


def test_an_error_of_another_kind_leaves_the_finished_shards(
    tmp_path, monkeypatch, caplog, undisturbed
):
    with monkeypatch.context() as patch:
        interrupted(
            patch, tfrecord_writer, "write_shard", 2, RuntimeError("worker lost")
        )
        with pytest.raises(RuntimeError, match="worker lost"):
            build(tmp_path)
    caplog.clear()
    build(tmp_path)
    assert "keeping 2 of 6 shards" in resume_message(caplog)
    assert contents(tmp_path) == undisturbed


@pytest.fixture
def beam(monkeypatch):
    """An Apache Beam whose pipelines do nothing, and end with an error if told so."""
    made, options = ModuleType("apache_beam"), ModuleType("pipeline_options")
    options.PipelineOptions = list
    made.Pipeline = mock.MagicMock()
    made.Create = made.Reshuffle = made.Map = mock.Mock()
    parent = ModuleType("apache_beam.options")
    for name, module in (
        ("apache_beam", made),
        ("apache_beam.options", parent),
        ("apache_beam.options.pipeline_options", options),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    return made.Pipeline.return_value.__exit__


def test_a_pipeline_that_breaks_is_one_line_and_what_is_done_stays(
    tmp_path, monkeypatch, beam
):
    cut_short(monkeypatch, tmp_path)
    beam.side_effect = RuntimeError("Traceback\n  File\nOSError: [Errno 28] disk\n")
    said = r"^--beam_runner=FlinkRunner: OSError: \[Errno 28\] disk; the same command"
    with pytest.raises(InputError, match=said):
        build(tmp_path, ParallelConfig(beam_runner="FlinkRunner"))
    assert len(list((tmp_path / ".building").glob("*.tfrecord"))) == 3


def test_bad_input_that_breaks_a_pipeline_is_told_as_it_is(tmp_path, beam):
    wrapped = RuntimeError("in a worker")
    wrapped.__cause__ = InputError("a.jpg: no such file")
    beam.side_effect = wrapped
    with pytest.raises(InputError, match=r"^a\.jpg: no such file$"):
        build(tmp_path / "records", ParallelConfig(beam_runner="FlinkRunner"))
    assert not (tmp_path / "records").exists()


def test_two_workers_may_make_one_shard(tmp_path, monkeypatch):
    """The second writes its summary while the first has not finished its own."""
    path, others = (
        tmp_path / "train-00000-of-00001.tfrecord",
        [ShardSummary(names=["a"])],
    )

    def flush(_):
        if others:
            others.pop().save(path)

    monkeypatch.setattr(shard, "flush", flush)
    ShardSummary(names=["a"]).save(path)
    assert ShardSummary.load(path).names == ["a"]
    assert [file.suffix for file in tmp_path.iterdir()] == [".json"]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 kB, which root can mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, check=False).returncode:
        pytest.skip("this user cannot mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_indeed(small_disk, caplog):
    build(small_disk)
    before = contents(small_disk)
    large = {"train": SyntheticSource(side=1000)}
    with pytest.raises(OSError, match="No space left on device") as caught:
        build(small_disk, **large)
    assert ".building" in caught.value.filename
    shutil.copytree(small_disk / ".building", small_disk.parent / "kept")
    assert {name: (small_disk / name).read_bytes() for name in before} == before
    remount = ["mount", "-o", "remount,size=9m", str(small_disk)]
    subprocess.run(remount, check=True)
    caplog.clear()
    build(small_disk, **large)
    assert "keeping 1 of 3 shards" in resume_message(caplog)
    assert len(names(small_disk, "train")) == 24


@pytest.mark.slow
def test_a_process_that_dies_is_told_of_and_what_is_done_stays(tmp_path):
    with pytest.raises(InputError, match="a process died at its work"):
        build(tmp_path, TWO, train=SyntheticSource(pause=0.02, deadly=(23,)))
    done = list((tmp_path / ".building").glob("train-00000*.tfrecord"))
    assert len(done) == 1
