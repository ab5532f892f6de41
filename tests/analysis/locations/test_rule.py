"""The UIUC rule, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.locations.rule import inside_ellipse, location_curve
from detector.errors import InputError

CAR = [10.0, 20, 110, 60]  # 100 x 40: axes of 25 and 10 pixels


def moved(dx: float, dy: float, width: float = 100) -> list[float]:
    return [10 + dx, 20 + dy, 10 + dx + width, 20 + dy + 0.4 * width]


def test_the_ellipse_by_hand():
    windows = [moved(25, 0), moved(0, 10), moved(25, 10), moved(-20, 6)]
    np.testing.assert_allclose(inside_ellipse(windows, [CAR], with_scale=False)[:, 0], [1, 1, 2, 0.64 + 0.36])
    assert inside_ellipse(np.zeros((0, 4)), [CAR], with_scale=False).shape == (0, 1)


def test_scale_adds_its_own_axis():
    np.testing.assert_allclose(inside_ellipse([moved(0, 0, 120)], [CAR], with_scale=True), [[0.64]])
    np.testing.assert_allclose(inside_ellipse([moved(0, 0, 120)], [CAR], with_scale=False), [[0]])


def test_an_object_takes_one_detection_and_the_curve_counts_by_score():
    found = {
        "a": ([moved(1, 0), moved(0, 0), moved(200, 0)], [0.9, 0.8, 0.7]),
        "b": (np.zeros((0, 4)), np.zeros(0)),
    }
    curve = location_curve(found, {"a": np.array([CAR]), "b": np.array([CAR])})
    assert curve.tp.tolist() == [1, 1, 1] and curve.fp.tolist() == [0, 1, 2] and curve.objects == 2
    assert curve.best == 0 and curve.f1[0] == pytest.approx(2 / 3) and curve.area == pytest.approx(0.5)


def test_ties_are_one_point_of_the_curve():
    curve = location_curve({"a": ([moved(0, 0), moved(300, 0)], [0.5, 0.5])}, {"a": np.array([CAR])})
    assert curve.thresholds.tolist() == [0.5] and curve.tp.tolist() == [1] and curve.fp.tolist() == [1]


def test_equal_error_rate_is_where_recall_meets_precision():
    truth = {str(i): np.array([CAR]) for i in range(4)}
    found = {
        "0": ([moved(0, 0)], [0.9]),
        "1": ([moved(0, 0)], [0.8]),
        "2": ([moved(300, 0)], [0.7]),
        "3": ([moved(0, 0)], [0.6]),
    }
    assert location_curve(found, truth).equal_error_rate == pytest.approx(0.75)


def test_nothing_found_and_unknown_images():
    empty = location_curve({}, {"a": np.array([CAR])})
    assert empty.area == 0 and empty.equal_error_rate == 0 and empty.objects == 1
    with pytest.raises(InputError, match="no detections"):
        _ = empty.best
    with pytest.raises(InputError, match="'x'"):
        location_curve({"x": ([CAR], [1.0])}, {})


def test_counts_at_a_threshold_compare_as_scores_are_kept():
    curve = location_curve(
        {"a": ([moved(0, 0), moved(300, 0)], np.float32([0.7, 0.6]))}, {"a": np.array([CAR])}
    )
    assert (
        curve.at(0.7)["tp"] == 1
        and curve.at(0.7)["fp"] == 0
        and curve.at(0.6)["fp"] == 1
        and curve.at(0.71)["fn"] == 1
    )
    assert curve.at(0.71)["precision"] is None and curve.at(0.71)["recall"] == 0 and curve.at(0.7)["f1"] == 1


def test_equal_error_rate_is_not_flattered_by_a_curve_that_ends_early():
    truth = {str(i): np.array([CAR]) for i in range(4)}
    assert location_curve({"0": ([moved(0, 0)], [0.9])}, truth).equal_error_rate == pytest.approx(0.25)
