"""Mistakes of users: one clear line, an exit code, and nothing left behind.

Each case is a row of docs/errors.md, which is compared with what is said here.
"""

import contextlib
import dataclasses
import io
import json
import math
import re
import shutil
import socket
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from deeplab_tf import commands
from deeplab_tf.data import __main__ as data
from deeplab_tf.data import image_files, tfrecord, tfrecord_writer
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.dataset_builders import coco
from deeplab_tf.datasets import build_folder_data
from deeplab_tf.evaluation import __main__ as evaluation
from deeplab_tf.evaluation import image_counts
from deeplab_tf.evaluation.image_counts import ImageCounts
from deeplab_tf.runs import __main__ as runs
from deeplab_tf.web import __main__ as web
from tests.data import pngs
from tests.data.test_open_image import as_tiff
from tests.recorded import ROOT

CASES = {}


def case(title):
    def add(prepare):
        CASES[title] = prepare
        return prepare

    return add


def train(*args):
    required = ["--dataset_dir=records", "--train_logdir=new_run"]
    given = {arg.split("=")[0] for arg in args}
    kept = [arg for arg in required if arg.split("=")[0] not in given]
    return commands.train, [*kept, *args]


def evaluate(*args):
    required = ["--checkpoint_dir=run", "--dataset_dir=records", "--eval_logdir=scores"]
    given = {arg.split("=")[0] for arg in args}
    return commands.evaluate, [
        *[arg for arg in required if arg.split("=")[0] not in given],
        *args,
    ]


def build(*args):
    required = ["--image_dir=photos", "--output_dir=built"]
    if not any("--coco_annotations" in arg for arg in args):
        required += ["--label_dir=masks", "--class_names=background,cat"]
    given = {arg.split("=")[0] for arg in args}
    kept = [arg for arg in required if arg.split("=")[0] not in given]
    return build_folder_data.main, [*kept, *args]


def write_mask(folder, ids, name="photo_1", palette=()):
    path = folder / "masks" / f"{name}.png"
    path.write_bytes(image_files.png(np.array(ids, np.uint8), palette))


def all_masks(folder, change):
    for path in (folder / "masks").iterdir():
        write_mask(folder, change(image_files.read_mask(path)), path.stem)


# The command line


@case("A loss that there is not")
def _(folder):
    return train("--losses=cross_entropy,iou")


@case("A setting of a loss that is not taken")
def _(folder):
    return train("--losses=dice", "--label_smoothing=0.1")


@case("A batch that cannot be computed in equal parts")
def _(folder):
    return train("--train_batch_size=10", "--gradient_accumulation_steps=4")


@case("Early stopping without evaluations")
def _(folder):
    return train("--early_stopping_patience=3")


@case("A metric of the best checkpoint that there is not")
def _(folder):
    return train("--best_metric=dog", "--eval_interval_steps=100")


@case("A class of the best checkpoint that there is not")
def _(folder):
    return train("--best_metric=class:bal", "--eval_interval_steps=100")


@case("A number of evaluations beside --continuous")
def _(folder):
    return evaluate("--continuous", "--max_number_of_evaluations=3")


@case("Several hosts that nobody names")
def _(folder):
    return train("--strategy=multi_worker")


@case("XLA for several replicas on a CPU")
def _(folder):
    return train("--strategy=mirrored", "--cpu_replicas=2", "--jit_compile")


@case("A flag that does not exist")
def _(folder):
    return train("--trian_split=val")


@case("Spaces around `=`")
def _(folder):
    return train("--fine_tune_batch_norm", "=", "false")


@case("Spaces behind `=`")
def _(folder):
    return train("--train_split=", "val")


@case("Missing dashes")
def _(folder):
    return train("train_crop_size=321")


@case("Missing dashes of a flag that there is not")
def _(folder):
    return train("crop=321")


@case("A dash of a web page")
def _(folder):
    return train("\u2013train_split=val")


@case("Quotes of a web page")
def _(folder):
    return train("--train_split=\u201cval\u201d")


@case("A flag without a value")
def _(folder):
    return train("--tf_initial_checkpoint=")


@case("No photograph's name")
def _(folder):
    required = ["--checkpoint_dir=run", "--vis_logdir=pictures"]
    return commands.visualize, [*required, "--image="]


@case("Statistics of a checkpoint that was not given")
def _(folder):
    return train("--recipe=mobilenet_v2_finetune")


