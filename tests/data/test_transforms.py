"""The official preprocessing, on recorded numbers and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import resize
from deeplab_tf.config import ResizeConfig
from deeplab_tf.data import crop_resize, decode, transforms
from tests.recorded import golden, settings

RECORDED = "misc_preprocess.npz"


def pair(rng, height=6, width=8):
    image = rng.uniform(0, 255, (height, width, 3)).astype(np.float32)
    label = rng.integers(0, 4, (height, width, 1)).astype(np.int32)
    return image, label


def in_pipeline(transform, image, label):
    """Applies a transform within tf.data, where shapes are unknown."""
    data = tf.data.Dataset.from_generator(
        lambda: iter([(image, label)]),
        output_signature=(
            tf.TensorSpec((None, None, 3), tf.float32),
            tf.TensorSpec((None, None, 1), tf.int32),
        ),
    )
    (found,) = data.map(transform)
    return found


def show(image, label, sizes, size, flip, around):
    """The window of (height, width) `size` at the top left."""
    window = crop_resize.Window(tf.zeros(2, tf.int32), size)
    flip = tf.constant(bool(flip))
    found = crop_resize.resample(
        lambda part: (decode.crop(image, part), decode.crop(label, part)),
        sizes,
        crop_resize.clip_window(window, sizes[-1]),
        flip=flip,
    )
    return crop_resize.add_margins(
        *found, crop_resize.margins_around(window, sizes[-1], flip), **around
    )


def to_network(image, label, config, crop_size, *, mean_pixel, ignore_label):
    """Both as a network sees them, at least of the crop size, and where they end."""
    images, inner = transforms.to_network(
        image[np.newaxis],
        resize=config,
        crop_size=tuple(crop_size),
        multiple=1,
        mean_pixel=mean_pixel,
    )
    label = transforms.label_to_network(
        label, inner, tf.shape(images)[1:3], ignore_label=ignore_label
    )
    return images[0], label, inner


def recorded_cases():
    data = golden(RECORDED)
    return data, {
        name: case
        for name, case in settings(data, "meta_json").items()
        if name.startswith(("eval_", "train_")) and case["model_variant"]
    }


@pytest.mark.golden
def test_evaluation_and_training_frames_are_the_official_ones():
    data, cases = recorded_cases()
    assert len(cases) > 20
    for name, case in cases.items():
        source = ("big", "biglab") if case.get("big") else ("img", "lab")
        image = tf.cast(data[source[0]], tf.float32)
        label = tf.cast(tf.reshape(data[source[1]], (*image.shape[:2], 1)), tf.int32)
        keys = ("min_resize_value", "max_resize_value", "resize_factor")
        config = ResizeConfig(**{key: case.get(key) for key in keys})
        plain_resnet = case["model_variant"] == "resnet_v1_50"
        around = {
            "mean_pixel": (123.15, 115.90, 103.06) if plain_resnet else (127.5,) * 3,
            "ignore_label": 255,
        }
        if case.get("is_training"):
            sizes = [tf.shape(image)[:2]]
            if config.min_resize_value:
                sizes.append(transforms.size_in_range(sizes[0], config))
            sizes.append(transforms.scaled_size(sizes[-1], case["scale"]))
            size = tf.maximum(sizes[-1], case["crop"])
            image, label = show(image, label, sizes, size, case.get("flip"), around)
        else:
            image, label, _ = to_network(image, label, config, case["crop"], **around)
        np.testing.assert_allclose(
            image, data[f"{name}__image"], atol=1e-3, err_msg=name
        )
        recorded = np.reshape(data[f"{name}__label"], label.shape)
        np.testing.assert_array_equal(label, recorded, err_msg=name)


@pytest.mark.golden
def test_sizes_in_a_range_are_the_official_ones():
    cases = settings(golden(RECORDED), "meta_json")["resize_to_range_sizes"]
    assert len(cases) > 50
    for case in cases:
        args = case["args"]
        config = ResizeConfig(
            min_resize_value=args["min_size"],
            max_resize_value=args.get("max_size"),
            resize_factor=args.get("factor"),
            keep_aspect_ratio=args.get("keep_aspect_ratio", True),
        )
        size = transforms.size_in_range(tf.constant([case["h"], case["w"]]), config)
        assert size.numpy().tolist() == case["out"][:2], case


@pytest.mark.parametrize(
    ("size", "config", "wanted"),
    [
        ((375, 500), {"min": 513, "max": 513, "factor": 16}, (385, 513)),
        ((100, 200), {"min": 50}, (50, 100)),
        ((100, 200), {"min": 100, "max": 100}, (50, 100)),
    ],
)
def test_sizes_in_a_range_by_hand(size, config, wanted):
    config = ResizeConfig(
        min_resize_value=config["min"],
        max_resize_value=config.get("max"),
        resize_factor=config.get("factor"),
    )
    found = transforms.size_in_range(tf.constant(size), config)
    assert tuple(found.numpy()) == wanted


def test_without_a_range_images_are_padded_with_mean_pixel_and_ignore_label(rng):
    image, label = pair(rng)

    def pad(image, label):
        around = {"mean_pixel": (1.0, 2.0, 3.0), "ignore_label": 77}
        return to_network(image, label, ResizeConfig(), (9, 7), **around)

    for image_, label_, inner in (pad(image, label), in_pipeline(pad, image, label)):
        assert tuple(inner.numpy()) == (6, 8)
        assert image_.shape == (9, 8, 3)  # No side is cut.
        np.testing.assert_allclose(image_[:6], image, atol=1e-4)
        np.testing.assert_array_equal(image_[6:], np.full((3, 8, 3), [1, 2, 3]))
        np.testing.assert_array_equal(label_[:6], label)
        assert (label_[6:].numpy() == 77).all()


@pytest.mark.parametrize("size", [(6, 8), (3, 4), (2, 9), (1, 1)])
def test_a_crop_begins_where_tensorflow_would_begin_it(size):
    crop_size = (3, 4)
    padded = np.maximum(size, crop_size)
    numbers = np.arange(padded.prod(), dtype=np.int32).reshape(*padded, 1)
    numbers = np.repeat(numbers, 4, axis=-1)
    starts = set()
    for i in range(40):
        seed = tf.constant([0, i])
        cropped = tf.image.stateless_random_crop(numbers, (*crop_size, 4), seed)
        start = transforms.random_start(tf.constant(size), crop_size, seed).numpy()
        assert cropped[0, 0, 0] == numbers[tuple(start)][0]
        starts.add(tuple(start.tolist()))
    last = tuple((padded - crop_size).tolist())
    assert {(0, 0), last} <= starts  # The corners occur.


def test_half_of_the_images_are_mirrored():
    flips = [bool(transforms.random_flip(tf.constant([1, i]))) for i in range(200)]
    assert 80 < sum(flips) < 120


def test_scales_are_the_steps_between_the_ends():
    seen = {
        round(float(transforms.random_scale(0.5, 2.0, 0.25, tf.constant([2, i]))), 4)
        for i in range(100)
    }
    assert seen == {0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0}


def test_a_step_of_zero_means_any_scale():
    found = [
        float(transforms.random_scale(0.5, 2.0, 0.0, tf.constant([2, i])))
        for i in range(50)
    ]
    assert len(set(found)) == 50
    assert 0.5 <= min(found) < 0.7
    assert 1.8 < max(found) <= 2.0


@pytest.mark.parametrize(
    ("size", "crop", "padded"),
    [
        ((375, 500), (513, 513), (513, 513)),
        ((600, 400), (513, 513), (609, 513)),
        ((1, 1), (513, 513), (513, 513)),
        ((513, 529), (1, 1), (513, 529)),
        ((514, 530), (1, 1), (529, 545)),
        ((1, 2), (1, 1), (1, 17)),
    ],
)
def test_an_image_grows_to_the_crop_or_to_the_next_aligned_size(size, crop, padded):
    found = transforms.network_size(size, crop_size=crop, multiple=16)
    assert tuple(found.numpy()) == padded


@pytest.mark.parametrize("size", [(1, 1), (1, 40)])
def test_an_image_of_one_pixel_keeps_it(size):
    image = tf.zeros((*size, 3))
    scaled = transforms.scaled_size(tf.constant(size), 0.5)
    assert tuple(scaled.numpy()) == (1, max(size[1] // 2, 1))
    smaller = resize.bilinear(image[tf.newaxis], scaled)
    assert smaller.shape == (1, 1, max(size[1] // 2, 1), 3)
    config = ResizeConfig(min_resize_value=10, max_resize_value=10)
    assert min(transforms.size_in_range(tf.constant((1, 40)), config).numpy()) == 1


def test_a_range_of_sizes_is_understood_within_a_pipeline(caplog):
    """AutoGraph warns, and runs it as it is, where it does not know the syntax."""
    config = ResizeConfig(min_resize_value=20, max_resize_value=31, resize_factor=5)
    sizes = tf.data.Dataset.from_tensors(tf.constant((40, 50)))
    (found,) = sizes.map(lambda size: transforms.size_in_range(size, config))
    assert "AutoGraph" not in caplog.text
    np.testing.assert_array_equal(
        found, transforms.size_in_range(tf.constant((40, 50)), config)
    )
