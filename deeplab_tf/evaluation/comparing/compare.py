"""Comparison of two evaluations: what changed, and what chance could have done."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from deeplab_tf.errors import InputError
from deeplab_tf.evaluation import bootstrap, metrics
from deeplab_tf.evaluation.comparing.stored import StoredEvaluation
from deeplab_tf.evaluation.image_counts import ImageCounts


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreChange:
    """How a score of all images differs.

    Attributes:
        name: Of the class, or "mIoU".
        first: Score of the first evaluation, 0...1; NaN where it is not defined.
        second: Of the other one.
        interval: 95 % interval of second - first.
        p: Of the difference; see `two_sided_p`. NaN where that is not defined.
        images: In how many the class is, in truth or in a prediction.
    """

    name: str
    first: float
    second: float
    interval: tuple[float, float]
    p: float
    images: int

    @property
    def difference(self) -> float:
        """The second minus the first."""
        return self.second - self.first

    @property
    def verdict(self) -> str:
        """If it is better or worse: where the interval leaves 0 out; else empty."""
        low, high = self.interval
        return "better" if low > 0 else "worse" if high < 0 else ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageChange:
    """How an image differs.

    Attributes:
        name: Of the image.
        first: Its mIoU in the first evaluation, 0...1, as `per_image.csv` has it; NaN
            where no pixel counts.
        second: In the other one.
        wrong_first: Share of its pixels that are wrong in the first one.
        wrong_second: In the other one.
    """

    name: str
    first: float
    second: float
    wrong_first: float
    wrong_second: float

    @property
    def difference(self) -> float:
        """The second minus the first."""
        return self.second - self.first


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Two evaluations of the same images.

    Attributes:
        first: With which the other one is compared.
        second: The other one.
        miou: Of all images that both have.
        classes: The same of each class.
        images: Those that both have, in the order of the first.
        only_first: Names of images that the other one lacks.
        only_second: Names of images that the first one lacks.
        relabeled: Names of images whose true pixels are not the same in both.
    """

    first: StoredEvaluation
    second: StoredEvaluation
    miou: ScoreChange
    classes: Sequence[ScoreChange]
    images: Sequence[ImageChange]
    only_first: Sequence[str]
    only_second: Sequence[str]
    relabeled: Sequence[str]

    def changed(self, *, better: bool) -> list[ImageChange]:
        """Images that got better, or worse, the most changed first."""
        sign = 1 if better else -1
        return sorted(
            (image for image in self.images if sign * image.difference > 0),
            key=lambda image: -sign * image.difference,
        )


def compare(
    first: StoredEvaluation,
    second: StoredEvaluation,
    *,
    count: int = bootstrap.COUNT,
    seed: int = 0,
) -> Comparison:
    """Compares an evaluation with another one, over the images that both have.

    The bootstrap is paired: a resample draws the same images for both, so that what
    makes an image hard leaves the difference.

    Args:
        first: With which it is compared.
        second: The one that is compared.
        count: Resamples.
        seed: Of the draws.

    Raises:
        InputError: They are of other classes, or have no image in common.
    """
    check_classes(first, second)
    pairs, only_first, only_second = _match(first.stored.counts, second.stored.counts)
    if not pairs:
        raise InputError(
            f"{first.name} and {second.name} have no image in common, as "
            f"{only_first[0]} and {only_second[0]}; evaluations of one split are needed"
        )
    classes = first.stored.classes
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    counts = [bootstrap.hits_and_union(images, len(classes)) for images in sides]
    scores = [metrics.ratio(*(of.sum(axis=0) for of in each)) for each in counts]
    draws = [
        bootstrap.iou_of_resamples(images, len(classes), count=count, seed=seed)
        for images in sides
    ]
    # Whether a class is in an image, in truth or in either prediction.
    occurs = (counts[0][1] + counts[1][1]) > 0
    return Comparison(
        first=first,
        second=second,
        miou=_change(
            "mIoU",
            [metrics.mean_of_known(iou) for iou in scores],
            [bootstrap.mean_of_classes(iou) for iou in draws],
            len(pairs),
        ),
        classes=[
            _change(
                name,
                [iou[i] for iou in scores],
                [iou[:, i] for iou in draws],
                int(occurs[:, i].sum()),
            )
            for i, name in enumerate(classes)
        ],
        images=[_image_change(*pair, len(classes)) for pair in pairs],
        only_first=only_first,
        only_second=only_second,
        relabeled=[a.name for a, b in pairs if not _same_truth(a, b, len(classes))],
    )