@case("A setting of another learning policy")
def _(folder):
    return train("--learning_rate_gamma=0.1")


@case("A setting of another optimizer, and one of another loss")
def _(folder):
    return train("--optimizer=adam", "--learning_rate_steps=9", "--focal_gamma=1")


@case("A setting of another network")
def _(folder):
    return train("--auxiliary_loss_weight=1")


@case("Augmentation of the one batch that is overfitted")
def _(folder):
    return train("--overfit_one_batch", "--blur_sigma=1", "--rotation_degrees=9")


@case("Numbers of a CRF without a CRF")
def _(folder):
    return evaluate("--crf_iterations=5")


@case("Scores of a search of a CRF")
def _(folder):
    return evaluate("--crf_search", "--boundary_iou")


@case("A negative learning rate")
def _(folder):
    return train("--base_learning_rate=-0.1")


@case("A seed that is too great")
def _(folder):
    return train("--seed=10000000000")


@case("A rate that float32 has not")
def _(folder):
    return train("--base_learning_rate=1e39")


@case("A word where a number is needed")
def _(folder):
    return train("--train_batch_size=eight")


@case("A value that is not among the choices")
def _(folder):
    return train("--output_stride=10")


@case("An unknown network")
def _(folder):
    return train("--model_variant=resnet50")


@case("A required flag left out")
def _(folder):
    return commands.train, ["--dataset_dir=records"]


@case("A flagfile that is not there")
def _(folder):
    return train("--flagfile=recipe.flags")


def flagfile(folder, text):
    (folder / "mine.flags").write_text(text)
    return train("--flagfile=mine.flags")


@case("A flagfile that is a folder")
def _(folder):
    return train("--flagfile=photos")


@case("A flagfile without a name")
def _(folder):
    return train("--flagfile=")


@case("A flagfile that reads itself")
def _(folder):
    return flagfile(folder, "--seed=3 --flagfile=mine.flags")


@case("A flagfile with an open quote")
def _(folder):
    return flagfile(folder, "--seed=3\n--train_split='val\n")


@case("A flagfile with a variable of the shell")
def _(folder):
    return flagfile(folder, "--dataset_dir=$HOME/data")


@case("A flagfile with a backslash")
def _(folder):
    return flagfile(folder, "--dataset_dir=C:\\data")


@case("A flagfile that is a script")
def _(folder):
    return flagfile(folder, "cd data && python train.py --seed=3")


@case("A CRF that nobody has published")
def _(folder):
    return evaluate("--crf=voc_v3")


@case("A CRF with too few numbers")
def _(folder):
    return evaluate("--crf_w1=4", "--crf_sigma_alpha=67")


@case("A folder that cannot be written")
def _(folder):
    (folder / "notes.txt").write_text("a file")
    return train("--train_logdir=notes.txt/run")


# Masks and photographs, when records are built


@case("Masks with ids beyond the classes")
def _(folder):
    write_mask(folder, np.resize([0, 1, 128], (8, 10)))
    return build()


@case("Masks in colors")
def _(folder):
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(folder / "masks/photo_1.png")
    return build()


@case("Masks of 0 and 255")
def _(folder):
    all_masks(folder, lambda ids: ids * 255)
    return build()


@case("Masks that count from 1")
def _(folder):
    all_masks(folder, lambda ids: ids + 1)
    return build()


@case("Masks saved as JPEG")
def _(folder):
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(folder / "masks/photo_1.jpg")
    (folder / "masks" / "photo_1.png").unlink()
    return build()


@case("A mask of another size than its photograph")
def _(folder):
    write_mask(folder, np.zeros((4, 5)))
    return build()


@case("A photograph without a mask")
def _(folder):
    (folder / "masks" / "photo_1.png").unlink()
    return build()


@case("Records into the folder of the photographs")
def _(folder):
    return build("--output_dir=photos")


@case("Masks that count from 1, and 0 is unlabeled")
def _(folder):
    all_masks(folder, lambda ids: ids * 2)
    return build()


@case("Records without what is to be done")
def _(folder):
    return data.main, ["records"]


@case("A photograph whose mask is called otherwise")
def _(folder):
    for path in (folder / "masks").iterdir():
        path.rename(path.with_stem(f"{path.stem}_mask"))
    return build()


@case("Names of classes with blanks between")
def _(folder):
    return build("--class_names=background", "cat", "dog")


