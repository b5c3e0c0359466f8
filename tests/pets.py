"""Photographs, trimaps, and a data set of tensorflow_datasets that is made of them."""

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from deeplab_tf.data import image_files

SPLITS = {"train": range(12), "test": range(12, 17)}
CHANGES = ("1:1", "2:0", "3:255")  # Pet, background, border.
CLASSES = ("background", "pet")


def name(number):
    return f"pet_{number}"


def trimap(number):
    """A pet, 1, on a background, 2, with a border, 3, at a size of its own."""
    ids = np.full((40 + number, 52), 2, np.uint8)
    ids[8:30, 10 + number : 32 + number] = 3
    ids[10:28, 12 + number : 30 + number] = 1
    return ids


def draw(folder):
    """Writes `photos/*.jpg` and `masks/*.png`, gray."""
    for kind in ("photos", "masks"):
        (folder / kind).mkdir(parents=True)
    for split in SPLITS.values():
        for number in split:
            ids = trimap(number)
            noise = np.random.default_rng(number).integers(0, 60, (*ids.shape, 3))
            pixels = noise + 60 * ids[..., np.newaxis]
            photo = Image.fromarray(pixels.astype(np.uint8))
            photo.save(folder / "photos" / f"{name(number)}.jpg")
            path = folder / "masks" / f"{name(number)}.png"
            path.write_bytes(image_files.png(ids))


class TinyPets(tfds.core.GeneratorBasedBuilder):
    """What `draw` wrote below `folder`."""

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # Its search needs a package that tensorflow_datasets may lack.
    folder = None
    mask = tfds.features.Image(shape=(None, None, 1))

    def _info(self):
        features = {
            "photo": tfds.features.Image(encoding_format="jpeg"),
            "trimap": self.mask,
            "file_name": tfds.features.Text(),
            "breed": tfds.features.ClassLabel(names=["cat", "dog"]),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description="Pets.",
            features=tfds.features.FeaturesDict(features),
        )

    def _split_generators(self, dl_manager):
        return {
            split: self._generate_examples(numbers) for split, numbers in SPLITS.items()
        }

    def _generate_examples(self, numbers):
        for number in numbers:
            yield (
                number,
                {
                    "photo": str(self.folder / "photos" / f"{name(number)}.jpg"),
                    "trimap": str(self.folder / "masks" / f"{name(number)}.png"),
                    "file_name": f"{name(number)}.jpg",
                    "breed": number % 2,
                },
            )


class NamedPets(TinyPets):
    """The same, with names of the ids that the masks would have."""

    mask = tfds.features.LabeledImage(labels=["nothing", "pet", "background", "border"])


def prepare(builder, folder, data_dir):
    """Prepares a data set of three files a split."""
    builder.folder = folder
    config = tfds.download.DownloadConfig(num_shards=3)
    builder(data_dir=data_dir).download_and_prepare(download_config=config)
