"""Files of Keras Applications: their networks are ours."""

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from keras.src.legacy.saving import legacy_h5_format

from deeplab_tf.checkpoints import keras_applications, restore
from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import InputError
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from tests.at_night import mark_nightly

BGR = slice(None, None, -1)


def randomize(model, rng):
    """Statistics of batch norm and biases that are not their initial values."""
    for weight in model.weights:
        if len(weight.shape) == 1:
            low, high = (0.5, 1.5) if "gamma" in weight.name else (-0.2, 0.2)
            if "variance" in weight.name:
                low, high = 0.5, 1.5
            weight.assign(rng.uniform(low, high, weight.shape))


def save(model, path):
    """As Keras 3 saves weights, or Keras 1 and 2 did."""
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
        return
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


def until(model, name):
    return keras.Model(model.inputs[0], model.get_layer(name).output)


def assert_equal(found, expected, exactness=1e-5):
    assert found.shape == expected.shape
    scale = np.std(expected)
    assert scale > 0
    np.testing.assert_allclose(found / scale, expected / scale, atol=exactness)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
@pytest.mark.parametrize(
    ("size", "top"), mark_nightly([((97, 129), False), ((96, 128), True)], by_day=(0,))
)
def test_mobilenet_v2_has_the_features_that_keras_gives(
    tmp_path, rng, suffix, size, top
):
    theirs = keras.applications.MobileNetV2(
        input_shape=(*size, 3), alpha=0.35, include_top=top, weights=None
    )
    randomize(theirs, rng)
    save(theirs, tmp_path / f"mobilenet{suffix}")
    config = ModelConfig(
        model_variant="mobilenet_v2",
        depth_multiplier=0.35,
        divisible_by=8,
        output_stride=32,
    )
    ours = build(config, 5)
    report = restore.initialize(ours, str(tmp_path / f"mobilenet{suffix}"))
    backbone = {n for n in weights_by_name(ours) if n.startswith("MobilenetV2/")}
    assert set(report.restored) == backbone
    assert all(
        n.startswith(("MobilenetV2/Conv_1/", "MobilenetV2/pred")) for n in report.unused
    )
    images = rng.uniform(0, 255, (1, *size, 3)).astype(np.float32)
    name = "MobilenetV2.expanded_conv_16.project.BatchNorm"
    expected = until(theirs, "block_16_project_BN")(images / 127.5 - 1).numpy()
    assert_equal(until(ours, name)(images).numpy(), expected)


def narrow_vgg():
    """VGG16 of a sixteenth of its width, with the names of Keras."""
    net = keras.Sequential([keras.Input((224, 224, 3))])
    counts = ((4, 2), (8, 2), (16, 3), (32, 3), (32, 3))
    for block, (filters, count) in enumerate(counts, start=1):
        for i in range(1, count + 1):
            name = f"block{block}_conv{i}"
            net.add(
                layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)
            )
        net.add(layers.MaxPooling2D(2, name=f"block{block}_pool"))
    net.add(layers.Flatten(name="flatten"))
    net.add(layers.Dense(256, activation="relu", name="fc1"))
    net.add(layers.Dense(256, activation="relu", name="fc2"))
    net.add(layers.Dense(10, name="predictions"))
    return net


def write_as_keras_1(model, path):
    """Weight names of the VGG16 file that is distributed, `block1_conv1_W_1:0`."""
    with h5py.File(path, "w") as file:
        for layer in model.layers:
            group = file.create_group(layer.name)
            kinds = zip("Wb", layer.weights, strict=False)
            named = {f"{layer.name}_{k}_1:0": w.numpy() for k, w in kinds}
            group.attrs["weight_names"] = [name.encode() for name in named]
            for name, value in named.items():
                group[name] = value


