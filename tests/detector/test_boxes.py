"""Layouts, clipping and IoU by hand, and as laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from detector import boxes

ROUND_TRIPS = [
    (boxes.xywh_to_xyxy, boxes.xyxy_to_xywh),
    (boxes.cxcywh_to_xyxy, boxes.xyxy_to_cxcywh),
    (boxes.yxyx_to_xyxy, boxes.xyxy_to_yxyx),
    (lambda b: boxes.denormalise(b, (97, 41)), lambda b: boxes.normalise(b, (97, 41))),
]
some_boxes = arrays(
    np.float64, st.tuples(st.integers(0, 6), st.just(4)), elements=st.floats(0, 1000, width=32)
)


def test_layouts_by_hand():
    assert boxes.xywh_to_xyxy([[1, 2, 10, 20]]).tolist() == [[1, 2, 11, 22]]
    assert boxes.cxcywh_to_xyxy([[6, 12, 10, 20]]).tolist() == [[1, 2, 11, 22]]
    assert boxes.yxyx_to_xyxy([[2, 1, 22, 11]]).tolist() == [[1, 2, 11, 22]]
    assert boxes.denormalise([[0.5, 0.5, 1, 1]], (200, 40)).tolist() == [[100, 20, 200, 40]]


@pytest.mark.parametrize(("there", "back"), ROUND_TRIPS)
@given(some_boxes)
def test_layouts_round_trip(there, back, xs):
    np.testing.assert_allclose(there(back(xs)), xs.reshape(-1, 4), atol=1e-9 * 1000)


def test_float32_stays_float32():
    assert boxes.xywh_to_xyxy(np.zeros((2, 4), np.float32)).dtype == np.float32
    assert boxes.clip(np.zeros((0, 4), np.float32), (5, 7)).shape == (0, 4)


def test_clip_keeps_a_box_outside_as_a_line_on_the_border():
    assert boxes.clip([[-5, -5, 10, 50], [120, 3, 130, 9]], (97, 41)).tolist() == [
        [0, 0, 10, 41],
        [97, 3, 97, 9],
    ]


def test_iou_by_hand():
    a = [[0, 0, 4, 2], [10, 10, 10, 20]]
    b = [[2, 1, 6, 3], [0, 0, 4, 2], [50, 50, 60, 60]]
    # 2x1 shared, 8 + 8 - 2 in all
    np.testing.assert_allclose(boxes.iou(a, b), [[2 / 14, 1, 0], [0, 0, 0]])
    assert boxes.iou(np.zeros((0, 4)), b).shape == (0, 3)
    assert boxes.iou(a, np.zeros((0, 4))).shape == (2, 0)


def test_a_crowd_is_measured_by_the_detection_alone():
    small, region = [[2, 0, 4, 2]], [[0, 0, 40, 2]]
    assert boxes.iou(small, region)[0, 0] == pytest.approx(4 / 80)
    assert boxes.iou(small, region, crowd=[True])[0, 0] == 1


@given(some_boxes, some_boxes)
def test_iou_laws(a, b):
    a, b = (np.sort(x.reshape(-1, 2, 2), axis=1).reshape(-1, 4) for x in (a, b))
    matrix = boxes.iou(a, b)
    assert ((matrix >= 0) & (matrix <= 1 + 1e-12)).all()
    np.testing.assert_allclose(matrix, boxes.iou(b, a).T)
    n = min(len(a), len(b))
    np.testing.assert_allclose(np.diag(matrix[:n, :n]), boxes.paired_iou(a[:n], b[:n]))


def test_corners_in_any_order_become_the_box_between_them():
    table = np.float32([[5, 1, 2, 9], [2, 9, 5, 1], [1, 2, 3, 4], [4, 4, 4, 4]])
    expected = [[2, 1, 5, 9], [2, 1, 5, 9], [1, 2, 3, 4], [4, 4, 4, 4]]
    found = boxes.ordered(table)
    assert found.dtype == np.float32 and found.tolist() == expected
    assert boxes.ordered(np.zeros((0, 4))).shape == (0, 4)


def test_the_intersection_is_the_area_two_boxes_share():
    a = np.array([[0, 0, 4, 3], [10, 10, 12, 15]])
    b = np.array([[1, 1, 6, 2], [4, 0, 8, 3], [11, 12, 30, 30]])
    # Sides that only touch (column 1) share nothing.
    assert boxes.intersection(a, b).tolist() == [[3, 0, 0], [0, 0, 3]]
    assert boxes.intersection(a, np.zeros((0, 4))).shape == (2, 0)
