"""Crop and resize: the part of an image that a crop shows, and no more, resampled.

An image passes through sizes: as stored, brought into a range, scaled. A window of the
last is computed from as few pixels of the first as it is made of. The numbers are
those of the corner-aligned resizes in `deeplab_tf.resize`, of which this takes a part:
the same float32 coordinates, bilinear for images, nearest with halves up for labels.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from deeplab_tf.data.transforms import Pair


class Window(NamedTuple):
    """Rows and columns: the first, and how many; both int32 `[2]`."""

    start: tf.Tensor
    size: tf.Tensor


Reader = Callable[[Window], Pair]  # The pixels of a window within the stored image.


def clip_window(window: Window, size: tf.Tensor) -> Window:
    """The part of a window that lies within an image of `size`."""
    start = tf.clip_by_value(window.start, 0, size)
    stop = tf.clip_by_value(window.start + window.size, 0, size)
    return Window(start, stop - start)


def resample(
    read: Reader, sizes: Sequence[tf.Tensor], window: Window, *, flip: tf.Tensor
) -> Pair:
    """Image, float32 `[h, w, 3]`, and label, `[h, w, 1]`, of a window.

    Args:
        read: Gives uint8 `[h, w, 3]` and the ids, of a window of the first size.
        sizes: Height and width, int32 `[2]`, as stored and after each resize.
        window: Within the last of them, not empty.
        flip: Whether to mirror the result from left to right.
    """
    windows = [window]
    resizes = list(itertools.pairwise(sizes))
    for before, after in reversed(resizes):
        windows.insert(0, _source_window(windows[0], before, after))
    image, label = read(windows[0])
    for i, (before, after) in enumerate(resizes):
        rows, columns = (
            _positions(windows[i + 1], before, after, axis) for axis in (0, 1)
        )
        if i == len(resizes) - 1:
            columns = tf.cond(
                flip, lambda x=columns: tf.reverse(x, [0]), lambda x=columns: x
            )
        image = _bilinear(image, windows[i], rows, columns)
        label = _nearest(label, windows[i], rows, columns)
    return image, label


def add_margins(
    image: tf.Tensor,
    label: tf.Tensor,
    margins: tuple[tf.Tensor, tf.Tensor],
    *,
    mean_pixel: Sequence[float],
    ignore_label: int,
) -> Pair:
    """Pads both with mean pixel and ignore label.

    Args:
        image: `[H, W, 3]`.
        label: `[H, W, 1]`.
        margins: Rows and columns, int32 `[2]`, before and behind.
        mean_pixel: RGB.
        ignore_label: The id.
    """
    before, behind = margins
    mean = tf.constant(mean_pixel, image.dtype)
    for axis in (1, 0):
        parts = [
            tf.broadcast_to(mean, tf.concat([shape, [3]], 0))
            for shape in _bars(image, axis, before, behind)
        ]
        image = tf.concat([parts[0], image, parts[1]], axis)
    pads = [[before[0], behind[0]], [before[1], behind[1]], [0, 0]]
    return image, tf.pad(label, pads, constant_values=ignore_label)


def margins_around(window: Window, size: tf.Tensor, flip: tf.Tensor) -> tuple:
    """What of a window lies before and behind an image of `size`, mirrored or not."""
    inner = clip_window(window, size)
    before = tf.clip_by_value(-window.start, 0, window.size)
    behind = window.size - inner.size - before
    swapped = tf.stack([behind[1], before[1]])
    columns = tf.where(flip, swapped, tf.reverse(swapped, [0]))
    return (
        tf.stack([before[0], columns[0]]),
        tf.stack([behind[0], columns[1]]),
    )


def _bars(
    image: tf.Tensor, axis: int, before: tf.Tensor, behind: tf.Tensor
) -> list[tf.Tensor]:
    """Heights and widths of what stands at both ends of an axis."""
    height, width = tf.unstack(tf.shape(image)[:2])
    lengths = (before[axis], behind[axis])
    return [tf.stack([height, n] if axis else [n, width]) for n in lengths]


def _source_window(window: Window, before: tf.Tensor, after: tf.Tensor) -> Window:
    """What a resize from a size to another reads for a window of its result."""
    start, stop = [], []
    for axis in (0, 1):
        positions = _positions(window, before, after, axis)
        start.append(tf.cast(tf.floor(positions[0]), tf.int32))
        last = tf.cast(tf.math.ceil(positions[-1]), tf.int32)
        stop.append(tf.minimum(last, before[axis] - 1) + 1)
    return Window(tf.stack(start), tf.stack(stop) - tf.stack(start))


def _positions(
    window: Window, before: tf.Tensor, after: tf.Tensor, axis: int
) -> tf.Tensor:
    """Where the rows or columns of a window lie in the image before the resize."""
    first = window.start[axis]
    numbers = tf.range(first, first + window.size[axis])
    spaces = tf.cast(tf.stack([before[axis] - 1, after[axis] - 1]), tf.float32)
    return tf.cast(numbers, tf.float32) * (spaces[0] / tf.maximum(spaces[1], 1.0))


def _bilinear(
    image: tf.Tensor, window: Window, rows: tf.Tensor, columns: tf.Tensor
) -> tf.Tensor:
    """Between the pixels of `image`, which are those of `window`."""
    for axis, positions in enumerate((rows, columns)):
        low = tf.floor(positions)
        index = tf.cast(low, tf.int32) - window.start[axis]
        next_ = tf.minimum(index + 1, window.size[axis] - 1)
        above, below = (
            tf.cast(tf.gather(image, i), tf.float32) for i in (index, next_)
        )
        image = above + (below - above) * tf.reshape(positions - low, (-1, 1, 1))
        image = _transpose(image)
    return image


def _nearest(
    label: tf.Tensor, window: Window, rows: tf.Tensor, columns: tf.Tensor
) -> tf.Tensor:
    for axis, positions in enumerate((rows, columns)):
        low = tf.floor(positions)
        # Not `tf.round`, which rounds halves to even.
        index = tf.cast(low, tf.int32) + tf.cast(positions - low >= 0.5, tf.int32)
        index = tf.minimum(index - window.start[axis], window.size[axis] - 1)
        # Not `_transpose`: of uint8, oneDNN says on some machines that it cannot.
        label = tf.gather(label, index, axis=axis)
    return label


def _transpose(pixels: tf.Tensor) -> tf.Tensor:
    """Columns as rows: to gather rows twice takes half the time of rows and columns."""
    return tf.transpose(pixels, (1, 0, 2))
