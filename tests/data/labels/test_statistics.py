"""What masks hold, added up."""

import json

import numpy as np

from deeplab_tf.data.labels.statistics import LabelStatistics, MaskGroup
from deeplab_tf.data.spec import DatasetSpec, distinct_colors

SPEC = DatasetSpec(name="own", classes=tuple("abcd"), palette=distinct_colors(4))


def of(**masks):
    statistics = LabelStatistics()
    for origin, mask in masks.items():
        statistics.add(LabelStatistics.of_mask(origin, np.array(mask, np.uint8), SPEC))
    return statistics


def smoothed():
    mask = np.zeros((50, 40), np.uint8)
    mask[:, 20:] = 3
    mask[::2, 20], mask[1::2, 20] = 1, 2
    return mask


def test_pixels_and_masks_are_counted_by_id():
    statistics = of(a=[[0, 0], [1, 255]], b=[[1, 1]], c=[[3]])
    assert statistics.masks == 3
    assert statistics.pixels == {0: 2, 1: 3, 3: 1, 255: 1}
    assert statistics.images == {0: 1, 1: 2, 3: 1, 255: 1}
    assert statistics.largest == (2, 2)
    assert of(a=[[0]] * 3, b=[[1, 1, 1, 1]], c=[[1, 1]] * 3).largest == (1, 4)


def test_the_first_mask_of_each_kind_is_kept():
    statistics = of(
        a=[[0, 1]],
        b=[[7, 0]],
        c=[[9, 9]],
        d=[[2, 2]],
        e=[[255, 255]],
        f=[[255]],
        g=smoothed(),
    )
    assert statistics.wrong == MaskGroup(count=2, origin="b", ids={0: 1, 7: 1})
    assert statistics.uniform == MaskGroup(count=1, origin="d", ids={2: 2})
    assert statistics.ignored == MaskGroup(count=2, origin="e", ids={255: 2})
    assert statistics.interpolated == MaskGroup(count=1, origin="g", ids={1: 25, 2: 25})


def test_parts_add_up_to_the_whole():
    whole = of(a=[[0, 1]], b=[[7, 0]], c=[[9]], d=smoothed())
    first, second = of(a=[[0, 1]], b=[[7, 0]]), of(c=[[9]], d=smoothed())
    first.add(second)
    assert first == whole
    assert second == of(c=[[9]], d=smoothed())


def test_a_tally_goes_through_json():
    statistics = of(a=[[0, 1]], b=[[7, 0]], c=smoothed())
    assert (
        LabelStatistics.from_json(json.loads(json.dumps(statistics.to_json())))
        == statistics
    )


def test_an_ignore_label_that_is_a_class_is_ignored():
    spec = DatasetSpec(
        name="own", classes=("other", "b"), palette=distinct_colors(2), ignore_label=0
    )
    statistics = LabelStatistics.of_mask("a", np.zeros((2, 2), np.uint8), spec)
    assert (statistics.ignored.count, statistics.uniform.count) == (1, 0)
