"""A ladder answers as post-processing does, whatever was asked of it before, and whether or not the guess was
right.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.misses.ranking import RankedCandidates
from detector.greedy_nms import FULL, NOBODY, GreedyNMS
from detector.nms import PostprocessSettings, select

WINDOW = (0.0, 0.0, 60.0, 45.0)


def material(seed: int, count: int = 150, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(boxes, some of them outside or without area; scores with many ties)."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(-15, 70, (count, 2, 2)).astype(np.float32)
    return np.sort(corners, axis=1).reshape(-1, 4), (rng.integers(0, 40, (count, classes)) / 40).astype(
        np.float32
    )


def detections(boxes, scores, floor, iou, cap, total):
    trace = select(
        scores, lambda rows: boxes[rows], PostprocessSettings(floor, iou, cap, total), window=WINDOW
    )
    rows = trace.kept()
    return list(zip(trace.anchor_ids[rows].tolist(), trace.class_ids[rows].tolist()))


def asked(ladder, floor, cap, total):
    rows = ladder.detections(floor, cap, total)
    return list(zip(ladder.anchors[rows].tolist(), ladder.columns[rows].tolist()))


@given(
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.9]), st.integers(1, 30), st.integers(0, 60)),
        min_size=1,
        max_size=5,
    ),
)
@settings(max_examples=60, deadline=None)
def test_every_question_in_any_order(seed, iou, questions):
    boxes, scores = material(seed)
    ladder = RankedCandidates(scores, boxes, iou, WINDOW)
    for floor, cap, more in questions:
        assert asked(ladder, floor, cap, cap + more) == detections(boxes, scores, floor, iou, cap, cap + more)


@pytest.mark.parametrize("wrong", [False, True])
def test_a_guess_right_or_wrong(wrong):
    """A guess saves work; a wrong one changes nothing."""
    boxes, scores = material(5)
    expected = detections(boxes, scores, 0.1, 0.4, 20, 30)
    guess = expected[:-3] + [(a, (c + 1) % 3) for a, c in expected[-3:]] if wrong else expected
    ladder = RankedCandidates(scores, boxes, 0.4, WINDOW, tuple(np.array(guess).T))
    assert asked(ladder, 0.1, 20, 30) == expected
    assert asked(ladder, 0.0, 50, 200) == detections(boxes, scores, 0.0, 0.4, 50, 200), (
        "and it goes on from there"
    )


@pytest.mark.parametrize("guess", [([], []), ([140], [-1])], ids=["of nothing", "of no class"])
def test_a_guess_of_nothing_is_none(guess):
    boxes, scores = material(5)
    ladder = RankedCandidates(scores, boxes, 0.4, WINDOW, tuple(np.array(side, np.int64) for side in guess))
    assert asked(ladder, 0.1, 20, 30) == detections(boxes, scores, 0.1, 0.4, 20, 30)


def test_a_right_guess_saves_the_walk(monkeypatch):
    boxes, scores = material(5)
    kept = RankedCandidates(scores, boxes, 0.4, WINDOW).down_to(0.5)
    rows = np.flatnonzero(kept.rank > 0)
    walks = []
    walk = GreedyNMS._block
    monkeypatch.setattr(GreedyNMS, "_block", lambda self, *args: walks.append(1) or walk(self, *args))
    told = RankedCandidates(scores, boxes, 0.4, WINDOW, (kept.anchors[rows], kept.columns[rows]))
    assert (
        told.detections(0.5, 1000, len(rows)).tolist() == kept.detections(0.5, 1000, len(rows)).tolist()
        and not walks
    )
    assert np.array_equal(told.by, kept.by[: len(told.by)]) and np.array_equal(
        told.rank, kept.rank[: len(told.by)]
    )


def test_an_empty_ladder():
    ladder = RankedCandidates(np.zeros((0, 2), np.float32), np.zeros((0, 4), np.float32), 0.5, WINDOW)
    assert not len(ladder.detections(0.0, 10, 10)) and ladder.row(3, 0) is None and ladder.ahead(0.0) == 0


@pytest.mark.parametrize("together", [False, True])
def test_suppression_in_parts_of_any_size(together):
    """All at once, one by one, or in blocks: the same, and as one walks by hand."""
    boxes, scores = material(9, 400)
    order = np.argsort(-scores[:, 0], kind="stable")
    boxes, groups = boxes[order], np.arange(400) % 3
    whole = GreedyNMS(0.3, together=together)
    whole.add(boxes, groups)
    for size in (1, 7, 256):
        parts = GreedyNMS(0.3, together=together)
        for at in range(0, 400, size):
            parts.add(boxes[at : at + size], groups[at : at + size])
        assert np.array_equal(parts.by, whole.by) and np.array_equal(parts.rank, whole.rank)
    kept = np.flatnonzero(whole.by == NOBODY)
    assert [whole.rank[r] for r in kept if groups[r] == 1] == list(
        range(1, int((groups[kept] == 1).sum()) + 1)
    )


def test_a_full_group_takes_no_more():
    """Boxes 10 wide side by side, group 0 keeps two: the second suppresses nobody, who comes then finds it
    full.
    """
    boxes = np.float32(
        [[0, 0, 10, 10], [20, 0, 30, 10], [1, 0, 10, 10], [21, 0, 30, 10], [40, 0, 50, 10], [20, 0, 30, 10]]
    )
    for together in (False, True):
        greedy = GreedyNMS(0.5, most=2, together=together)
        greedy.add(boxes, np.array([0, 0, 0, 0, 0, 1]))
        assert greedy.by.tolist() == [NOBODY, NOBODY, 0, FULL, FULL, NOBODY] and greedy.rank.tolist() == [
            1,
            2,
            0,
            0,
            0,
            1,
        ]