@case("A damaged photograph")
def _(folder):
    path = folder / "photos" / "photo_1.jpg"
    path.write_bytes(path.read_bytes()[:500])
    return build()


def other_file(folder, content, name):
    """Puts bytes in the place of photo_1, as photos/photo_1.png."""
    for path in (folder / name).parent.glob("photo_1.*"):
        path.unlink()
    (folder / name).write_bytes(content)


@case("A photograph with a flipped bit")
def _(folder):
    png = bytearray(image_files.png(np.zeros((8, 10, 3), np.uint8)))
    png[png.index(b"IDAT") + 8] ^= 1
    other_file(folder, bytes(png), "photos/photo_1.png")
    return build()


@case("Several damaged files")
def _(folder):
    (folder / "photos/photo_1.jpg").write_bytes(b"")
    mask = folder / "masks/photo_2.png"
    mask.write_bytes(mask.read_bytes()[:-1])
    return build(*lists(folder))


def lists(folder, train=("photo_1", "photo_2", "photo_3"), val=("photo_0",)):
    for name, stems in (("train", train), ("val", val)):
        (folder / f"{name}.txt").write_text("\n".join(stems))
    return ["--train_list=train.txt", "--val_list=val.txt"]


@case("A mask of several pages")
def _(folder):
    page, stream = Image.fromarray(np.zeros((8, 10), np.uint8)), io.BytesIO()
    page.save(stream, "TIFF", save_all=True, append_images=[page])
    other_file(folder, stream.getvalue(), "masks/photo_1.tif")
    return build()


@case("A photograph of more bands than colors")
def _(folder):
    tiff = as_tiff(np.zeros((8, 10, 4), np.uint8), meaning=1)
    other_file(folder, tiff, "photos/photo_1.tif")
    return build()


@case("A photograph whose transparency may be near infrared")
def _(folder):
    varied = np.random.default_rng(0).integers(0, 256, (8, 10, 4)).astype(np.uint8)
    other_file(folder, image_files.png(varied), "photos/photo_1.png")
    return build()


@case("A photograph of floating point values")
def _(folder):
    tiff = as_tiff(np.zeros((8, 10, 3), np.float32), meaning=2, number_kind=3)
    other_file(folder, tiff, "photos/photo_1.tif")
    return build()


@case("A huge photograph")
def _(folder):
    stream = io.BytesIO()
    Image.new("1", (14000, 13000)).save(stream, "PNG", compress_level=1)
    other_file(folder, stream.getvalue(), "photos/photo_1.png")
    return build()


@case("A class count that includes the ignore label")
def _(folder):
    return build("--num_classes=3")


# Names of classes, and texts


@case("One class alone")
def _(folder):
    return build("--class_names=cat")


@case("A class without a name")
def _(folder):
    return build("--class_names=ground,,ball")


@case("A class that is named twice")
def _(folder):
    return build("--class_names=ground,ball,ball")


@case("A class name with a control character")
def _(folder):
    return build("--class_names=gro\nund,ball")


@case("Names of classes in a file of something else")
def _(folder):
    heading = "# label:color_rgb:parts:actions\n"
    (folder / "labelmap.txt").write_text(f"{heading}ball:250,50,83::\n")
    return build("--class_names=labelmap.txt")


@case("A list of photographs instead of classes")
def _(folder):
    (folder / "train.txt").write_text("photo_0\nphoto_1\n")
    return build("--class_names=train.txt")


@case("A text that is not in UTF-8")
def _(folder):
    (folder / "names.txt").write_bytes("ground\ncaf\xe9\n".encode("latin-1"))
    return build("--class_names=names.txt")


@case("A text in UTF-16")
def _(folder):
    (folder / "train.txt").write_bytes("photo_0\n".encode("utf-16"))
    return build("--train_list=train.txt", "--val_list=train.txt")


@case("Photographs and masks that are swapped")
def _(folder):
    tones = np.linspace(0, 255, 40 * 50).astype(np.uint8).reshape(40, 50)
    for path in (folder / "photos").iterdir():
        Image.fromarray(np.stack([tones, tones.T.reshape(40, 50), tones], 2)).save(path)
    return build("--image_dir=masks", "--label_dir=photos")


@case("Masks that were smoothed")
def _(folder):
    for path in (folder / "photos").iterdir():
        Image.fromarray(np.zeros((80, 100, 3), np.uint8)).save(path)
    steps = np.repeat(
        [0, 0, 1, 2, 3, 4, 4, 2, 0, 0], [20, 20, 1, 1, 1, 17, 17, 1, 1, 21]
    )
    all_masks(folder, lambda ids: np.tile(steps, (80, 1)))
    return build("--class_names=ground,cat,dog,cow,horse")


