"""The visual language, and where labels may stand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.drawing.labels import place_labels
from analysis.drawing.style import STROKES, label_text, object_stroke, shown_score


def contrast(a, b):
    def luminance(colour):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        ]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_verdicts_differ_in_more_than_colour():
    judged = [STROKES[v] for v in ("correct", "wrong", "missed", "duplicate")]
    assert len({s.colour for s in judged}) == len({s.mark for s in judged}) == 4
    assert [s.colour for s in judged] == ["#009E73", "#D55E00", "#CC79A7", "#8A8A8A"]
    assert all(
        not STROKES[v].dash for v in ("correct", "wrong", "duplicate", "ignored", "below", "unjudged")
    ), "predictions are solid"
    assert all(object_stroke(v).dash for v in ("missed", "found", "ignored", "unjudged")), (
        "ground truth is dashed"
    )


def test_text_on_every_colour_can_be_read():
    for stroke in STROKES.values():
        assert contrast(stroke.ink, stroke.colour) >= 4.5
        assert contrast(stroke.ink, stroke.colour) >= contrast(
            {"#111111": "#FFFFFF", "#FFFFFF": "#111111"}[stroke.ink], stroke.colour
        )


def test_label_text():
    assert label_text("dog", 0.876, "✓") == "✓ dog 0.88" and label_text("dog") == "dog"


def test_no_boxes_no_labels():
    assert place_labels(np.zeros((0, 4)), [], (80, 60)) == []


def test_above_the_box_and_below_where_there_is_no_room():
    above, below = place_labels([[10, 20, 40, 40], [50, 0, 70, 50]], [(20, 8), (20, 8)], (80, 60))
    assert above.xyxy == (10, 12, 30, 20)
    assert below.xyxy == (50, 0, 70, 8), "pushed into the picture"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 25))
def test_laws_of_labels(seed, n):
    rng = np.random.default_rng(seed)
    low = rng.random((n, 2)) * [160, 90]
    boxes = np.hstack([low, low + rng.random((n, 2)) * [40, 30]])
    placed = place_labels(boxes, [(float(w), 9.0) for w in rng.uniform(15, 50, n)], (200, 120), margin=1)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    for i, p in enumerate(placed):
        x1, y1, x2, y2 = p.xyxy
        assert 0 <= x1 < x2 <= 200 and 0 <= y1 < y2 <= 120
        covered = (centres[:, 0] > x1) & (centres[:, 0] < x2) & (centres[:, 1] > y1) & (centres[:, 1] < y2)
        assert not np.delete(covered, p.index).any()
        for q in placed[:i]:
            assert q.xyxy[0] >= x2 or q.xyxy[2] <= x1 or q.xyxy[1] >= y2 or q.xyxy[3] <= y1
    assert placed and placed[0].index <= 1


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
        (0.495, 0.5, 0.49),
        (0.5041, 0.504, 0.51),  # passes a threshold that two digits would not
        (0.5039, 0.504, 0.5),
        (0.004, 0.004, 0.01),
    ],
)
def test_a_shown_score_never_contradicts_its_verdict(score, threshold, shown):
    assert shown_score(score, threshold) == shown
    assert (np.float32(shown) >= np.float32(threshold)) == (np.float32(score) >= np.float32(threshold))
