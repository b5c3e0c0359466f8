"""Dataset builder: what is written, what describes it, and what is refused."""

import dataclasses
import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.data import spec as spec_
from deeplab_tf.data.labels import contract
from deeplab_tf.dataset_builders import FileSource, Pair, ParallelConfig, workers
from deeplab_tf.dataset_builders.dataset_json import format_label_map, select_splits
from deeplab_tf.dataset_builders.shard import plan_shards
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.files import lock_folder
from tests.dataset_builders.builds import ONE, TWO, build, contents, names, undisturbed
from tests.dataset_builders.synthetic import SPEC, SyntheticSource
from tests.recorded import ROOT

__all__ = ["undisturbed"]  # A fixture.


# What is written


def test_samples_are_written_in_order_and_shards_are_as_equal_as_can_be(tmp_path):
    build(tmp_path, shards=4, train=SyntheticSource(count=10))
    assert names(tmp_path, "train") == [f"photo_{i}" for i in range(10)]
    shards = tfrecord.find_shards(str(tmp_path), "train")
    assert [len(tfrecord.offsets(shard)) for shard in shards] == [3, 3, 3, 1]
    assert sorted(contents(tmp_path)) == [
        "dataset.json",
        *[Path(s).name for s in shards],
    ]


def test_records_hold_what_the_source_gave(tmp_path):
    source = SyntheticSource(count=2)
    build(tmp_path, train=source)
    for i, shard in enumerate(tfrecord.find_shards(str(tmp_path), "train")):
        (record,) = tfrecord.read(shard)
        parsed = tfrecord.parse_example(record)
        for key, wanted in zip(("image", "label"), source.arrays(i), strict=True):
            pixels = np.asarray(Image.open(io.BytesIO(parsed[key].numpy())))
            np.testing.assert_array_equal(pixels, wanted)


def test_beam_writes_the_same_bytes(tmp_path, undisturbed):
    pytest.importorskip("apache_beam")
    build(tmp_path, ParallelConfig(beam_runner="DirectRunner"))
    assert contents(tmp_path) == undisturbed


def test_beam_tells_of_bad_files_as_processes_do(tmp_path):
    pytest.importorskip("apache_beam")
    direct = ParallelConfig(beam_runner="DirectRunner")
    with pytest.raises(InputError, match=r"^photo_9\.jpg: a damaged image$"):
        build(tmp_path / "records", direct, train=SyntheticSource(damaged=(9,)))
    with pytest.raises(InputError, match=r"^mask_3\.png: ids 9 .* in 2 of 24 masks"):
        build(tmp_path / "records", direct, train=SyntheticSource(wrong=(3, 20)))
    assert not (tmp_path / "records").exists()


def test_without_beam_its_flag_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(FlagError, match=r"pip install 'deeplab-tf\[beam\]'"):
        build(tmp_path / "records", ParallelConfig(beam_runner="DirectRunner"))
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"processes": 0}, "--processes=0: more than 0 is needed"),
        ({"beam_options": ("--x=1",)}, "--beam_options needs --beam_runner"),
    ],
)
def test_settings_that_cannot_be_meant_say_why(settings, message):
    with pytest.raises(FlagError, match=message):
        ParallelConfig(**settings)


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
    source = SyntheticSource(count=samples)
    writer = workers.ShardWriter(splits={"train": source}, spec=SPEC, folder=Path())
    planned = plan_shards("train", samples, 3)
    assert workers.choose_processes(writer, planned, None) == processes
    assert workers.choose_processes(writer, planned, 2) == 2


def test_builders_start_without_tensorflow():
    check = (
        "import deeplab_tf.dataset_builders.build, sys; "
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


# dataset.json


def test_the_description_tells_all_that_was_found(tmp_path):
    source = SyntheticSource(count=5)
    spec = build(tmp_path, shards=2, train=source)
    assert spec_.load(tmp_path) == spec
    facts = json.loads((tmp_path / "dataset.json").read_text())
    masks = np.stack([source.arrays(i)[1] for i in range(5)])
    assert facts["pixel_counts"] == {
        "train": [int((masks == i).sum()) for i in range(3)]
    }
    assert facts["split_sizes"] == {"train": 5}
    assert facts["largest_images"] == {"train": list(masks.shape[1:])}
    assert facts["shards"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(tmp_path.glob("*.tfrecord"))
    }
    assert facts["version"].startswith("deeplab_tf 0.")
    assert facts["schema"] == 1
    assert facts["id_mapping"] == {}


def test_the_checksum_is_of_names_and_bytes_and_not_of_shards(tmp_path):
    whole = hashlib.sha256()
    for sample in SyntheticSource(count=5).samples(0, 5):
        one = hashlib.sha256()
        for part in (sample.name.encode(), sample.image, image_files.png(sample.label)):
            one.update(len(part).to_bytes(8, "little") + part)
        whole.update(one.digest())
    for shards in (1, 2, 5):
        spec = build(tmp_path, shards=shards, train=SyntheticSource(count=5))
        assert spec.checksums == {"train": whole.hexdigest()}


def test_the_mapping_of_ids_is_told_as_its_flag_is_written(tmp_path):
    assert format_label_map(contract.id_table({255: 1, 7: 0})) == "7:0,255:1"
    cityscapes = contract.id_table({7: 0, 8: 1, 255: 255}, others=255)
    assert format_label_map(cityscapes) == "7:0,8:1,*:255"
    image, mask = tmp_path / "a.png", tmp_path / "a_mask.png"
    image.write_bytes(image_files.png(np.zeros((2, 3, 3), np.uint8)))
    mask.write_bytes(image_files.png(np.array([[0, 7, 2]] * 2, np.uint8)))
    files = FileSource(
        pairs=[Pair(name="a", image=image, label=mask)], table=contract.id_table({7: 1})
    )
    spec = build(tmp_path / "records", train=files)
    assert spec.id_mapping == {"train": "7:1"}
    assert spec.pixel_counts == {"train": (2, 2, 2)}


def test_a_description_of_an_earlier_version_is_read(tmp_path):
    facts = {"name": "old", "classes": ["a", "b"], "palette": [[0, 0, 0], [9, 9, 9]]}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    old = spec_.load(tmp_path)
    assert (old.schema, old.shards, old.ignore_label) == (0, {}, 255)


def test_a_description_is_restricted_by_whole_names():
    shards = {f"{split}-00000-of-00001.tfrecord": "0" for split in ("a", "a-b")}
    spec = dataclasses.replace(SPEC, shards=shards, split_sizes={"a": 1, "a-b": 2})
    kept = select_splits(spec, ["a"])
    assert kept.split_sizes == {"a": 1}
    assert kept.shards == {"a-00000-of-00001.tfrecord": "0"}


def test_a_description_of_a_later_version_is_refused(tmp_path):
    facts = {"schema": 2, "version": "deeplab_tf 9.0", "something": "else"}
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"a newer version wrote it, deeplab_tf 9\.0"):
        spec_.load(tmp_path)


