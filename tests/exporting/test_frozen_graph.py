"""A frozen graph gives what the official one gives, in a session of TensorFlow 1."""

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import flags
from deeplab_tf.checkpoints import tf1
from deeplab_tf.config import ExportConfig, ModelConfig
from deeplab_tf.errors import InputError
from deeplab_tf.exporting import frozen_graph
from deeplab_tf.exporting import run as exporting
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.prediction import load
from tests.exporting.test_run import config
from tests.recorded import assign_rule_weights, golden, settings


def outputs(path, images):
    """All four outputs of a GraphDef."""
    content = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(content, name="")
    names = [name for name in frozen_graph.OUTPUTS if has(content, name)]
    with tf.compat.v1.Session(graph=graph) as session:
        fetched = session.run([f"{n}:0" for n in names], {"ImageTensor:0": images})
    return dict(zip(names, fetched, strict=True))


def has(content, name):
    return any(node.name == name for node in content.node)


@pytest.fixture(scope="module")
def graph(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("frozen") / "model.pb"
    exporting.export(config(run, path, save_inference_graph=True))
    return path


def test_outputs_have_official_names_types_and_sizes(graph, rng):
    images = rng.integers(0, 256, (2, 50, 60, 3)).astype(np.uint8)
    found = outputs(graph, images)
    assert {name: (v.dtype.name, v.shape) for name, v in found.items()} == {
        "SemanticPredictions": ("int32", (2, 50, 60)),
        "SemanticProbabilities": ("float32", (2, 50, 60, 6)),
        "RawSemanticPredictions": ("float32", (2, 65, 65)),
        "RawSemanticProbabilities": ("float32", (2, 65, 65, 6)),
    }
    np.testing.assert_array_equal(
        found["SemanticPredictions"], found["RawSemanticPredictions"][:, :50, :60]
    )
    assert (graph.parent / "inference_graph.pbtxt").exists()


def test_it_gives_what_the_network_gives(graph, run, rng):
    images = rng.integers(0, 256, (1, 70, 90, 3)).astype(np.uint8)
    expected = load.load(str(run)).predict_batch(images)
    found = outputs(graph, images)
    np.testing.assert_array_equal(found["SemanticPredictions"], expected.classes)
    np.testing.assert_allclose(
        found["SemanticProbabilities"], expected.probabilities, atol=1e-5
    )


def test_a_file_that_is_there_is_left_alone(graph, run):
    with pytest.raises(InputError, match=r"model\.pb is there already"):
        exporting.export(config(run, graph))


@pytest.mark.golden
@pytest.mark.slow
def test_ours_and_the_official_frozen_graph_agree(shared, tmp_path):
    data = golden("frozen_mobilenet_v2_dm05_os16_129.npz")
    model = build(ModelConfig(depth_multiplier=0.5), 21)
    assign_rule_weights(model, 1.6)
    arrays = {name: w.numpy() for name, w in weights_by_name(model).items()}
    tf1.write(str(tmp_path / "model.ckpt"), arrays)
    path = tmp_path / "ours.pb"
    places = [f"--checkpoint_path={tmp_path}/model.ckpt", f"--export_path={path}"]
    recorded = settings(data)["flags"]
    command = ["export", *places, "--format=frozen_graph", *recorded]
    exporting.export(flags.parse(ExportConfig, command))
    (official,) = (shared / "golden" / "official" / "frozen").glob("*.pb")
    for i in range(2):
        images = data[f"image{i}"][np.newaxis]
        ours, theirs = outputs(path, images), outputs(official, images)
        assert set(theirs) <= set(ours)
        classes = ours["SemanticPredictions"]
        np.testing.assert_array_equal(classes, theirs["SemanticPredictions"])
        np.testing.assert_array_equal(classes, data[f"semantic{i}"])
        np.testing.assert_array_equal(ours["RawSemanticPredictions"], data[f"raw{i}"])
        for name in set(theirs) & {"SemanticProbabilities", "RawSemanticProbabilities"}:
            np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)
