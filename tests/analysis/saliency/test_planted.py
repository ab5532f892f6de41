"""On a network whose true cause is known every method that is shipped finds it, and forgets it with the
weights.
"""

from __future__ import annotations

import numpy as np
import pytest

from analysis.saliency.faithfulness import Trial, baseline_map
from analysis.saliency.methods import EVIDENCE_METHODS, contrast, explain, find_target, last
from analysis.saliency.views import open_view
from tests.analysis.saliency.planted import DOT, GAP, SIZE, PlantedDetector, build, cue_rank, draw, trained

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def detector():
    pytest.importorskip("tensorflow")
    return PlantedDetector(trained())


@pytest.fixture(scope="module")
def objects(detector):
    """(picture, object, target) of objects the network finds and names rightly."""
    rng, found = np.random.default_rng(99), []
    while len(found) < 16:
        planted = draw(rng)
        shown = detector.candidates([planted.image])[0]
        for n, (box, k) in enumerate(zip(planted.boxes, planted.classes)):
            row = int(detector.assigned_anchors(planted.boxes, None)[n][0])
            if shown.scores[row, k] > 0.8 > 0.3 > shown.scores[row, 1 - k] and len(found) < 16:
                found.append((planted, n, find_target(detector, planted.image, box, int(k), anchor_id=row)))
    return found


@pytest.mark.parametrize("method", EVIDENCE_METHODS)
def test_the_dot_outside_the_box_is_found(detector, objects, method):
    ranks, gains = [], []
    for planted, n, target in objects:
        heat = last(explain(detector, planted.image, [target], method))[0]
        ranks.append(cue_rank(heat.full(), planted.boxes[n], planted.dots[n]))
        gains.append(heat.value)
    assert np.mean(ranks) >= 0.95, [round(r, 2) for r in ranks]


def test_a_gaussian_on_the_box_does_not_beat_what_finds_the_dot(detector, objects):
    """The baseline is near the dot but does not know it; maps that know it fare better, by the same measure
    as on the page.
    """
    better = {}
    for method in EVIDENCE_METHODS:
        differences = []
        for planted, _, target in objects[:8]:
            trial = Trial(open_view(detector, planted.image, [target]), target)
            heat = last(explain(detector, planted.image, [target], method))[0]
            differences.append(trial.curves(heat.values).gain - trial.baseline("gaussian").gain)
        better[method] = float(np.mean(differences))
    assert max(better.values()) > 0 and better["integrated_gradients"] > 0, better


def test_a_contrast_points_at_what_tells_the_classes_apart(detector, objects):
    ranks = []
    for planted, n, target in objects[:8]:
        heat = contrast(detector, planted.image, target, 1 - target.class_id)
        assert heat.value > 0
        ranks.append(cue_rank(heat.full(), planted.boxes[n], planted.dots[n]))
    assert np.mean(ranks) >= 0.95


@pytest.mark.parametrize("method, most", [("integrated_gradients", 0.35), ("d_rise", 0.5)])
def test_with_other_weights_the_map_is_another_inside_the_box(objects, detector, method, most):
    """Rank correlation within the box: outside it every map of an anchor is a blob around it, whatever the
    weights.
    """
    other = PlantedDetector(build(seed=5))
    found = []
    for planted, n, target in objects[:8]:
        a, b = (
            last(
                explain(d, planted.image, [target], method, **({"masks": 256} if method == "d_rise" else {}))
            )[0].full()
            for d in (detector, other)
        )
        x1, y1, x2, y2 = (int(v) for v in planted.boxes[n])
        inside = np.s_[max(0, y1 - 2) : y2 + 2, max(0, x1 - 2) : x2 + 2]
        ranks = [np.argsort(np.argsort(m[inside].ravel())) for m in (a, b)]
        found.append(np.corrcoef(*ranks)[0, 1])
    assert abs(np.mean(found)) < most, found


def test_with_other_weights_layer_cam_no_longer_singles_out_the_dot(detector, objects):
    """At stride 8 a box of 16 pixels holds two cells a side, too few to correlate. The dot lies above the
    left corner: the trained network's map is hottest there among the four corners, that of random weights
    anywhere."""

    def chosen(d) -> float:
        found = []
        for planted, n, target in objects:
            values = last(explain(d, planted.image, [target], "layer_cam"))[0].full()
            x1, y1, x2, y2 = (int(v) for v in planted.boxes[n])
            far = GAP + DOT
            corners = [(x1 - far, y1 - far), (x2 + GAP, y1 - far), (x1 - far, y2 + GAP), (x2 + GAP, y2 + GAP)]
            inside = [(x, y) for x, y in corners if 0 <= x <= SIZE[0] - DOT and 0 <= y <= SIZE[1] - DOT]
            found.append(int(np.argmax([values[y : y + DOT, x : x + DOT].mean() for x, y in inside])) == 0)
        return float(np.mean(found))

    assert chosen(detector) >= 0.9 and chosen(PlantedDetector(build(seed=5))) <= 0.75


def test_the_baselines_do_not_know_the_dot(detector, objects):
    planted, n, target = objects[0]
    view = open_view(detector, planted.image, [target])
    gaussian = cue_rank(baseline_map("gaussian", view, target), planted.boxes[n], planted.dots[n])
    assert gaussian > 0.8, (
        "the dot lies near the box, so a Gaussian ranks it high as well: a rank alone proves little"
    )