@case("A color that is not in the table")
def _(folder):
    (folder / "colors.txt").write_text("0 0 0 ground\n0 0 142 car\n")
    for path in (folder / "masks").iterdir():
        colors = np.zeros((8, 10, 3), np.uint8)
        colors[:4] = 0, 0, 142
        colors[0, :8] = 0, 0, 140
        Image.fromarray(colors).save(path)
    return build("--color_table=colors.txt", "--class_names=ground,car")


def in_folders_of_splits(folder):
    for kind in ("photos", "masks"):
        for i, split in enumerate(("train", "val")):
            (folder / kind / split).mkdir()
            for path in sorted((folder / kind).glob(f"photo_[{2 * i}{2 * i + 1}].*")):
                path.rename(folder / kind / split / path.name)


@case("Folders of splits, and no word about them")
def _(folder):
    in_folders_of_splits(folder)
    return build()


@case("A pattern that would mix the folders of splits")
def _(folder):
    in_folders_of_splits(folder)
    return build("--image_glob=*/*.jpg", "--label_glob=*/*.png")


@case("One photograph in two lists")
def _(folder):
    (folder / "train.txt").write_text("photo_0\nphoto_1\n")
    (folder / "val.txt").write_text("photo_1\nphoto_2\n")
    return build("--train_list=train.txt", "--val_list=val.txt")


@case("A name that is listed twice")
def _(folder):
    return build(*lists(folder, train=("photo_1", "photo_2", "photo_1")))


@case("A name that two photographs have")
def _(folder):
    shutil.copy(folder / "photos/photo_1.jpg", folder / "photos/photo_1.png")
    return build(*lists(folder))


@case("Names in a list with suffixes")
def _(folder):
    return build(*lists(folder, train=("photo_1.jpg",)))


@case("Photographs and masks in one folder")
def _(folder):
    for path in (folder / "masks").iterdir():
        path.rename(folder / "photos" / f"{path.stem}_mask.png")
    return build("--label_dir=photos")


@case("A share to test on beside lists")
def _(folder):
    return build(*lists(folder), "--val_fraction=0.3")


@case("An id that is changed twice")
def _(folder):
    return build("--label_map=1:0,1:2")


@case("An ignored id that masks from 1 have as a class")
def _(folder):
    return build("--reduce_zero_label", "--ignore_label=0")


@case("Colors of four numbers in a table")
def _(folder):
    (folder / "colors.txt").write_text("128 64 128 255 road\n0 0 0 255 car\n")
    return build("--color_table=colors.txt", "--class_names=")


def annotate(folder, segmentation, file_name="photo_0.jpg"):
    """Writes one object of COCO; gives what builds it."""
    facts = {
        "categories": [{"id": 3, "name": "cat"}],
        "images": [
            {"id": 1, "file_name": file_name, "height": 8, "width": 10},
            {"id": 2, "file_name": "photo_1.jpg", "height": 8, "width": 10},
        ],
        "annotations": [
            {"id": 50, "image_id": 1, "category_id": 3, "segmentation": segmentation}
        ],
    }
    (folder / "instances.json").write_text(json.dumps(facts))
    coco.read_annotations.cache_clear()
    return build("--coco_annotations=instances.json")


@case("An object of COCO with a coordinate that is no number")
def _(folder):
    pytest.importorskip("pycocotools")
    return annotate(folder, [[1, 1, math.nan, 2, 3, 3]])


@case("A photograph of COCO outside of its folder")
def _(folder):
    return annotate(folder, [[1, 1, 4, 1, 4, 4]], file_name="../photo_0.jpg")


@case("An object of COCO without an outline")
def _(folder):
    pytest.importorskip("pycocotools")
    photo = {"id": 1, "file_name": "photo_0.jpg", "height": 8, "width": 10}
    box = {"id": 50, "image_id": 1, "category_id": 3, "bbox": [0, 0, 4, 4]}
    facts = {
        "categories": [{"id": 3, "name": "cat"}],
        "images": [photo, photo | {"id": 2, "file_name": "photo_1.jpg"}],
        "annotations": [box],
    }
    (folder / "instances.json").write_text(json.dumps(facts))
    return build("--coco_annotations=instances.json")


