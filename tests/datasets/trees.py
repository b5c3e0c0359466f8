"""Small trees in published layouts, and what is in the records made of them."""

import io
import json

import numpy as np
import tensorflow as tf
from PIL import Image

# "image/..." keys of research/deeplab.
KEYS = {
    "image/encoded",
    "image/filename",
    "image/format",
    "image/height",
    "image/width",
    "image/channels",
    "image/segmentation/class/encoded",
    "image/segmentation/class/format",
}


def photo(rng, height, width):
    return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def write_photo(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_mask(path, ids, palette=None):
    """A gray PNG, or a palette PNG; of 16 bits where ids are uint16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = np.asarray(ids)
    image = Image.fromarray(ids if ids.dtype == np.uint16 else ids.astype(np.uint8))
    if palette:
        entries = [*palette, *[(224, 224, 192)] * (256 - len(palette))]
        image.putpalette([value for color in entries for value in color])
    image.save(path)


def bands(height, width, ids):
    """A mask of rows of the ids in turn."""
    rows = np.resize(np.asarray(ids), height)
    return np.repeat(rows[:, np.newaxis], width, axis=1)


def write_list(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def examples(folder, split):
    """Features of each record, in order, read without the package."""
    shards = sorted(str(path) for path in folder.glob(f"{split}-*.tfrecord"))
    records = []
    for serialized in tf.data.TFRecordDataset(shards).as_numpy_iterator():
        features = tf.train.Example.FromString(serialized).features.feature
        records.append({key: _value(feature) for key, feature in features.items()})
    return records


def _value(feature):
    (value,) = feature.bytes_list.value or feature.int64_list.value
    return value


def names(folder, split):
    return [features["image/filename"].decode() for features in examples(folder, split)]


def label(features):
    """Ids of a record; its mask is a gray PNG of 8 bits."""
    encoded = features["image/segmentation/class/encoded"]
    assert (encoded[24], encoded[25]) == (8, 0)
    return np.asarray(Image.open(io.BytesIO(encoded)))


def assert_record(features, image, ids):
    """A record holds an image file's bytes, its name and size, and these ids."""
    assert features.keys() == KEYS
    assert features["image/encoded"] == image.read_bytes()
    assert features["image/filename"].decode() == image.stem
    kind = {".jpg": b"jpeg", ".png": b"png"}[image.suffix]
    assert features["image/format"] == kind
    height, width = ids.shape
    assert (features["image/height"], features["image/width"]) == (height, width)
    assert features["image/channels"] == 3
    assert features["image/segmentation/class/format"] == b"png"
    np.testing.assert_array_equal(label(features), ids)


def described(folder):
    return json.loads((folder / "dataset.json").read_text())
