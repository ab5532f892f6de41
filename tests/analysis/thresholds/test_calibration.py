"""Reliability by hand and against hotcoco; fits against scikit-learn; the laws of a calibration."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.matching.match import match_run
from analysis.matching.matches import Verdict
from analysis.thresholds.calibration import (
    calibrated_run,
    fit_calibration,
    isotonic,
    judged,
    platt,
    reliability,
    run_reliability,
)
from detector.errors import InputError
from tests.analysis.builders import random_run


def test_by_hand():
    r = reliability([0.0, 0.05, 0.1, 0.15, 0.95, 1.0], [0, 0, 1, 1, 1, 0], bins=10)
    assert r.counts.tolist() == [3, 1] + [0] * 7 + [2] and r.correct.tolist() == [1, 1] + [0] * 7 + [1]
    assert r.confidence[0] == pytest.approx(0.05) and np.isnan(r.accuracy[5])
    assert r.ece == pytest.approx((3 * (1 / 3 - 0.05) + 0.85 + 2 * (0.975 - 0.5)) / 6)
    assert r.overconfidence == pytest.approx((2.25 - 3) / 6)


def test_nothing_and_nonsense():
    empty = reliability([], [])
    assert empty.ece is None and empty.overconfidence is None and empty.counts.sum() == 0
    for call, words in (
        (lambda: reliability([1.2], [1]), r"0\.\.1"),
        (lambda: reliability([0.2], [1], bins=0), "bins"),
    ):
        with pytest.raises(InputError, match=words):
            call()
    m = match_run(random_run(1, images=1))
    with pytest.raises(InputError, match="at least 20 detections"):
        fit_calibration(m)
    with pytest.raises(InputError, match="method"):
        fit_calibration(m, "magic")
    with pytest.raises(InputError, match="class id"):
        judged(m, 17)


@pytest.mark.parametrize("seed", range(3))
def test_ece_against_hotcoco(seed):
    metrics = pytest.importorskip("hotcoco.metrics")
    rng = np.random.default_rng(seed)
    scores = rng.random(500)
    correct = rng.random(500) < scores**2
    ece, _ = metrics.calibration_error(scores, correct, n_bins=15)
    assert reliability(scores, correct, 15).ece == pytest.approx(ece, abs=1e-12)


def test_classes_add_up():
    m = match_run(random_run(2, images=40))
    whole, per_class = run_reliability(m)
    assert sum(r.counts.sum() for r in per_class) == whole.counts.sum() == len(judged(m))
    assert whole.correct.sum() == (m.det_kind == 1).sum()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 5000), n=st.integers(2, 120))
def test_isotonic_against_scikit_learn(seed, n):
    sklearn = pytest.importorskip("sklearn.isotonic")
    rng = np.random.default_rng(seed)
    scores = np.round(rng.random(n), 2)
    correct = rng.random(n) < scores
    x, y = isotonic(scores, correct)
    theirs = sklearn.IsotonicRegression(out_of_bounds="clip").fit(scores, correct.astype(float))
    at = np.linspace(0, 1, 57)
    np.testing.assert_allclose(np.interp(at, x, y), theirs.predict(at), atol=1e-9)
    assert (np.diff(y) >= 0).all()


def test_platt_against_a_plain_minimiser():
    optimize = pytest.importorskip("scipy.optimize")
    rng = np.random.default_rng(0)
    scores = rng.uniform(0.01, 0.99, 400)
    z = np.log(scores / (1 - scores))
    correct = rng.random(400) < 1 / (1 + np.exp(-(0.6 * z - 0.8)))
    t = np.where(correct, (correct.sum() + 1) / (correct.sum() + 2), 1 / ((~correct).sum() + 2))
    best = optimize.minimize(
        lambda b: (np.logaddexp(0, b[0] * z + b[1]) - t * (b[0] * z + b[1])).sum(),
        [1, 0],
        method="BFGS",
        options={"gtol": 1e-10},
    )
    np.testing.assert_allclose(platt(scores, correct), best.x, atol=1e-5)
    assert platt(scores, z < 0)[0] == 0, "order is never turned round"


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_a_fitted_calibration_keeps_order_and_helps_on_images_it_has_not_seen(method):
    run = random_run(7, images=250, ties=False)
    m = match_run(run)
    c = fit_calibration(m, method)
    scores = np.linspace(0, 1, 200)
    calibrated = c(scores)
    assert (
        calibrated.dtype == np.float32
        and (np.diff(calibrated) >= 0).all()
        and calibrated.min() >= 0
        and calibrated.max() <= 1
    )
    assert c.ece_after < 0.5 * c.ece_before
    assert c.fitted_on == len(judged(m)) and c.to_dict()["method"] == method


def test_a_calibrated_run_keeps_its_boxes_and_its_matches():
    run = random_run(8, images=60, ties=False)
    c = fit_calibration(match_run(run), "platt")
    other = calibrated_run(run, c)
    np.testing.assert_array_equal(other.detections.xyxy, run.detections.xyxy)
    np.testing.assert_allclose(other.detections.scores, c(run.detections.scores))
    np.testing.assert_array_equal(match_run(other).det_kind, match_run(run).det_kind)
    assert other.version != "run" and run.detections is not other.detections


def test_its_error_is_measured_on_the_half_of_the_images_it_was_not_fitted_on():
    """Ten detections of 0.5 on even images, 8 of them correct, and ten on odd images, 2 of them correct: each
    half teaches the other the wrong thing, while a map that had seen its own judges would be right."""
    correct = np.array([True] * 8 + [False] * 2 + [True] * 2 + [False] * 8)
    matches = SimpleNamespace(
        num_classes=1,
        det_rows=np.repeat([4, 7], 10),
        det_classes=np.zeros(20, np.int32),
        det_scores=np.full(20, 0.5, np.float32),
        det_kind=np.where(correct, Verdict.CORRECT, Verdict.WRONG),
    )
    c = fit_calibration(matches)
    assert c.fitted_on == 20, "twenty are enough"
    assert c([0.5]).tolist() == [0.5], "the map itself is fitted on all of them"
    assert c.ece_before == pytest.approx(0)
    assert c.ece_after == pytest.approx(0.6), "0.8 where 2 of 10 are correct, 0.2 where 8 of 10 are"
