"""Differences with intervals: derivatives against finite differences, errors against a paired bootstrap,
coverage in simulation, and no evidence where there is none.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.average_precision import average_precision
from analysis.matching.match import match_run
from analysis.matching.matches import Verdict
from analysis.metrics.evaluate import evaluate
from analysis.mistakes.influence import ap_influence, measure, ratio_influence
from analysis.mistakes.significance import common_images, difference_of, holm, significance, standings
from analysis.runs.tables import DetectionTable
from detector.errors import InputError
from tests.analysis.builders import changed, make_run
from tests.benchmarks.generated import big_run


def test_influence_of_two_images_by_hand():
    # Image 0: found at .9. Image 1: wrong at .95, one object missed. Ranking: wrong, right; AP = 1/2 * 1/2.
    ap, sway = ap_influence(
        np.array([0, 1]), np.array([0.9, 0.95]), np.array([True, False]), np.array([1, 1])
    )
    assert ap == 0.25
    # With image 0 weighing w: precision w / (1 + w), recall w / (1 + w); d/dw (w / (1 + w))^2 at 1 = 2 * 1/2
    # * 1/4.
    assert sway == pytest.approx([0.25, -0.25])


def test_influence_is_the_derivative_and_sums_to_nothing():
    rng = np.random.default_rng(2)
    n, d = 12, 90
    rows, scores, correct = rng.integers(0, n, d), rng.random(d), rng.random(d) < 0.5
    objects = np.bincount(rows[correct], minlength=n) + rng.integers(0, 3, n)
    ap, sway = ap_influence(rows, scores, correct, objects)
    order = np.argsort(-scores)
    assert ap == pytest.approx(average_precision(correct[order], int(objects.sum()), "all"))
    assert sway.sum() == pytest.approx(0, abs=1e-12)
    many = 400  # every image this many times, one of them once more: a small step of its weight
    for image in (0, 5):
        times = np.full(n, many)
        times[image] += 1
        again = np.repeat(np.arange(d), times[rows])
        again = again[np.argsort(-scores[again], kind="stable")]
        moved = average_precision(correct[again], int((objects * times).sum()), "all")
        still = np.repeat(order, many)
        step = moved - average_precision(correct[still], int(objects.sum()) * many, "all")
        assert step * many == pytest.approx(sway[image], rel=0.05, abs=2e-4)


@pytest.mark.parametrize(
    "rows, objects, ap",
    [([], [0, 0], np.nan), ([], [1, 0], 0.0), ([1], [1, 0], 0.0)],
    ids=["none", "nothing", "wrong"],
)
def test_influence_without_anything_right_is_nothing(rows, objects, ap):
    value, sway = ap_influence(
        np.array(rows, int), np.ones(len(rows)), np.zeros(len(rows), bool), np.array(objects)
    )
    assert value == ap or (np.isnan(value) and np.isnan(ap))
    assert sway.tolist() == [0, 0]


def test_ratio_influence_by_hand():
    value, sway = ratio_influence(np.array([1.0, 0.0]), np.array([1.0, 3.0]))
    assert value == 0.25 and sway.tolist() == [0.1875, -0.1875]
    assert np.isnan(ratio_influence(np.zeros(2), np.zeros(2))[0])


@pytest.fixture(scope="module")
def generated():
    return big_run(images=120, objects=700, detections=5_000, classes=3, seed=3)


def shifted(run, pixels, rng_seed=None):
    """The same run with every box moved, or its detections in another order."""
    d = run.detections
    order = (
        np.arange(len(d.rows))
        if rng_seed is None
        else np.random.default_rng(rng_seed).permutation(len(d.rows))
    )
    table = DetectionTable.build(
        d.rows[order], d.xyxy[order] + pixels, d.scores[order], d.class_ids[order], count=d.count
    )
    return changed(run, detections=table)


def test_the_figures_are_those_of_evaluate(generated):
    whole = measure(generated, np.arange(120), 0.3)
    evaluation = evaluate(generated)
    assert whole.values["AP"] == pytest.approx(evaluation["AP"], abs=1e-12)
    assert whole.values["AP50"] == pytest.approx(evaluation["AP50"], abs=1e-12)


def test_the_error_is_that_of_the_paired_bootstrap(generated):
    other = shifted(generated, 4)
    found = {d.figure: d for d in significance(generated, other, threshold=0.3).figures}
    rng = np.random.default_rng(0)
    sides = [match_run(generated, 0.5), match_run(other, 0.5)]
    drawn = []
    for _ in range(200):
        times = np.bincount(rng.integers(0, 120, 120), minlength=120)
        drawn.append(ap50(sides[1], times) - ap50(sides[0], times))
    ours = (found["AP50"].high - found["AP50"].low) / 2 / 1.98
    assert ours == pytest.approx(np.std(drawn), rel=0.15)
    assert found["AP"].verdict == "worse" and found["AP"].p_value < 1e-4


def ap50(matches, times):
    """AP50 of 3 classes where every image counts this many times."""
    order = np.argsort(-matches.det_scores, kind="stable")
    order = order[matches.det_kind[order] != Verdict.IGNORED]
    counted = matches.truth_counted
    values = []
    for k in range(3):
        mine = order[matches.det_classes[order] == k]
        again = np.repeat(mine, times[matches.det_rows[mine]])
        objects = times[matches.truth_rows[counted & (matches.truth_classes == k)]].sum()
        values.append(average_precision(matches.det_kind[again] == Verdict.CORRECT, int(objects)))
    return np.mean(values)


def test_a_reshuffled_copy_of_a_run_is_no_evidence(generated):
    found = significance(generated, shifted(generated, 0, rng_seed=7), threshold=0.3)
    assert {d.verdict for d in (*found.figures, *found.classes)} == {"no evidence"}
    assert all(d.p_value > 0.9 and abs(d.difference) < 1e-3 for d in found.figures)


def test_the_interval_covers_the_true_difference():
    """AP of 60 images out of a population, 400 draws; the image's luck is shared by both runs."""
    rng = np.random.default_rng(11)
    n, per = 6000, 6
    luck = rng.beta(2, 2, n)
    rows = np.repeat(np.arange(n), per)
    score = [rng.random(n * per) for _ in range(2)]
    right = [
        rng.random(n * per) < (0.2 + 0.4 * luck[rows] + 0.4 * s) * share for s, share in zip(score, (0.95, 1))
    ]
    objects = np.full(n, per)

    def ap(images, side):
        picks = (images[:, None] * per + np.arange(per)).ravel()
        place = np.repeat(np.arange(len(images)), per)
        order = np.argsort(-score[side][picks], kind="stable")
        value, sway = ap_influence(place, score[side][picks], right[side][picks], objects[images])
        return average_precision(right[side][picks][order], int(objects[images].sum()), "all"), sway

    truth = ap(np.arange(n), 1)[0] - ap(np.arange(n), 0)[0]
    covered = []
    for _ in range(400):
        images = rng.integers(0, n, 60)
        (a, sway_a), (b, sway_b) = ap(images, 0), ap(images, 1)
        d = difference_of("AP", "", a, b, sway_b - sway_a, 0.95)
        covered.append(d.low <= truth <= d.high)
    assert 0.92 <= np.mean(covered) <= 0.98


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]).tolist() == []


def test_several_runs_stand_in_order_with_the_best_in_front(generated):
    rows = standings(
        [
            named(generated, "first"),
            named(shifted(generated, 6), "second"),
            named(shifted(generated, 2), "third"),
        ]
    )
    assert [r.name for r in rows] == ["first", "third", "second"]
    assert rows[0].against_best is None and rows[2].against_best.verdict == "worse"
    assert rows[1].against_previous.verdict == "better", "third came after second"
    low, high = rows[0].intervals["AP"]
    assert low < rows[0].values["AP"] < high


def named(run, name):
    return changed(run, name=name)


def test_runs_over_other_images_or_objects_cannot_be_compared(generated):
    with pytest.raises(InputError, match="fewer than 10"):
        common_images([make_run([], [], num_images=5)] * 2)
    t = generated.truth
    truth = SimpleNamespace(**{n: getattr(t, n) for n in ("rows", "class_ids", "ids")}, xyxy=t.xyxy + 5)
    moved = changed(generated, truth=truth)
    with pytest.raises(InputError, match="different ground truth"):
        significance(generated, moved)
