"""Deletion and insertion against answers worked out by hand, and a truth that beats what knows nothing."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.saliency.faithfulness import BASELINES, Trial, baseline_map, energy_inside
from analysis.saliency.heatmap import HeatMap
from analysis.saliency.methods import find_target
from analysis.saliency.targets import Target
from analysis.saliency.views import open_view
from tests.analysis.saliency.probes import PAD, SIZE, LinearDetector, no_weights, spot

W, H = SIZE
BOX = [10, 6, 34, 22]


def dot_detector(x: int, y: int):
    """Sees the 3 x 3 pixels around (x, y); its box lies elsewhere, so that the cause is outside it."""
    weights = no_weights()
    weights[0, 0, y - 1 + PAD[1] : y + 2 + PAD[1], x - 1 + PAD[0] : x + 2 + PAD[0]] = 0.5
    return LinearDetector(weights, [BOX], bias=-4.0)


def dotted(x: int, y: int) -> np.ndarray:
    image = np.zeros((H, W, 3), np.uint8)
    image[y - 1 : y + 2, x - 1 : x + 2] = 255
    return image


def test_curves_of_a_linear_logit_by_hand():
    detector, image = dot_detector(40, 25), dotted(40, 25)
    target = Target("missed", 0, BOX, [0])
    trial = Trial(open_view(detector, image, [target]), target, steps=4)
    full = 9 * 3 * 0.5 - 4
    assert trial.unit == "logit" and trial.start == pytest.approx(full)
    assert trial.counts().tolist() == [
        0,
        384,
        768,
        1152,
        1380,
    ], "three equal parts of three times the box, then everything"
    fill = 9 * 255 / (W * H)
    gone = 9 * 3 * 0.5 * fill / 255 - 4
    first = np.zeros((H, W), np.float32)
    first[24:27, 39:42] = 1
    curves = trial.curves(first)
    assert curves.hidden == pytest.approx((full, gone, gone, gone, gone), abs=1e-4)
    assert curves.deletion == pytest.approx((full + gone) / 8 + 3 * gone / 4 - full, abs=1e-4)
    late = trial.curves(-first)
    assert late.hidden[:4] == pytest.approx((full,) * 4, abs=1e-3) and late.hidden[4] == pytest.approx(
        gone, abs=1e-4
    )
    assert curves.shown[1] > 0 > curves.shown[0] and curves.gain > 0 > late.gain


def test_the_true_cause_beats_the_baselines_and_its_opposite_loses_to_them():
    detector, image = dot_detector(40, 25), dotted(40, 25)
    for x in range(2, 32, 5):
        for y in range(1, 28, 5):
            image[y : y + 3, x : x + 3] = 255  # as many edges elsewhere
    target = find_target(detector, image, BOX, 0, anchor_id=0, score=0.99)
    trial = Trial(open_view(detector, image, [target]), target)
    cause = np.zeros((H, W), np.float32)
    cause[24:27, 39:42] = 1
    found = trial.judge(HeatMap("layer_cam", cause, SIZE, "evidence", target=target))
    assert trial.unit == "belief" and set(found.baselines) == set(BASELINES) and found.lost_to == ()
    assert "Beats all 3 baselines" in found.sentence() and found.inside == 0 and found.inside_gain < 0
    worst = trial.judge(HeatMap("layer_cam", -cause, SIZE, "evidence", target=target))
    assert (
        "gaussian" in worst.lost_to
        and "a Gaussian drawn on the box" in worst.sentence()
        and worst.inside is None
    )
    plain = found.to_dict()
    assert plain["lost_to"] == [] and len(plain["hidden"]) == trial.steps + 1 == len(plain["fractions"])
    assert plain["fractions"][0] == 0 and plain["fractions"][-1] == 1


def test_baselines_are_run_once():
    detector, image = dot_detector(40, 25), dotted(40, 25)
    target = Target("detection", 0, BOX, [0])
    trial = Trial(open_view(detector, image, [target]), target)
    heat = HeatMap("d_rise", np.ones((H, W)), SIZE, "logit slope", target=target)
    trial.judge(heat)
    before = detector.calls
    trial.judge(heat)
    assert detector.calls - before == 2 * (trial.steps + 1)


def test_a_constant_map_is_ranked_at_random_and_not_row_by_row():
    detector, image = dot_detector(40, 2), dotted(40, 2)
    target = Target("missed", 0, BOX, [0])
    trial = Trial(open_view(detector, image, [target]), target, steps=4)
    flat = trial.curves(np.zeros((H, W), np.float32))
    assert flat.hidden[4] < trial.start and flat.hidden[1] > -4, "the rows at the top are not the first to go"


def test_energy_is_the_share_in_the_box_with_parts_of_pixels():
    assert energy_inside(np.ones((4, 8)), (80, 40), np.array([10, 0, 45, 20])) == (
        pytest.approx(3.5 * 2 / 32),
        pytest.approx(3.5 * 2 / 32),
    )
    values = np.zeros((4, 8))
    values[1, 1], values[3, 7], values[0, 0] = 3, 1, -9
    assert energy_inside(values, (80, 40), np.array([10, 10, 20, 20]))[0] == pytest.approx(0.75)
    assert energy_inside(values, (80, 40), None) == (None, None)
    assert energy_inside(-np.ones((4, 8)), (80, 40), np.array([0, 0, 10, 10]))[0] is None


def test_baselines_know_the_box_or_the_picture_only():
    detector = dot_detector(40, 25)
    target = Target("detection", 0, [20, 10, 40, 20], [0])
    view = open_view(detector, spot(7, 12), [target])
    gaussian = baseline_map("gaussian", view, target)
    assert np.unravel_index(gaussian.argmax(), (H, W)) in {(14, 29), (15, 29), (14, 30), (15, 30)}
    assert gaussian[15, 40] == pytest.approx(np.exp(-0.5), abs=0.06), "one sigma is half a side"
    edge = baseline_map("edge", view, target)
    assert abs(np.array(np.unravel_index(edge.argmax(), (H, W))) - [12, 7]).max() <= 2
    assert np.array_equal(baseline_map("random", view, target), baseline_map("random", view, target))
    whole = Trial(view, Target("class", 0, None, [0]))
    assert set(
        whole.judge(HeatMap("d_rise", np.ones((H, W)), SIZE, "logit slope", target=whole.target)).baselines
    ) == {"random", "edge"}
