"""Paths that training drops."""

import keras
import numpy as np
import pytest

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.build import build
from deeplab_tf.models.layers.dropout import DropPath, DropPathSchedule
from deeplab_tf.models.weight_names import weights_by_name


def half_done():
    return 0.5


@pytest.mark.parametrize(("progress", "keep"), [(half_done, 0.75), (None, 0.5)])
def test_an_image_loses_a_path_as_a_whole_or_has_more_of_it(rng, progress, keep):
    x = rng.normal(size=(4000, 2, 3, 2)).astype(np.float32)
    y = DropPath(0.5, progress)(x, training=True).numpy()
    kept = np.any(y != 0, axis=(1, 2, 3))
    np.testing.assert_allclose(y[kept], x[kept] / keep, rtol=1e-6)
    # Four standard deviations of the share.
    assert kept.mean() == pytest.approx(keep, abs=4 * np.sqrt(keep * (1 - keep) / 4000))


def test_no_path_is_dropped_at_the_beginning_nor_after_training(rng):
    x = rng.normal(size=(50, 2, 2, 1)).astype(np.float32)
    np.testing.assert_array_equal(DropPath(0.9, lambda: 0.0)(x, training=True), x)
    np.testing.assert_array_equal(DropPath(0.9, half_done)(x, training=False), x)


def test_each_path_has_its_own_chance_and_its_chance_a_seed(rng):
    x = np.ones((64, 1, 1, 1), np.float32)
    keras.utils.set_random_seed(1)
    one, other = DropPath(0.5), DropPath(0.5)
    first, second = one(x, training=True), other(x, training=True)
    again = one(x, training=True)
    assert np.any(first != second)
    assert np.any(first != again)
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(DropPath(0.5)(x, training=True), first)


@pytest.mark.nightly
def test_later_cells_of_a_network_lose_more():
    config = ModelConfig(
        model_variant="nas_pnasnet", nas_stem_output_num_conv_filters=4
    )
    model = build(config, 3, drop_path=DropPathSchedule(0.6, half_done))
    paths = [layer for layer in model.layers if isinstance(layer, DropPath)]
    # A tenth operation, the identity, always stays.
    assert len(paths) == 12 * 9
    for layer in paths:
        number = int(layer.name.split("cell_")[1].split(".")[0])
        assert layer.rate == pytest.approx(0.6 * (number + 1) / 12)
        assert layer.progress is half_done
    keras.backend.clear_session()
    assert weights_by_name(model).keys() == weights_by_name(build(config, 3)).keys()


def test_a_network_without_paths_says_so():
    with pytest.raises(FlagError, match="keep_prob: mobilenet_v2 has no paths to drop"):
        build(ModelConfig(), 3, drop_path=DropPathSchedule(0.5, half_done))
