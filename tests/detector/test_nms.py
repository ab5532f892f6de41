from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.core import Candidates
from detector.errors import ConfigError
from detector.nms import CLASS_CAP, KEPT, OUTSIDE, SUPPRESSED, TOTAL_CAP, PostprocessSettings, explain, replay


def candidates(rows, image_size=(100, 50), classes=2) -> Candidates:
    """Rows (x1, y1, x2, y2, class, score), one anchor a row."""
    scores = np.zeros((len(rows), classes), np.float32)
    for i, row in enumerate(rows):
        scores[i, row[4]] = row[5]
    return Candidates(np.float32([row[:4] for row in rows]).reshape(-1, 4), scores, image_size)


def plain(candidates: Candidates, s: PostprocessSettings) -> list[tuple[int, int]]:
    """The rule as its sentence says it, one box at a time: [(anchor, class), ...]."""
    found = []
    for c in range(candidates.scores.shape[1]):
        rows = [a for a in range(len(candidates)) if candidates.scores[a, c] > np.float32(s.score_threshold)]
        kept: list[int] = []
        for a in sorted(rows, key=lambda a: (-candidates.scores[a, c], a)):
            if len(kept) < s.max_detections_per_class and all(
                overlap(candidates.xyxy[a], candidates.xyxy[k]) <= np.float32(s.iou_threshold) for k in kept
            ):
                kept.append(a)
        found += [(-candidates.scores[a, c], c, i, a) for i, a in enumerate(kept)]
    width, height = candidates.image_size
    out = []
    for _, c, _, a in sorted(found):
        x1, y1, x2, y2 = candidates.xyxy[a]
        if (
            (min(x2, width) - max(x1, 0)) > 0
            and (min(y2, height) - max(y1, 0)) > 0
            and x1 < width
            and y1 < height
        ):
            out.append((a, c))
    return out[: s.max_total_detections]


def overlap(a, b) -> np.float32:
    inter = max(min(a[2], b[2]) - max(a[0], b[0]), np.float32(0)) * max(
        min(a[3], b[3]) - max(a[1], b[1]), np.float32(0)
    )
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    return inter / union if inter > 0 else np.float32(0)


def pairs(d) -> list[tuple[int, int]]:
    return list(zip(d.anchor_ids.tolist(), d.class_ids.tolist()))


def test_nothing_above_the_threshold():
    assert len(replay(candidates([]), PostprocessSettings())) == 0
    found = replay(candidates([(0, 0, 10, 10, 0, 0.3)]), PostprocessSettings(score_threshold=0.3))
    assert len(found) == 0 and found.image_size == (100, 50), "a score equal to the threshold is not above it"


def test_suppression_is_per_class_and_strict():
    """Boxes 10x6 and 10x10 in one corner: IoU 0.6 as float32 has it; equal to the threshold survives."""
    rows = [(0, 0, 10, 10, 0, 0.9), (0, 0, 10, 6, 0, 0.8), (0, 0, 10, 6, 1, 0.7), (0, 0, 10, 7, 0, 0.6)]
    # The fourth has 0.7 with the first.
    assert pairs(replay(candidates(rows), PostprocessSettings(0.1, 0.6))) == [(0, 0), (1, 0), (2, 1)]
    assert pairs(replay(candidates(rows), PostprocessSettings(0.1, 0.59))) == [(0, 0), (2, 1)]


def test_equal_scores_lower_anchor_then_lower_class_first():
    rows = [(0, 0, 10, 10, 1, 0.5), (1, 0, 10, 10, 0, 0.5), (0, 0, 10, 10, 0, 0.5)]
    # Class 0: anchor 1 is met before anchor 2 and suppresses it; in all, class 0 stands before class 1.
    assert pairs(replay(candidates(rows), PostprocessSettings(0.1))) == [(1, 0), (0, 1)]


