"""Curves and suggestions, by hand and against a plain search over all thresholds; threshold files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.matching.operating_point import OperatingPoint
from analysis.thresholds.curves import (
    Suggestion,
    best_f1,
    exact_curve,
    grid_curves,
    least_cost,
    precision_at_least,
    recall_at_least,
    shortest_between,
    suggest,
)
from analysis.thresholds.files import Thresholds, load_thresholds, save_thresholds, thresholds_for
from detector.core import ClassMap
from detector.errors import ConfigError, InputError
from tests.analysis.builders import make_run, random_run

# Falling scores: right .9, wrong .8, right .7, right .6, wrong .5, wrong .4, right .3; five objects, one
# never found.
ORDER = [(0.9, 1), (0.8, 0), (0.7, 1), (0.6, 1), (0.5, 0), (0.4, 0), (0.3, 1)]


def ranked():
    dets = [(0, 10 * i, 0, 10 * i + 8, 6 if good else 60, s, 0) for i, (s, good) in enumerate(ORDER)]
    objects = [(0, 10 * i, 0, 10 * i + 8, 6, 0) for i, (_, good) in enumerate(ORDER) if good] + [
        (0, 85, 30, 99, 45, 0)
    ]
    return make_run(dets, objects)


def test_curve_by_hand():
    c = exact_curve(match_run(ranked()), 0)
    np.testing.assert_allclose(c.thresholds, [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], rtol=1e-6)
    assert (
        c.tp.tolist() == [4, 3, 3, 3, 2, 1, 1] and c.fp.tolist() == [3, 3, 2, 1, 1, 1, 0] and c.objects == 5
    )
    np.testing.assert_allclose(c.precision[-3:], [2 / 3, 1 / 2, 1])
    np.testing.assert_allclose(c.recall[0], 0.8)
    np.testing.assert_allclose(c.f1[3], 6 / 9)


def test_suggestions_by_hand():
    c = exact_curve(match_run(ranked()), 0)
    best = best_f1(c)
    assert (best.threshold, best.tp, best.fp, best.fn) == (0.6, 3, 1, 2) and best.f1 == pytest.approx(2 / 3)
    high = precision_at_least(c, 0.75)
    assert high.threshold == 0.6 and high.recall == 0.6
    assert precision_at_least(c, 1.0).threshold == 0.9
    low = recall_at_least(c, 0.4)
    assert low.threshold == 0.6 and low.precision == 0.75
    assert recall_at_least(c, 0.8).threshold == 0.3
    unmet = recall_at_least(c, 0.9)
    assert unmet.threshold is None and "recall reaches 80.0%" in unmet.reason
    assert least_cost(c, wrong=10, missed=1).threshold == 0.9
    assert least_cost(c, wrong=0, missed=1).threshold == 0.3
    assert (
        least_cost(
            exact_curve(match_run(make_run([(0, 0, 0, 9, 60, 0.6, 0)], [(0, 0, 0, 9, 9, 0)]))), 5, 1
        ).threshold
        == 1.0
    ), "keep nothing"


def test_nothing_to_choose_from():
    m = match_run(make_run([(0, 0, 0, 9, 60, 0.6, 1)], [(0, 0, 0, 9, 9, 0)]))
    whole, per_class = suggest(m)
    assert whole.threshold is not None and whole.f1 == 0
    assert per_class[0] == Suggestion("best F1", None, fn=1, reason="nothing was detected")
    assert per_class[1].threshold is None and "no object of this class" in per_class[1].reason
    assert len(exact_curve(match_run(make_run([], [], num_images=1))).thresholds) == 0


def test_a_class_of_which_nothing_is_right():
    m = match_run(
        make_run(
            [(0, 0, 0, 9, 60, 0.9, 0), (0, 20, 0, 40, 20, 0.02, 1)],
            [(0, 0, 0, 9, 9, 0), (0, 20, 0, 40, 20, 1)],
        )
    )
    _, per_class = suggest(m)
    assert per_class[0] == Suggestion(
        "best F1", None, fn=1, reason="no detection of it is right at any threshold"
    )
    assert per_class[1].threshold == 0.0, "no floor was named"


def test_no_suggestion_below_the_floor():
    m = match_run(make_run([(0, 20, 0, 40, 20, 0.02, 1)], [(0, 20, 0, 40, 20, 1)]))
    whole, per_class = suggest(m, floor=0.01)
    assert whole.threshold == per_class[1].threshold == 0.01 and (whole.tp, whole.fp, whole.fn) == (1, 0, 0)
    assert suggest(m, floor=0.3)[0].threshold == 0.0, (
        "scores below the floor, as calibration gives them, keep their counts"
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 5000), share=st.floats(0, 1))
def test_no_threshold_is_better(seed, share):
    m = match_run(random_run(seed, images=4))
    every = [counts(m, t) for t in np.unique(np.append(m.det_scores, [0, 0.05, 0.999]))]
    c = exact_curve(m)
    if c.objects == 0 or not len(c.thresholds):
        return
    chosen = best_f1(c)
    got = counts(m, chosen.threshold)
    assert (got.tp, got.fp, got.fn) == (
        chosen.tp,
        chosen.fp,
        chosen.fn,
    ), "the counts are those at the threshold given"
    assert got.f1 >= max(e.f1 for e in every) - 1e-12
    chosen = precision_at_least(c, share)
    fitting = [e for e in every if e.tp + e.fp and e.precision >= share - 1e-12]
    if chosen.threshold is None:
        assert not fitting
    else:
        got = counts(m, chosen.threshold)
        assert got.precision >= share - 1e-12 and got.recall >= max(e.recall for e in fitting) - 1e-12
    chosen = recall_at_least(c, share)
    fitting = [e for e in every if e.recall >= share - 1e-12 and e.tp + e.fp]
    if chosen.threshold is None:
        assert not fitting
    else:
        got = counts(m, chosen.threshold)
        assert got.recall >= share - 1e-12 and got.precision >= max(e.precision for e in fitting) - 1e-12
    chosen = least_cost(c, 1, 3)
    got = counts(m, chosen.threshold)
    assert got.fp + 3 * got.fn <= min(e.fp + 3 * e.fn for e in every)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 5000))
def test_the_grid_is_counts(seed):
    m = match_run(random_run(seed, images=4))
    whole, per_class = grid_curves(m)
    for i in (0, 17, 30, 70, 100):
        c = counts(m, whole.thresholds[i])
        assert (whole.tp[i], whole.fp[i], whole.fn[i]) == (c.tp, c.fp, c.fn)
        assert [p.tp[i] for p in per_class] == c.per_class.tp.tolist() and [
            p.fn[i] for p in per_class
        ] == c.per_class.fn.tolist()


@pytest.mark.parametrize(
    "low, high, expected",
    [(0.3, 0.4, 0.4), (0.391, 0.409, 0.4), (0.4001, 0.4009, 0.4005), (-1.0, 0.04, 0.0), (0.35, 0.387, 0.38)],
)
def test_shortest_between(low, high, expected):
    value = shortest_between(float(np.float32(low)), float(np.float32(high)))
    assert np.float32(low) < np.float32(value) <= np.float32(high) and len(str(value)) <= len(str(expected))


@settings(max_examples=100, deadline=None)
@given(a=st.floats(0, 1, width=32), b=st.floats(0, 1, width=32))
def test_shortest_between_lies_between(a, b):
    low, high = sorted((a, b))
    if low < high:
        assert np.float32(low) < np.float32(shortest_between(low, high)) <= np.float32(high)


def test_bad_questions():
    m = match_run(ranked())
    for call, words in (
        (lambda: recall_at_least(exact_curve(m), 1.5), "recall: expected"),
        (lambda: least_cost(exact_curve(m), -1, 0), "costs of 0"),
        (lambda: exact_curve(m, 9), "class id of 0..2"),
        (lambda: exact_curve(match_run(ranked(), class_aware=False), 0), "class-aware"),
    ):
        with pytest.raises(InputError, match=words):
            call()


NAMES = ClassMap(("car", "dog", "no"))


def test_saved_and_loaded(tmp_path):
    assert [str(OperatingPoint(t)).split(" · ")[0] for t in (0.5, 0.33, 0.3272, 0.469508)] == [
        f"confidence ≥ {t}" for t in ("0.50", "0.33", "0.3272", "0.469508")
    ]
    point = OperatingPoint(0.5, 0.6, detector="ssd", weights_hash="0123")
    saved = thresholds_for(NAMES, np.float32([0.42, 0.5, 0.3]), point, rule="best F1", run="night")
    save_thresholds(saved, tmp_path / "t.yaml")
    loaded = load_thresholds(tmp_path / "t.yaml")
    assert (
        loaded == saved
        and loaded.operating_point.iou == 0.6
        and loaded.operating_point.weights_hash == "0123"
    )
    np.testing.assert_array_equal(loaded.thresholds(NAMES), np.float32([0.42, 0.5, 0.3]))


@pytest.mark.parametrize(
    "text, words",
    [
        ("default: 0.5\n", "boxscope_thresholds: 1"),
        ("boxscope_thresholds: 1\ndefalt: 0.5\n", r":2: .*defalt"),
        ("boxscope_thresholds: 2\n", ":1:"),
        ("boxscope_thresholds: 1\nclasses:\n  car: 1.5\n", ":3:"),
        ("boxscope_thresholds: 1\nclasses:\n  car: .5\n  car: .6\n", "car"),
        ("boxscope_thresholds: 1\nclasses: [\n", "YAML"),
        ("boxscope_thresholds: 1\noperating_point: {matcher: voc}\n", "matcher"),
        ("boxscope_thresholds: 1\ndefault: .nan\n", "default"),
    ],
)
def test_files_that_say_something_else_are_refused(tmp_path, text, words):
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words) as error:
        load_thresholds(tmp_path / "t.yaml")
    assert "t.yaml" in str(error.value)


def test_a_class_nobody_knows():
    with pytest.raises(ConfigError, match="no class 'cart'.*did you mean car"):
        Thresholds(classes={"cart": 0.5}).thresholds(NAMES)


def curve_of(*outcomes):
    """Of detections (score, correct), over as many objects as are correct."""
    rows = [(0, 40 * i, 0, 40 * i + 9, 9, score, 0) for i, (score, _) in enumerate(outcomes)]
    objects = [(0, 40 * i, 0, 40 * i + 9, 9, 0) for i, (_, correct) in enumerate(outcomes) if correct]
    return exact_curve(match_run(make_run(rows, objects, sizes=(500, 20))))


def test_of_equal_scores_the_second_choice_then_the_highest_threshold():
    assert recall_at_least(curve_of((0.9, True), (0.8, True)), 0.5).threshold == 0.8, (
        "equal precision, more found"
    )
    free = least_cost(curve_of((0.9, True), (0.8, False)), wrong=0, missed=1)
    assert free.threshold == 0.9 and free.fp == 0, "equal cost and recall: nothing wrong that need not be"


def test_keeping_nothing_must_cost_less_not_as_much():
    found = least_cost(curve_of((0.9, False), (0.8, True)), wrong=1, missed=1)
    assert (found.threshold, found.tp, found.fp) == (0.8, 1, 1), "one mistake either way"
