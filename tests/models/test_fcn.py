"""FCN: sizes, crops and what is fixed, by the arithmetic of the paper."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import LossConfig, ModelConfig
from deeplab_tf.data.specs import DATASETS
from deeplab_tf.models.build import build
from deeplab_tf.models.heads.fcn import HEADS
from deeplab_tf.models.layers.initializers import BilinearKernel
from deeplab_tf.models.layers.resize import CropLike
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.losses import total
from tests.at_night import mark_nightly
from tests.recorded import assign_rule_weights

NARROW = ModelConfig(architecture="fcn8s", depth_multiplier=1 / 64)


def narrow(name, num_classes=3, **settings):
    config = dataclasses.replace(NARROW, architecture=name, **settings)
    return build(config, num_classes)


def parts(model, *names):
    return keras.Model(model.input, [model.get_layer(name).output for name in names])


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(
    ("height", "width"),
    mark_nightly(
        [(1, 1), (32, 321), (224, 513), (366, 1), (375, 500), (512, 512)], by_day=(0, 3)
    ),
)
def test_logits_have_the_size_of_the_image(name, height, width):
    logits = narrow(name)(np.zeros((1, height, width, 3), np.float32))
    assert logits.shape == (1, height, width, 3)


@pytest.mark.parametrize(
    ("size", "pool3", "pool4", "pool5", "fc6", "twice", "four", "eight"),
    [
        (224, 53, 27, 14, 8, 18, 38, 312),
        (321, 65, 33, 17, 11, 24, 50, 408),
        (375, 72, 36, 18, 12, 26, 54, 440),
        (500, 88, 44, 22, 16, 34, 70, 568),
        (512, 89, 45, 23, 17, 36, 74, 600),
        (513, 89, 45, 23, 17, 36, 74, 600),
    ],
)
def test_maps_are_as_large_as_released(
    size, pool3, pool4, pool5, fc6, twice, four, eight
):
    names = ("pool3", "pool4", "pool5", "fc6")
    maps = parts(
        narrow("fcn8s"),
        *(f"vgg_16.{name}" for name in names),
        "logits.upscore2",
        "logits.upscore_pool3",
        "logits.upscore8",
    )(np.zeros((1, size, size, 3), np.float32))
    expected = (pool3, pool4, pool5, fc6, twice, four, eight)
    assert tuple(found.shape[1] for found in maps) == expected


class Cells:
    """Spacing of a map's cells, and the image position of the first one's center."""

    def __init__(self, spacing=1.0, first=0.0):
        self.spacing, self.first = spacing, first

    def conv(self, kernel, stride=1, pad=0):
        first = self.first + ((kernel - 1) / 2 - pad) * self.spacing
        return Cells(self.spacing * stride, first)

    def deconv(self, kernel, stride):
        spacing = self.spacing / stride
        return Cells(spacing, self.first - (kernel - 1) / 2 * spacing)

    def offset(self, finer):
        return (self.first - finer.first) / self.spacing


def pools():
    cells, found = Cells(), []
    for block, count in enumerate((2, 2, 3, 3, 3)):
        for i in range(count):
            cells = cells.conv(3, pad=100 if block == i == 0 else 1)
        cells = cells.conv(2, stride=2)
        found.append(cells)
    return found


def test_crops_begin_where_the_cells_of_two_maps_coincide():
    _, _, pool3, pool4, pool5 = pools()
    coarse = pool5.conv(7)
    assert coarse.deconv(64, 32).offset(Cells()) == -19
    twice = coarse.deconv(4, 2)
    assert twice.offset(pool4) == 5
    assert twice.deconv(32, 16).offset(Cells()) == -27
    four = twice.deconv(4, 2)
    assert four.offset(pool3) == 9
    assert four.deconv(16, 8).offset(Cells()) == -31
    found = {
        name: [
            layer.offset for layer in narrow(name).layers if isinstance(layer, CropLike)
        ]
        for name in HEADS
    }
    assert found["fcn32s"] == [19]
    assert sorted(found["fcn16s"]) == [5, 27]
    assert sorted(found["fcn8s"]) == sorted(found["fcn8s_at_once"]) == [5, 9, 31]


@pytest.mark.parametrize("name", HEADS)
def test_a_new_network_scores_zero_everywhere(name, rng):
    logits = narrow(name, 21)(rng.uniform(0, 255, (1, 40, 50, 3)).astype(np.float32))
    assert not np.any(logits)


def test_zero_scores_cost_the_logarithm_of_the_classes():
    spec = DATASETS["pascal_voc_seg"]
    logits = narrow("fcn32s", 21)(np.full((1, 500, 500, 3), 99.0, np.float32))
    label, config = np.ones((1, 500, 500, 1), np.int32), LossConfig()
    (cost,), _ = total.loss_sums(logits, label, spec, config, tf.constant(0))
    (count,) = total.normalizers(label, logits.shape[1:3], spec, config)
    assert float(cost) == pytest.approx(761130.6094, rel=1e-5)
    assert float(cost / count) == pytest.approx(3.0445224377, rel=1e-5)


def test_a_skip_that_scores_zero_leaves_the_coarser_network(rng):
    """16s at its start is 32s, interpolated in two steps."""
    model = narrow("fcn16s")
    assign_rule_weights(model, 1.3)
    for name, weight in weights_by_name(model).items():
        if "upscore" in name:
            weight.assign(BilinearKernel()(weight.shape))
        if "score_pool4" in name:
            weight.assign(tf.zeros_like(weight))
    twice, fused = parts(model, "logits.upscore2", "logits.fuse_pool4")(
        rng.uniform(0, 255, (1, 100, 120, 3)).astype(np.float32)
    )
    assert np.std(twice) > 0
    np.testing.assert_array_equal(twice, fused)


@pytest.mark.parametrize(
    ("size", "row"),
    [
        (4, [0.25, 0.75, 0.75, 0.25]),
        (3, [0.5, 1, 0.5]),
    ],
)
def test_a_bilinear_kernel_is_the_outer_product_of_its_row(size, row):
    kernel = BilinearKernel()((size, size, 2, 2)).numpy()
    np.testing.assert_allclose(kernel[..., 0, 0], np.outer(row, row))
    np.testing.assert_array_equal(kernel[..., 0, 0], kernel[..., 1, 1])
    assert not kernel[..., 0, 1].any()
    assert not kernel[..., 1, 0].any()


@pytest.mark.parametrize(
    ("stride", "greatest"), [(8, 0.87890625), (16, 0.9384765625), (32, 0.968994140625)]
)
def test_bilinear_kernels_sum_to_the_square_of_their_stride(stride, greatest):
    kernel = BilinearKernel()((2 * stride, 2 * stride, 1, 1)).numpy()
    assert kernel.sum() == pytest.approx(stride**2)
    assert kernel.max() == pytest.approx(greatest)


def test_upscoring_interpolates_between_cell_centers(rng):
    """Within the map it is the half-pixel resize, which has its cells there, too."""
    model = narrow("fcn32s", 2)
    layer = model.get_layer("logits.upscore32")
    coarse = rng.normal(size=(1, 6, 7, 2)).astype(np.float32)
    found = layer(coarse).numpy()[:, 16:-16, 16:-16]
    expected = tf.image.resize(coarse, (6 * 32, 7 * 32)).numpy()
    inner = np.s_[:, 16:-16, 16:-16]
    np.testing.assert_allclose(found[inner], expected[inner], atol=1e-5)


def test_deconvolutions_and_scales_do_not_learn():
    model = narrow("fcn8s_at_once")
    fixed = {name for name, w in weights_by_name(model).items() if not w.trainable}
    assert fixed == {
        "logits/upscore2/weights",
        "logits/upscore_pool3/weights",
        "logits/upscore8/weights",
        "vgg_16/scale_pool3/depthwise_weights",
        "vgg_16/scale_pool4/depthwise_weights",
    }


def test_at_once_scores_scaled_pools(rng):
    image = rng.uniform(0, 255, (1, 40, 40, 3)).astype(np.float32)
    model = narrow("fcn8s_at_once")
    assign_rule_weights(model, 1.3)
    for name, weight in weights_by_name(model).items():
        if "scale" in name:
            weight.assign(tf.fill(weight.shape, 0.01 if "pool4" in name else 1e-4))
    names = ("vgg_16.pool4", "vgg_16.scale_pool4", "vgg_16.pool3", "vgg_16.scale_pool3")
    pool4, scaled4, pool3, scaled3 = parts(model, *names)(image)
    np.testing.assert_allclose(scaled4, pool4 * 0.01, rtol=1e-6)
    np.testing.assert_allclose(scaled3, pool3 * 0.0001, rtol=1e-6)