def test_a_box_outside_suppresses_and_takes_its_place_before_it_is_dropped():
    rows = [
        (-30, 0, -1, 10, 0, 0.9),
        (-30, 0, 1, 10, 0, 0.8),
        (40, 0, 60, 10, 0, 0.7),
        (40, 20, 60, 30, 0, 0.6),
    ]
    trace = explain(candidates(rows), PostprocessSettings(0.1, 0.5, 2, 10))
    assert trace.fates.tolist() == [OUTSIDE, SUPPRESSED, KEPT, CLASS_CAP]
    assert trace.suppressed_by.tolist() == [-1, 0, -1, -1]
    assert pairs(replay(candidates(rows), PostprocessSettings(0.1, 0.5, 2, 10))) == [(2, 0)]


def test_boxes_are_clipped_at_the_end():
    found = replay(candidates([(-5, 10, 120, 60, 0, 0.9)]), PostprocessSettings(0.1))
    assert found.xyxy.tolist() == [[0, 10, 100, 50]]


def test_the_total_cap_goes_to_the_best_of_all_classes():
    rows = [(0, 0, 10, 10, 0, 0.5), (20, 0, 30, 10, 1, 0.9), (40, 0, 50, 10, 0, 0.7)]
    s = PostprocessSettings(0.1, 0.6, 2, 2)
    assert pairs(replay(candidates(rows), s)) == [(1, 1), (2, 0)]
    assert explain(candidates(rows), s).fates.tolist() == [KEPT, KEPT, TOTAL_CAP]


def test_the_one_who_suppressed_is_named_by_row():
    rows = [(0, 0, 10, 10, 0, 0.5), (0, 0, 10, 9, 0, 0.9), (50, 0, 60, 10, 0, 0.8), (50, 0, 60, 9, 0, 0.6)]
    trace = explain(candidates(rows), PostprocessSettings(0.1))
    assert trace.anchor_ids.tolist() == [1, 2, 3, 0]
    assert trace.suppressed_by.tolist() == [-1, -1, 1, 0]


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 60),
    st.sampled_from([0.0, 0.2, 0.5]),
    st.sampled_from([0.0, 0.3, 0.6, 1.0]),
    st.integers(1, 5),
    st.integers(0, 20),
)
def test_the_fast_walk_equals_the_plain_rule(seed, count, floor, iou, per_class, more):
    """With many ties: scores are tenths, corners multiples of five, boxes partly outside."""
    rng = np.random.default_rng(seed)
    low = rng.integers(-4, 20, (count, 2)) * 5
    xyxy = np.concatenate([low, low + rng.integers(1, 8, (count, 2)) * 5], axis=1).astype(np.float32)
    c = Candidates(xyxy, rng.integers(0, 10, (count, 3)).astype(np.float32) / 10, (97, 43))
    s = PostprocessSettings(floor, iou, per_class, per_class + more)
    want = plain(c, s)
    assert pairs(replay(c, s)) == want
    trace = explain(c, s)
    assert [(int(trace.anchor_ids[r]), int(trace.class_ids[r])) for r in trace.kept()] == want
    assert len(trace) == (c.scores > np.float32(floor)).sum()
    assert ((trace.suppressed_by >= 0) == (trace.fates == SUPPRESSED)).all()


def test_many_candidates_are_searched_in_steps_with_the_same_answer():
    """More candidates than the first pools hold, nearly all suppressed, so that the search must go deeper."""
    rng = np.random.default_rng(5)
    base = np.repeat(rng.integers(0, 8, (4000, 1)) * 11, 4, axis=1) + np.float32([0, 0, 10, 10])
    c = Candidates(base, rng.random((4000, 30)).astype(np.float32), (100, 100))
    s = PostprocessSettings(0.01, 0.6, 100, 300)
    trace = explain(c, s)
    found = replay(c, s)
    assert len(found) == 240  # 8 places, 30 classes
    assert np.array_equal(trace.anchor_ids[trace.kept()], found.anchor_ids)


def test_settings_are_checked():
    with pytest.raises(ConfigError, match="iou_threshold.*1.5"):
        PostprocessSettings(iou_threshold=1.5)
    with pytest.raises(ConfigError, match="max_total_detections: expected at least 1"):
        PostprocessSettings(max_total_detections=0)
    with pytest.raises(
        ConfigError, match=r"max_detections_per_class \(100\) must not exceed max_total_detections \(10\)"
    ):
        PostprocessSettings(max_total_detections=10)