def test_splits_that_are_not_built_stay_and_stay_described(tmp_path):
    build(tmp_path)
    before = contents(tmp_path)
    spec = build(tmp_path, shards=2, train=SyntheticSource(seed=1))
    assert spec.split_sizes == {"train": 24, "val": 3}
    assert spec.shards.keys() == contents(tmp_path).keys() - {"dataset.json"}
    kept = {name: data for name, data in before.items() if name.startswith("val-")}
    assert len(kept) == 3
    assert kept.items() <= contents(tmp_path).items()
    other = dataclasses.replace(SPEC, classes=("ground", "cat", "cow"))
    with pytest.raises(InputError, match="its split val has other classes"):
        build(tmp_path, spec=other, train=SyntheticSource())


def official(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"somebody's")


def test_shards_that_nothing_describes_are_not_touched(tmp_path):
    official(tmp_path, "train-00000-of-00002.tfrecord", "x-00000-of-00001.tfrecord")
    before = contents(tmp_path)
    said = (
        r": it holds 2 shards that no dataset\.json describes, first train-00000-of-000"
        r"02\.tfrecord; choose another folder, or remove them$"
    )
    with pytest.raises(InputError, match=said):
        build(tmp_path)
    assert contents(tmp_path) == before


def test_shards_that_came_to_described_ones_are_not_touched(tmp_path):
    build(tmp_path)
    official(tmp_path, "val-00000-of-00001.tfrecord")
    with pytest.raises(InputError, match=r"holds 1 shards that no dataset\.json desc"):
        build(tmp_path)


@pytest.mark.parametrize("split_sizes", [{}, {"train": 3}])
def test_a_description_that_lists_no_shards_is_of_all_its_splits(tmp_path, split_sizes):
    official(tmp_path, "train-00000-of-00002.tfrecord")
    dataclasses.replace(SPEC, split_sizes=split_sizes).save(tmp_path)
    build(tmp_path)
    assert len(names(tmp_path, "train")) == 24


# What is wrong with the source


@pytest.mark.parametrize("split", ["train-x", "", "train/x", "train[:9]"])
def test_a_split_whose_name_would_be_misread_is_refused(tmp_path, split):
    said = rf"^{re.escape(split) or 'no folder'} as a split, by its folder or list: let"
    with pytest.raises(InputError, match=said):
        build(
            tmp_path / "records",
            **{"train": SyntheticSource(), split: SyntheticSource(count=3)},
        )
    assert not (tmp_path / "records").exists()


def test_wrong_masks_of_all_shards_are_counted_and_the_first_is_named(tmp_path):
    splits = {
        "train": SyntheticSource(wrong=(3, 4, 20)),
        "val": SyntheticSource(count=3),
    }
    with pytest.raises(InputError, match=r"^mask_3\.png: ids 9 .* so in 3 of 27 masks"):
        build(tmp_path / "records", **splits)
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("parallel", [ONE, pytest.param(TWO, marks=pytest.mark.slow)])
def test_a_damaged_file_is_named_and_the_old_build_stays(
    tmp_path, undisturbed, parallel
):
    build(tmp_path)
    with pytest.raises(InputError, match=r"^photo_9\.jpg: a damaged image$"):
        build(tmp_path, parallel, train=SyntheticSource(damaged=(9,), seed=1))
    assert contents(tmp_path) == undisturbed


def test_two_samples_of_one_name_are_found_in_different_shards(tmp_path):
    with pytest.raises(InputError, match="split train: two images of one name, same"):
        build(tmp_path / "records", train=SyntheticSource(count=2, name="same"))
    assert not (tmp_path / "records").exists()


def test_an_empty_split_is_named(tmp_path):
    with pytest.raises(InputError, match="split train: no images"):
        build(tmp_path, train=SyntheticSource(count=0))


def test_a_folder_that_another_builder_writes_is_left_alone(tmp_path):
    with (
        lock_folder(tmp_path, flag="output_dir", doing="building"),
        pytest.raises(InputError, match="has been building there since"),
    ):
        build(tmp_path)
    build(tmp_path)
