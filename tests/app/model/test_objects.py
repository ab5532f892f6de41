"""The table of objects of one image, and the words for each."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.matching.match import image_counts, match_run
from analysis.runs.store import open_run
from app.frame import gallery_order
from app.model import objects


@pytest.fixture
def at(tiny_run):
    """What is chosen, at a threshold and in classes: at(0.5), at(0.25, [1])."""
    run = open_run(tiny_run)
    matches = match_run(run)

    def chosen(threshold, classes=None):
        from analysis.subsets import narrow

        mine = narrow(matches, class_ids=classes) if classes is not None else matches
        return SimpleNamespace(
            run=run,
            matches=matches,
            threshold=threshold,
            class_thresholds=np.full(2, threshold, np.float32),
            iou=0.5,
            class_ids=classes,
            counted_classes=classes,
            chosen=mine,
            per_image=image_counts(mine, threshold),
            images=run.done,
            manifest=run.manifest,
        )

    return chosen


def lines(s, i):
    return [(r.verdict, r.name, r.det, r.truth) for r in objects.rows_of(s, i)]


def test_rows_join_a_detection_with_its_object(at):
    assert lines(at(0.5), 0) == [("missed", "dog", 1, 1), ("correct", "cat", 0, 0)]
    assert lines(at(0.3), 0) == [("correct", "cat", 0, 0), ("correct", "dog", 1, 1)]
    assert lines(at(0.5), 2) == [("duplicate", "dog", 1, 0), ("correct", "dog", 0, 0)]
    assert lines(at(0.5), 3) == []
    assert lines(at(0.5, [0]), 1) == [("missed", "cat", -1, 0), ("wrong", "cat", 0, -1)]


def test_a_selection_finds_its_line(at):
    rows = objects.rows_of(at(0.5), 2)
    assert objects.find(rows, {"side": "det", "index": 1}) == 0
    assert objects.find(rows, {"side": "truth", "index": 0}) == 1, (
        "the object belongs to its finder, not to the duplicate"
    )
    assert objects.find(rows, {"side": "none", "index": -1}) is None and objects.find(rows, None) is None
    missed = objects.rows_of(at(0.5), 0)
    assert objects.find(missed, {"side": "truth", "index": 1}) == 0 and missed[0].selection() == {
        "side": "truth",
        "index": 1,
    }


def test_every_verdict_has_its_sentence(at):
    s = at(0.5)
    missed, correct = objects.rows_of(s, 0)
    assert "found here at 0.30 with IoU 0.95 and cut by the threshold 0.50" in objects.sentence(
        missed, 0.5, 0.5
    )
    assert "is correct" in objects.sentence(correct, 0.5, 0.5)
    unjudged = objects.Row("unjudged", "cat", 0.88, float("nan"), 10, 10, "", 0, -1)
    assert "the image has no ground truth to judge it by" in objects.sentence(unjudged, 0.5, 0.5)
    assert "the ground truth knows no cat" in objects.sentence(unjudged, 0.5, 0.5, labelled=True)
    misnamed = next(row for row in objects.rows_of(s, 1) if row.name == "dog")
    assert (
        objects.nearest(s, 1, misnamed) == "It lies nearest to a cat, with IoU 1.00."
        and objects.nearest(s, 1, objects.rows_of(s, 1)[0]) == ""
    )
    assert objects.sentence(misnamed, 0.5, 0.5, near=objects.nearest(s, 1, misnamed)).endswith(
        "by IoU 0.50. It lies nearest to a cat, with IoU 1.00."
    )
    nothing = objects.rows_of(s, 1)[0]
    assert "no detection of its class reaches IoU 0.50" in objects.sentence(nothing, 0.5, 0.5)
    assert "repeats an object" in objects.sentence(objects.rows_of(s, 2)[0], 0.5, 0.5)


def test_what_else_was_said_at_a_missed_object(at):
    s = at(0.5)
    nothing = objects.rows_of(s, 1)[0]
    assert objects.rivals(s, 1, nothing) == [
        {"class": "dog", "confidence": pytest.approx(0.6), "IoU": pytest.approx(1.0), "verdict": "wrong"}
    ]
    assert objects.rivals(s, 0, objects.rows_of(s, 0)[0])[0]["verdict"] == "below the threshold"


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("Worst first", "bacd"),
        ("Most missed", "abcd"),
        ("Most wrong", "bcad"),
        ("Surest mistake", "bacd"),
        ("Best first", "dacb"),
        ("Name", "abcd"),
        ("Data set order", "abcd"),
    ],
)
def test_sorting(at, sort, names):
    s = at(0.5)
    order = gallery_order.arrange(s, sort, gallery_order.Filters())
    assert "".join(s.run.files[i].rsplit("/", 1)[-1][0] for i in order.rows) == names
    assert set(gallery_order.SORTS) >= {sort}


def test_what_is_left_out_adds_up(at):
    s = at(0.5)
    order = gallery_order.arrange(
        s, "Name", gallery_order.Filters(shows=("wrong", "duplicate"), sizes=("small",), name="b")
    )
    assert sum(order.left_out.values()) + len(order.rows) == order.total == 4
    assert order.left_out == {
        "not run yet": 0,
        "by class": 0,
        "by verdict": 2,
        "by object size": 2,
        "by name": 0,
    }


@pytest.mark.parametrize(
    ("score", "threshold", "shown"),
    [
        (0.497, 0.5, 0.49),
        (0.497, 0.49, 0.5),
        (0.5, 0.5, 0.5),
        (0.504, 0.5, 0.5),
        (0.123, 0.5, 0.12),
        (0.999, 1.0, 0.99),
        (0.0, 0.5, 0.0),
    ],
)
def test_a_shown_score_never_contradicts_its_verdict(score, threshold, shown):
    assert objects.shown_score(score, threshold) == shown