def labelme(folder, label="cat", name="photo_0", **changes):
    shape = {
        "label": label,
        "points": [[1, 1], [5, 1], [5, 5]],
        "shape_type": "polygon",
    }
    facts = {"shapes": [shape], "imagePath": f"{name}.jpg"}
    facts |= {"imageHeight": 8, "imageWidth": 10} | changes
    (folder / "photos" / f"{name}.json").write_text(json.dumps(facts))


def build_export(*args):
    command, _ = build()
    return command, ["--annotation_dir=photos", "--output_dir=built", *args]


@case("An export of an annotation tool, given as photographs and masks")
def _(folder):
    labelme(folder)
    return build("--label_dir=photos")


@case("A folder that no annotation tool exported")
def _(folder):
    return build_export("--annotation_dir=masks")


@case("An export of another annotation tool")
def _(folder):
    labelme(folder)
    return build_export("--annotation_tool=voc")


@case("A label that is not listed")
def _(folder):
    labelme(folder)
    labelme(folder, "bike", "photo_1")
    (folder / "photos" / "labels.txt").write_text("__ignore__\n_background_\ncat\n")
    return build_export()


@case("An annotation whose photograph is not there")
def _(folder):
    labelme(folder)
    labelme(folder, name="photo_9")
    return build_export()


@case("Annotations that are cut off")
def _(folder):
    labelme(folder)
    (folder / "photos" / "photo_1.json").write_text('{"shapes": [')
    return build_export()


@case("A shape that is not drawn here")
def _(folder):
    labelme(folder, shapes=[{"label": "cat", "points": [], "shape_type": "cuboid"}])
    return build_export()


@case("A flag of exports without one")
def _(folder):
    return build("--line_width=3")


@case("Records of somebody else in the output folder")
def _(folder):
    (folder / "records" / "dataset.json").unlink()
    return build("--output_dir=records")


@case("No process to work in")
def _(folder):
    return build("--processes=0")


# Records


@case("A data set folder that is not there")
def _(folder):
    return train("--dataset_dir=recrods")


@case("Photographs where records are needed")
def _(folder):
    return train("--dataset_dir=photos")


@case("A split that is not there")
def _(folder):
    return evaluate("--eval_split=test")


@case("A shard that was not copied to its end")
def _(folder):
    path = folder / "records" / "train-00001-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:-100])
    return train()


@case("A shard with a wrong byte")
def _(folder):
    path = folder / "records" / "train-00000-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    return train()


@case("More damaged records than allowed")
def _(folder):
    path = folder / "records" / "train-00000-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    first, second = tfrecord.offsets(str(path))[:2]
    for offset in (first, second):
        content[offset + 1000] ^= 1
    path.write_bytes(content)
    return train("--max_bad_records=1", "--validate_labels=off")


@case("A distortion beyond its range")
def _(folder):
    return train("--hue_jitter=0.7")


@case("Records with ids beyond the classes")
def _(folder):
    spec = shapes_spec.SPEC
    fewer = {"classes": spec.classes[:4], "palette": spec.palette[:4]}
    dataclasses.replace(spec, **fewer).save(folder / "records")
    return train()


@case("A description of another shape")
def _(folder):
    (folder / "records" / "dataset.json").write_text("[]")
    return train()


def relabel(folder, png, number=-1):
    """Puts a label into a record of `val`, as another builder may have written it."""
    shapes_spec.SPEC.save(folder / "records")
    path = sorted((folder / "records").glob("val-*"))[-1]
    records = list(tfrecord.read(str(path)))
    example = tf.train.Example.FromString(records[number])
    feature = example.features.feature["image/segmentation/class/encoded"]
    feature.bytes_list.value[0] = png
    records[number] = example.SerializeToString()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


@case("A mask in records of more or fewer than 8 bits")
def _(folder):
    relabel(folder, pngs.gray(np.zeros((8, 10), np.uint8), 1))
    return evaluate()


@case("A mask in records that is a palette PNG")
def _(folder):
    relabel(folder, pngs.misread(np.eye(8, dtype=np.uint8))["a palette"])
    return evaluate()


@case("A mask in records that is a JPEG")
def _(folder):
    relabel(folder, pngs.misread(np.eye(8, dtype=np.uint8))["a JPEG"])
    return evaluate()


@case("A mask in records of another size than its photograph")
def _(folder):
    relabel(folder, image_files.png(np.zeros((8, 10), np.uint8)))
    return evaluate()


