"""Nothing broken is kept."""

import types

import keras
import numpy as np
import pytest

from deeplab_tf.checkpoints.manager import Keeper
from deeplab_tf.errors import InputError
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.training.diagnostics import guards


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_not_saved(tmp_path, broken):
    image = keras.Input((4, 4, 1))
    norm = keras.layers.BatchNormalization(name="a.BatchNorm")
    model = keras.Model(image, norm(image))
    steps = types.SimpleNamespace(iterations=keras.Variable(3, dtype="int64"))
    trainer = types.SimpleNamespace(model=model, optimizer=steps)
    keeper = Keeper(tmp_path, {"weights": weights_by_name(model)}, keep=5)
    guards.save(trainer, keeper)
    steps.iterations.assign(4)
    norm.moving_variance.assign([broken])
    with pytest.raises(InputError, match=r"^step 4: a weight is not finite; the last"):
        guards.save(trainer, keeper)
    assert keeper.resume().endswith("model.ckpt-3")
    assert norm.moving_variance.numpy().tolist() == [1.0]
