"""The report of an evaluation: a file that anyone can read, with the right numbers."""

import json

import numpy as np
import pytest

from deeplab_tf.config import DataConfig, EvalConfig
from deeplab_tf.evaluation.html_report import facts, write
from deeplab_tf.evaluation.run import evaluate
from deeplab_tf.html_pages.page import NOTHING
from tests.evaluation.html_report import reading
from tests.evaluation.html_report.synthetic import (
    noisy,
    observe,
    prediction,
    report,
    spec_of,
    subject,
)


def percent(value, digits=1):
    return NOTHING if value is None else f"{100 * value:.{digits}f} %"


def test_eval_writes_a_page_with_the_numbers_of_metrics_json(run, shapes, tmp_path):
    config = EvalConfig(
        checkpoint_dir=str(run),
        eval_logdir=str(tmp_path),
        data=DataConfig(dataset_dir=str(shapes)),
        report=True,
    )
    evaluate(config)
    scores = json.loads((tmp_path / "metrics.json").read_text())
    numbers = json.loads((tmp_path / "report.json").read_text())
    origin = {"checkpoint": f"{run}/model.ckpt-100", "step": 100}
    assert numbers["scores"] | origin == scores
    confusion = np.loadtxt(tmp_path / "confusion_matrix.csv", int, delimiter=",")
    assert numbers["confusion_matrix"] == confusion.tolist()
    page = reading.check((tmp_path / "report.html").read_text())
    assert f"{percent(scores['miou'], 2)} mIoU" in page.text
    assert "shapes, val" in page.text
    assert "7 images of" in page.text
    assert f"{run}/model.ckpt-100" in page.text
    rows = page.rows["classes"][1:]
    for row, (name, iou) in zip(rows, scores["iou"].items(), strict=True):
        assert row[0].lstrip("0123456789") == name
        assert row[2] == percent(iou)
        parts = [scores[part][name] for part in ("precision", "recall", "f1")]
        parts += [scores["boundary_iou"][name], scores["share"][name]]
        assert row[4:9] == [*map(percent, parts)]
    table = (tmp_path / "label_errors.csv").read_text().splitlines()
    assert len(table) == 1 + len(numbers["label_errors"])
    assert numbers["subject"]["settings"]["report"] == ["True", False]
    assert numbers["subject"]["training"]["train_crop_size"] == "65,65"


def test_the_sentence_and_the_pairs_say_what_is_worst():
    matrix = np.array([[90, 0, 0], [0, 6, 2], [0, 1, 1]])
    assert facts.sentence(matrix, ("ground", "cat", "dog")) == (
        "97 of 100 pixels are right, and a class overlaps its truth by 64 % on the "
        "mean. The worst class is dog with 25 %: 67 % of what is called so is cat."
    )
    pairs = facts.taken_for(matrix, ("ground", "cat", "dog"))
    assert [(p["true"], p["predicted"], p["pixels"]) for p in pairs] == [
        ("cat", "dog", 2),
        ("dog", "cat", 1),
    ]
    assert pairs[0]["share_of_class"] == 0.25
    assert pairs[0]["share_of_errors"] == pytest.approx(2 / 3)


HOSTILE = '"><script>alert(1)</script>\u202e{{ 7 * 7 }}'


def test_hostile_names_are_text():
    spec = spec_of(0, ["ground", f"cat{HOSTILE[:-12]}", "dog"])
    label = np.ones((24, 32), int)
    label[4:20, 4:20] = 2
    some = [prediction(label, label % 2, name=f"photo{HOSTILE}") for _ in range(2)]
    _, text = report(
        spec, some, command=f"eval.py {HOSTILE}", training={HOSTILE: HOSTILE}
    )
    page = reading.check(text)
    assert "\u202e" not in text
    assert r'photo"><script>alert(1)</script>\u202e{{ 7 * 7 }}' in page.text
    assert 'cat"><script>alert(1)</script>' in page.text


def test_151_classes_fit_into_a_page():
    spec = spec_of(151)
    numbers, text = report(spec, noisy(spec, 6, size=(160, 240)))
    page = reading.check(text)
    assert len(page.rows["classes"]) == 152
    assert len(numbers["taken_for"]) == 10
    assert page.text.count("The worst of class") > 100


def test_pictures_end_before_a_page_is_too_large(monkeypatch):
    spec = spec_of(4)
    _, text = report(spec, noisy(spec, 6))
    monkeypatch.setattr(write, "_MOST_BYTES", 400_000)
    _, small = report(spec, noisy(spec, 6))
    reading.check(text)
    page = reading.check(small)
    assert len(text) > len(small) + 100_000
    assert sum(len(image["src"]) for image in page.named("img")) <= 400_000


def test_one_image_without_errors_has_a_page():
    spec = spec_of(2)
    label = np.zeros((20, 30), int)
    label[:, 10:] = 1
    numbers, text = report(spec, [prediction(label)])
    page = reading.check(text)
    assert numbers["sentence"] == "Every pixel is right."
    assert numbers["worst_images"] == numbers["taken_for"] == []
    assert numbers["label_errors"] == []
    assert "100.00 % mIoU of one image" in page.text
    assert [row[3] for row in page.rows["classes"][1:]] == [NOTHING] * 2


def test_classes_that_are_absent_have_dashes():
    spec = spec_of(5)
    label = np.zeros((20, 30), int)
    label[:, 10:] = 1
    classes = label.copy()
    classes[:4, :4] = 3
    numbers, text = report(spec, [prediction(label, classes)] * 3)
    rows = reading.check(text).rows["classes"][1:]
    assert [row[2] for row in rows] == ["92.0 %", "100.0 %", NOTHING, "0.0 %", NOTHING]
    (absent,) = (r for r in numbers["remarks"] if "not occur" in r["title"])
    assert absent["title"] == "3 classes do not occur"
    assert "Predicted all the same: class 3, which count as 0" in absent["what"]


def test_a_single_class_in_truth_and_prediction():
    numbers, text = report(spec_of(2), [prediction(np.zeros((16, 16)))] * 2)
    reading.check(text)
    assert numbers["scores"]["miou"] == 1


def test_a_crf_is_set_beside_what_there_is_without():
    spec = spec_of(3)
    evaluation, observers = observe(spec, noisy(spec, 4))
    plain, _ = observe(spec, noisy(spec, 4, wrong=0.5))
    both = type(evaluation)(
        **vars(evaluation)
        | {"without_crf": plain.confusion, "crf": {"w1": 4.0, "engine": "numba"}}
    )
    numbers = facts.gather(both, observers.selection, observers.label_errors, subject())
    page = reading.check(write.render(numbers, both, observers, subject()))
    assert "mIoU without the CRF" in page.text


def test_curves_of_the_training_are_shown():
    spec = spec_of(2)
    curves = b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"
    _, text = report(spec, noisy(spec, 2), curves=curves)
    assert 'alt="Curves of the training' in text
    reading.check(text)  # It is an image, in which no script runs.