@case("A record without its mask")
def _(folder):
    relabel(folder, b"")
    return evaluate()


@case("A shard of another build")
def _(folder):
    path = folder / "records" / "train-00000-of-00002.tfrecord"
    describe(folder, shard_sizes={path.name: 100000})
    tfrecord_writer.write_shard([], path)
    return train()


@case("A shard of another build, of the same size")
def _(folder):
    describe(folder, shards={"val-00000-of-00002.tfrecord": "0" * 64})
    return evaluate()


def describe(folder, **facts):
    """What `dataset.json` records of shards."""
    dataclasses.replace(shapes_spec.SPEC, **facts).save(folder / "records")


@case("A split without a labeled pixel")
def _(folder):
    shapes_spec.SPEC.save(folder / "records")
    for path in (folder / "records").glob("val-*"):
        path.unlink()
    record = tfrecord.Record(
        name="a",
        image=image_files.png(np.zeros((8, 10, 3), np.uint8)),
        image_format="png",
        size=(8, 10),
        label=image_files.png(np.full((8, 10), 255, np.uint8)),
    )
    tfrecord.write_shards([record], folder / "records", "val", per_shard=[1])
    return evaluate()


@case("A data set that is not the one in the folder")
def _(folder):
    return train("--dataset=cityscapes")


# Data sets of tensorflow_datasets


@case("A data set of tensorflow_datasets that is not prepared")
def _(folder):
    return train("--dataset=tfds:oxford_iiit_pet")


@case("A change of ids that is none")
def _(folder):
    return train("--dataset=tfds:oxford_iiit_pet", "--tfds_label_map=1=0")


@case("Names of classes for records")
def _(folder):
    return train("--class_names=background,cat")


# Checkpoints


@case("A name that the zoo has not")
def _(folder):
    return train("--tf_initial_checkpoint=zoo:mobilenetv2_coco_voc_train_aug")


@case("A network of the zoo, without a network to fetch it")
def _(folder):
    return train("--tf_initial_checkpoint=zoo:mobilenetv2_coco_voc_trainaug")


@case("A network of the zoo that is not that of the flags")
def _(folder):
    return train("--tf_initial_checkpoint=zoo:xception_65_imagenet")


@case("An image classifier, where a network is needed")
def _(folder):
    return evaluate("--checkpoint_dir=zoo:xception_65_imagenet")


@case("A folder without a checkpoint")
def _(folder):
    return evaluate("--checkpoint_dir=photos")


@case("A damaged checkpoint")
def _(folder):
    path = folder / "run" / "model.ckpt-100.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:1000])
    return evaluate()


@case("A checkpoint of another network")
def _(folder):
    (folder / "run" / "config.json").unlink()
    return evaluate("--depth_multiplier=0.25")


@case("A checkpoint of other classes")
def _(folder):
    (folder / "run" / "dataset.json").unlink()
    (folder / "run" / "config.json").unlink()
    (folder / "records" / "dataset.json").unlink()
    return evaluate(
        "--dataset=camvid",
        "--validate_labels=off",
        "--depth_multiplier=0.25",
        "--decoder_output_stride=4",
        "--aspp_convs_filters=16",
        "--decoder_filters=16",
    )


@case("Training from a checkpoint of other classes")
def _(folder):
    facts = json.loads((folder / "records" / "dataset.json").read_text())
    facts["classes"] += ["cube"]
    facts["palette"] += [[1, 2, 3]]
    facts["pixel_counts"] = {}
    (folder / "records" / "dataset.json").write_text(json.dumps(facts))
    return train(
        "--tf_initial_checkpoint=run",
        "--depth_multiplier=0.25",
        "--decoder_output_stride=4",
        "--aspp_convs_filters=16",
        "--decoder_filters=16",
    )


def rename(folder, *classes):
    facts = json.loads((folder / "records" / "dataset.json").read_text())
    facts["classes"] = classes
    (folder / "records" / "dataset.json").write_text(json.dumps(facts))


@case("A checkpoint of classes in another order")
def _(folder):
    rename(folder, "ground", "box", "ball", "ring", "cone", "star")
    return evaluate()


@case("A checkpoint of classes with other names")
def _(folder):
    rename(folder, "ground", "ball", "cube", "ring", "pyramid", "star")
    return evaluate()


