"""Calibration by pixels sorted and binned by hand, in float64."""

import numpy as np
import pytest

from deeplab_tf.evaluation.calibration import Calibration


def add(label, classes, confidence, parts=1):
    calibration = Calibration(255)
    for each in zip(
        *(np.array_split(values, parts) for values in (label, classes, confidence)),
        strict=True,
    ):
        calibration.add(*(values[np.newaxis] for values in each))
    return calibration


def test_a_constructed_case():
    """Ten pixels at 0.9, of which 7 are right, and ten at 0.55, of which 6 are."""
    label = np.ones(21, int)
    classes = np.array([1] * 7 + [0] * 3 + [1] * 6 + [0] * 4 + [0])
    label[-1] = 255
    confidence = np.array([0.9] * 10 + [0.55] * 10 + [0.1], np.float32)
    calibration = add(label, classes, confidence, parts=3)
    assert calibration.ece == pytest.approx((0.2 + 0.05) / 2, abs=1e-6)
    # 0.9 is in (13/15, 14/15], 0.55 in (8/15, 9/15].
    assert calibration.pixels.nonzero()[0].tolist() == [8, 13]
    assert calibration.right[[8, 13]].tolist() == [6, 7]
    np.testing.assert_allclose(calibration.accuracy[[8, 13]], [0.6, 0.7])
    np.testing.assert_allclose(calibration.confidence[[8, 13]], [0.55, 0.9], 1e-6)
    coverage, risk = calibration.risk_coverage
    np.testing.assert_allclose(coverage, [0.5, 1])
    np.testing.assert_allclose(risk, [0.3, 0.35])
    assert calibration.area == pytest.approx(0.5 * 0.3 + 0.5 * (0.3 + 0.35) / 2)
    summary = calibration.summary()
    assert summary["ece"] == calibration.ece
    assert summary["bins"][13]["pixels"] == 10
    assert summary["bins"][0] == {"confidence": None, "accuracy": None, "pixels": 0}
    assert summary["risk_coverage"][9] == pytest.approx([0.5, 0.3])


def test_bins_are_open_below_and_closed_above():
    """So 1/3, whose float32 lies above it, is in the bin above, and 1 in the last."""
    confidence = np.array([1 / 3, 0.5, 1, 0, 1 + 1e-7], np.float32)
    calibration = add(np.zeros(5, int), np.zeros(5, int), confidence)
    assert np.float64(confidence[0]) > 1 / 3
    assert calibration.pixels.nonzero()[0].tolist() == [0, 5, 7, 14]
    assert calibration.pixels[14] == 2


def test_curves_are_those_of_all_pixels_sorted(rng):
    number = 20000
    confidence = (1 - rng.random(number) ** 6 * 0.7).astype(np.float32)
    label = (rng.random(number) > confidence.astype(float) * 0.9).astype(int)
    label[rng.random(number) < 0.1] = 255
    calibration = add(label, np.zeros(number, int), confidence, parts=4)

    kept = label != 255
    sure, wrong = confidence[kept].astype(float), label[kept] == 1
    ece = 0.0
    for i in range(15):
        chosen = (sure > i / 15) & (sure <= (i + 1) / 15)
        if chosen.any():
            gap = abs(sure[chosen].mean() - 1 + wrong[chosen].mean())
            ece += chosen.mean() * gap
    assert calibration.ece == pytest.approx(ece, abs=1e-9)

    order = np.argsort(-sure)
    risks = np.cumsum(wrong[order]) / np.arange(1, kept.sum() + 1)
    assert calibration.area == pytest.approx(risks.mean(), abs=1e-3)
    coverage, risk = calibration.risk_coverage
    assert coverage[-1] == 1
    at = np.round(coverage * kept.sum()).astype(int) - 1
    np.testing.assert_allclose(risk, risks[at])  # At the ends of bins, exactly.


def test_the_surest_come_first_down_to_what_float32_tells_apart():
    last = 1 - 2.0**-24
    confidence = np.array([0.2, 1 - 2.0**-20, 1, last], np.float32)
    label = np.array([0, 0, 0, 1])
    coverage, risk = add(label, np.zeros(4, int), confidence).risk_coverage
    np.testing.assert_allclose(coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 0.5, 1 / 3, 1 / 4])


def test_no_pixel_has_no_calibration():
    calibration = add(np.full(3, 255), np.zeros(3, int), np.ones(3, np.float32))
    assert np.isnan(calibration.ece)
    assert np.isnan(calibration.area)
    summary = calibration.summary()
    assert summary["ece"] is None
    assert summary["risk_coverage"] == []
