"""Bootstrap over images: draws, percentiles, and that intervals cover the truth."""

import numpy as np
import pytest

from deeplab_tf.evaluation import bootstrap, metrics
from deeplab_tf.evaluation.image_counts import ImageCounts


def images(rng, number, classes=3):
    """Images of which each lacks some classes; the last class is in no one."""
    matrices = rng.integers(0, 50, (number, classes, classes))
    matrices[:, -1] = matrices[:, :, -1] = 0
    lacking = rng.random((number, classes)) < 0.3
    matrices[lacking] = 0
    return matrices, [ImageCounts.of(str(i), (9, 9), m) for i, m in enumerate(matrices)]


def test_a_resample_counts_as_many_images_as_there_are():
    draws = list(bootstrap.resamples(7, count=300, seed=1))
    assert len(draws) == 300
    assert all(each.sum() == 7 and len(each) == 7 for each in draws)
    again = list(bootstrap.resamples(7, count=300, seed=1))
    np.testing.assert_array_equal(draws, again)
    # Each comes once on the mean, and does not at all in (1 - 1/7)^7 of the draws.
    np.testing.assert_allclose(np.mean(draws, axis=0), 1, atol=0.2)
    assert np.mean(np.array(draws) == 0) == pytest.approx((6 / 7) ** 7, abs=0.03)


def test_a_class_that_a_resample_lacks_is_not_scored_there_by_what_is_taken_for_it():
    """Of three images, one has class 1; in the others it is predicted in vain."""
    has, lacks = np.array([[4, 1], [0, 5]]), np.array([[4, 2], [0, 0]])
    counts = [ImageCounts.of("", (1, 1), m) for m in (has, lacks, lacks)]
    found = bootstrap.iou_of_resamples(counts, 2, count=200, seed=1)
    times = np.array(list(bootstrap.resamples(3, count=200, seed=1)))[:, 0]
    assert (times == 0).any()
    expected = [5 * n / (6 * n + 2 * (3 - n)) if n else np.nan for n in times]
    np.testing.assert_allclose(found[:, 1], expected)
    vain = [ImageCounts.of("", (1, 1), lacks)] * 3
    found = bootstrap.iou_of_resamples(vain, 2, count=5)
    np.testing.assert_allclose(found, [[4 / 6, 0]] * 5)


def test_an_interval_has_the_percentiles_of_what_is_defined():
    assert bootstrap.interval(np.arange(101.0), 0.9) == pytest.approx((5, 95))
    values = np.array([[0.0, np.nan], [1, np.nan], [np.nan, np.nan]])
    low, high = bootstrap.interval(values, 0.5)
    np.testing.assert_allclose(low, [0.25, np.nan])
    np.testing.assert_allclose(high, [0.75, np.nan])


def test_resamples_are_scored_as_their_summed_matrices_are(rng):
    matrices, counts = images(rng, 150)
    found = bootstrap.iou_of_resamples(counts, 3, count=230, seed=3)
    assert found.shape == (230, 3)
    for times, iou in zip(
        bootstrap.resamples(150, count=230, seed=3), found, strict=True
    ):
        total = np.einsum("n,nij->ij", times, matrices)
        np.testing.assert_array_equal(iou, metrics.class_iou(total))
    intervals = bootstrap.intervals(counts, 3, count=230, seed=3)
    means = [iou[:2].mean() for iou in found]
    np.testing.assert_allclose(intervals.miou, np.percentile(means, [2.5, 97.5]))
    np.testing.assert_allclose(
        intervals.iou[0], np.percentile(found[:, 0], [2.5, 97.5])
    )
    assert np.isnan(intervals.iou[2]).all()


@pytest.mark.nightly
def test_intervals_cover_a_known_score_as_often_as_they_say():
    """Images are drawn from a kind whose IoU is known: a ratio of expected counts.

    2,000 sets of 200 images, 1,000 resamples each. Of each image, the two classes have
    sizes and hits by chance, so that scores are ratios of sums, as those of a split.
    """
    rng = np.random.default_rng(5)
    number, sets = 200, 2000
    covered = np.zeros(3)
    # Sizes 1000...3000 of class 0, and 500...1500 of 1; hits 60...100 % and 30...90 %.
    hits = np.array([2000 * 0.8, 1000 * 0.6])
    wrong = np.array([2000, 1000]) - hits
    iou = hits / (hits + wrong.sum())
    expected = np.array([iou.mean(), *iou])
    for _ in range(sets):
        sizes = np.stack(
            [rng.integers(1000, 3001, number), rng.integers(500, 1501, number)], axis=-1
        )
        shares = np.stack(
            [rng.uniform(0.6, 1, number), rng.uniform(0.3, 0.9, number)], axis=-1
        )
        right = np.round(sizes * shares).astype(np.int64)
        rest = sizes - right
        flat = np.stack([right[:, 0], rest[:, 0], rest[:, 1], right[:, 1]], axis=-1)
        counts = [
            ImageCounts("", (1, 1), np.arange(4, dtype=np.int32), row) for row in flat
        ]
        found = bootstrap.intervals(counts, 2, seed=int(rng.integers(1 << 30)))
        low = np.array([found.miou[0], *found.iou[:, 0]])
        high = np.array([found.miou[1], *found.iou[:, 1]])
        covered += (low <= expected) & (expected <= high)
    assert ((covered / sets >= 0.92) & (covered / sets <= 0.97)).all(), covered / sets
