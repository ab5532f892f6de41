"""The UIUC rule over a run: windows restored by their shape, whole truth from the files, one result a
split.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.locations.run import evaluate_locations, plot_locations, restore_windows
from analysis.runs.in_memory import run_from_detections
from detector import boxes
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data import load_dataset
from detector.errors import DataError, InputError
from tests.analysis.run_builders import numbered
from tests.detector.data.formats.test_uiuc import database

SIZE = (230, 170)
INFO = DetectorInfo("w", "stub", ClassMap(("car",)), "0" * 16)


def found(*windows: tuple[list[float], float]) -> Detections:
    xyxy = boxes.clip(np.array([w[0] for w in windows], float).reshape(-1, 4), SIZE)
    return Detections(xyxy, [w[1] for w in windows], np.zeros(len(windows)), SIZE)


def test_windows_cut_on_one_axis_are_restored_exactly():
    whole = np.array(
        [[-30, 20, 70, 60], [180, 20, 280, 60], [50, -8, 150, 32], [50, 150, 150, 190], [50, 20, 150, 60]],
        float,
    )
    np.testing.assert_allclose(restore_windows(boxes.clip(whole, SIZE), SIZE), whole, atol=1e-9)
    assert restore_windows(np.zeros((0, 4)), SIZE).shape == (0, 4)


def test_a_corner_is_as_large_as_what_is_seen_asks_for():
    np.testing.assert_allclose(
        restore_windows([[0, 0, 70, 36]], SIZE), [[-20, 0, 70, 36]]
    )  # 2.5 * 36 = 90 wide at least
    np.testing.assert_allclose(restore_windows([[0, 0, 80, 20]], SIZE), [[0, -12, 80, 20]])
    np.testing.assert_allclose(
        restore_windows([[0, 30, 100, 80]], (100, 170)), [[-12.5, 30, 112.5, 80]]
    )  # between two borders


def test_each_split_by_its_own_rule_on_whole_windows(tmp_path):
    dataset = load_dataset(database(tmp_path, "0: (20,-40)\n1: (10,10)\n", "0: (30,50,100)\n1:\n"))
    run = run_from_detections(
        dataset,
        [
            found(
                ([-32, 20, 68, 60], 0.9)
            ),  # 8 pixels off a window that reaches 40 out: clipped, they would agree
            found(([40, 10, 140, 50], 0.8), ([12, 10, 112, 50], 0.6)),  # the first lies 30 > 25 off
            found(([50, 30, 180, 82], 0.7)),  # in place, 30 % too wide: only the rule with scale minds
            found(),
        ],
        INFO,
    )
    single, multi = evaluate_locations(run)
    assert (single.split, single.with_scale, single.images) == ("single_scale", False, 2)
    assert (multi.split, multi.with_scale, multi.images) == ("multi_scale", True, 2)
    assert (
        single.curve.tp.tolist() == [1, 1, 2]
        and single.curve.fp.tolist() == [0, 1, 1]
        and single.curve.objects == 2
    )
    assert multi.curve.tp.tolist() == [0] and multi.curve.fp.tolist() == [1] and multi.curve.objects == 1
    figures = single.to_dict(threshold=0.8)
    assert figures["at_threshold"] == {
        "threshold": 0.8,
        "objects": 2,
        "tp": 1,
        "fp": 1,
        "fn": 1,
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
    }
    assert figures["best_f1"] == pytest.approx(0.8) and figures["at_best_f1"]["threshold"] == pytest.approx(
        0.6
    )
    assert multi.to_dict(0.99)["at_threshold"]["precision"] is None
    assert len(plot_locations([single, multi]).axes) == 1


def test_the_database_must_still_be_there(tmp_path):
    root = database(tmp_path, "0: (20,40)\n1: (10,10)\n")
    run = run_from_detections(load_dataset(root), [found(), found()], INFO)
    assert evaluate_locations(run)[0].to_dict(0.5)["best_f1"] is None
    (root / "CarData").rename(root / "Moved")
    with pytest.raises(DataError, match="not there any more"):
        evaluate_locations(run)


def test_other_data_are_judged_as_they_are_and_several_classes_refused():
    two = numbered(2)
    with pytest.raises(InputError, match="expected a run over one class, this one has cat, aeroplane"):
        evaluate_locations(
            run_from_detections(two, [None, None], DetectorInfo("w", "stub", two.class_map, "0" * 16))
        )
