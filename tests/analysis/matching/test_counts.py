"""Counts at a threshold: by hand, against a recount, and the laws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.matching.counts import check_laws, counts, image_counts, verdicts
from analysis.matching.match import match_run
from analysis.matching.matches import Verdict
from analysis.runs.tables import DetectionTable
from detector.errors import InputError, LawError
from tests.analysis.builders import make_run, random_run

RUN = make_run(
    dets=[
        (0, 10, 10, 30, 20, 0.9, 0),
        (0, 10, 10, 29, 20, 0.7, 0),
        (0, 60, 60, 70, 70, 0.6, 2),
        (1, 0, 0, 10, 20, 0.4, 1),
        (1, 40, 40, 50, 50, 0.8, 0),
        (2, 1, 1, 9, 9, 0.95, 0),
    ],
    objects=[(0, 10, 10, 30, 20, 0), (1, 0, 0, 10, 20, 1), (1, 40, 40, 50, 50, 0, {"crowd"})],
    labelled=[1, 1, 0],
)


@pytest.mark.parametrize(
    "threshold, tp, fp, fn, duplicates, ignored, unjudged",
    [
        (0.0, 2, 2, 0, 1, 1, 1),
        (0.4, 2, 2, 0, 1, 1, 1),
        (0.5, 1, 2, 1, 1, 1, 1),
        (0.7, 1, 1, 1, 1, 1, 1),
        (0.71, 1, 0, 1, 0, 1, 1),
        (1.0, 0, 0, 2, 0, 0, 0),
    ],
)
def test_by_hand(threshold, tp, fp, fn, duplicates, ignored, unjudged):
    c = counts(match_run(RUN), threshold)
    assert (c.tp, c.fp, c.fn, c.duplicates, c.ignored, c.unjudged) == (
        tp,
        fp,
        fn,
        duplicates,
        ignored,
        unjudged,
    )
    assert c.objects == 2 and c.detections == tp + fp + ignored + unjudged


def test_rates_and_their_missing_denominators():
    c = counts(match_run(RUN), 0.5)
    assert c.precision == pytest.approx(1 / 3) and c.recall == 0.5 and c.f1 == pytest.approx(2 / 5)
    assert np.isnan(counts(match_run(RUN), 1).precision)
    assert counts(match_run(RUN), 1).to_dict()["precision"] is None
    nothing = counts(match_run(make_run([], [], num_images=2)))
    assert np.isnan(nothing.recall) and nothing.to_dict() == {
        "tp": 0,
        "fp": 0,
        "fn": 0,
        "duplicates": 0,
        "ignored": 0,
        "unjudged": 0,
        "objects": 0,
        "detections": 0,
        "precision": None,
        "recall": None,
        "f1": None,
    }


def test_a_threshold_per_class():
    c = counts(match_run(RUN), [0.75, 0.3, 0.65])
    assert (c.tp, c.fp, c.fn) == (2, 0, 0)
    assert c.per_class.tp.tolist() == [1, 1, 0] and c.per_class.objects.tolist() == [1, 1, 0]
    np.testing.assert_array_equal(c.per_class.recall, [1, 1, np.nan])


def test_a_score_written_as_the_threshold_passes():
    run = make_run([(0, 1, 1, 5, 9, 0.7, 0)], [(0, 1, 1, 5, 9, 0)])
    assert counts(match_run(run), 0.7).tp == 1 and verdicts(match_run(run), 0.7).detections[0] == "correct"


def test_verdicts():
    v = verdicts(match_run(RUN), 0.65)
    assert v.detections.tolist() == ["correct", "duplicate", "below", "ignored", "below", "unjudged"]
    assert v.objects.tolist() == ["found", "missed", "ignored"]


def test_bad_thresholds():
    m = match_run(RUN)
    for bad, words in (
        (-0.1, "0 and more"),
        ([0.5, 0.5], "3, one per class"),
        (float("nan"), "0 and more"),
        ("high", "a number"),
    ):
        with pytest.raises(InputError, match=words):
            counts(m, bad)
    with pytest.raises(InputError, match="class-aware"):
        counts(match_run(RUN, class_aware=False), [0.1, 0.2, 0.3])


def test_a_broken_law_is_an_error():
    good = counts(match_run(RUN))
    with pytest.raises(LawError, match="correct . missed = objects"):
        check_laws(dataclasses.replace(good, tp=good.tp + 1))
    m = match_run(RUN)
    kinds = m.det_kind.copy()
    kinds[0] = Verdict.WRONG  # the object still says it was found
    with pytest.raises(LawError, match="correct . missed"):
        counts(dataclasses.replace(m, det_kind=kinds))
    with pytest.raises(LawError, match="detections, entry 1 is off by 2"):
        check_laws(dataclasses.replace(good.per_class, detections=good.per_class.detections - [0, 2, 0]))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    thresholds=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    class_aware=st.booleans(),
)
def test_recount(seed, thresholds, class_aware):
    run = random_run(seed, images=5)
    m = match_run(run, class_aware=class_aware)
    thresholds = thresholds if class_aware else thresholds[0]
    c = counts(m, thresholds)
    kept = run.detections.scores >= np.broadcast_to(np.float32(thresholds), 4)[run.detections.class_ids]
    assert c.detections == kept.sum()
    assert (
        c.tp == (kept & (m.det_kind == Verdict.CORRECT)).sum()
        and c.ignored == (kept & (m.det_kind == Verdict.IGNORED)).sum()
    )
    assert c.fp == (kept & np.isin(m.det_kind, (Verdict.WRONG, Verdict.DUPLICATE))).sum()
    assert c.per_class.tp.sum() == c.tp and c.tp + c.fn == (~run.truth.crowd).sum()
    each = image_counts(m, thresholds)
    for name in ("tp", "fp", "fn", "duplicates", "ignored", "objects", "detections"):
        assert getattr(each, name).sum() == getattr(c, name)
    v = verdicts(m, thresholds)
    assert (v.objects == "missed").sum() == c.fn and (v.detections == "correct").sum() == c.tp


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_detection_below_every_score_changes_no_count_above(seed):
    run = random_run(seed, images=3)
    before = counts(match_run(run), 0.05).to_dict()
    d = run.detections
    if not len(d.rows):
        return
    run.detections = DetectionTable.build(
        [*d.rows, d.rows[-1]], [*d.xyxy, (1, 1, 30, 30)], [*d.scores, 0.01], [*d.class_ids, 0], count=d.count
    )
    assert counts(match_run(run), 0.05).to_dict() == before


def test_each_image_of_many():
    run = random_run(1, images=400)
    each = image_counts(match_run(run), 0.3)
    assert each.tp.shape == (400,) and each.tp.sum() == counts(match_run(run), 0.3).tp > 100


def test_an_object_of_an_image_that_was_not_run_is_neither_missed_nor_ignored():
    box = (0, 0, 9, 9)
    run = make_run([], [(0, *box, 0), (0, *box, 0, {"crowd"}), (1, *box, 0), (1, *box, 0, {"crowd"})],
                   done=[False, True])  # fmt: skip
    assert verdicts(match_run(run)).objects.tolist() == ["unjudged", "unjudged", "missed", "ignored"]


def test_a_score_of_minus_zero_reaches_a_threshold_of_zero():
    m = match_run(make_run([(0, 0, 0, 9, 9, -0.0, 0)], []))
    assert (counts(m, 0.0).fp, counts(m, 1e-6).fp, image_counts(m, 0.0).fp.tolist()) == (1, 0, [1])
