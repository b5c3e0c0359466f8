"""Numbers of the official implementation, and the smallest network."""

import json
from pathlib import Path

import numpy as np
import pytest

from deeplab_tf.config import ModelConfig
from deeplab_tf.models.weight_names import weights_by_name
from tests.golden.weight_rule import weight

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
_GOLDEN = Path(__file__).parent / "golden"

SMALL = ModelConfig(
    depth_multiplier=0.25,
    decoder_output_stride=(4,),
    aspp_convs_filters=16,
    decoder_filters=16,
)
TINY = ModelConfig(architecture="segnet_basic", depth_multiplier=1 / 16)  # Few layers.


def golden(name):
    """A recorded file, and its parsed settings if it has some."""
    path = _GOLDEN / name
    if not path.exists():
        path = SHARED / "golden" / "official" / name
    if not path.exists():
        pytest.skip(f"{name} is in ../shared, which is not on this machine")
    if path.suffix == ".json":
        return json.loads(path.read_text())
    return np.load(path)


def settings(data, key="config_json"):
    return json.loads(str(data[key]))


def assign_rule_weights(model, gain):
    """Gives a network the weights of the recorded runs."""
    for name, variable in weights_by_name(model).items():
        variable.assign(weight(name, tuple(variable.shape), gain))


def assert_all_learn(model, tape, cost):
    """Every trainable weight has a gradient that is not zero."""
    weights = {n: w for n, w in weights_by_name(model).items() if w.trainable}
    gradients = tape.gradient(cost, [w.value for w in weights.values()])
    assert weights
    assert not [
        name
        for name, g in zip(weights, gradients, strict=True)
        if g is None or not np.abs(g).max() > 0
    ]