@case("A training folder of classes in another order")
def _(folder):
    rename(folder, "ground", "box", "ball", "ring", "cone", "star")
    return train(
        "--train_logdir=run",
        "--depth_multiplier=0.25",
        "--decoder_output_stride=4",
        "--aspp_convs_filters=16",
        "--decoder_filters=16",
    )


@case("Settings of a run of another shape")
def _(folder):
    path = folder / "run" / "config.json"
    settings = json.loads(path.read_text())
    settings["model"]["output_stride"] = "16"
    path.write_text(json.dumps(settings))
    return evaluate()


@case("A network of another width")
def _(folder):
    (folder / "run" / "config.json").unlink()
    return evaluate(
        "--depth_multiplier=0.5",
        "--decoder_output_stride=4",
        "--aspp_convs_filters=16",
        "--decoder_filters=16",
    )


@case("A link in the place of the lock")
def _(folder):
    (folder / "run" / ".lock").symlink_to(folder / "photos")
    return train("--train_logdir=run")


@case("A link in the place of an unfinished build")
def _(folder):
    (folder / "built").mkdir()
    (folder / "built" / ".building").symlink_to(folder / "photos")
    return build()


@case("A training folder of another network")
def _(folder):
    return train("--train_logdir=run", "--model_variant=xception_65")


@case("A ground truth beside photographs")
def _(folder):
    return commands.visualize, [
        "--checkpoint_dir=run",
        "--vis_logdir=pictures",
        "--image=photos",
        "--panels=original,truth",
    ]


@case("An image that is not there")
def _(folder):
    return commands.visualize, [
        "--checkpoint_dir=run",
        "--vis_logdir=pictures",
        "--image=photo.jpg",
    ]


@case("An image that is none")
def _(folder):
    (folder / "notes.txt").write_text("a file")
    return commands.visualize, [
        "--checkpoint_dir=run",
        "--vis_logdir=pictures",
        "--image=notes.txt",
    ]


@case("A port that is taken")
def _(folder):
    with contextlib.suppress(OSError):  # Or else another program listens there.
        socket.create_server(("127.0.0.1", 8000)).detach()
    return web.main, ["--model=run"]


@case("A short token")
def _(folder):
    return web.main, ["--model=run", "--token=sesame"]


@case("A page of a model that is not there")
def _(folder):
    return web.main, ["--model=run2", "--port=0"]


@case("Tiles that overlap wholly")
def _(folder):
    return evaluate("--tile=513", "--tile_overlap=513")


@case("A pattern that fits nothing")
def _(folder):
    return commands.visualize, [
        "--checkpoint_dir=run",
        "--vis_logdir=pictures",
        "--image=photos/*.webp",
    ]


@case("A video that is none")
def _(folder):
    (folder / "clip.mp4").write_text("a text")
    return commands.visualize, [
        "--checkpoint_dir=run",
        "--vis_logdir=pictures",
        "--image=clip.mp4",
    ]


@case("A frame rate of photographs")
def _(folder):
    return commands.visualize, [
        *("--checkpoint_dir=run", "--vis_logdir=pictures", "--image=photos"),
        "--video_stride=2",
    ]


@case("A submission of another data set")
def _(folder):
    return commands.visualize, [
        *("--checkpoint_dir=run", "--vis_logdir=pictures", "--image=photos"),
        "--submission=cityscapes",
    ]


@case("An export over something that is there")
def _(folder):
    return commands.export, ["--checkpoint_path=run", "--export_path=photos"]


@case("A format that the name of the file contradicts")
def _(folder):
    return commands.export, [
        "--checkpoint_path=run",
        "--export_path=model.onnx",
        "--format=litert",
    ]


@case("An export whose name ends like no format")
def _(folder):
    return commands.export, ["--checkpoint_path=run", "--export_path=model.onxx"]


@case("A precision that a format does not have")
def _(folder):
    return commands.export, [
        "--checkpoint_path=run",
        "--export_path=model.onnx",
        "--quantize=dynamic",
    ]


@case("A setting of a file that a SavedModel does not have")
def _(folder):
    return commands.export, [
        "--checkpoint_path=run",
        "--export_path=exported",
        "--quantize=int8",
    ]


def export_bare(folder, *args):
    """An export of a checkpoint alone."""
    (folder / "bare").mkdir()
    for path in (folder / "run").glob("model.ckpt*"):
        shutil.copy(path, folder / "bare")
    return commands.export, ["--checkpoint_path=bare", "--num_classes=6", *args]


