"""Region losses (Dice, Lovasz), by how far predicted and true regions overlap.

An image's loss is the mean over the classes that occur in its pixels that count, and 0
where none does. Ignored pixels belong to no region. Sums of many numbers and their
quotients need float32, which `Pixels` has.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from deeplab_tf.training.losses.pixel import Pixels


def dice(pixels: Pixels) -> tf.Tensor:
    """Dice: `1 - 2 sum(p g) / (sum(p^2) + sum(g^2))` of each image.

    With p predicted and g true: Milletari et al. 2016, section 3,
    https://arxiv.org/abs/1606.04797, for several classes. One that does not occur in an
    image has no term: its overlap is 0 however little of it is predicted; what is
    predicted of it is missing from the others. So no denominator is below 1, and
    nothing is added for smoothness.

    Returns:
        float32 `[N]`, 0 to 1.
    """
    kept = pixels.kept[..., tf.newaxis]
    predicted = tf.nn.softmax(pixels.logits) * kept
    true = _true(pixels)
    sizes = tf.reduce_sum(true, axis=1)
    overlap = 2.0 * tf.reduce_sum(predicted * true, axis=1)
    both = tf.reduce_sum(tf.square(predicted), axis=1) + tf.maximum(sizes, 1.0)
    return _mean_of_present(1.0 - overlap / both, sizes)


def lovasz(pixels: Pixels) -> tf.Tensor:
    """Lovasz-softmax: the Lovasz extension of `1 - IoU` of each image.

    It is taken at the softmax probabilities: Berman et al. 2018, equations 8, 9 and 11,
    https://arxiv.org/abs/1705.08790, with "classes present", per image.

    Returns:
        float32 `[N]`, 0 to 1.
    """
    kept, true = pixels.kept[..., tf.newaxis], _true(pixels)
    errors = tf.abs(true - tf.nn.softmax(pixels.logits)) * kept
    # Below all others, ignored pixels are sorted last, where they change no weight.
    weights = tf.stop_gradient(_weights(errors + (kept - 1.0), true))
    losses = tf.reduce_sum(errors * weights, axis=1)
    return _mean_of_present(losses, tf.reduce_sum(true, axis=1))


LOSSES: Mapping[str, Callable[[Pixels], tf.Tensor]] = {"dice": dice, "lovasz": lovasz}


def _weights(errors: tf.Tensor, true: tf.Tensor) -> tf.Tensor:
    """What each pixel's error counts in its image, `[N, P, C]`, of as much.

    One class of one image at a time: a sort of all would hold several copies of the
    logits, and most classes do not occur in an image.
    """
    shape = tf.shape(tf.transpose(errors, [0, 2, 1]))
    rows = [
        tf.reshape(tf.transpose(values, [0, 2, 1]), [-1, shape[2]])
        for values in (errors, true)
    ]
    weights = tf.map_fn(
        lambda row: tf.cond(
            tf.reduce_any(row[1] > 0),
            lambda: _jaccard_slopes(*row),
            lambda: tf.zeros_like(row[0]),
        ),
        tuple(rows),
        fn_output_signature=tf.float32,
    )
    return tf.transpose(tf.reshape(weights, shape), [0, 2, 1])


def _jaccard_slopes(errors: tf.Tensor, true: tf.Tensor) -> tf.Tensor:
    """Lovasz gradient: how much each pixel adds to `1 - IoU`, by error, `[P]`.

    Differences of the quotients, written out: a pixel of the class takes one from the
    intersection, any other adds one to the union.

    Args:
        errors: `[P]`.
        true: 1 where the pixel is of the class, else 0, not all 0; `[P]`.
    """
    order = tf.argsort(errors, direction="DESCENDING")
    true = tf.gather(true, order)
    size = tf.reduce_sum(true)
    intersection = size - tf.cumsum(true)
    union = size + tf.cumsum(1.0 - true)
    others = intersection / (union * tf.maximum(union - 1.0, 1.0))
    slopes = tf.where(true > 0, 1.0 / union, others)
    return tf.scatter_nd(order[:, tf.newaxis], slopes, tf.shape(slopes))


def _true(pixels: Pixels) -> tf.Tensor:
    """1 where a pixel that counts is of the class, else 0; `[N, pixels, C]`."""
    true = tf.one_hot(pixels.label, pixels.logits.shape[-1])
    return true * pixels.kept[..., tf.newaxis]


def _mean_of_present(losses: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Mean over the classes that have a size, `[N]`, of `[N, C]`."""
    present = tf.cast(sizes > 0, tf.float32)
    count = tf.maximum(tf.reduce_sum(present, axis=1), 1.0)
    return tf.reduce_sum(losses * present, axis=1) / count
