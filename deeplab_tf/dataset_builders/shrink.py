"""Shrinking of samples while they are built: photographs smoothly, masks by pixels."""

import dataclasses
import io

import numpy as np
from PIL import Image

from deeplab_tf.data.open_image import any_size
from deeplab_tf.dataset_builders.sources import Sample

_QUALITY = 95  # Of photographs that were JPEG files, with colors at all pixels.


def shrink(sample: Sample, max_side: int) -> Sample:
    """A sample whose longer side has `max_side` pixels, of a larger one.

    The image is resized with antialiasing (Lanczos); a pixel of the mask is the one in
    the middle of those that it stands for.
    """
    height, width = sample.size
    factor = max_side / max(height, width)
    size = max(1, round(height * factor)), max(1, round(width * factor))
    label, remarks = None, list(sample.remarks)
    if sample.label is not None:
        label = sample.label[np.ix_(*map(_middles, sample.size, size))]
        gone = np.setdiff1d(sample.label, label)
        if gone.size:
            ids = ", ".join(map(str, gone))
            remarks.append(
                ("masks shrunk so that they lose ids", f"{sample.origin} {ids}")
            )
    return dataclasses.replace(
        sample, image=_resize(sample, size), size=size, label=label, remarks=remarks
    )


def _middles(old: int, new: int) -> np.ndarray:
    """Index of the pixel in the middle of each new one, `[new]`."""
    return ((np.arange(new) + 0.5) * old / new).astype(int)


def _resize(sample: Sample, size: tuple[int, int]) -> bytes:
    with any_size():
        image = Image.open(io.BytesIO(sample.image))
    small = image.convert("RGB").resize(size[::-1], Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, sample.image_format, quality=_QUALITY, subsampling=0)
    return stream.getvalue()