def test_fcn_on_a_small_image_is_vgg_on_it_with_zeros_around(tmp_path, rng):
    """With 99 zeros around, 26x26 pixels become 224x224: fc6 has one place."""
    theirs = narrow_vgg()
    randomize(theirs, rng)
    write_as_keras_1(theirs, tmp_path / "vgg16.h5")
    config = ModelConfig(architecture="fcn32s", depth_multiplier=1 / 16)
    ours = build(config, 5)
    report = restore.initialize(ours, str(tmp_path / "vgg16.h5"))
    assert len(report.restored) == 2 * (13 + 2)
    assert set(report.unused) == {"predictions/weights", "predictions/biases"}
    images = rng.uniform(0, 255, (2, 26, 26, 3)).astype(np.float32)
    mean = -np.array(ours.get_layer("normalized").offset)
    padded = np.pad((images - mean)[..., BGR], ((0, 0), (99, 99), (99, 99), (0, 0)))
    expected = until(theirs, "fc2")(padded).numpy()
    found = until(ours, "vgg_16.fc7.relu")(images).numpy()
    assert_equal(found[:, 0, 0], expected)


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize(
    ("variant", "size"),
    [
        ("resnet_50", (97, 129)),
        pytest.param("resnet_50", (96, 130), marks=pytest.mark.nightly),
        pytest.param("resnet_101", (65, 65), marks=pytest.mark.nightly),
        pytest.param("resnet_152", (65, 65), marks=pytest.mark.nightly),
    ],
)
def test_resnets_have_the_features_that_keras_gives(tmp_path, rng, variant, size):
    make = getattr(keras.applications, variant.replace("resnet_", "ResNet"))
    theirs = make(input_shape=(*size, 3), include_top=False, weights=None)
    randomize(theirs, rng)
    save(theirs, tmp_path / "resnet.h5")
    ours = build(ModelConfig(model_variant=variant, output_stride=32), 5)
    report = restore.initialize(ours, str(tmp_path / "resnet.h5"))
    backbone = {n for n in weights_by_name(ours) if n.startswith(f"{variant}/")}
    assert set(report.restored) == backbone
    assert not report.unused
    images = rng.uniform(0, 255, (1, *size, 3)).astype(np.float32)
    mean = -np.array(ours.get_layer("normalized").offset)
    expected = until(theirs, "conv5_block3_out")((images - mean)[..., BGR]).numpy()
    name = f"{variant}.block4.unit_3.bottleneck_v1.relu"
    found = until(ours, name)(images).numpy()
    assert_equal(found, expected, 1e-4)  # Rounding of up to 152 layers.


@pytest.mark.nightly
def test_resnet_50_has_the_features_that_keras_gives_up_to_the_first_stride(
    tmp_path, rng
):
    """TF-slim's has its strides elsewhere; the first two units are before them."""
    theirs = keras.applications.ResNet50(
        input_shape=(97, 129, 3), include_top=False, weights=None
    )
    randomize(theirs, rng)
    save(theirs, tmp_path / "resnet.h5")
    ours = build(ModelConfig(model_variant="resnet_v1_50", output_stride=16), 5)
    report = restore.initialize(ours, str(tmp_path / "resnet.h5"))
    backbone = {n for n in weights_by_name(ours) if n.startswith("resnet_v1_50/")}
    assert set(report.restored) == backbone
    assert not report.unused
    images = rng.uniform(0, 255, (1, 97, 129, 3)).astype(np.float32)
    mean = -np.array(ours.get_layer("normalized").offset)
    expected = until(theirs, "conv2_block2_out")((images - mean)[..., BGR]).numpy()
    name = "resnet_v1_50.block1.unit_2.bottleneck_v1.relu"
    assert_equal(until(ours, name)(images).numpy(), expected)


def fake(path, names):
    """A file with layers of these names, each a bias."""
    with h5py.File(path, "w") as file:
        for name in names:
            group = file.create_group(name)
            group["bias"] = np.ones(4, np.float32)
            group.attrs["weight_names"] = ["bias"]


@pytest.mark.parametrize(
    "names",
    [
        ["block1_conv1", "block5_conv3", "block5_conv4"],  # VGG19.
        ["conv1_conv", "conv5_block3_3_conv", "post_bn"],  # ResNet50V2.
        ["conv1", "conv_dw_1", "conv_pw_13"],  # MobileNet.
    ],
)
def test_another_classifier_is_told_by_its_layers(tmp_path, names):
    fake(tmp_path / "other.h5", names)
    with pytest.raises(InputError, match=f"of no VGG16.*its layers are {names[0]}"):
        keras_applications.open_file(str(tmp_path / "other.h5"))


def test_a_file_that_is_missing_or_no_hdf5_is_told(tmp_path):
    with pytest.raises(InputError, match=r"vgg\.h5: no such file"):
        keras_applications.open_file(str(tmp_path / "vgg.h5"))
    (tmp_path / "vgg.h5").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"vgg\.h5: no weights of Keras, or damaged"):
        keras_applications.open_file(str(tmp_path / "vgg.h5"))


def test_a_file_for_another_network_says_of_what_it_is(tmp_path):
    save(narrow_vgg(), tmp_path / "vgg.h5")
    model = build(ModelConfig(depth_multiplier=0.25), 5)
    with pytest.raises(InputError, match=r"has 0 of .* it is of .*vgg_16; set --model"):
        restore.initialize(model, str(tmp_path / "vgg.h5"))


def test_mobilenets_of_another_width_are_told_of_the_divisor(tmp_path):
    theirs = keras.applications.MobileNetV2(
        input_shape=(96, 96, 3), alpha=0.35, include_top=False, weights=None
    )
    save(theirs, tmp_path / "mobilenet.h5")
    model = build(ModelConfig(depth_multiplier=0.35), 5)
    with pytest.raises(InputError, match=r"16 there, .* want --divisible_by=8, too"):
        restore.initialize(model, str(tmp_path / "mobilenet.h5"))
