"""The plain PyTorch graph that benchmarks/gpu.py measures: layers as ours."""

import keras
import numpy as np
import pytest

from deeplab_tf.models.build import build
from tests.models.families import FAMILIES, cut_short
from tests.recorded import assign_rule_weights

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

NAMES = (
    "mobilenet_v2, deeplab_v3plus",
    "resnet_v1, deeplab_v3_cascade",
    "xception, deeplab_v3",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [False, True])
def test_the_plain_graph_gives_the_same_logits(name, training, rng):
    from benchmarks.shared.torch_graph import Graph

    with cut_short():
        model = build(FAMILIES[name], 3, input_size=(33, 49))
    assign_rule_weights(model, 1.3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    graph = Graph(model).train(training)
    images = rng.uniform(0, 255, (2, 33, 49, 3)).astype(np.float32)
    with torch.no_grad():
        found = graph(torch.from_numpy(images.transpose(0, 3, 1, 2))).numpy()
    expected = model(images, training=training).numpy()
    np.testing.assert_allclose(
        found.transpose(0, 2, 3, 1), expected, atol=1e-4 * expected.std()
    )
    ours = [w for w in model.weights if w.name == "moving_variance"]
    theirs = [w for n, w in graph.state_dict().items() if "running_var" in n]
    for got, wanted in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4)
