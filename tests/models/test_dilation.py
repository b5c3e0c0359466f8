"""Dilated networks: sizes, the context module's start, upsampling, and equivalences."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.atrous import StrideRate
from deeplab_tf.models.backbones import vgg
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import dilation
from deeplab_tf.models.heads.dilation import HEADS, GroupedUpscore
from deeplab_tf.models.layers.blocks import Style, biased_conv
from deeplab_tf.models.layers.initializers import IdentityMaps
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.losses import total
from tests.at_night import mark_nightly
from tests.recorded import assign_rule_weights

NARROW = {
    name: ModelConfig(architecture=name, depth_multiplier=1 / 64) for name in HEADS
}
each = pytest.mark.parametrize(
    "config",
    [
        pytest.param(
            config,
            id=name,
            marks=()
            if name in ("dilation8_basic", "dilation10")
            else pytest.mark.nightly,
        )
        for name, config in NARROW.items()
    ],
)
MODULES = {"basic": dilation.BASIC, "large": dilation.LARGE}


@pytest.fixture
def float64():
    """Networks that are built now compute in it."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(policy)


def noiseless(kind, classes):
    """A context module at its start, without noise."""
    scores = keras.Input((None, None, classes), dtype="float64")
    found = keras.Model(scores, dilation.context(scores, MODULES[kind], Style()))
    for layer in found.layers:
        if layer.weights:
            start = IdentityMaps(classes, noise=0.0)
            layer.kernel.assign(start(layer.kernel.shape, "float64"))
    return found


@each
def test_logits_have_the_size_of_the_image(config):
    assert config.logits_stride == 1
    model = build(config, 3)
    for size in ((1, 1), (64, 72), (65, 97), (30, 2), (87, 39)):
        logits = model(np.zeros((2, *size, 3), np.float32))
        assert logits.shape == (2, *size, 3)


