"""Any number of pictures: each once, in its place, however often it was begun."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import venv
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf import flags, storage
from deeplab_tf.batch_inference import networks, work
from deeplab_tf.batch_inference import run as batch_inference
from deeplab_tf.batch_inference.run import PicturesLeftOut
from deeplab_tf.batch_inference.shards import plan
from deeplab_tf.config import PredictConfig, TileConfig
from deeplab_tf.data import image_files, tfrecord, tfrecord_writer
from deeplab_tf.data.spec import load as load_spec
from deeplab_tf.errors import FlagError, InputError
from tests import pixelwise
from tests.recorded import ROOT

SIZES = [(9, 12), (12, 9), (9, 12), (8, 8)]


@pytest.fixture(autouse=True)
def _forget_networks():
    yield
    networks.open_network.cache_clear()


@pytest.fixture
def model(tmp_path):
    pytest.importorskip("onnxruntime", reason="[onnx] is not installed")
    pytest.importorskip("onnx", reason="[onnx] is not installed")
    return pixelwise.write(tmp_path, "onnx")


@pytest.fixture
def photos(tmp_path, rng):
    """Ten photographs in two folders, by the path from `photos`."""
    pixels = {}
    for i in range(10):
        name = f"{'ab'[i % 2]}/photo_{i}.png"
        array = rng.integers(0, 256, (*SIZES[i % 4], 3)).astype(np.uint8)
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(tmp_path / "photos" / name)
        pixels[name] = array
    return pixels


def config(folder, **changes):
    settings = {
        "model": str(folder / "model.onnx"),
        "input": str(folder / "photos" / "**"),
        "output": str(folder / "masks"),
        "shard_size": 4,
        "processes": 1,
    }
    return PredictConfig(**(settings | changes))


def predict(folder, **changes):
    batch_inference.predict(config(folder, **changes))


def content(folder):
    """Path -> bytes of all files."""
    files = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_picture_gets_a_mask_of_its_name_and_its_shares(model, photos, tmp_path):
    predict(tmp_path)
    for name, pixels in photos.items():
        ids = image_files.read_mask(tmp_path / "masks" / name)
        np.testing.assert_array_equal(ids, pixelwise.classes(pixels))
    colors = image_files.read_image(tmp_path / "masks" / "a" / "photo_0.png")
    expected = np.array(pixelwise.INFO["colors"])
    np.testing.assert_array_equal(
        colors, expected[pixelwise.classes(photos["a/photo_0.png"])]
    )
    shares = {row["picture"]: row for row in rows(tmp_path / "masks" / "shares.csv")}
    assert shares.keys() == photos.keys()
    for name, pixels in photos.items():
        ids = pixelwise.classes(pixels)
        row = shares[name]
        assert (row["height"], row["width"]) == tuple(map(str, ids.shape))
        assert float(row["green"]) == pytest.approx(np.mean(ids == 1), abs=1e-6)
    pixels = sum(np.sum(pixelwise.classes(each) == 2) for each in photos.values())
    (_, _, blue) = rows(tmp_path / "masks" / "classes.csv")
    assert (blue["class"], blue["pixels"], blue["blue"]) == ("blue", str(pixels), "200")
    assert not (tmp_path / "masks" / "damaged.csv").exists()


def test_records_as_output_are_a_data_set_of_the_predictions(model, photos, tmp_path):
    Image.fromarray(photos["a/photo_0.png"]).save(tmp_path / "photos" / "z.bmp")
    predict(tmp_path, output_format="tfrecord")
    paths = tfrecord.find_shards(str(tmp_path / "masks"), "predictions")
    assert len(paths) == 3
    samples = [tfrecord.parse_example(r) for path in paths for r in tfrecord.read(path)]
    assert len(samples) == 11
    for sample, pixels in zip(
        samples, [photos[n] for n in sorted(photos)], strict=False
    ):
        np.testing.assert_array_equal(tfrecord.decode_image(sample["image"]), pixels)
        label = tfrecord.decode_label(sample["label"])[..., 0]
        np.testing.assert_array_equal(label, pixelwise.classes(pixels))
    spec = load_spec(tmp_path / "masks")
    assert spec.classes == ("red", "green", "blue")
    assert spec.split_sizes == {"predictions": 11}


def test_lines_of_coco_hold_the_masks(model, photos, tmp_path):
    mask = pytest.importorskip("pycocotools.mask", reason="[coco] is not installed")
    predict(tmp_path, output_format="coco")
    paths = sorted((tmp_path / "masks").glob("predictions-*.jsonl"))
    texts = [path.read_text().splitlines() for path in paths]
    lines = [json.loads(line) for lines in texts for line in lines]
    for name, pixels in photos.items():
        ids = np.full(pixels.shape[:2], -1)
        for line in lines:
            if line["image"] == name.removesuffix(".png"):
                inside = mask.decode(line["segmentation"]).astype(bool)
                assert line["area"] == inside.sum()
                ids[inside] = line["category_id"]
        np.testing.assert_array_equal(ids, pixelwise.classes(pixels))


def write_records(folder, photos, split="val"):
    records = []
    for name, pixels in photos.items():
        records.append(
            tfrecord.Record(
                name=name.removesuffix(".png"),
                image=image_files.png(pixels),
                image_format="png",
                size=pixels.shape[:2],
            )
        )
    folder.mkdir(exist_ok=True)
    tfrecord_writer.write_shards(records, folder, split, per_shard=[6, 4])


def test_records_as_input_are_shards(model, photos, tmp_path):
    write_records(tmp_path / "records", photos)
    predict(tmp_path, input=str(tmp_path / "records" / "val-*"))
    for i, (name, pixels) in enumerate(photos.items()):
        folder = f"val-{i // 6:05d}-of-00002"
        stem = name.rpartition("/")[2]
        ids = image_files.read_mask(tmp_path / "masks" / folder / stem)
        np.testing.assert_array_equal(ids, pixelwise.classes(pixels))


def test_damaged_records_are_told_and_the_others_predicted(model, photos, tmp_path):
    write_records(tmp_path / "records", photos)
    first, second = sorted((tmp_path / "records").iterdir())
    data = bytearray(first.read_bytes())
    data[30] ^= 1  # In the content of the first record.
    first.write_bytes(data)
    second.write_bytes(second.read_bytes()[:-20])
    with pytest.raises(PicturesLeftOut, match="2 of 10 pictures cannot be read"):
        predict(tmp_path, input=str(tmp_path / "records" / "val-*"))
    reasons = {
        row["picture"]: row["reason"] for row in rows(tmp_path / "masks/damaged.csv")
    }
    assert reasons == {
        "val-00000-of-00002.tfrecord record 0": "a wrong checksum",
        "val-00001-of-00002.tfrecord record 3": "cut off within this record; what "
        "follows it is not read",
    }
    assert len(list((tmp_path / "masks").rglob("*.png"))) == 8


def test_damaged_pictures_are_listed_with_the_reason(model, photos, tmp_path, rng):
    folder = tmp_path / "photos"
    (folder / "a" / "empty.jpg").write_bytes(b"")
    (folder / "a" / "text.jpg").write_bytes(b"text")
    whole = image_files.png(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8))
    (folder / "a" / "cut.png").write_bytes(whole[:700])
    (folder / "nowhere.png").symlink_to(folder / "missing.png")
    huge = bytearray(whole)
    huge[16:24] = (20_000).to_bytes(4, "big") * 2  # Width and height in the header.
    huge[29:33] = zlib.crc32(huge[12:29]).to_bytes(4, "big")
    (folder / "huge.png").write_bytes(huge)
    with pytest.raises(PicturesLeftOut) as caught:
        predict(tmp_path)
    assert caught.value.exit_code == 3
    assert "5 of 15 pictures cannot be read" in str(caught.value)
    reasons = {
        row["picture"]: row["reason"] for row in rows(tmp_path / "masks/damaged.csv")
    }
    assert reasons["a/empty.jpg"] == "an empty file"
    assert reasons["a/text.jpg"] == "cannot be read as an image (not one)"
    assert reasons["nowhere.png"] == "no such file"
    assert reasons["huge.png"].startswith("20000x20000 pixels: more than 178956970")
    assert reasons["a/cut.png"].startswith("cannot be read as an image (")
    assert len(list((tmp_path / "masks").rglob("*.png"))) == 10
    before = content(tmp_path / "masks")
    with pytest.raises(PicturesLeftOut):  # Again, nothing is left to do.
        predict(tmp_path)
    assert content(tmp_path / "masks") == before


class Killed(BaseException):
    pass


@pytest.mark.parametrize("output_format", ["png", "tfrecord", "coco"])
def test_what_was_interrupted_goes_on_to_equal_bytes(
    model, photos, tmp_path, monkeypatch, output_format
):
    settings = {"output_format": output_format, "shard_size": 3}
    predict(tmp_path, output=str(tmp_path / "whole"), **settings)
    written, real = [], work._describe

    def interrupted(photograph, ids):
        written.append(photograph.name)
        if len(written) in (2, 7, 12):
            raise Killed
        return real(photograph, ids)

    monkeypatch.setattr(work, "_describe", interrupted)
    for _ in range(3):
        with pytest.raises(Killed):
            predict(tmp_path, **settings)
    unfinished = tmp_path / "masks" / "_shards" / ".left-by-a-kill"
    unfinished.write_bytes(b"half")
    predict(tmp_path, **settings)
    assert content(tmp_path / "masks") == content(tmp_path / "whole")
    # A shard that was not done is begun again; one that was is not.
    assert len(written) == 2 + (3 + 2) + (3 + 2) + (3 + 1)


def test_a_folder_of_another_command_is_refused(model, photos, tmp_path):
    predict(tmp_path)
    for changes, what in (
        ({"batch_size": 2}, "--batch_size"),
        ({"output_format": "coco"}, "--output_format"),
        ({"input": str(tmp_path / "photos" / "a")}, "--shards"),
    ):
        with pytest.raises(InputError, match=f"are of another {what}; the same"):
            predict(tmp_path, **changes)
    pixelwise.write(tmp_path, "onnx", colors=[[1, 1, 1]] * 3)
    with pytest.raises(InputError, match="are of another --model"):
        predict(tmp_path)


def test_tiles_are_part_of_the_command(model, photos, tmp_path):
    predict(tmp_path, output=str(tmp_path / "whole"))
    predict(tmp_path, tiles=TileConfig(tile=(16, 20), tile_overlap=(3, 3)))
    masks, whole = content(tmp_path / "masks"), content(tmp_path / "whole")
    for name in masks:  # Of a network that looks at each pixel alone.
        assert masks[name] == whole[name] or "job.json" in name, name
    for tiles in (TileConfig(), TileConfig(tile=(16, 16), tile_overlap=(3, 3))):
        with pytest.raises(InputError, match="are of another --tile; the same"):
            predict(tmp_path, tiles=tiles)
    pixelwise.write(tmp_path, "onnx", size=(24, 32))
    with pytest.raises(InputError, match=r"takes images of 24,32 .* no tiles of 9,9"):
        predict(tmp_path, output=str(tmp_path / "new"), tiles=TileConfig(tile=(9, 9)))


def test_photographs_are_never_written_over(model, photos, tmp_path):
    before = content(tmp_path / "photos")
    (tmp_path / "photos" / "notes.txt").write_text("notes")
    for output in (tmp_path / "photos", tmp_path / "photos" / "a"):
        with pytest.raises(InputError, match="--output="):
            predict(tmp_path, output=str(output))
    assert content(tmp_path / "photos") == before | {"notes.txt": b"notes"}
    # A folder inside of the input is none of it, now and when it goes on.
    inside = str(tmp_path / "photos" / "masks")
    predict(tmp_path, output=inside)
    predict(tmp_path, output=inside)
    assert len(rows(tmp_path / "photos" / "masks" / "shares.csv")) == 10


@pytest.mark.parametrize(
    ("changes", "error", "what"),
    [
        ({"model": "nowhere.onnx"}, InputError, "--model=nowhere.onnx: no such file"),
        ({"input": "nowhere"}, InputError, "--input=nowhere: no such file or folder"),
        ({"input": "nowhere/**"}, InputError, r"no pictures \(.jpg, .*TFRecords"),
        ({"input": "list.txt"}, InputError, "--input=list.txt: no such file"),
        ({"input": "xx://bucket/*"}, InputError, "xx://bucket/.*: Protocol not known"),
        ({"runner": "DirectRunner"}, FlagError, "--runner=DirectRunner needs Apache"),
    ],
)
def test_a_mistake_leaves_nothing_behind(
    model, photos, tmp_path, monkeypatch, changes, error, what
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(error, match=what):
        predict(tmp_path, **changes)
    assert not (tmp_path / "masks").exists()


def test_a_broken_model_is_told_before_anything_is_written(photos, tmp_path):
    pytest.importorskip("onnxruntime", reason="[onnx] is not installed")
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"model\.onnx: onnxruntime cannot open it"):
        predict(tmp_path)
    assert not (tmp_path / "masks").exists()


def test_a_list_names_the_pictures(model, photos, tmp_path):
    names = ["photos/b/photo_1.png", str(tmp_path / "photos/a/photo_0.png"), ""]
    (tmp_path / "list.txt").write_text("\n".join([*names, names[0]]))
    predict(tmp_path, input=str(tmp_path / "list.txt"))
    listed = [row["picture"] for row in rows(tmp_path / "masks" / "shares.csv")]
    assert listed == ["b/photo_1.png", "a/photo_0.png"]
    assert (tmp_path / "masks" / "b" / "photo_1.png").exists()


def test_remote_paths_go_through_fsspec(model, photos, tmp_path):
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "photos"), "/bucket/photos", recursive=True)
    for name in ("model.onnx", "model.onnx.json"):
        memory.put(str(tmp_path / name), f"/bucket/{name}")
    try:
        predict(
            tmp_path,
            model="memory://bucket/model.onnx",
            input="memory://bucket/photos/**",
            output="memory://bucket/masks",
        )
        predict(tmp_path)
        memory.get("/bucket/masks", str(tmp_path / "copied"), recursive=True)
    finally:
        memory.rm("/bucket", recursive=True)
    assert content(tmp_path / "copied") == content(tmp_path / "masks")


@pytest.mark.nightly
def test_a_training_folder_is_a_model(run, photos, tmp_path):
    predict(tmp_path, model=str(run))
    from deeplab_tf.prediction import load

    predictor = load.load(str(run))
    for name, pixels in list(photos.items())[:2]:
        expected = predictor.predict(pixels).classes
        ids = image_files.read_mask(tmp_path / "masks" / name)
        np.testing.assert_array_equal(ids, expected)
    (first, *_) = rows(tmp_path / "masks" / "classes.csv")
    assert first["class"] == "ground"


def test_names_stay_in_the_folder_and_never_collide(model, tmp_path, rng):
    pixels = rng.integers(0, 256, (4, 4, 3)).astype(np.uint8)
    names = [
        "a.png",
        "a.jpg",
        "A.PNG",
        "a_2.png",
        "b.png/c.png",
        "b.jpg",
        "shares.csv/d.png",
        "nul.png",
        "e\nf.png",
    ]
    for name in names:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, "PNG")
    predict(tmp_path)
    masks = [row["mask"] for row in rows(tmp_path / "masks" / "shares.csv")]
    assert len({mask.casefold() for mask in masks}) == len(names)
    assert all((tmp_path / "masks" / f"{mask}.png").is_file() for mask in masks)
    assert "b.png/c" in masks
    assert "shares.csv_/d" in masks
    assert "_nul" in masks


def test_shards_follow_from_the_paths_alone(photos, tmp_path):
    shards = plan(str(tmp_path / "photos"), str(tmp_path / "masks"), 4)
    again = plan(f"{tmp_path}/photos/./**", str(tmp_path / "masks"), 4)
    assert shards == again
    assert [len(shard.pictures) for shard in shards] == [4, 4, 2]
    sources = [picture.source for shard in shards for picture in shard.pictures]
    assert sources == sorted(photos)


def test_an_import_of_the_work_loads_no_tensorflow():
    code = (
        "import sys; from deeplab_tf.batch_inference import run, work; "
        "print({'tensorflow', 'keras', 'cv2'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.stdout.strip() == "set()", done.stderr


def test_flags_without_effect_are_told():
    required = ["--model=m.onnx", "--input=photos", "--output=masks"]
    with pytest.raises(FlagError, match="--beam_options=--x has no effect without --r"):
        flags.parse(PredictConfig, ["predict", *required, "--beam_options=--x"])
    with pytest.raises(FlagError, match="--processes=2 has no effect with --runner"):
        flags.parse(
            PredictConfig, ["predict", *required, "--processes=2", "--runner=X"]
        )


def command(folder, output, processes):
    code = "from deeplab_tf import commands; commands.predict()"
    settings = config(folder, output=str(output), processes=processes)
    names = ("model", "input", "output", "shard_size", "processes")
    given = [f"--{name}={getattr(settings, name)}" for name in names]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-c", code, *given], cwd=ROOT, stdout=log, stderr=log
        )


def draw(folder, count):
    rng = np.random.default_rng(0)
    (folder / "photos").mkdir()
    for i in range(count):
        pixels = rng.integers(0, 256, (*SIZES[i % 4], 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{i:04d}.png")


@pytest.mark.nightly
def test_killed_three_times_and_in_two_processes_bytes_are_equal(model, tmp_path):
    draw(tmp_path, 2000)
    whole = command(tmp_path, tmp_path / "whole", 1)
    assert whole.wait(600) == 0, (tmp_path / "log").read_text()
    for _ in range(3):
        killed = command(tmp_path, tmp_path / "masks", 2)
        shards = tmp_path / "masks" / "_shards"
        before = len(list(shards.glob("*.json")))
        while killed.poll() is None and len(list(shards.glob("*.json"))) < before + 40:
            time.sleep(0.05)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        time.sleep(1)  # Its processes end with it.
    assert 40 < len(list(shards.glob("*.json"))) < 500
    rest = command(tmp_path, tmp_path / "masks", 2)
    assert rest.wait(600) == 0, (tmp_path / "log").read_text()
    assert content(tmp_path / "masks") == content(tmp_path / "whole")


@pytest.mark.nightly
def test_memory_does_not_grow_with_the_pictures(model, tmp_path):
    peaks = []
    code = (
        "import resource; from deeplab_tf import commands; commands.predict(); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    draw(tmp_path, 2000)
    for pattern in ("00[0-9]*", "*"):
        given = f"--input={tmp_path}/photos/{pattern.replace('[0-9]', '?')}"
        done = subprocess.run(
            [
                *(sys.executable, "-c", code, f"--model={model}", given),
                f"--output={tmp_path}/masks_{len(peaks)}",
                "--processes=1",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0], peaks


@pytest.fixture
def beam(tmp_path):
    """The interpreter of an environment with Apache Beam, and without TensorFlow."""
    if python := os.environ.get("DEEPLAB_TEST_BEAM"):
        return python
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", *OF_BEAM], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no package index: {done.stderr.strip().splitlines()[-1]}")
    return python


OF_BEAM = (
    *("apache-beam", "onnxruntime", "numpy", "pillow"),
    *("absl-py", "filelock", "fsspec", "google-crc32c", "tqdm"),
)


@pytest.mark.nightly
def test_a_beam_pipeline_writes_equal_bytes(beam, model, photos, tmp_path):
    predict(tmp_path, output=str(tmp_path / "whole"))
    code = "from deeplab_tf import commands; commands.predict()"
    done = subprocess.run(
        [
            *(beam, "-c", code, f"--model={model}"),
            f"--input={tmp_path}/photos/**",
            f"--output={tmp_path}/masks",
            "--shard_size=4",
            "--runner=DirectRunner",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert content(tmp_path / "masks") == content(tmp_path / "whole")


def test_storage_writes_whole_files_or_none(tmp_path):
    path = tmp_path / "folder" / "file"

    def write_half():
        with storage.write_whole(str(path)) as file:
            file.write(b"half")
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        write_half()
    assert not list(path.parent.iterdir())
    with storage.write_whole(f"file://{path}") as file:
        file.write(b"whole")
    assert path.read_bytes() == b"whole"
    assert storage.read(f"file://{path}") == b"whole"


def test_examples_are_parsed_as_tensorflow_writes_them():
    from deeplab_tf.data import tfrecord_reader

    feature = tf.train.Feature
    texts = tf.train.BytesList(value=[b"first", b"second"])
    example = tf.train.Example(
        features=tf.train.Features(
            feature={
                "a": feature(bytes_list=texts),
                "b": feature(int64_list=tf.train.Int64List(value=[1, 300])),
                "c": feature(float_list=tf.train.FloatList(value=[1.5])),
                "d": feature(bytes_list=tf.train.BytesList(value=[b"x" * 300])),
            }
        )
    )
    texts = tfrecord_reader.parse_example(example.SerializeToString())
    assert texts == {"a": b"first", "d": b"x" * 300}
    with pytest.raises(ValueError, match="not an Example"):
        tfrecord_reader.parse_example(example.SerializeToString()[:-1])
