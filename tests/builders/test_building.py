"""Building: one pass over shards, in any number of processes, cut short anywhere."""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.data import (
    building,
    description,
    images,
    labels,
    tfrecord,
    workers,
    writing,
)
from deeplab_tf.data import spec as spec_
from deeplab_tf.data.building import Files, Pair, WorkConfig
from deeplab_tf.data.description import mapping_text
from deeplab_tf.errors import FlagError, InputError
from tests.builders.drawn import SPEC, Drawn
from tests.recorded import ROOT

ONE, TWO = WorkConfig(processes=1), WorkConfig(processes=2)


def build(folder, work=ONE, *, shards=3, spec=SPEC, **splits):
    splits = splits or {"train": Drawn(), "val": Drawn(count=3)}
    return building.build(splits, spec, str(folder), shards=shards, work=work)


def contents(folder):
    """Bytes of each file, but for those of an unfinished build."""
    files = [path for path in Path(folder).iterdir() if path.name != ".building"]
    return {path.name: path.read_bytes() for path in files}


def names(folder, split):
    return [
        tfrecord.parse(serialized)["name"].numpy().decode()
        for shard in tfrecord.find_shards(str(folder), split)
        for serialized in tfrecord.read(shard)
    ]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Every byte of the default build."""
    folder = tmp_path_factory.mktemp("undisturbed")
    build(folder)
    return contents(folder)


# What is written


def test_samples_are_written_in_order_and_shards_are_as_equal_as_can_be(tmp_path):
    build(tmp_path, shards=4, train=Drawn(count=10))
    assert names(tmp_path, "train") == [f"photo_{i}" for i in range(10)]
    shards = tfrecord.find_shards(str(tmp_path), "train")
    assert [tfrecord.count(shard) for shard in shards] == [3, 3, 3, 1]
    assert sorted(contents(tmp_path)) == [
        "dataset.json",
        *[Path(s).name for s in shards],
    ]


def test_records_hold_what_the_source_gave(tmp_path):
    source = Drawn(count=2)
    build(tmp_path, train=source)
    for i, shard in enumerate(tfrecord.find_shards(str(tmp_path), "train")):
        (record,) = tfrecord.read(shard)
        parsed = tfrecord.parse(record)
        for key, wanted in zip(("image", "label"), source.arrays(i), strict=True):
            found = Image.open(io.BytesIO(parsed[key].numpy()))
            np.testing.assert_array_equal(np.asarray(found), wanted)


def test_beam_writes_the_same_bytes(tmp_path, undisturbed):
    pytest.importorskip("apache_beam")
    build(tmp_path, WorkConfig(beam_runner="DirectRunner"))
    assert contents(tmp_path) == undisturbed


def test_beam_tells_of_bad_files_as_processes_do(tmp_path):
    pytest.importorskip("apache_beam")
    direct = WorkConfig(beam_runner="DirectRunner")
    with pytest.raises(InputError, match=r"^photo_9\.jpg: a damaged image$"):
        build(tmp_path / "records", direct, train=Drawn(damaged=(9,)))
    with pytest.raises(InputError, match=r"^mask_3\.png: ids 9 .* in 2 of 24 masks"):
        build(tmp_path / "records", direct, train=Drawn(wrong=(3, 20)))
    assert not (tmp_path / "records").exists()


def test_without_beam_its_flag_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(FlagError, match=r"pip install 'deeplab-tf\[beam\]'"):
        build(tmp_path / "records", WorkConfig(beam_runner="DirectRunner"))
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"processes": 0}, "--processes=0: more than 0 is needed"),
        ({"beam_options": ("--x=1",)}, "--beam_options needs --beam_runner"),
    ],
)
def test_work_that_cannot_be_meant_says_why(settings, message):
    with pytest.raises(FlagError, match=message):
        WorkConfig(**settings)


@pytest.mark.parametrize(
    ("seconds_a_sample", "samples", "processes"),
    [(0.01, 300, 3), (0.01, 200, 1), (0.1, 60, 1)],
)
def test_processes_are_started_where_they_gain_time(
    monkeypatch, seconds_a_sample, samples, processes
):
    """A start takes 1.5 s: 3 s on 3 processes gain 2, 2 s gain 1.3."""
    clock = iter((0.0, 8 * seconds_a_sample))
    monkeypatch.setattr(workers.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(workers.os, "cpu_count", lambda: 8)
    source = Drawn(count=samples)
    job = workers.Job(splits={"train": source}, spec=SPEC, folder=Path())
    parts = building.shards_of("train", samples, 3)
    assert workers._worth(job, parts, None) == processes
    assert workers._worth(job, parts, 2) == 2


def test_builders_start_without_tensorflow():
    check = (
        "import deeplab_tf.data.building, sys; sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


# What is told of it


def test_the_description_tells_all_that_was_found(tmp_path):
    source = Drawn(count=5)
    spec = build(tmp_path, shards=2, train=source)
    assert spec_.load(tmp_path) == spec
    facts = json.loads((tmp_path / "dataset.json").read_text())
    masks = np.stack([source.arrays(i)[1] for i in range(5)])
    assert facts["pixel_counts"] == {
        "train": [int((masks == i).sum()) for i in range(3)]
    }
    assert facts["split_sizes"] == {"train": 5}
    assert facts["shards"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tmp_path.glob("*.tfrecord"))
    }
    assert facts["version"].startswith("deeplab_tf 0.")
    assert facts["schema"] == 1
    assert facts["id_mapping"] == {}


def test_the_checksum_is_of_names_and_bytes_and_not_of_shards(tmp_path):
    whole = hashlib.sha256()
    for sample in Drawn(count=5).samples(0, 5):
        one = hashlib.sha256()
        for part in (sample.name.encode(), sample.image, images.png(sample.label)):
            one.update(len(part).to_bytes(8, "little") + part)
        whole.update(one.digest())
    for shards in (1, 2, 5):
        spec = build(tmp_path, shards=shards, train=Drawn(count=5))
        assert spec.checksums == {"train": whole.hexdigest()}


def test_the_mapping_of_ids_is_told_as_its_flag_is_written(tmp_path):
    assert mapping_text(labels.mapping({255: 1, 7: 0})) == "7:0,255:1"
    cityscapes = labels.mapping({7: 0, 8: 1, 255: 255}, others=255)
    assert mapping_text(cityscapes) == "7:0,8:1,*:255"
    image, mask = tmp_path / "a.png", tmp_path / "a_mask.png"
    image.write_bytes(images.png(np.zeros((2, 3, 3), np.uint8)))
    mask.write_bytes(images.png(np.array([[0, 7, 2]] * 2, np.uint8)))
    files = Files(
        pairs=[Pair(name="a", image=image, label=mask)], table=labels.mapping({7: 1})
    )
    spec = build(tmp_path / "records", train=files)
    assert spec.id_mapping == {"train": "7:1"}
    assert spec.pixel_counts == {"train": (2, 2, 2)}


def test_a_description_of_an_earlier_version_is_read(tmp_path):
    facts = {"name": "old", "classes": ["a", "b"], "palette": [[0, 0, 0], [9, 9, 9]]}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    old = spec_.load(tmp_path)
    assert (old.schema, old.shards, old.ignore_label) == (0, {}, 255)


def test_a_description_of_a_later_version_is_refused(tmp_path):
    facts = {"schema": 2, "version": "deeplab_tf 9.0", "something": "else"}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"a newer version wrote it, deeplab_tf 9\.0"):
        spec_.load(tmp_path)


def test_splits_that_are_not_built_stay_and_stay_described(tmp_path):
    build(tmp_path)
    before = contents(tmp_path)
    spec = build(tmp_path, shards=2, train=Drawn(seed=1))
    assert spec.split_sizes == {"train": 24, "val": 3}
    assert spec.shards.keys() == contents(tmp_path).keys() - {"dataset.json"}
    kept = {name: data for name, data in before.items() if name.startswith("val-")}
    assert len(kept) == 3
    assert kept.items() <= contents(tmp_path).items()
    other = dataclasses.replace(SPEC, classes=("ground", "cat", "cow"))
    with pytest.raises(InputError, match="its split val has other classes"):
        build(tmp_path, spec=other, train=Drawn())


# What is wrong with the source


def test_wrong_masks_of_all_shards_are_counted_and_the_first_is_named(tmp_path):
    splits = {"train": Drawn(wrong=(3, 4, 20)), "val": Drawn(count=3)}
    with pytest.raises(InputError, match=r"^mask_3\.png: ids 9 .* so in 3 of 27 masks"):
        build(tmp_path / "records", **splits)
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("work", [ONE, pytest.param(TWO, marks=pytest.mark.slow)])
def test_a_damaged_file_is_named_and_the_old_build_stays(tmp_path, undisturbed, work):
    build(tmp_path)
    with pytest.raises(InputError, match=r"^photo_9\.jpg: a damaged image$"):
        build(tmp_path, work, train=Drawn(damaged=(9,), seed=1))
    assert contents(tmp_path) == undisturbed


def test_two_samples_of_one_name_are_found_in_different_shards(tmp_path):
    with pytest.raises(InputError, match="split train: two images of one name, same"):
        build(tmp_path / "records", train=Drawn(count=2, name="same"))
    assert not (tmp_path / "records").exists()


def test_an_empty_split_is_named(tmp_path):
    with pytest.raises(InputError, match="split train: no images"):
        build(tmp_path, train=Drawn(count=0))


def test_a_folder_that_another_builder_writes_is_left_alone(tmp_path):
    place = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(place, fcntl.LOCK_EX)
    with pytest.raises(InputError, match="another builder is at work there"):
        build(tmp_path)
    os.close(place)
    build(tmp_path)


# Cut short


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
        interrupted(patch, writing, "write_shard", 3)
        with pytest.raises(KeyboardInterrupt):
            build(folder, **splits)


def kept(caplog):
    """What the log said of an earlier build; forgotten then."""
    (found,) = [text for text in caplog.messages if "images of" not in text]
    caplog.clear()
    return found


def test_a_build_goes_on_with_the_shards_that_are_done(
    tmp_path, monkeypatch, caplog, undisturbed
):
    cut_short(monkeypatch, tmp_path)
    assert contents(tmp_path) == {}
    caplog.clear()
    build(tmp_path)
    assert kept(caplog) == (
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
    assert "keeping 1 of 6 shards" in kept(caplog)
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize(
    "change",
    [
        {"train": Drawn(seed=1), "val": Drawn(count=3)},
        {"shards": 2},
        {"spec": dataclasses.replace(SPEC, ignore_label=254)},
    ],
    ids=["source", "shards", "spec"],
)
def test_an_unfinished_build_of_something_else_is_dropped(
    tmp_path, monkeypatch, caplog, change
):
    if "spec" in change:
        monkeypatch.setattr(labels, "check", lambda *_: None)
    build(tmp_path / "fresh", **change)
    cut_short(monkeypatch, tmp_path / "records")
    caplog.clear()
    build(tmp_path / "records", **change)
    assert "of other data; anew" in kept(caplog)
    assert contents(tmp_path / "records") == contents(tmp_path / "fresh")


def test_files_that_change_are_another_source(tmp_path):
    image, mask = tmp_path / "a.png", tmp_path / "a_mask.png"
    image.write_bytes(images.png(np.zeros((2, 2, 3), np.uint8)))
    mask.write_bytes(images.png(np.zeros((2, 2), np.uint8)))
    files = Files(pairs=[Pair(name="a", image=image, label=mask)])
    first = files.identity()
    assert dataclasses.replace(files).identity() == first
    mapped = dataclasses.replace(files, table=labels.mapping({0: 1}))
    other = dataclasses.replace(files, read_mask=images.read_image)
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
    found = contents(folder)
    read = {name: found[name] for name in ("dataset.json", *shards)}
    return next(name for name, build in builds.items() if read == build)


@pytest.mark.parametrize("shards", [3, 2])
def test_no_moment_of_the_last_step_leaves_two_builds_mixed(
    tmp_path, monkeypatch, undisturbed, shards
):
    """Cut short before each change of the output folder, which has an older build."""
    folder = tmp_path / "older"
    build(folder, shards=shards, train=Drawn(seed=1), val=Drawn(seed=1, count=3))
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
    # 2 splits of so many old shards go, 6 shards and the description come.
    assert seen.count(None) == 2 * shards + 6


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
        interrupted(patch, description, "described", 0)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path)
    caplog.clear()
    with pytest.raises(InputError, match="a damaged image"):
        build(tmp_path, train=Drawn(damaged=(9,)))
    assert "cut short at its end, is complete" in kept(caplog)
    assert contents(tmp_path) == undisturbed


def test_what_was_cut_short_at_its_end_is_described_beside_the_next(
    tmp_path, monkeypatch
):
    build(tmp_path, shards=2, train=Drawn(seed=1), val=Drawn(seed=1, count=3))
    with monkeypatch.context() as patch:
        steps = iter(range(100))
        patch.setattr(os, "unlink", stopping(os.unlink, tmp_path, steps, 3))
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path)
    spec = build(tmp_path, train=Drawn(seed=2))
    assert spec.split_sizes == {"train": 24, "val": 3}
    assert spec.shards.keys() == contents(tmp_path).keys() - {"dataset.json"}


def test_a_full_disk_leaves_the_old_build_and_the_finished_shards(
    tmp_path, monkeypatch, undisturbed
):
    build(tmp_path)
    with monkeypatch.context() as patch:
        error = OSError(28, "No space left on device", "shard")
        interrupted(patch, writing, "write_shard", 2, error)
        with pytest.raises(OSError, match="No space left"):
            build(tmp_path, train=Drawn(seed=1))
    assert contents(tmp_path / ".building").keys() >= {
        "train-00000-of-00003.tfrecord",
        "train-00001-of-00003.tfrecord",
    }
    shutil.rmtree(tmp_path / ".building")
    assert contents(tmp_path) == undisturbed


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
    large = {"train": Drawn(side=1000)}
    with pytest.raises(OSError, match="No space left on device") as caught:
        build(small_disk, **large)
    assert ".building" in caught.value.filename
    shutil.copytree(small_disk / ".building", small_disk.parent / "kept")
    assert {name: (small_disk / name).read_bytes() for name in before} == before
    remount = ["mount", "-o", "remount,size=9m", str(small_disk)]
    subprocess.run(remount, check=True)
    caplog.clear()
    build(small_disk, **large)
    assert "keeping 1 of 3 shards" in kept(caplog)
    assert len(names(small_disk, "train")) == 24


@pytest.mark.slow
def test_a_process_that_dies_is_told_of_and_what_is_done_stays(tmp_path):
    with pytest.raises(InputError, match="a process died at its work"):
        build(tmp_path, TWO, train=Drawn(pause=0.02, deadly=(23,)))
    done = list((tmp_path / ".building").glob("train-00000*.tfrecord"))
    assert len(done) == 1


# Killed


def run_builder(folder, processes, *, kill_after=None, only_parent=False):
    """Seconds that a builder took, and whether it was killed with all its processes."""
    command = ["-m", "tests.builders.slow_builder", str(folder), str(processes)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    begin = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            assert process.wait(kill_after) == 0
            return time.monotonic() - begin, False
        except subprocess.TimeoutExpired:
            (os.kill if only_parent else os.killpg)(process.pid, signal.SIGKILL)
    wait_for_group(process.pid)
    return time.monotonic() - begin, True


def wait_for_group(group):
    """Returns once the workers of a killed builder are gone, too."""
    for _ in range(1000):
        if group not in living_groups():
            return
        time.sleep(0.01)
    raise TimeoutError("workers outlive their builder")


def living_groups():
    """Process groups of all processes but those that nobody has buried yet."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
            if state != "Z":
                yield int(group)


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """Builds of one and of two processes: seconds and bytes."""
    found = {}
    for processes in (1, 2):
        folder = tmp_path_factory.mktemp("timed")
        seconds, _ = run_builder(folder, processes)
        found[processes] = seconds, contents(folder)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_any_number_of_processes_writes_the_same_bytes(timed, undisturbed, processes):
    assert timed[processes][1] == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_builder_killed_at_ten_random_moments_leaves_no_trace(
    timed, tmp_path, rng, undisturbed, processes
):
    """Killed with its processes, then alone, and then completed."""
    seconds, kills, left = timed[processes][0], 0, []
    while kills < 10:
        folder = tmp_path / f"records_{len(left)}"
        for only_parent in (False, True):
            moment = rng.uniform(0, seconds)
            _, killed = run_builder(
                folder, processes, kill_after=moment, only_parent=only_parent
            )
            kills += killed
        left.append(len(list(folder.glob(".building/*.tfrecord"))))
        run_builder(folder, processes)
        assert contents(folder) == undisturbed
    # Of six shards. Two processes are at their start for most of the time.
    assert processes == 2 or any(0 < shards < 6 for shards in left)