@each
def test_training_scores_the_pixels_that_have_labels(config):
    model = build(config, 3, training_form=True)
    for size in ((64, 72), (65, 97), (71, 2)):
        label = np.zeros((2, *size, 1), np.int32)
        wanted = total.sample_on_grid(label, HEADS[config.head].label_grid).shape[:3]
        logits = model(np.zeros((2, *size, 3), np.float32))
        assert logits.shape == (*wanted, 3)
        sparse = config.architecture != "dilation10"
        assert wanted[1:] == tuple(-(-n // 8) if sparse else n for n in size)


@pytest.mark.parametrize(
    "name", mark_nightly(["dilation8", "dilation8_basic"], by_day=(1,))
)
@pytest.mark.parametrize(
    "size",
    [pytest.param((64, 72), marks=pytest.mark.nightly), pytest.param((65, 97))],
)
def test_interpolation_passes_through_the_scores_of_training(name, size, rng):
    image = rng.uniform(0, 255, (1, *size, 3)).astype(np.float32)
    found = []
    for training_form in (False, True):
        model = build(NARROW[name], 3, training_form=training_form)
        assign_rule_weights(model, 1.3)
        found.append(model(image).numpy())
    dense, sparse = found
    assert sparse.std() > 0
    np.testing.assert_allclose(dense[:, ::8, ::8], sparse, atol=1e-4 * sparse.std())
    middle = (sparse[:, :-1] + sparse[:, 1:])[:, :, :8] / 2
    found = dense[:, 4::8, :64:8][:, : middle.shape[1]]
    np.testing.assert_allclose(found, middle, atol=1e-4 * sparse.std())


@pytest.mark.parametrize(
    ("size", "cells"),
    [(380, 1), (500, 16), (628, 32), (852, 60), (900, 66), (1396, 128)],
)
def test_the_valid_network_has_the_published_sizes(size, cells):
    model = build(NARROW["dilation_front_end"], 2)
    mirror, last = model.get_layer("mirror"), model.get_layer("logits.final")
    core = keras.Model(mirror.output, last.output)
    assert core(np.zeros((1, size, size, 3), np.float32)).shape == (1, cells, cells, 2)


def test_the_trunk_has_the_published_sizes():
    """Of an image of 528 pixels, which its mirrored surroundings make 900."""
    model = build(NARROW["dilation10"], 2, input_size=(528, 528))
    for name, side in {
        "mirror": 900,
        "vgg_16.pool1": 448,
        "vgg_16.pool2": 222,
        "vgg_16.pool3": 108,
        "vgg_16.conv4.conv4_3.relu": 102,
        "vgg_16.conv5.conv5_1": 98,
        "vgg_16.conv5.conv5_2": 94,
        "vgg_16.conv5.conv5_3": 90,
        "vgg_16.fc6": 66,
        "context.final": 66,
        "logits.upsample": 536,
    }.items():
        assert model.get_layer(name).output.shape[1:3] == (side, side), name


def test_a_cell_looks_at_the_pixels_around_its_own(rng):
    """Of cell 5, the field of 380 pixels is about 8 x 5 + 3.5."""
    model = build(NARROW["dilation_front_end"], 2)
    mirror, last = model.get_layer("mirror"), model.get_layer("logits.final")
    core = keras.Model(mirror.output, last.output)
    for weight in weights_by_name(model).values():
        # Means, so that the effect of a row at the border stays large enough to see.
        mean = 1 / np.prod(weight.shape[:-1]) if len(weight.shape) == 4 else 0.0
        weight.assign(tf.fill(weight.shape, np.float32(mean)))
    image = rng.uniform(1, 2, (1, 460, 460, 3)).astype(np.float32)
    center = 186 + 8 * 5 + 3.5
    first, last = int(center - 189.5), int(center + 189.5)
    base = core(image)[0, 5, 5, 0].numpy()
    for row in (first - 1, first, last, last + 1):
        other = image.copy()
        other[:, row] += 1e4  # More than any neighbor: no pool hides it.
        seen = core(other)[0, 5, 5, 0].numpy() != base
        assert seen == (first <= row <= last), row


def test_receptive_fields_of_context_grow_as_published():
    for name, fields in {
        "dilation8": [3, 5, 9, 17, 33, 65, 67, 67],
        "dilation8_basic": [3, 5, 9, 17, 33, 65, 67, 67],
        "dilation7": [3, 5, 9, 17, 33, 35, 35],
    }.items():
        assert list(_fields(build(NARROW[name], 2))) == fields
    # In pixels, the front end's included.
    *_, whole = _fields(build(NARROW["dilation10"], 2))
    assert 380 + 8 * (whole - 1) == 2444


def _fields(model):
    field = 1
    for layer in model.layers:
        if layer.name.startswith("context.") and layer.weights:
            field += (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
            yield field


@pytest.mark.parametrize("kind", MODULES)
@pytest.mark.usefixtures("float64")
def test_a_context_module_without_noise_is_the_identity(kind, rng):
    x = rng.uniform(0, 5, (1, 11, 13, 3))
    model = noiseless(kind, 3)
    np.testing.assert_allclose(model(x), x, atol=1e-12, rtol=0)
    x -= 2.5
    if kind == "basic":
        np.testing.assert_array_equal(model(x), np.maximum(x, 0))


def test_a_context_module_starts_with_a_little_noise():
    model = build(NARROW["dilation8"], 4)
    weights = weights_by_name(model)
    for name, share in {
        "conv1": 1 / 2,
        "conv3": 1 / 4,
        "conv7": 1 / 32,
        "final": 1,
    }.items():
        kernel = weights[f"context/{name}/weights"].numpy()
        passing = np.isclose(kernel, share, rtol=1e-6)
        before, after = kernel.shape[2:]
        assert passing.sum() == before * after // 4  # One map in four, at the center.
        noise = kernel[~passing]
        assert noise.std() == pytest.approx(0.01 * share, rel=0.25)
        assert not np.any(weights[f"context/{name}/biases"])


def test_grouped_upscore_is_the_deconvolution_of_each_channel(rng):
    x = rng.normal(size=(2, 5, 6, 3)).astype(np.float32)
    layer = GroupedUpscore(8)
    found = layer(x).numpy()
    assert found.shape == (2, *layer.compute_output_shape(x.shape)[1:])
    assert sum(int(np.prod(w.shape)) for w in layer.weights) == 16 * 16 * 3
    assert not layer.trainable_weights
    layer.kernel.assign(rng.normal(size=layer.kernel.shape))
    found = layer(x).numpy()
    for channel in range(3):
        wanted = tf.nn.conv2d_transpose(
            x[..., channel : channel + 1],
            layer.kernel.numpy()[..., channel, np.newaxis, np.newaxis],
            (2, 48, 56, 1),
            8,
            padding="VALID",
        )
        np.testing.assert_allclose(found[..., channel], wanted[..., 0], atol=1e-4)


def test_upsampling_lies_between_the_centers_of_cells(rng):
    """Within the map, it is the half-pixel resize."""
    x = rng.normal(size=(1, 5, 6, 3)).astype(np.float32)
    found = GroupedUpscore(8)(x).numpy()[:, 4:-4, 4:-4]
    wanted = tf.image.resize(x, (40, 48)).numpy()
    inner = np.s_[:, 4:-4, 4:-4]
    np.testing.assert_allclose(found[inner], wanted[inner], atol=1e-5)


def small_net(x, dense):
    """Two valid 3x3 convolutions between which all strides are, and one of 2x2."""
    style = Style(padding="valid", kernel=keras.initializers.HeNormal)
    rates = (1, 2, 4, 4) if dense else (1, 1, 1, 1)
    x = biased_conv(x, 3, 3, style=style, name="a")
    if dense:
        # Those at the end read what the padded pool adds.
        x = layers.Cropping2D(((0, 1), (0, 1)))(vgg._dense_pool(x, 1, name="pool"))
    else:
        x = vgg._max_pool(x, vgg.Pool(2, 2, 0, 0), name="pool")
    at = StrideRate(1, rates[1]) if dense else StrideRate(2, 1)
    x = biased_conv(x, 4, 3, style=style, at=at, name="b")
    x = biased_conv(x, 5, 3, style=style, at=StrideRate(1, rates[2]), name="c")
    return biased_conv(x, 2, 2, style=style, at=StrideRate(1, rates[3]), name="d")


@pytest.mark.parametrize(
    ("size", "dense"),
    mark_nightly(
        [((37, 41), (18, 22)), ((30, 33), (11, 14)), ((40, 40), (21, 21))], by_day=(1,)
    ),
)
def test_shift_and_stitch_is_dilation(size, dense, rng):
    """Long et al. 2015, section 3.2: what all shifts see, dilation sees at once."""
    images = keras.Input((None, None, 3))
    sparse = keras.Model(images, small_net(images, dense=False))
    keras.backend.clear_session()
    whole = keras.Model(images, small_net(images, dense=True))
    whole.set_weights(sparse.get_weights())
    x = rng.normal(size=(1, *size, 3)).astype(np.float32)
    wanted = whole(x).numpy()
    assert wanted.shape[1:3] == dense
    stitched = np.full_like(wanted, np.nan)
    for i in range(4):
        for j in range(4):
            stitched[:, i::4, j::4] = sparse(x[:, i:, j:])
    np.testing.assert_allclose(stitched, wanted, atol=1e-5 * wanted.std())


@pytest.mark.parametrize("name", ["dilation_front_end", "dilation8_basic"])
def test_an_image_shifted_by_a_cell_shifts_the_scores(name, rng):
    model = build(NARROW[name], 3)
    assign_rule_weights(model, 1.3)
    mirror, final = model.get_layer("mirror"), model.get_layer("logits.final")
    core = keras.Model(mirror.output, final.output)
    x = rng.normal(size=(1, 420, 436, 3)).astype(np.float32)
    whole, shifted = core(x).numpy(), core(x[:, 8:, 16:]).numpy()
    np.testing.assert_allclose(whole[:, 1:, 2:], shifted, atol=1e-4 * whole.std())


@pytest.mark.parametrize(("classes", "basic", "large"), [(21, 28392, 6803139)])
def test_context_modules_have_the_published_counts(classes, basic, large):
    wanted = {"basic": basic, "large": large}
    for kind, count in wanted.items():
        scores = keras.Input((None, None, classes))
        logits = dilation.context(scores, MODULES[kind], Style())
        assert keras.Model(scores, logits).count_params() == count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "count", "fixed"),
    mark_nightly(
        [
            ("dilation_front_end", 21, 134346581, 0),
            ("dilation8", 21, 141149720, 0),
            ("dilation8_basic", 21, 134374973, 0),
            ("dilation8_basic", 11, 134313443, 0),
            ("dilation10", 19, 134373043, 4864),
            ("dilation7", 11, 134312343, 0),
        ],
        by_day=(1,),
    ),
)
def test_networks_have_the_published_counts(name, classes, count, fixed):
    model = build(dataclasses.replace(NARROW[name], depth_multiplier=1.0), classes)
    assert model.count_params() == count
    assert sum(int(np.prod(w.shape)) for w in model.non_trainable_weights) == fixed
