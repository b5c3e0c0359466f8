"""Synthetic samples, for tests of building itself."""

import dataclasses
import os
import time

import numpy as np

from deeplab_tf.data import image_files
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.dataset_builders import Sample
from deeplab_tf.errors import InputError

SPEC = DatasetSpec(
    name="synthetic",
    classes=("ground", "cat", "dog"),
    palette=((0, 0, 0), (200, 0, 0), (0, 200, 0)),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SyntheticSource:
    """Samples of 6x8 pixels; those numbered in the settings are as these say.

    Attributes:
        pause: Seconds that a sample takes.
        wrong: Their masks hold id 9.
        damaged: They raise an InputError.
        deadly: They kill the process.
        name: Of each sample, if not by its number.
    """

    count: int = 24
    seed: int = 0
    pause: float = 0.0
    wrong: tuple[int, ...] = ()
    damaged: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    name: str = ""
    side: int = 8
    table: np.ndarray | None = None

    def __len__(self):
        return self.count

    def samples(self, start, stop):
        for i in range(start, stop):
            time.sleep(self.pause)
            if i in self.damaged:
                raise InputError(f"photo_{i}.jpg: a damaged image")
            if i in self.deadly:
                os._exit(1)
            image, label = self.arrays(i)
            yield Sample(
                name=self.name or f"photo_{i}",
                image=image_files.png(image),
                image_format="png",
                size=label.shape,
                label=label,
                origin=f"mask_{i}.png",
            )

    def arrays(self, i):
        rng = np.random.default_rng([self.seed, i])
        image = rng.integers(0, 256, (6, self.side, 3)).astype(np.uint8)
        label = rng.integers(0, 3, (6, self.side)).astype(np.uint8)
        label[0, :2] = 9 if i in self.wrong else 255
        return image, label

    def identity(self):
        return repr(self)
