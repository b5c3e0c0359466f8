"""`python -m deeplab_tf.data check`: what is planted is found, and nothing else."""

import hashlib
import io
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from deeplab_tf import flags
from deeplab_tf.config import TrainConfig
from deeplab_tf.data import __main__ as command
from deeplab_tf.data import image_files, tfrecord
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.data.tfrecord import Record
from deeplab_tf.dataset_report import __main__ as dataset_report
from deeplab_tf.dataset_report import gather
from deeplab_tf.dataset_report.run import check
from deeplab_tf.dataset_report.scan import RecordEntry
from deeplab_tf.errors import InputError
from tests.recorded import ROOT

SPEC = DatasetSpec(
    name="own",
    classes=("ground", "cat", "dog", "cow", "hen"),
    palette=distinct_colors(5),
)
SIZE = 40, 52


def blob(number, size=SIZE):
    """A mask of a disc of class 4 and a bar of class 1 to 3."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    ids = np.zeros(size, np.uint8)
    ids[(rows - height // 2) ** 2 + (columns - 20) ** 2 < 150] = 4
    ids[:, -8:] = 1 + number % 3
    return ids


def jpeg(array, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "JPEG", **options)
    return stream.getvalue()


def record(number, rng, **changes):
    pixels = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    facts = {
        "name": f"photo_{number}",
        "image": jpeg(pixels),
        "image_format": "jpeg",
        "size": SIZE,
        "label": image_files.png(blob(number)),
    }
    return Record(**facts | changes)


@pytest.fixture
def records(rng):
    """Twelve to train on and five to validate on."""
    return {
        "train": [record(i, rng) for i in range(12)],
        "val": [record(100 + i, rng) for i in range(5)],
    }


def write(folder, records, spec=SPEC):
    spec.save(folder)
    for split, some in records.items():
        half = (len(some) + 1) // 2
        tfrecord.write_shards(some, folder, split, per_shard=[half, len(some) - half])
    return folder


@pytest.fixture
def run_check(monkeypatch, capsys, caplog):
    """Exit code of a command line, and the lines of errors and warnings."""

    def call(*args):
        monkeypatch.setattr(sys, "argv", ["data", *args])
        code = 0
        try:
            command.main()
        except SystemExit as error:
            code = error.code
        lines = [
            f"{r.levelname}: {r.message}" for r in caplog.records if r.levelno > 20
        ]
        # The log may, or may not, go to the stream that is captured, too.
        last = capsys.readouterr().err.splitlines()
        ends = [line for line in last if line.startswith("ERROR") and line not in lines]
        return code, lines + ends

    return call


def test_right_records_have_no_faults(tmp_path, records, run_check, caplog):
    write(tmp_path, records)
    assert run_check("check", str(tmp_path)) == (0, [])
    (line,) = [text for text in caplog.messages if text.startswith("Next: ")]
    assert line.startswith(f"Next: deeplab-train --dataset_dir={tmp_path} --recipe=")
    config = flags.parse(TrainConfig, shlex.split(line.removeprefix("Next: ")))
    assert config.tf_initial_checkpoint == "zoo:mobilenetv2_coco_voc_trainaug"
    page = (tmp_path / "check.html").read_text()
    assert "No errors" in page
    assert page.count("data:image/jpeg;base64,") == 12 + 5


def interpolated(number):
    large = Image.fromarray(blob(number, (64, 80)))
    return np.asarray(large.resize(SIZE[::-1], Image.Resampling.BILINEAR))


def turned(array):
    return np.ascontiguousarray(array.T)


# What is done to record 3 of the split train, which is the fourth of its first shard.
PLANTED = {
    "ids that are no classes": (
        lambda it: {
            "label": image_files.png(np.where(blob(3) == 4, 9, 0).astype(np.uint8))
        },
        "ids 9 are neither classes (0 to 4) nor the ignore label 255, "
        f"{(blob(3) == 4).mean():.1%} of its pixels",
    ),
    "a palette": (
        lambda it: {"label": image_files.png(blob(3), SPEC.palette)},
        "its label PNG has a palette, which TensorFlow does not read as class ids; "
        "build the records again with datasets/build_folder_data.py",
    ),
    "colors": (
        lambda it: {"label": image_files.png(np.stack([blob(3)] * 3, axis=-1))},
        "its label PNG has colors, which TensorFlow does not read as class ids; "
        "build the records again with datasets/build_folder_data.py",
    ),
    "image and mask swapped": (
        lambda it: {"image": it.label, "image_format": "png", "label": it.image},
        "its label is a photograph, and its image is none: they are swapped",
    ),
    "a truncated image": (
        lambda it: {"image": it.image[:700]},
        "its image is damaged",
    ),
    "a truncated mask": (
        lambda it: {"label": it.label[:60]},
        "its label is damaged",
    ),
    "a mask cut off in its header": (
        lambda it: {"label": it.label[:20]},
        "its label is damaged",
    ),
    "another size": (
        lambda it: {"label": image_files.png(blob(3)[::2, ::2])},
        "the mask is 26x20, its image 52x40 (width x height); save the mask at the "
        "image's size, resized without interpolation",
    ),
    "a turned mask": (
        lambda it: {"label": image_files.png(turned(blob(3)))},
        "the mask is 40x52, its image 52x40 (width x height); one of them is turned by "
        "90 degrees, as the EXIF data of a photograph may do: draw the mask on the "
        "image as it is shown",
    ),
    "nothing but the ignore label": (
        lambda it: {"label": image_files.png(np.full(SIZE, 255, np.uint8))},
        "its mask is the ignore label 255 alone: there is nothing to learn",
    ),
    "ids of interpolation": (
        lambda it: {"label": image_files.png(interpolated(3))},
        "ids 1, 2, 3 lie along borders between other ids, as smoothing, resizing or "
        "JPEG compression put them there",
    ),
    "a wrong height": (
        lambda it: {"size": (41, 52)},
        "image/width and height say 52x41, and its image is 52x40",
    ),
    "a wrong format": (
        lambda it: {"image_format": "png"},
        "image/format says png, and its image is jpeg",
    ),
    "no mask": (
        lambda it: {"label": b""},
        "it has no mask, and others of its split have",
    ),
    "no image": (lambda it: {"image": b""}, "it has no image"),
    "a name that is there": (
        lambda it: {"name": "photo_1"},
        "the same name as train, train-00000-of-00002.tfrecord, record 1 (photo_1)",
    ),
}
PLACE = "ERROR: train, train-00000-of-00002.tfrecord, record 3 ({}): "


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_planted_is_found_and_named(tmp_path, records, run_check, what):
    change, message = PLANTED[what]
    before = records["train"][3]
    after = before.__class__(**vars(before) | change(before))
    records["train"][3] = after
    write(tmp_path, records)
    code, lines = run_check("check", str(tmp_path))
    assert code == 1
    page = tmp_path / "check.html"
    assert lines == [
        PLACE.format(after.name) + message,
        f"ERROR: {tmp_path}: 1 error; {page} shows them",
    ]
    shown = page.read_text()
    assert "1 error" in shown
    assert f"record 3 ({after.name})" in shown


def flip(path, index, where):
    """Changes a bit of a record, so that its checksum is wrong."""
    content = bytearray(path.read_bytes())
    content[tfrecord.offsets(str(path))[index] + where] ^= 4
    path.write_bytes(content)


def test_a_flipped_bit_is_found_and_the_records_behind_it_are_read(
    tmp_path, records, run_check
):
    change, message = PLANTED["ids that are no classes"]
    records["train"][3] = Record(**vars(records["train"][3]) | change(None))
    write(tmp_path, records)
    flip(tmp_path / "train-00000-of-00002.tfrecord", 1, 500)
    code, lines = run_check("check", str(tmp_path))
    assert code == 1
    assert lines[:-1] == [
        "ERROR: train, train-00000-of-00002.tfrecord, record 1: its checksum is wrong; "
        "copy or build it again",
        PLACE.format("photo_3") + message,
    ]


def test_ten_faults_at_once_are_ten(tmp_path, records, run_check):
    chosen = list(PLANTED)[:8]
    for index, what in enumerate(chosen):
        before = records["train"][index]
        records["train"][index] = Record(**vars(before) | PLANTED[what][0](before))
    same = records["train"][9]
    records["val"][2] = Record(**vars(records["val"][2]) | {"image": same.image})
    write(tmp_path, records)
    flip(tmp_path / "val-00001-of-00002.tfrecord", 1, 300)
    code, lines = run_check("check", str(tmp_path))
    assert code == 1
    assert len(lines) == 11
    assert lines[-1].startswith(f"ERROR: {tmp_path}: 10 errors; ")
    for index, what in enumerate(chosen):
        shard = f"train-0000{index // 6}-of-00002.tfrecord"
        place = f"ERROR: train, {shard}, record {index % 6} (photo_{index}): "
        assert sum(line.startswith(place) for line in lines) == 1, what
    assert (
        "ERROR: val, val-00000-of-00002.tfrecord, record 2 (photo_102): the same image "
        "as train, train-00001-of-00002.tfrecord, record 3 (photo_9)"
    ) in lines
    assert (
        "ERROR: val, val-00001-of-00002.tfrecord, record 1: its checksum is wrong; "
        "copy or build it again"
    ) in lines


def test_a_shard_that_is_cut_off_or_missing_is_told(tmp_path, records, run_check):
    write(tmp_path, records)
    cut = tmp_path / "train-00001-of-00002.tfrecord"
    cut.write_bytes(cut.read_bytes()[:-50])
    (tmp_path / "val-00000-of-00002.tfrecord").unlink()
    _, lines = run_check("check", str(tmp_path))
    assert lines[:-1] == [
        "ERROR: train, train-00001-of-00002.tfrecord: cut off within record 5; copy or "
        "build it again",
        "ERROR: val: 1 shards val-*, of 2 by their names; copy the missing ones "
        "there (number 0), or build them again",
    ]


def test_what_dataset_json_says_is_compared(tmp_path, records, run_check):
    shard = "val-00001-of-00002.tfrecord"
    write(tmp_path, records)
    hashes = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tmp_path.glob("*.tfrecord")
    }
    said = {
        "split_sizes": {"train": 12, "val": 6, "test": 2},
        "shards": hashes | {shard: 64 * "0"},
    }
    DatasetSpec(**vars(SPEC) | said).save(tmp_path)
    _, lines = run_check("check", str(tmp_path))
    assert lines[:-1] == [
        "ERROR: test: no shards test-*; it has train, val",
        "ERROR: val: 5 records, and dataset.json says 6",
        f"ERROR: {shard}: its SHA-256 is not that in dataset.json; it was changed, or "
        "is of another build",
    ]


def test_what_dataset_json_does_not_list_is_told(tmp_path, records, run_check, rng):
    records["extra"] = [record(200 + i, rng) for i in range(3)]
    write(tmp_path, records)
    first = tmp_path / "train-00000-of-00002.tfrecord"
    said = {
        "split_sizes": {"train": 12, "val": 5},
        "shards": {first.name: hashlib.sha256(first.read_bytes()).hexdigest()},
    }
    DatasetSpec(**vars(SPEC) | said).save(tmp_path)
    _, lines = run_check("check", str(tmp_path))
    assert lines[:-1] == [
        f"ERROR: {name}: dataset.json does not list it; is it of another data set?"
        for name in (
            "extra",
            "train-00001-of-00002.tfrecord",
            "val-00000-of-00002.tfrecord",
            "val-00001-of-00002.tfrecord",
        )
    ]


def test_what_is_only_suspicious_is_no_fault(tmp_path, records, run_check):
    changes = {
        "label": image_files.png(np.full(SIZE, 1, np.uint8)),
        "image": jpeg(np.full((*SIZE, 3), 9, np.uint8)),
    }
    records["train"][3] = Record(**vars(records["train"][3]) | changes)
    records["val"][0] = Record(**vars(records["val"][0]) | {"name": "photo_1"})
    spec = DatasetSpec(
        name="own", classes=(*SPEC.classes, "yak"), palette=distinct_colors(6)
    )
    write(tmp_path, records, spec)
    code, lines = run_check("check", str(tmp_path))
    place = PLACE.format("photo_3").replace("ERROR", "WARNING")
    assert code == 0
    assert lines == [
        f"{place}its image is all of one color",
        f'{place}its mask is class 1 "cat" alone',
        "WARNING: val, val-00000-of-00002.tfrecord, record 0 (photo_1): another image "
        "of the same name is train, train-00000-of-00002.tfrecord, record 1 (photo_1)",
        'WARNING: all splits: class 5 "yak" is in no mask',
    ]
    page = (tmp_path / "check.html").read_text()
    assert page.index("its image is all of one color") < page.index("<h2>Splits")


@pytest.mark.parametrize(("how", "doubts"), [(6, 1), (0, 0)])
def test_a_photograph_that_exif_turns_is_suspicious(
    tmp_path, records, rng, how, doubts
):
    exif = Image.Exif()
    exif[0x0112] = how
    pixels = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    changes = {"image": jpeg(pixels, exif=exif)}
    records["train"][3] = Record(**vars(records["train"][3]) | changes)
    report = check(str(write(tmp_path, records)))
    said = "its EXIF data turn the image, and training does not"
    assert [doubt.what for doubt in report.doubts] == [said] * doubts


def test_a_split_without_masks_may_be_one(tmp_path, records, rng):
    records["test"] = [record(200 + i, rng, label=b"") for i in range(3)]
    report = check(str(write(tmp_path, records)))
    assert report.splits["test"].records == 3
    assert report.splits["test"].tally.masks == 0


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("train", "val", True),
        ("train_fine", "val_fine", True),
        ("train", "train", True),
        ("val", "test", True),
        ("train", "trainval", False),
        ("val", "trainval", False),
        ("train_aug", "trainval", False),
        ("trainval", "test", True),
        ("a", "b", False),
    ],
)
def test_splits_that_share_images_on_purpose_are_not_compared(one, other, apart):
    duplicates = gather.DuplicateFinder()
    entries = [
        RecordEntry(
            split=split,
            shard="",
            index=0,
            name=split + "x",
            digest=b"d",
            has_label=True,
        )
        for split in (one, other)
    ]
    duplicates.compare(entries[0])
    faults, doubts = duplicates.compare(entries[1])
    assert bool(faults + doubts) == apart
    assert bool(doubts) == (one == other)


def test_pixels_and_images_are_counted(tmp_path, records):
    report = check(str(write(tmp_path, records)))
    tally = report.splits["train"].tally
    expected = [blob(i) for i in range(12)]
    for label in range(5):
        assert tally.pixels[label] == sum((ids == label).sum() for ids in expected)
        assert tally.images[label] == sum((ids == label).any() for ids in expected)
    assert report.splits["train"].sizes == {SIZE: 12}


def test_the_page_shows_names_as_text(tmp_path, records):
    name = "<script>alert(1)</script>"
    records["train"][3] = Record(**vars(records["train"][3]) | {"name": name})
    check(str(write(tmp_path, records)))
    page = (tmp_path / "check.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_the_page_needs_nothing_else(tmp_path, records):
    check(str(write(tmp_path, records)), path=str(tmp_path / "pages" / "a.html"))
    page = (tmp_path / "pages" / "a.html").read_text()
    page = re.sub('base64,[^"]*', "", page)
    assert not re.findall(r"(?:https?:)?//[a-z]", page)
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert not (tmp_path / "check.html").exists()


@pytest.mark.nightly
@pytest.mark.slow
def test_the_command_is_a_process_with_an_exit_code(tmp_path, records):
    write(tmp_path, records)
    (tmp_path / "val-00000-of-00002.tfrecord").unlink()
    command = [sys.executable, "-m", "deeplab_tf.data", "check", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert "ERROR: val: 1 shards val-*, of 2 by their names" in done.stderr


def test_the_report_is_a_command_itself(tmp_path, records, monkeypatch):
    write(tmp_path, records)
    page = tmp_path / "page.html"
    monkeypatch.setattr(sys, "argv", ["report", str(tmp_path), f"--page={page}"])
    dataset_report.main()
    assert page.exists()


@pytest.mark.nightly
def test_many_records_are_read_in_processes(tmp_path, records, monkeypatch):
    changes = {"label": image_files.png(np.full(SIZE, 9, np.uint8))}
    records["train"] = records["train"][:4] * 80
    records["train"][250] = Record(
        **vars(records["train"][250]) | changes | {"name": "it"}
    )
    with pytest.raises(InputError, match=r"\d+ errors; "):
        check(str(write(tmp_path, records)))
    page = (tmp_path / "check.html").read_text()
    assert "train, train-00001-of-00002.tfrecord, record 90 (it)" in page


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["check"], 2, "--dataset_dir is missing: Folder of the records: DIR."),
        (["check", "nowhere"], 1, "--dataset_dir=nowhere: no such folder"),
        (["look", "x"], 2, "arguments that belong to no flag: look x"),
        (["check", "{}", "--images=-1"], 2, "--images=-1: 0 or more is needed"),
        (["check", "{}"], 1, "{}: no records in it; they are called *-of-*"),
    ],
)
def test_commands_that_cannot_be_meant_say_why(
    tmp_path, run_check, args, code, message
):
    args = [arg.format(tmp_path) for arg in args]
    expected = code, [f"ERROR: {message.format(tmp_path)}"]
    assert run_check(*args) == expected
    assert not list(tmp_path.iterdir())


def test_who_forgets_what_is_to_be_done_is_told(run_check):
    assert run_check() == (
        2,
        ["ERROR: nothing is asked for; write deeplab-data check records"],
    )
