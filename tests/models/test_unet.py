"""U-Net: sizes of the valid network, the mirrored image around it, and tiles."""

import keras
import numpy as np
import pytest

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.build import build
from deeplab_tf.models.heads import HEADS
from deeplab_tf.models.layers.blocks import Style
from deeplab_tf.models.layers.reflect_pad import Mirror
from deeplab_tf.models.weight_names import weights_by_name
from tests.at_night import mark_nightly
from tests.recorded import assign_rule_weights

SMALL = ModelConfig(architecture="unet", depth_multiplier=1 / 16)


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (2, 40), (3, 20)])
@pytest.mark.parametrize(("rest", "spare"), [(0, 0), (4, 0), (0, 7)])
def test_the_image_is_mirrored_around_until_a_side_is_whole(size, rest, spare, rng):
    x = rng.normal(size=(2, *size, 3)).astype(np.float32)
    layer = Mirror(10, 16, rest=rest, spare=spare)
    found = layer(x).numpy()
    sides = [
        next(n for n in range(rest, 99, 16) if n >= length + spare) for length in size
    ]
    pads = [(10, 10 + side - length) for side, length in zip(sides, size, strict=True)]
    wanted = np.pad(x, ((0, 0), *pads, (0, 0)), mode="reflect")
    np.testing.assert_array_equal(found, wanted)
    assert layer.compute_output_shape(x.shape) == wanted.shape
    assert layer.compute_output_shape((2, None, None, 3)) == (2, None, None, 3)


def test_logits_have_the_size_of_the_image():
    assert SMALL.logits_stride == 1
    model = build(SMALL, 5)
    for size in ((1, 1), (65, 97), (37, 388)):
        logits = model(np.zeros((2, *size, 3), np.float32))
        assert logits.shape == (2, *size, 5)


def test_the_path_has_the_published_sizes():
    model = build(SMALL, 2, input_size=(388, 388))
    assert model.get_layer("mirror").output.shape[1:3] == (572, 572)
    for name, side in {
        "down1": 568,
        "down2": 280,
        "down3": 136,
        "down4": 64,
        "down5": 28,
        "up4": 52,
        "up3": 100,
        "up2": 196,
        "up1": 388,
    }.items():
        assert model.get_layer(f"unet.{name}.conv2").output.shape[1:3] == (side,) * 2


def test_the_image_lies_where_its_mirrored_surroundings_end(rng):
    """The logits are those of the valid network on an image that NumPy has padded."""
    model = build(SMALL, 3)
    assign_rule_weights(model, 1.3)
    image = rng.uniform(0, 255, (1, 36, 50, 3)).astype(np.float32)
    around = np.pad(image, ((0, 0), (92, 92), (92, 94), (0, 0)), mode="reflect")
    valid = keras.Model(
        model.get_layer("mirror").output, model.get_layer("logits.crop").input[0]
    )
    wanted = valid(model.get_layer("normalized")(around)).numpy()[:, :, :50]
    np.testing.assert_allclose(model(image), wanted, atol=1e-5 * wanted.std())


def test_initial_values_keep_the_variance():
    """Two over the incoming connections; an up-convolution has those of one cell."""
    weights = weights_by_name(
        build(ModelConfig(architecture="unet", depth_multiplier=0.25), 21)
    )
    for name, incoming in {
        "unet/down4/conv2": 9 * 128,
        "unet/up4/conv1": 9 * 256,
        "unet/up4/double": 256,
    }.items():
        spread = np.std(weights[f"{name}/weights"])
        assert spread == pytest.approx(np.sqrt(2 / incoming), rel=0.02), name


def counted(channels, classes):
    """Parameters of the network for images of some channels."""
    config, backbone = ModelConfig(architecture="unet"), BACKBONES["unet"]
    images = keras.Input((None, None, channels))
    features = backbone.features(images, config, backbone.style)
    features["images"] = images
    logits = HEADS["unet"].function(features, classes, config, Style())
    return keras.Model(images, logits).count_params()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "classes", "count"),
    mark_nightly(
        [(1, 2, 31030658), (1, 21, 31031893), (3, 21, 31033045), (3, 2, 31031810)],
        by_day=(2,),
    ),
)
def test_the_network_has_the_published_count(channels, classes, count):
    assert counted(channels, classes) == count