@case("A split of a checkpoint that does not tell where its records are")
def _(folder):
    return export_bare(folder, "--export_path=model.keras", "--check_split=val")


@case("Eight bits without pictures to calibrate them on")
def _(folder):
    return export_bare(folder, "--export_path=model.onnx", "--quantize=int8")


def predict(*args):
    required = ["--model=run", "--input=photos", "--output=new"]
    given = {arg.split("=")[0] for arg in args}
    kept = [arg for arg in required if arg.split("=")[0] not in given]
    return commands.predict, [*kept, *args]


@case("An export that is not there")
def _(folder):
    return predict("--model=model.onnx")


@case("Pictures that are not there")
def _(folder):
    return predict("--input=photos/*.gif")


@case("Predictions into the folder of the photographs")
def _(folder):
    return predict("--output=photos")


@case("Predictions into a folder of other files")
def _(folder):
    return predict("--output=masks")


@case("An evaluation alone, where two are compared")
def _(folder):
    return evaluation.main, ["compare", "run"]


@case("A folder without an evaluation")
def _(folder):
    return evaluation.main, ["compare", "photos", "run"]


@case("Evaluations of other classes")
def _(folder):
    for name, classes in (("a", ("ground", "ball")), ("b", ("ground", "cat"))):
        spec = DatasetSpec(name=name, classes=classes, palette=((0, 0, 0), (9, 9, 9)))
        counts = [ImageCounts.of("photo_0", (8, 10), np.full((2, 2), 20))]
        (folder / name).mkdir()
        path = folder / name / image_counts.FILE
        image_counts.save(path, counts, spec, checkpoint="run/model.ckpt-100")
    return evaluation.main, ["compare", "a", "b"]


@case("A folder without runs")
def _(folder):
    return runs.main, ["photos"]


@pytest.fixture
def place(tmp_path, monkeypatch, rng, shapes, v3plus_run):
    """Photographs, masks, records and a run, in the current folder."""
    coco.read_annotations.cache_clear()  # Files of one name, in other folders.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPLAB_TF_ZOO_URL", "http://127.0.0.1:9")  # Nobody there.
    monkeypatch.setenv("DEEPLAB_TF_CACHE", "cache")
    (tmp_path / "photos").mkdir()
    (tmp_path / "masks").mkdir()
    for i in range(4):
        pixels = rng.integers(0, 256, (8, 10, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"photo_{i}.jpg")
        write_mask(tmp_path, np.resize([0, 1], (8, 10)), f"photo_{i}")
    (tmp_path / "records").mkdir()
    for path in shapes.glob("*.*"):
        shutil.copy(path, tmp_path / "records")
    shutil.copytree(v3plus_run, tmp_path / "run")
    return tmp_path


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def documented():
    """Mistake -> what is said, from the table."""
    rows = [
        line.strip("| \n").split(" | ")
        for line in (ROOT / "docs" / "errors.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith(("| What", "| ---"))
    ]
    return {title: said.strip("`").replace("\\|", "|") for title, said in rows}


@pytest.mark.parametrize("title", CASES)
def test_a_mistake_is_one_clear_line(title, place, monkeypatch, capsys):
    command, args = CASES[title](place)
    before = files(place)
    monkeypatch.setattr(sys, "argv", ["command", *args])
    with pytest.raises(SystemExit) as exit_:
        command()
    said = [line for line in capsys.readouterr().err.splitlines() if "ERROR" in line]
    assert exit_.value.code in (1, 2)
    assert len(said) == 1
    assert files(place) == before
    pattern = re.escape(documented()[title]).replace(re.escape(", ..., "), ", .*, ")
    assert re.fullmatch(pattern, said[0].removeprefix("ERROR: "))


def test_the_documentation_lists_these_mistakes_and_no_others():
    assert documented().keys() == CASES.keys()
    assert len(CASES) >= 20


def test_an_image_of_one_pixel_is_no_mistake(place, monkeypatch):
    Image.fromarray(np.zeros((1, 1, 3), np.uint8)).save(place / "one.png")
    args = ["--checkpoint_dir=run", "--vis_logdir=pictures", "--image=one.png"]
    monkeypatch.setattr(sys, "argv", ["vis", *args])
    commands.visualize()
    drawn = place / "pictures" / "segmentation_results" / "one_prediction.png"
    assert image_files.read_mask(drawn).shape == (1, 1)
