"""What is particular to networks of searched cells."""

import keras
import numpy as np
import pytest

from deeplab_tf.config import ModelConfig
from deeplab_tf.errors import FlagError
from deeplab_tf.models.backbones import BACKBONES
from deeplab_tf.models.backbones.nas import CellPlace, plan
from deeplab_tf.models.backbones.nas_cell import Operation, cell
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from tests.recorded import golden


def features(variant, size=(None, None), **settings):
    backbone, config = BACKBONES[variant], ModelConfig(**settings)
    images = keras.Input((*size, 3))
    return keras.Model(images, backbone.features(images, config, backbone.style))


def test_a_plan_says_where_cells_read_and_write():
    found = plan([0, 1, 2, 1, 2, 3, 3, 2], remove_last_stride=False)
    assert found == [
        CellPlace(width=1, entry=0, level=0),
        CellPlace(width=2, entry=0, level=1),
        CellPlace(width=4, entry=1, level=2),
        CellPlace(width=2, entry=1, level=1),
        CellPlace(width=4, entry=1, level=2),
        CellPlace(width=8, entry=2, level=3),
        CellPlace(width=8, entry=3, level=3),
        CellPlace(width=4, entry=2, level=2),
    ]


def test_without_the_last_stride_the_deepest_cells_keep_their_width():
    found = plan([1, 2, 3, 3, 2], remove_last_stride=True)
    assert [place.width for place in found] == [2, 4, 8, 8, 4]
    assert [place.level for place in found] == [1, 2, 2, 2, 2]
    assert [place.entry for place in found] == [0, 1, 2, 2, 2]


def test_without_the_last_stride_pnasnet_ends_at_stride_16():
    settings = {"output_stride": 32, "nas_remove_os32_stride": True}
    found = features("nas_pnasnet", (65, 97), **settings).output
    assert found["c5"].shape[1:] == (5, 7, 5 * 8 * 20)


@pytest.mark.nightly
def test_without_the_last_stride_hnasnet_ends_where_it_did():
    model = features("nas_hnasnet", (33, 49), nas_remove_os32_stride=True)
    assert model.output["c5"].shape[1:] == (5, 7, 5 * 2 * 20)
    assert model.get_layer("hnasnet.cell_8.concat").output.shape[1:] == (3, 4, 800)


@pytest.mark.nightly
@pytest.mark.parametrize("filters", [20, 32])
def test_cells_have_their_width_from_the_flag(filters):
    model = features("nas_pnasnet", nas_stem_output_num_conv_filters=filters)
    weights = weights_by_name(model)
    for i, width in ((0, 2), (3, 2), (4, 4), (11, 4)):
        shape = weights[f"pnasnet/cell_{i}/1x1/weights"].shape
        assert shape[-1] == filters * width
    # What has that width already, as the stem's 64 channels, is taken as it is.
    assert ("pnasnet/cell_0/prev_1x1/weights" in weights) == (filters != 32)


def test_the_levels_of_hnasnet_need_sides_that_fit_into_each_other():
    config = ModelConfig(model_variant="nas_hnasnet", output_stride=8)
    with pytest.raises(FlagError, match="multiple of 32 plus one, as 129, not 128"):
        build(config, 3, input_size=(129, 128))
    with pytest.raises(FlagError, match="multiple of 32 plus one, as 129, not 81"):
        build(config, 3, input_size=(81, 129))


def test_a_nas_network_has_no_multi_grid():
    config = ModelConfig(model_variant="nas_pnasnet", multi_grid=(1, 2, 4))
    with pytest.raises(FlagError, match=r"--multi_grid: .* a NAS network not"):
        build(config, 3)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("output_stride", "strides", "rates"), [(8, (1, 1), (2, 4)), (32, (2, 2), (1, 1))]
)
def test_the_layers_of_a_classifier_stride_or_dilate(output_stride, strides, rates):
    model = features(
        "nas_hnasnet",
        (97, 97),
        output_stride=output_stride,
        nas_use_classification_head=True,
    )
    added = [
        model.get_layer(f"hnasnet.downsample_os{level}_conv") for level in (16, 32)
    ]
    assert tuple(layer.strides[0] for layer in added) == strides
    assert tuple(layer.dilation_rate[0] for layer in added) == rates
    assert [layer.filters for layer in added] == [512, 1024]
    side = 96 // output_stride + 1
    assert model.output["c5"].shape == (None, side, side, 2048)
    assert "hnasnet/classification_head_bn/gamma" in weights_by_name(model)


@pytest.mark.parametrize(
    "pair",
    [
        (Operation("max_pool", 3, 0), Operation("identity", 1, 1)),
        (Operation("atrous", 5, 1), Operation("identity", 1, 0)),
        (Operation("separable", 7, 0), Operation("max_pool", 3, 1)),
    ],
)
@pytest.mark.parametrize("size", [(9, 13), (8, 12)], ids=["odd", "even"])
def test_operations_agree_on_the_size_of_a_strided_cell(pair, size):
    style = BACKBONES["nas_pnasnet"].style
    x, earlier = keras.Input((*size, 5)), keras.Input((*size, 4))
    y = cell(x, earlier, (pair, pair), filters=4, stride=2, style=style, name="cell")
    assert y.shape == (None, (size[0] + 1) // 2, (size[1] + 1) // 2, 8)


def test_initial_values_have_the_official_spread():
    recorded = golden("train_graph/nas_pnasnet_os16.json")["variables"]
    weights = weights_by_name(features("nas_pnasnet"))
    kernels = {n: w.numpy() for n, w in weights.items() if n.endswith("weights")}
    assert len(kernels) > 300
    for name, kernel in kernels.items():
        facts = recorded[name]
        # Of n values of a uniform distribution, 0.45 / sqrt(n) of the spread is noise.
        noise = 4 * np.sqrt(2) * 0.45 / np.sqrt(kernel.size)
        assert np.std(kernel) == pytest.approx(facts["init_std"], rel=noise), name
        assert np.abs(kernel).max() == pytest.approx(facts["init_absmax"], rel=0.05)
