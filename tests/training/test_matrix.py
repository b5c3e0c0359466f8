"""The same numbers from one device and from several, feature by feature.

    make matrix

is the table of docs/training.md; `MATRIX_LOG=file` collects its cells. `make test-all`
runs all features together.
"""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf.checkpoints import reader
from tests import processes

STEPS = 20
_STATISTICS = ("moving_mean", "moving_variance")
# MobileNetV2's bottlenecks, and image pooling over 8 images, answer a change of 1e-7 in
# the images with gradients that differ by a hundredth, on one device, too.
_COMMON = (
    *("--train_batch_size=8", "--train_crop_size=65", "--model_variant=resnet_v1_18"),
    *("--aspp_convs_filters=16", "--decoder_filters=16", "--decoder_output_stride=4"),
    *("--add_image_level_feature=false", "--batch_norm_decay=0.9"),
    *("--log_steps=10", "--base_learning_rate=0.001"),
    *("--validate_labels=off", "--deterministic"),
)
_FEATURES = {
    "learning batch norm, dropout": (),
    "frozen batch norm, 2 parts, AdamW, cosine": (
        *("--fine_tune_batch_norm=false", "--gradient_accumulation_steps=2"),
        # Adam divides by a gradient's size: one that is all rounding would move its
        # weight by the whole rate, were it not small beside epsilon.
        *("--optimizer=adamw", "--learning_policy=cosine", "--adam_epsilon=0.001"),
        "--base_learning_rate=0.0001",
    ),
    "clipping, average of weights, class weights, label smoothing": (
        *("--gradient_clip_norm=0.5", "--ema_decay=0.99"),
        *("--class_weights=median_frequency", "--label_smoothing=0.1"),
    ),
    "focal + dice + lovasz, recomputed activations": (
        "--losses=focal,dice,lovasz",
        "--remat",
    ),
    "several scales (image_pyramid), evaluation": (
        *("--image_pyramid=1.0,0.5", "--eval_interval_steps=10"),
        # Batch norm's statistics are of few pixels at half the size.
        "--base_learning_rate=0.0003",
    ),
}
_TOGETHER = (
    *("--gradient_accumulation_steps=2", "--gradient_clip_norm=0.5"),
    *("--ema_decay=0.99", "--class_weights=median_frequency", "--remat"),
    *("--losses=cross_entropy,dice=0.5,lovasz=0.5", "--label_smoothing=0.1"),
)


@dataclasses.dataclass(frozen=True)
class Where:
    """On what a run computes."""

    flags: tuple[str, ...]
    workers: int = 1


_PLACES = {
    "mirrored, 2": Where(("--strategy=mirrored", "--cpu_replicas=2")),
    "mirrored, 4": Where(("--strategy=mirrored", "--cpu_replicas=4")),
    "2 workers": Where(("--strategy=multi_worker",), workers=2),
}
_ONE = Where(("--strategy=one",))


def begun(folder, shapes):
    """A checkpoint, whose statistics frozen batch norm keeps: two steps of learning."""
    start = folder.with_name(f"{folder.name}_start")
    if not start.exists():
        trained(start, shapes, (), _ONE, steps=2)
    return start


def trained(folder, shapes, feature, where, steps=STEPS):
    """The weights, averages and slots of a run, by name."""
    flags = (*_COMMON, *feature, *where.flags, f"--training_number_of_steps={steps}")
    if "--fine_tune_batch_norm=false" in feature:
        flags = (*flags, f"--tf_initial_checkpoint={begun(folder, shapes)}")
    run = processes.train(
        *flags,
        f"--dataset_dir={shapes}",
        f"--train_logdir={folder}",
        workers=where.workers,
    )
    assert set(run.end()) == {0}, run.text()
    stored = tf.train.load_checkpoint(reader.find_checkpoint(str(folder)))
    names = stored.get_variable_to_shape_map()
    return {
        name: stored.get_tensor(name)
        for name in names
        if name.startswith(("weights/", "averages/"))
    }


def difference(found, expected):
    """Greatest of a weight, over the scale of the weights of its kind."""
    assert found.keys() == expected.keys()
    greatest, scale = ({kind: 0.0 for kind in (*_STATISTICS, "learned")} for _ in "ab")
    for name, value in expected.items():
        kind = next((each for each in _STATISTICS if each in name), "learned")
        apart = np.abs(found[name] - value).max()
        greatest[kind] = max(greatest[kind], apart)
        scale[kind] = max(scale[kind], np.abs(value).max())
    # Offsets were zero in the beginning, and moved much further than they differ.
    offsets = [name for name in expected if "BatchNorm.Sbeta" in name]
    moved = max(np.abs(expected[name]).max() for name in offsets)
    apart = max(np.abs(found[name] - expected[name]).max() for name in offsets)
    assert moved > 30 * apart
    return max(greatest[kind] / (scale[kind] or 1.0) for kind in scale)


def note(feature, place, value):
    if log := os.environ.get("MATRIX_LOG"):
        with open(log, "a") as file:
            file.write(f"{feature}\t{place}\t{value:.1e}\n")


@pytest.fixture(scope="module")
def alone(tmp_path_factory, shapes):
    """Of each feature, the run on one device; made once."""
    made = {}

    def get(name, feature):
        if name not in made:
            folder = tmp_path_factory.mktemp("one")
            made[name] = trained(folder, shapes, feature, _ONE)
        return made[name]

    return get


@pytest.mark.matrix
@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("name", _FEATURES)
def test_a_feature_gives_the_numbers_of_one_device(
    tmp_path, shapes, alone, name, place
):
    expected = alone(name, _FEATURES[name])
    found = trained(tmp_path / "run", shapes, _FEATURES[name], _PLACES[place])
    value = difference(found, expected)
    note(name, place, value)
    assert value < 1e-5


@pytest.mark.matrix
@pytest.mark.parametrize("place", ["one", *_PLACES])
def test_a_run_that_goes_on_gives_the_numbers_of_one_device(
    tmp_path, shapes, alone, place
):
    where = _PLACES.get(place, _ONE)
    expected = alone("all", _TOGETHER)
    # The schedule ends where the whole run does.
    feature = (*_TOGETHER, f"--decay_steps={STEPS}")
    trained(tmp_path / "run", shapes, feature, where, steps=STEPS // 2)
    value = difference(trained(tmp_path / "run", shapes, feature, where), expected)
    note("stopped and continued, all together", place, value)
    assert value < 1e-5


@pytest.mark.nightly
@pytest.mark.parametrize("place", ["mirrored, 2", "2 workers"])
def test_all_together_give_the_numbers_of_one_device(tmp_path, shapes, alone, place):
    found = trained(tmp_path / "run", shapes, _TOGETHER, _PLACES[place])
    assert difference(found, alone("all", _TOGETHER)) < 1e-5
