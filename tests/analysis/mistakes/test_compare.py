"""Comparisons: flips by hand, against a recount, and between runs whose images stand in another order."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.mistakes.compare import compare, sign_test, with_nms
from analysis.runs.tables import DetectionTable
from detector.boxes import iou
from detector.data.dataset import ObjectTable
from detector.errors import InputError
from tests.analysis.builders import changed, make_run, random_run

OBJECTS = [
    (0, 0, 0, 20, 10, 0),
    (0, 40, 0, 60, 10, 1),
    (1, 0, 0, 20, 10, 0),
    (1, 60, 0, 80, 10, 0, {"crowd"}),
    (2, 5, 5, 15, 12, 2),
]
BEFORE = make_run(
    [
        (0, 0, 0, 20, 10, 0.9, 0),
        (0, 40, 0, 60, 10, 0.4, 1),
        (1, 0, 0, 20, 10, 0.7, 0),
        (2, 5, 5, 15, 12, 0.6, 2),
    ],
    OBJECTS,
)
AFTER = make_run(
    [
        (0, 0, 0, 20, 10, 0.8, 0),
        (0, 40, 0, 60, 10, 0.6, 1),
        (1, 0, 0, 20, 10, 0.3, 0),
        (1, 50, 50, 60, 70, 0.9, 2),
        (2, 5, 5, 15, 12, 0.6, 2),
    ],
    OBJECTS,
)


def test_flips_by_hand():
    c = compare(BEFORE, AFTER)
    assert c.state.tolist() == [3, 1, 2, 3] and (c.gained, c.lost) == (1, 1)
    lost, gained = c.flips()
    assert (lost["sample"], lost["class"], lost["change"], lost["score_a"]) == (
        "img1",
        "car",
        "lost",
        pytest.approx(0.7),
    )
    assert (gained["sample"], gained["class"], gained["change"]) == ("img0", "dog", "gained")
    assert c.per_class()[0] == {
        "class": "car",
        "objects": 2,
        "found_a": 2,
        "found_b": 1,
        "gained": 0,
        "lost": 1,
    }
    assert c.wrong_change.tolist() == [0, 1, 0] and c.p_value == 1.0
    assert json.loads(json.dumps(c.to_dict()))["missed_by_both"] == 0


def test_a_threshold_move_is_a_comparison_too():
    c = compare(BEFORE, threshold=0.5, threshold_b=0.3)
    assert [f["change"] for f in c.flips()] == ["gained"] and c.b.counts.tp == 4
    assert compare(BEFORE, threshold=0.5, threshold_b=[0.8, 0.5, 0.5]).lost == 1
    assert compare(BEFORE, iou=0.5, iou_b=0.9).gained == 0


def test_with_itself_nothing_changes():
    c = compare(BEFORE, BEFORE)
    assert c.flips() == [] and c.gained == c.lost == 0 and c.p_value == 1


def test_only_images_both_judged_take_part():
    c = compare(BEFORE, changed(AFTER, done=np.array([1, 0, 1], bool)))
    assert c.left_out == 1 and c.lost == 0 and c.a.counts.objects == 3
    other = changed(AFTER, done=np.zeros(3, bool))
    with pytest.raises(InputError, match="no image was judged in both"):
        compare(BEFORE, other)


def shuffled(run, seed):
    """The run with its images in another order."""
    order = np.random.default_rng(seed).permutation(len(run.sample_ids))
    place = np.argsort(order)
    other = copy.copy(run)
    d, t = run.detections, run.truth
    other.sample_ids = [run.sample_ids[i] for i in order]
    other.position = other.sample_ids.index
    other.detections = (
        DetectionTable.build(place[d.rows], d.xyxy, d.scores, d.class_ids, count=d.count)
        if len(d.rows)
        else d
    )
    by_row = np.argsort(place[d.rows], kind="stable")
    other.detections = DetectionTable.build(
        place[d.rows][by_row], d.xyxy[by_row], d.scores[by_row], d.class_ids[by_row], count=d.count
    )
    other.truth = ObjectTable.build(place[t.rows], t.xyxy, t.class_ids, ids=t.ids, crowd=t.crowd)
    for name in ("labelled", "done"):
        setattr(other, name, getattr(run, name)[order])
    return other


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_laws(seed):
    a, b = random_run(seed, images=5), random_run(seed, images=5)
    rng = np.random.default_rng(seed)
    d = b.detections
    b.detections = DetectionTable.build(d.rows, d.xyxy, rng.random(len(d)), d.class_ids, count=d.count)
    c, back = compare(a, b, threshold=0.4), compare(b, a, threshold=0.4)
    assert (c.gained, c.lost) == (back.lost, back.gained)
    one, two = counts(match_run(a), 0.4), counts(match_run(b), 0.4)
    assert c.gained - c.lost == two.tp - one.tp and c.wrong_change.sum() == two.fp - one.fp
    assert c.a.counts.to_dict() == one.to_dict() and len(c.state) == one.objects
    moved = compare(a, shuffled(b, seed), threshold=0.4)
    assert sorted(f["object"] for f in moved.flips()) == sorted(f["object"] for f in c.flips())
    assert (moved.gained, moved.lost) == (c.gained, c.lost)


def test_other_truth_is_refused():
    other = make_run([], OBJECTS[:-1] + [(2, 5, 5, 15, 30, 2)])
    with pytest.raises(InputError, match="different ground truth"):
        compare(BEFORE, other)


def plain_nms(boxes, scores, bound):
    keep = []
    for i in np.argsort(-scores, kind="stable"):
        if all(iou(boxes[[i]], boxes[[j]])[0, 0] <= bound for j in keep):
            keep.append(i)
    return sorted(keep)


@pytest.mark.parametrize("seed", range(4))
def test_nms_again_against_the_plain_loop(seed):
    run = random_run(seed, dets=25)
    d, kept = run.detections, []
    for i in range(len(run.sample_ids)):
        for k in range(4):
            rows = np.flatnonzero((d.rows == i) & (d.class_ids == k))
            kept += [int(rows[j]) for j in plain_nms(d.xyxy[rows], d.scores[rows], 0.4)]
    again = with_nms(run, 0.4).detections
    np.testing.assert_array_equal(again.xyxy, d.xyxy[sorted(kept)])
    assert with_nms(run, 1.0).detections.equals(d)
    assert compare(run, nms_iou_b=0.4, threshold=0.2).gained >= 0


def test_sign_test():
    assert (
        sign_test(0, 0) == 1
        and sign_test(5, 0) == pytest.approx(2 / 32)
        and sign_test(0, 5) == sign_test(5, 0)
    )
    assert sign_test(8, 2) == pytest.approx(2 * (1 + 10 + 45) / 1024) and sign_test(3, 3) == 1
    stats = pytest.importorskip("scipy.stats")
    assert sign_test(900, 1100) == pytest.approx(stats.binomtest(900, 2000).pvalue, rel=1e-9)