def two_sided_p(differences: np.ndarray) -> float:
    """How often chance alone would move a score as far from 0, either way.

    The least level at which the percentile interval leaves 0 out: twice the share of
    resamples on the rarer side of 0, one that is 0 counting on both sides. That a test
    is made of an interval so: Efron and Tibshirani 1993, An Introduction to the
    Bootstrap, chapter 15. One is added to both counts, so that p is never 0: Davison
    and Hinkley 1997, Bootstrap Methods and Their Application, chapter 4.

    Args:
        differences: Of the resamples; NaN where a score is not defined, which leaves.

    Returns:
        2 / (n + 1) ... 1 of n resamples; NaN without any.
    """
    known = differences[~np.isnan(differences)]
    if not known.size:
        return float("nan")
    rarer = min(np.sum(known <= 0), np.sum(known >= 0))
    return float(min(1.0, 2 * (1 + rarer) / (1 + known.size)))


def check_classes(first: StoredEvaluation, second: StoredEvaluation) -> None:
    """Raises where two evaluations are of other classes.

    Raises:
        InputError: Says which class differs.
    """
    ours, theirs = first.stored.classes, second.stored.classes
    if ours == theirs:
        return
    if len(ours) != len(theirs):
        how = f"{len(theirs)} classes there, {len(ours)} in {first.name}"
    else:
        i = next(i for i, name in enumerate(ours) if name != theirs[i])
        how = f'class {i} is "{theirs[i]}" there, "{ours[i]}" in {first.name}'
    raise InputError(f"{second.name}: of other classes: {how}; they cannot be compared")


def _match(
    first: Sequence[ImageCounts], second: Sequence[ImageCounts]
) -> tuple[list[tuple[ImageCounts, ImageCounts]], list[str], list[str]]:
    """Pairs of equal names, the first with the first of that name; and what is left."""
    ours, theirs = _numbered(first), _numbered(second)
    return (
        [(ours[key], theirs[key]) for key in ours if key in theirs],
        [name for name, _ in ours if (name, _) not in theirs],
        [name for name, _ in theirs if (name, _) not in ours],
    )


def _numbered(images: Sequence[ImageCounts]) -> dict[tuple[str, int], ImageCounts]:
    """Images by name, and the how manieth of that name each is."""
    seen: Counter[str] = Counter()
    numbered = {}
    for image in images:
        numbered[image.name, seen[image.name]] = image
        seen[image.name] += 1
    return numbered


def _change(
    name: str, scores: Sequence[float], draws: Sequence[np.ndarray], images: int
) -> ScoreChange:
    differences = draws[1] - draws[0]
    low, high = bootstrap.interval(differences)
    return ScoreChange(
        name=name,
        first=float(scores[0]),
        second=float(scores[1]),
        interval=(float(low), float(high)),
        p=two_sided_p(differences),
        images=images,
    )


def _image_change(
    first: ImageCounts, second: ImageCounts, num_classes: int
) -> ImageChange:
    before, after = first.scores(num_classes), second.scores(num_classes)
    return ImageChange(
        name=first.name,
        first=before.miou,
        second=after.miou,
        wrong_first=before.share_wrong,
        wrong_second=after.share_wrong,
    )


def _same_truth(first: ImageCounts, second: ImageCounts, num_classes: int) -> bool:
    """Whether both have as many true pixels of each class."""
    if first.size != second.size:
        return False
    ours, theirs = (
        np.bincount(image.pairs // num_classes, image.pixels, minlength=num_classes)
        for image in (first, second)
    )
    return np.array_equal(ours, theirs)
