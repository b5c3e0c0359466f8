"""A photograph's segmentation: classes, probabilities and pictures of them.

NumPy and Pillow are all that it needs: no framework is loaded.
"""

import dataclasses
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from deeplab_tf.data import image_files
from deeplab_tf.data.spec import DatasetSpec
from deeplab_tf.errors import InputError
from deeplab_tf.files import write_whole
from deeplab_tf.visualizing import drawing


@dataclasses.dataclass(frozen=True, eq=False)
class Segmentation:
    """What a network sees in a photograph, at the photograph's size.

    Attributes:
        image: RGB, uint8 `[H, W, 3]`, upright.
        classes: Class ids, int32 `[H, W]`.
        probabilities: Of the classes, float32 `[H, W, C]`.
        spec: What the ids mean: names and colors.
    """

    image: np.ndarray
    classes: np.ndarray
    probabilities: np.ndarray
    spec: DatasetSpec

    def __repr__(self) -> str:
        height, width = self.classes.shape
        most = sorted(self.shares.items(), key=lambda item: -item[1])[:3]
        told = ", ".join(f"{name} {share:.0%}" for name, share in most if share)
        return f"<deeplab_tf.Segmentation {width}x{height}: {told}>"

    @property
    def shares(self) -> dict[str, float]:
        """Share of the pixels by class name, from 0 to 1, of all classes."""
        counts = np.bincount(self.classes.ravel(), minlength=self.spec.num_classes)
        shares = (counts / self.classes.size).tolist()
        return dict(zip(self.spec.classes, shares, strict=True))

    def overlay(self, *, legend: bool = True) -> Image.Image:
        """The photograph, tinted by class, with a legend of what occurs, or bare."""
        spec = self.spec
        if legend:
            return drawing.panels(self.image, self.classes, None, spec)
        tinted = drawing.overlay(self.image, self.classes, spec.palette)
        return Image.fromarray(tinted)

    def _repr_png_(self) -> bytes:
        """What a notebook shows: the overlay."""
        stream = io.BytesIO()
        self.overlay().save(stream, "PNG")
        return stream.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the class ids as an indexed PNG with the colors of the classes.

        Raises:
            InputError: The path does not end in `.png`, or its folder is not there.
        """
        folder = Path(path).parent
        if Path(path).suffix.lower() != ".png":
            raise InputError(f"path={os.fspath(path)}: a mask is a PNG; end it in .png")
        if not folder.is_dir():
            raise InputError(f"path={os.fspath(path)}: no folder {folder}; make it")
        mask = image_files.png(self.classes.astype(np.uint8), self.spec.palette)
        write_whole(Path(path), mask, flushed=False)
