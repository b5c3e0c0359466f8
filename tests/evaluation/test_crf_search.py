"""Evaluation and pictures with a CRF behind the network, and its search."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from deeplab_tf import parallel
from deeplab_tf.checkpoints import run_folder
from deeplab_tf.checkpoints.manager import CheckpointManager
from deeplab_tf.config import (
    AugmentConfig,
    CrfConfig,
    DataConfig,
    EvalConfig,
    InferenceConfig,
    TrainConfig,
    VisConfig,
)
from deeplab_tf.crf import engines
from deeplab_tf.data import image_files
from deeplab_tf.data.specs import shapes as shapes_spec
from deeplab_tf.errors import FlagError, InputError
from deeplab_tf.evaluation import crf_search, crf_search_worker, metrics
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.models.build import build
from deeplab_tf.models.weight_names import weights_by_name
from deeplab_tf.prediction import load
from deeplab_tf.visualizing.run import visualize
from tests.at_night import mark_nightly
from tests.evaluation.test_run import fill, rewritten
from tests.recorded import SMALL, assign_rule_weights

ENGINE = "tensorflow"  # The one that is always there.
FEW = CrfConfig(
    crf_w1=4.0,
    crf_sigma_alpha=10.0,
    crf_sigma_beta=8.0,
    crf_iterations=2,
    crf_engine=ENGINE,
)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory, builder):
    """Folder of records of the embedded data set: three to test."""
    folder = tmp_path_factory.mktemp("three_shapes")
    module = builder("shapes")
    module.build(module.ShapesConfig(output_dir=str(folder), train_size=2, val_size=3))
    return folder


@pytest.fixture(scope="session")
def run(tmp_path_factory, shapes):
    """Folder of a run whose classes vary: rule weights, logits of mean 0 and spread 2.

    Those of the rule alone are nearly all of one class.
    """
    folder = tmp_path_factory.mktemp("varied_run")
    model = build(SMALL, 6)
    assign_rule_weights(model, 1.3)
    weights = weights_by_name(model)
    image = image_files.read_image(shapes / "images" / "val" / "val_0000.png")
    logits = model(tf.cast(image, tf.float32)[np.newaxis]).numpy().reshape(-1, 6)
    kernel, bias = (
        weights[f"logits/semantic/{name}"] for name in ("weights", "biases")
    )
    kernel.assign(2 * kernel.value / logits.std(0))
    bias.assign(2 * (bias.value - logits.mean(0)) / logits.std(0))
    train = TrainConfig(
        train_logdir=str(folder),
        model=SMALL,
        data=DataConfig(dataset_dir=str(shapes)),
        augment=AugmentConfig(train_crop_size=(65, 65)),
    )
    run_folder.write(folder, train, shapes_spec.SPEC)
    CheckpointManager(folder, {"weights": weights}, keep=1).save(100)
    return folder


@pytest.fixture
def one_core(monkeypatch):
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 1)


def config(run, shapes, folder, **changes):
    settings = {
        "checkpoint_dir": str(run),
        "eval_logdir": str(folder),
        "data": DataConfig(dataset_dir=str(shapes)),
    }
    return EvalConfig(**(settings | changes))


def by_hand(run, shapes, looks):
    """Confusion of image files at their size, as segmented and as refined."""
    predictor = load.load(str(run))
    plain, refined = np.zeros((2, 6, 6), np.int64)
    for path in sorted((shapes / "images" / "val").iterdir()):
        image = image_files.read_image(path)
        prediction = predictor.predict(image, scales=looks.eval_scales)
        logits = np.log(prediction.probabilities)
        classes = engines.classes(logits, image, engines.parameters_of(FEW), ENGINE)
        label = image_files.read_mask(shapes / "labels" / "val" / path.name)
        plain += metrics.confusion_matrix(label, prediction.classes, 6, 255)
        refined += metrics.confusion_matrix(label, classes, 6, 255)
    assert np.abs(plain - refined).sum() > 0.05 * plain.sum()
    return plain, refined


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("looks", "batch_size"),
    mark_nightly(
        [(InferenceConfig(), 2), (InferenceConfig(eval_scales=(0.5, 1.0)), 1)],
        by_day=(0,),
    ),
)
def test_the_crf_sees_each_image_at_its_own_size(
    run, shapes, tmp_path, one_core, looks, batch_size
):
    """Without padding; what was found before it is told beside."""
    settings = config(run, shapes, tmp_path, inference=looks, refinement=FEW)
    scores = evaluate(dataclasses.replace(settings, eval_batch_size=batch_size))
    plain, refined = by_hand(run, shapes, looks)
    # A few pixels of 40,000 lie between two classes.
    before = metrics.pixel_accuracy(plain)
    assert scores["without_crf"]["pixel_accuracy"] == pytest.approx(before, abs=2e-4)
    written = np.loadtxt(tmp_path / "confusion_matrix.csv", int, delimiter=",")
    assert np.abs(written - refined).sum() < 2e-3 * refined.sum()
    assert scores["pixel_accuracy"] == metrics.pixel_accuracy(written)
    assert scores["crf"] == {
        **dataclasses.asdict(engines.parameters_of(FEW)),
        "engine": ENGINE,
    }


def test_trimaps_are_scored_with_the_crf_and_without(run, shapes, tmp_path, one_core):
    settings = config(run, shapes, tmp_path, refinement=FEW, trimap_widths=(1, 500))
    scores = evaluate(settings)
    assert json.loads((tmp_path / "metrics.json").read_text()) == scores
    for each in (scores, scores["without_crf"]):
        assert each["trimap_miou"].keys() == {"1", "500"}
        # Every pixel is within 500 of a boundary.
        assert each["trimap_miou"]["500"] == each["miou"] != each["trimap_miou"]["1"]


def test_a_crf_without_weights_changes_no_score(run, shapes, tmp_path, one_core):
    nothing = dataclasses.replace(FEW, crf_w1=0.0, crf_w2=0.0)
    scores = evaluate(config(run, shapes, tmp_path, refinement=nothing))
    assert scores["miou"] == scores["without_crf"]["miou"]


@pytest.mark.nightly
def test_pictures_of_records_and_files_are_refined_in_processes(run, shapes, tmp_path):
    scores = evaluate(config(run, shapes, tmp_path / "eval", refinement=FEW))
    drawn = VisConfig(
        checkpoint_dir=str(run),
        vis_logdir=str(tmp_path / "records"),
        data=DataConfig(dataset_dir=str(shapes)),
        also_save_raw_predictions=True,
        refinement=FEW,
    )
    visualize(drawn)
    folder = shapes / "images" / "val"
    visualize(
        dataclasses.replace(
            drawn, vis_logdir=str(tmp_path / "files"), image=str(folder)
        )
    )
    confusion = np.zeros((6, 6), np.int64)
    for path in (shapes / "labels" / "val").iterdir():
        raw, same = (
            image_files.read_mask(tmp_path / x / "raw_segmentation_results" / path.name)
            for x in ("records", "files")
        )
        assert (raw != same).mean() < 1e-3
        confusion += metrics.confusion_matrix(image_files.read_mask(path), raw, 6, 255)
    assert metrics.mean_iou(confusion) == pytest.approx(scores["miou"], abs=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crf": "voc_v9"}, "--crf=voc_v9: did you mean voc_v"),
        ({"crf_w1": 3.0}, "--crf_w1=3.0: a CRF needs --crf_sigma_alpha"),
    ],
)
def test_a_mistake_is_told_before_anything_is_written(
    run, shapes, tmp_path, changes, message
):
    wrong = CrfConfig(**changes)
    with pytest.raises(FlagError, match=message):
        evaluate(config(run, shapes, tmp_path / "eval", refinement=wrong))
    drawn = VisConfig(
        checkpoint_dir=str(run),
        vis_logdir=str(tmp_path / "vis"),
        data=DataConfig(dataset_dir=str(shapes)),
        refinement=wrong,
    )
    with pytest.raises(FlagError, match=message):
        visualize(drawn)
    assert not list(tmp_path.iterdir())


# The search


def test_a_climb_ends_at_the_top_of_a_hill():
    """Its top is beyond the coarse grid; no point is scored twice."""
    asked = []

    def score(points):
        asked.extend(points)
        return [
            -abs(w1 - 2) - abs(alpha - 70) / 10 - abs(beta - 4)
            for w1, alpha, beta in points
        ]

    tried = crf_search.climb(score)
    assert max(tried, key=tried.get) == (2, 70, 4)
    assert len(asked) == len(set(asked)) == len(tried)
    assert all(value > 0 for point in tried for value in point)


def test_a_climb_tries_the_coarse_grid_and_the_neighbors_of_the_best():
    tried = crf_search.climb(lambda points: [float(p == (6, 60, 3)) for p in points])
    coarse = {(w, a, b) for w in (3, 6) for a in (30, 60, 90) for b in (3, 6)}
    around = {(w, a, b) for w in (5, 6, 7) for a in (50, 60, 70) for b in (2, 3, 4)}
    assert tried.keys() == coarse | around


def test_ranges_and_weights_stay_above_zero():
    """From 3, 30, 3 downhill is (2, 20, 2), (1, 10, 1), and then 0 is next."""
    tried = crf_search.climb(lambda points: [-sum(p) for p in points])
    assert max(tried, key=tried.get) == (1, 10, 1)
    assert all(value > 0 for point in tried for value in point)


def test_points_that_share_kernels_score_as_each_alone(tmp_path, rng):
    image = rng.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    logits = rng.normal(size=(9, 12, 3)).astype(np.float32)
    label = rng.integers(0, 3, (9, 12))
    label[0] = 255
    path = str(tmp_path / "0.npz")
    np.savez(path, image=image, logits=logits, label=label)
    points = [(4.0, 9.0, 20.0), (2.0, 9.0, 20.0), (20.0, 9.0, 20.0)]
    start = engines.start_of_search(CrfConfig(crf_iterations=3))
    found = crf_search_worker.confusions(
        path, points, start=start, engine=ENGINE, num_classes=3, ignore_label=255
    )
    for point, confusion in zip(points, found, strict=True):
        w1, alpha, beta = point
        alone = dataclasses.replace(start, w1=w1, sigma_alpha=alpha, sigma_beta=beta)
        classes = engines.classes(logits, image, alone, ENGINE)
        expected = metrics.confusion_matrix(label, classes, 3, 255)
        np.testing.assert_array_equal(confusion, expected)
    assert (found[0] != found[2]).any()


def test_what_a_search_finds_is_what_an_evaluation_gives(
    run, shapes, tmp_path, monkeypatch, caplog, one_core
):
    monkeypatch.setattr(crf_search, "_COARSE", ((1.0, 4.0), (5.0, 10.0), (8.0,)))
    monkeypatch.setattr(crf_search, "_MOVES", 0)
    fixed = CrfConfig(crf_iterations=2, crf_engine=ENGINE)
    settings = config(run, shapes, tmp_path, refinement=fixed, crf_search=True)
    found = evaluate(settings)
    assert json.loads((tmp_path / "crf_search.json").read_text()) == found
    assert [path.name for path in tmp_path.iterdir()] == ["crf_search.json"]
    tried = [(point["w1"], point["sigma_alpha"]) for point in found["points"]]
    assert tried == [(1.0, 5.0), (1.0, 10.0), (4.0, 5.0), (4.0, 10.0)]
    assert found["best"]["miou"] == max(point["miou"] for point in found["points"])
    assert found["num_images"] == 3
    best = found["best"]
    told = f"--crf_w1={best['w1']:g} --crf_sigma_alpha={best['sigma_alpha']:g} "
    assert told in caplog.text
    scores = evaluate(config(run, shapes, tmp_path / "eval", refinement=FEW))
    assert scores["miou"] == pytest.approx(found["points"][3]["miou"], abs=1e-6)
    assert scores["without_crf"]["miou"] == found["without_crf"]["miou"]


def test_a_search_takes_as_many_images_as_the_papers(
    run, shapes, tmp_path, monkeypatch, one_core
):
    monkeypatch.setattr(crf_search, "_COARSE", ((4.0,), (5.0,), (8.0,)))
    monkeypatch.setattr(crf_search, "_MOVES", 0)
    monkeypatch.setattr(crf_search, "_IMAGES", 2)
    fixed = CrfConfig(crf_iterations=1, crf_engine=ENGINE)
    found = evaluate(config(run, shapes, tmp_path, refinement=fixed, crf_search=True))
    assert found["num_images"] == 2


def test_a_search_without_a_labeled_pixel_leaves_nothing(run, shapes, tmp_path):
    records = rewritten(shapes, tmp_path / "records", fill(255), which=slice(None))
    with pytest.raises(InputError, match="its 3 images are the ignore label 255: th"):
        evaluate(config(run, records, tmp_path / "eval" / "crf", crf_search=True))
    assert not (tmp_path / "eval").exists()


def test_a_search_and_an_evaluation_are_two_things(run, shapes, tmp_path):
    with pytest.raises(FlagError, match=r"--trimap_widths=2: --crf_search does not"):
        config(run, shapes, tmp_path, crf_search=True, trimap_widths=(2,))


def test_classes_that_no_pixel_may_be_of_take_no_part_in_a_search():
    logits = np.zeros((2, 2, 4), np.float32)
    logits[..., 2] = -4.5  # 1.1 % of what the others share.
    logits[0, 0, 1] = 9.0
    logits[:, :, 3] = -9.0
    np.testing.assert_array_equal(crf_search_worker.likely_classes(logits), [0, 1])
    logits[1, 1, 2] = -3.5
    np.testing.assert_array_equal(crf_search_worker.likely_classes(logits), [0, 1, 2])
