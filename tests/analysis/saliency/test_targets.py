"""Targets: which anchors, with which weights."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.saliency.targets import (
    Target,
    contrast_target,
    logit,
    target_class,
    target_from_detection,
    target_from_truth,
)
from detector.core import Candidates
from detector.errors import InputError

SIZE = (80, 50)
XYXY = np.array([[0, 0, 20, 20], [1, 0, 21, 20], [40, 10, 60, 30], [-2, -1, 18, 19]], np.float32)
SCORES = np.array([[0.7, 0.1], [0.2, 0.6], [0.9, 0.05], [0.3, 0.3]], np.float32)
SHOWN = Candidates(XYXY, SCORES, SIZE)


def anchored() -> Candidates:
    return Candidates(
        XYXY,
        SCORES,
        SIZE,
        anchors=XYXY + np.float32([[0, 0, 0, 0], [30, 0, 30, 0], [0, 0, 0, 0], [0, 0, 0, 0]]),
        levels=np.zeros(4),
    )


def test_a_detection_is_its_anchor_or_the_row_that_fits_it():
    assert target_from_detection(SHOWN, [40, 10, 60, 30], 0, 0.9, anchor_id=2).anchor_ids.tolist() == [2]
    assert target_from_detection(SHOWN, [0, 0, 20, 20], 0, 0.7).anchor_ids.tolist() == [0]
    assert target_from_detection(SHOWN, [0, 0, 20, 20], 1, 0.6).anchor_ids.tolist() == [1], (
        "the score tells near twins apart"
    )
    assert target_from_detection(SHOWN, [0, 0, 18, 19], 0, 0.3).anchor_ids.tolist() == [3], (
        "detections are clipped, candidates are not"
    )
    alone = target_from_detection(None, [0, 0, 5, 5], 0, 0.5)
    assert len(alone.anchor_ids) == 0 and alone.box.tolist() == [0, 0, 5, 5]
    with pytest.raises(InputError, match=r"class_id: expected 0\.\.1"):
        target_from_detection(SHOWN, [0, 0, 5, 5], 2, 0.5)
    with pytest.raises(InputError, match=r"anchor_id: expected 0\.\.3"):
        target_from_detection(SHOWN, [0, 0, 5, 5], 0, 0.5, anchor_id=4)


def test_a_missed_object_is_its_anchors_weighted_by_the_softmax_of_their_logits():
    t = target_from_truth(SHOWN, [0, 0, 20, 20], 0)
    assert t.anchor_ids.tolist() == [0, 3, 1] and "candidate box" in t.note
    odds = np.array([0.7 / 0.3, 0.3 / 0.7, 0.2 / 0.8])  # exp(logit)
    np.testing.assert_allclose(t.weights, odds / odds.sum(), rtol=1e-5)
    assert target_from_truth(SHOWN, [0, 0, 20, 20], 0, most=1).anchor_ids.tolist() == [0]
    assert target_from_truth(anchored(), [0, 0, 20, 20], 0).anchor_ids.tolist() == [
        0,
        3,
    ], "anchors, not the boxes they became"
    assert target_from_truth(SHOWN, [0, 0, 20, 20], 1, assigned=np.array([2, 0])).anchor_ids.tolist() == [
        0,
        2,
    ]
    far = target_from_truth(SHOWN, [70, 40, 80, 50], 0)
    assert len(far.anchor_ids) == 1 and far.weights.tolist() == [1] and "most" in far.note
    assert len(target_from_truth(None, [0, 0, 5, 5], 0).anchor_ids) == 0


def test_a_class_is_its_anchors_above_the_threshold():
    assert target_class(SHOWN, 0, 0.25).anchor_ids.tolist() == [2, 0, 3]
    assert target_class(SHOWN, 0, 0.25, most=2).anchor_ids.tolist() == [2, 0]
    assert target_class(SHOWN, 0, 0.95).anchor_ids.tolist() == [2], "the best one where none reaches it"
    with pytest.raises(InputError, match="expected candidates"):
        target_class(Candidates(np.zeros((0, 4)), np.zeros((0, 2)), SIZE), 0, 0.5)


def test_part_of_a_target_keeps_its_weight():
    t = Target("missed", 0, [0, 0, 9, 9], [3, 12, 7], [0.5, 0.3, 0.2])
    part = t.within(0, 10)
    assert part.anchor_ids.tolist() == [3, 7] and part.weights.tolist() == pytest.approx(
        [0.5 / 0.7, 0.2 / 0.7]
    )
    assert t.within(0, 20) is t and t.key() != part.key()
    with pytest.raises(InputError, match="none of its anchors"):
        t.within(40, 10)
    both = contrast_target(t, 1)
    assert both.class_ids.tolist() == [0, 0, 0, 1, 1, 1] and both.weights.sum() == pytest.approx(0)
    with pytest.raises(InputError, match="a weight and a class an anchor"):
        Target("missed", 0, None, [1, 2], [1.0])


def test_logit_is_the_inverse_of_the_sigmoid():
    z = np.array([-5, 0.0, 3.25])
    np.testing.assert_allclose(logit(1 / (1 + np.exp(-z))), z, atol=1e-9)
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_a_score_and_an_iou_of_exactly_the_bound_count():
    scores = np.array([[0.25], [0.5], [0.75]], np.float32)
    boxes = np.array([[0, 0, 10, 10], [0, 0, 20, 10], [0, 0, 30, 10]], np.float32)
    shown = Candidates(boxes, scores, SIZE, anchors=boxes)
    assert target_class(shown, 0, 0.5).anchor_ids.tolist() == [2, 1]
    assert target_from_truth(shown, boxes[0], 0, iou=0.5).anchor_ids.tolist() == [1, 0], "IoU 1/2 and 1"
