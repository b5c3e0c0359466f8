"""Crop and resize: the part of an image that a crop shows, and no more, resampled.

An image passes through sizes: as stored, brought into a range, scaled. A window of the
last is computed from as few pixels of the first as it is made of. The numbers are
those of the corner-aligned resizes in `deeplab_tf.resize`, of which this takes a part:
the same float32 coordinates, bilinear for images, nearest with halves up for labels.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from deeplab_tf import resize
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
        image, label = _resize(
            image,
            label,
            windows[i],
            windows[i + 1],
            before,
            after,
            flip if i == len(resizes) - 1 else tf.constant(False),
        )
    return image, label


def _resize(
    image: tf.Tensor,
    label: tf.Tensor,
    source: Window,
    window: Window,
    before: tf.Tensor,
    after: tf.Tensor,
    flip: tf.Tensor,
) -> Pair:
    """A window of both, resized; `image` and `label` are what `source` reads."""
    rows, columns = (_positions(window, before, after, axis) for axis in (0, 1))
    mirrored = tf.cond(flip, lambda: tf.reverse(columns, [0]), lambda: columns)

    def keep() -> Pair:
        inner = Window(window.start - source.start, window.size)
        part, ids = (_mirror(_take(each, inner), flip) for each in (image, label))
        return tf.cast(part, tf.float32), ids

    def scale_whole() -> tf.Tensor:
        # Of floats a resize is faster, but a large image is no longer in the cache.
        scaled = tf.cond(
            tf.reduce_prod(before) < 2 * tf.reduce_prod(after),
            lambda: resize.bilinear(tf.cast(image, tf.float32)[tf.newaxis], after)[0],
            lambda: resize.bilinear(image[tf.newaxis], after)[0],
        )
        return _mirror(_take(scaled, window), flip)

    def scale_window() -> tf.Tensor:
        pixels = tf.cast(image, tf.float32)
        for axis, positions in ((1, mirrored), (0, rows)):
            pixels = _interpolate(pixels, positions, source, axis)
        return pixels

    def scale() -> Pair:
        is_whole = _reads_whole(window, after)
        scaled = tf.cond(is_whole, scale_whole, scale_window)
        return scaled, _nearest(label, rows, mirrored, source)

    return tf.cond(tf.reduce_all(tf.equal(before, after)), keep, scale)


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
    return (
        _frame(image, tf.constant(mean_pixel, image.dtype), margins),
        _frame(label, tf.constant([ignore_label], label.dtype), margins),
    )


def _frame(
    pixels: tf.Tensor, color: tf.Tensor, margins: tuple[tf.Tensor, tf.Tensor]
) -> tf.Tensor:
    """`[H, W, C]` with a color around it; without a margin, nothing is copied."""
    for axis in (1, 0):  # Rows come last: to join them is one copy.
        before, behind = (margin[axis] for margin in margins)
        pad = functools.partial(_pad, pixels, color, before, behind, axis)
        pixels = tf.cond(before + behind > 0, pad, lambda same=pixels: same)
    return pixels


def _pad(
    pixels: tf.Tensor, color: tf.Tensor, before: tf.Tensor, behind: tf.Tensor, axis: int
) -> tf.Tensor:
    """`[H, W, C]` with rows or columns of a color before and behind."""
    height, width = tf.unstack(tf.shape(pixels)[:2])

    def bar(length: tf.Tensor) -> tf.Tensor:
        # Rows are gathered, not broadcast: a copy of a row is a copy of memory.
        rows, columns = (height, length) if axis else (length, width)
        row = tf.broadcast_to(color, tf.stack([1, columns, tf.size(color)]))
        return tf.gather(row, tf.zeros(rows[tf.newaxis], tf.int32))

    return tf.concat([bar(before), pixels, bar(behind)], axis)


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


def _reads_whole(window: Window, after: tf.Tensor) -> tf.Tensor:
    """Whether a resize of the whole image takes less time than that of a window.

    An interpolated pixel takes TensorFlow's own resize about half the time of ours.
    """
    shown, scaled = (
        tf.reduce_prod(tf.cast(size, tf.float32)) for size in (window.size, after)
    )
    return scaled < 2.3 * shown


def _source_window(window: Window, before: tf.Tensor, after: tf.Tensor) -> Window:
    """What a resize from a size to another reads for a window of its result."""
    start, size = [], []
    for axis in (0, 1):
        positions = _positions(window, before, after, axis)
        first = tf.cast(tf.floor(positions[0]), tf.int32)
        last = tf.cast(tf.math.ceil(positions[-1]), tf.int32)
        start.append(first)
        size.append(tf.minimum(last, before[axis] - 1) + 1 - first)
    is_whole = _reads_whole(window, after)
    return Window(tf.where(is_whole, 0, start), tf.where(is_whole, before, size))


def _positions(
    window: Window, before: tf.Tensor, after: tf.Tensor, axis: int
) -> tf.Tensor:
    """Where the rows or columns of a window lie in the image before the resize."""
    first = window.start[axis]
    numbers = tf.range(first, first + window.size[axis])
    spaces = tf.cast(tf.stack([before[axis] - 1, after[axis] - 1]), tf.float32)
    return tf.cast(numbers, tf.float32) * (spaces[0] / tf.maximum(spaces[1], 1.0))


def _take(pixels: tf.Tensor, window: Window) -> tf.Tensor:
    start, size = (
        tf.concat([x, [last]], 0) for x, last in zip(window, (0, -1), strict=True)
    )
    return tf.slice(pixels, start, size)


def _mirror(pixels: tf.Tensor, flip: tf.Tensor) -> tf.Tensor:
    return tf.cond(flip, lambda: tf.reverse(pixels, [1]), lambda: pixels)


def _interpolate(
    pixels: tf.Tensor, positions: tf.Tensor, source: Window, axis: int
) -> tf.Tensor:
    """Between the rows or columns of `pixels`, which are those of `source`."""
    low = tf.floor(positions)
    index = tf.cast(low, tf.int32) - source.start[axis]
    near = tf.gather(pixels, index, axis=axis)
    far = tf.gather(pixels, tf.minimum(index + 1, source.size[axis] - 1), axis=axis)
    share = (positions - low)[:, tf.newaxis]
    # Of columns, one for each channel: multiplied by whole rows takes a third.
    share = tf.tile(share, (1, 3)) if axis else share[:, tf.newaxis]
    return near + (far - near) * share


def _nearest(
    label: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor, source: Window
) -> tf.Tensor:
    """The pixels of `label`, which are those of `source`, nearest to positions."""
    index = _round(columns, source, 1)
    first, last = tf.reduce_min(index), tf.reduce_max(index)
    # A row is a copy of memory; so columns are gathered as rows, too.
    ids = tf.gather(label[:, first : last + 1, 0], _round(rows, source, 0))
    ids = tf.gather(tf.transpose(ids), index - first)
    return tf.transpose(ids)[..., tf.newaxis]


def _round(positions: tf.Tensor, source: Window, axis: int) -> tf.Tensor:
    """Halves up; not `tf.round`, which rounds them to even."""
    low = tf.floor(positions)
    nearest = tf.cast(low, tf.int32) + tf.cast(positions - low >= 0.5, tf.int32)
    return tf.minimum(nearest - source.start[axis], source.size[axis] - 1)
