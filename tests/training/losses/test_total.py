"""What wrong pixels cost: by hand, and as the official code."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.config import LossConfig
from deeplab_tf.data.spec import DatasetSpec, distinct_colors
from deeplab_tf.training.losses import total
from tests.recorded import golden, settings

STEP = tf.constant(0)
PLAIN = LossConfig()


def spec(num_classes=5, ignore_label=255):
    return DatasetSpec(
        name="test",
        classes=tuple(f"class_{i}" for i in range(num_classes)),
        palette=distinct_colors(num_classes),
        ignore_label=ignore_label,
    )


def mean_loss(logits, label, classes, config=PLAIN, step=STEP):
    found, late = total.loss_sums(logits, label, classes, config, step)
    counts = total.normalizers(label, logits.shape[1:3], classes, config)
    return total.total(found, counts + late, config)


def recorded_cases():
    cases = settings(golden("misc_losses.npz"), "meta_json")
    return {name: case for name, case in cases.items() if "scales" in case}


def test_a_grid_of_labels_begins_where_the_network_scores():
    label = tf.reshape(tf.range(306 * 306), (1, 306, 306, 1))
    grid = total.sample_on_grid(label, (1, 8))[0, ..., 0]
    assert grid.shape == (39, 39)
    assert grid[0, 0] == 306 + 1
    assert grid[38, 2] == (1 + 38 * 8) * 306 + 1 + 2 * 8
    assert total.sample_on_grid(label, None) is label


def test_shrunken_labels_are_every_eighth(rng):
    """As Caffe shrinks those of a crop of 8 k + 1, for networks of output stride 8."""
    label = tf.constant(rng.integers(0, 5, (1, 321, 321, 1)), tf.int32)
    logits = tf.one_hot(label[:, ::8, ::8, 0], 5) * 100.0
    config = LossConfig(upsample_logits=False)
    assert float(mean_loss(logits, label, spec(), config)) == pytest.approx(
        0.0, abs=1e-6
    )


@pytest.mark.parametrize(
    "config",
    [
        PLAIN,
        LossConfig(losses=("focal=0.5", "dice", "lovasz"), label_weights=(1, 2, 3)),
        LossConfig(label_smoothing=0.1, top_k_percent_pixels=0.3),
    ],
)
def test_large_losses_are_computed_image_by_image(config, rng, monkeypatch):
    """To the same sums and gradients; images that wait for their turn keep nothing."""
    logits = tf.constant(rng.normal(size=(4, 3, 4, 3)), tf.float32)
    label = tf.constant(rng.choice([0, 1, 2, 255], (4, 9, 13, 1)), tf.uint8)
    shapes = []
    align = total._align

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = mean_loss(logits, label, spec(3), config)
        return loss, tape.gradient(loss, logits)

    expected = step()
    monkeypatch.setattr(total, "_WHOLE_BATCH", 4 * 9 * 13 * 3 * 4 * 4 - 1)
    monkeypatch.setattr(
        total, "_align", lambda x, *args: shapes.append(x.shape) or align(x, *args)
    )
    computed = tf.function(step.python_function, autograph=False)()
    assert set(map(tuple, shapes)) == {(1, 3, 4, 3)}
    np.testing.assert_allclose(computed[0], expected[0], rtol=1e-6)
    np.testing.assert_allclose(computed[1], expected[1], atol=1e-8)


@pytest.mark.golden
@pytest.mark.parametrize("name", recorded_cases())
def test_losses_and_gradients_are_the_official_ones(name):
    data, case = golden("misc_losses.npz"), recorded_cases()[name]
    args = case["args"]
    weights = args.get("loss_weight", ())
    config = LossConfig(
        upsample_logits=args.get("upsample_logits", True),
        label_weights=tuple(weights) if isinstance(weights, list) else (weights,),
        top_k_percent_pixels=args.get("top_k_percent_pixels", 1.0),
        hard_example_mining_step=args.get("hard_example_mining_step", 0),
    )
    if weights == ():
        config = LossConfig(**(config.__dict__ | {"label_weights": ()}))
    label = data["labels"]
    if case["all_labels_255"]:
        label = np.full_like(label, 255)
    step = tf.constant(case["global_step"])
    for scale, expected in zip(case["scales"], case["losses"], strict=True):
        logits = tf.constant(data[f"in_{scale}"])
        with tf.GradientTape() as tape:
            tape.watch(logits)
            found = mean_loss(
                logits, label, spec(5, case["ignore_label"]), config, step
            )
        assert float(found) == pytest.approx(expected, abs=2e-6)
        gradient = data[f"grad_{name}__{scale}"]
        np.testing.assert_allclose(tape.gradient(found, logits), gradient, atol=1e-8)


def test_equal_scores_cost_the_logarithm_of_the_number_of_classes():
    label = np.zeros((2, 9, 9, 1), np.int32)
    found = mean_loss(tf.zeros((2, 3, 3, 5)), label, spec())
    assert float(found) == pytest.approx(np.log(5), abs=1e-6)


SUM = LossConfig(loss_normalization="images")


def test_the_sum_of_fcn_over_an_image_without_void():
    label = np.zeros((1, 500, 500, 1), np.int32)
    found = mean_loss(tf.zeros((1, 500, 500, 21)), label, spec(21), SUM)
    assert float(found) == pytest.approx(761_130.6, rel=1e-5)  # 250,000 ln 21


def test_the_sum_is_divided_by_the_images_whatever_is_ignored():
    label = np.zeros((2, 3, 4, 1), np.int32)
    label[1, :2] = 255  # 12 and 4 pixels count: 16 ln 5, over 2 images.
    found = mean_loss(tf.zeros((2, 3, 4, 5)), label, spec(), SUM)
    assert float(found) == pytest.approx(8 * np.log(5), rel=1e-6)
    label[:] = 255
    assert float(mean_loss(tf.zeros((2, 3, 4, 5)), label, spec(), SUM)) == 0


def test_ignored_pixels_change_nothing(rng):
    logits = rng.normal(size=(1, 4, 4, 5)).astype(np.float32)
    label = rng.integers(0, 5, (1, 4, 4, 1)).astype(np.int32)
    label[:, :2] = 255
    whole = mean_loss(logits, label, spec())
    part = mean_loss(logits[:, 2:], label[:, 2:], spec())
    assert float(whole) == pytest.approx(float(part), abs=1e-6)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_nothing_but_ignored_pixels_costs_nothing(share):
    label = np.full((1, 4, 4, 1), 255, np.int32)
    config = LossConfig(top_k_percent_pixels=share)
    assert float(mean_loss(tf.zeros((1, 4, 4, 5)), label, spec(), config)) == 0.0


def test_labels_that_are_no_class_are_counted():
    label = np.array([0, 4, 5, 255, 254, -1], np.int32).reshape(1, 2, 3, 1)
    assert int(total.count_bad_labels(label, spec())) == 3


def test_a_class_weight_weighs_its_pixels_and_not_the_count():
    logits = tf.zeros((1, 1, 2, 2))
    label = np.array([0, 1], np.int32).reshape(1, 1, 2, 1)
    config = LossConfig(label_weights=(1.0, 3.0))
    found = mean_loss(logits, label, spec(2), config)
    assert float(found) == pytest.approx(2 * np.log(2), abs=1e-6)


def test_only_the_hardest_pixels_count():
    logits = np.zeros((1, 1, 4, 2), np.float32)
    logits[0, 0, :, 1] = [0, 1, 2, 3]  # All are class 0; the last is the most wrong.
    label = np.zeros((1, 1, 4, 1), np.int32)
    config = LossConfig(top_k_percent_pixels=0.5)
    each = np.log1p(np.exp([2.0, 3.0]))
    found = mean_loss(tf.constant(logits), label, spec(2), config)
    assert float(found) == pytest.approx(each.mean(), abs=1e-6)


FOUR = LossConfig(losses=("cross_entropy", "focal=0.5", "dice=2", "lovasz=3"))


def parts_and_whole(rng):
    logits = tf.constant(rng.normal(size=(4, 5, 6, 5)), tf.float32)
    label = rng.integers(0, 5, (4, 9, 11, 1)).astype(np.int32)
    label[0, 3:], label[1], label[3, :, 4] = 255, 255, 255
    return [(logits[:1], label[:1]), (logits[1:], label[1:])], (logits, label)


@pytest.mark.parametrize("upsample", [True, False])
@pytest.mark.parametrize("normalization", ["pixels", "images"])
def test_parts_add_up_to_the_whole(rng, normalization, upsample):
    config = LossConfig(
        losses=FOUR.losses, loss_normalization=normalization, upsample_logits=upsample
    )
    parts, (logits, label) = parts_and_whole(rng)
    counts = tf.add_n([total.normalizers(y, (5, 6), spec(), config) for _, y in parts])
    shares = [total.loss_sums(*part, spec(), config, STEP) for part in parts]
    found = sum(float(total.total(each, counts, config)) for each, _ in shares)
    expected = float(mean_loss(logits, label, spec(), config))
    assert found == pytest.approx(expected, rel=1e-6)
    assert not any(late.numpy().any() for _, late in shares)


def test_counts_are_of_pixels_and_images_that_count():
    label = np.zeros((3, 2, 4, 1), np.int32)
    label[0], label[1, 0, 0], label[2, 1] = 255, 9, 255
    found = total.normalizers(label, (1, 1), spec(), FOUR)
    np.testing.assert_array_equal(found, [11, 11, 2, 2])
    shrunk = LossConfig(losses=FOUR.losses, upsample_logits=False)
    found = total.normalizers(label, (2, 1), spec(), shrunk)  # The first column.
    np.testing.assert_array_equal(found, [2, 2, 2, 2])
    images = LossConfig(losses=FOUR.losses, loss_normalization="images")
    found = total.normalizers(label, (1, 1), spec(), images)
    np.testing.assert_array_equal(found, [3, 3, 2, 2])


def test_hardest_pixels_of_parts_are_a_mean_of_the_parts(rng):
    config = LossConfig(losses=FOUR.losses, top_k_percent_pixels=0.25)
    assert total.normalizers_come_late(config)
    parts, _ = parts_and_whole(rng)
    known = tf.add_n([total.normalizers(y, (5, 6), spec(), config) for _, y in parts])
    np.testing.assert_array_equal(known, [0, 0, 3, 3])
    shares = [total.loss_sums(*part, spec(), config, STEP) for part in parts]
    found = [
        total.total(each, known + len(parts) * late, config) for each, late in shares
    ]
    pixels = LossConfig(losses=FOUR.losses[:2], top_k_percent_pixels=0.25)
    regions = LossConfig(losses=FOUR.losses[2:])
    expected = np.mean([mean_loss(*part, spec(), pixels) for part in parts])
    expected += sum(
        total.total(total.loss_sums(*part, spec(), regions, STEP)[0], 3.0, regions)
        for part in parts
    )
    assert float(sum(found)) == pytest.approx(float(expected), rel=1e-6)


def test_half_precision_logits_are_compared_in_float32(rng):
    logits = tf.cast(rng.normal(size=(2, 3, 3, 5)) * 4, tf.float16)
    label = rng.integers(0, 5, (2, 9, 9, 1)).astype(np.int32)
    found = mean_loss(logits, label, spec(), FOUR)
    assert found.dtype == tf.float32
    assert found == mean_loss(tf.cast(logits, tf.float32), label, spec(), FOUR)


@pytest.mark.parametrize("term", ["focal", "dice", "lovasz", "cross_entropy"])
def test_loss_and_gradient_are_finite_whatever_happens(rng, term):
    """An image without a label, classes that do not occur, scores beyond all bounds."""
    smoothing = 0.1 if term == "cross_entropy" else 0.0
    config = LossConfig(losses=(term,), focal_gamma=0.5, label_smoothing=smoothing)
    scores = tf.constant(rng.normal(size=(3, 4, 4, 5)), tf.float32)
    label = np.full((3, 4, 4, 1), 255, np.int32)
    label[1], label[2] = 2, tf.argmax(scores[2], axis=-1)[..., None]
    for scale in (0.0, 1.0, 1e4, 1e30):
        found, gradient = loss_and_gradient(scale * scores, label, config)
        assert np.isfinite(found)
        assert np.isfinite(gradient).all()
        assert not np.any(gradient[0])
        found, gradient = loss_and_gradient(scale * scores, 0 * label + 255, config)
        assert float(found) == 0
        assert not np.any(gradient)


def loss_and_gradient(logits, label, config):
    with tf.GradientTape() as tape:
        tape.watch(logits)
        found = mean_loss(logits, label, spec(), config)
    return found, tape.gradient(found, logits)
