"""Boxes kept, clipped, or left out with a reason."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detector.data.formats.box_checks import Place, check_boxes, cut_out


def judge(boxes, size=(50, 30), **options):
    boxes = np.array(boxes, float).reshape(-1, 4)
    sizes = np.tile(size, (len(boxes), 1))
    return check_boxes(boxes, sizes, lambda k: Place(f"box {k}", "labels.txt", 10 + k, "a"), **options)


def test_nothing_in_nothing_out():
    boxes, keep, problems = judge([])
    assert boxes.shape == (0, 4) and keep.shape == (0,) and problems == []


def test_each_fault_has_its_kind_its_line_and_its_fate():
    table = [
        ([1, 2, 10, 12], None, True, [1, 2, 10, 12]),
        ([np.nan, 2, 10, 12], "malformed box", False, None),
        ([10, 2, 1, 12], "reversed box", False, None),
        ([5, 5, 5, 9], "zero-area box", False, None),
        ([-5, 2, 10, 40], "box past border", True, [0, 2, 10, 30]),
        ([49.98, 1, 50.02, 3], None, True, [49.98, 1, 50, 3]),
        ([60, 2, 70, 12], "box outside", False, None),
        ([-9, 2, 0, 12], "box outside", False, None),
        ([0.1, 0.2, 0.5, 0.4], "normalised box", True, [5, 6, 25, 12]),
    ]
    boxes, keep, problems = judge([row[0] for row in table])
    assert keep.tolist() == [row[2] for row in table]
    for k, (_, _, kept, want) in enumerate(table):
        if kept:
            assert np.allclose(boxes[k], want), k
    named = {p.line - 10: p for p in problems}
    assert {k: p.kind for k, p in named.items()} == {k: row[1] for k, row in enumerate(table) if row[1]}
    assert all(
        p.left_out is not table[k][2] and p.path == "labels.txt" and p.sample_id == "a"
        for k, p in named.items()
    )
    assert named[8].message.startswith(
        "box 8: expected pixels, got fractions of the image [0.1, 0.2, 0.5, 0.4]"
    )


def test_a_whole_picture_as_fractions_counts_where_its_neighbours_are_fractions():
    assert judge([[0, 0, 1, 1], [0.25, 0.5, 0.5, 1]])[0].tolist() == [[0, 0, 50, 30], [12.5, 15, 25, 30]]
    assert judge([[0, 0, 1, 1], [2, 3, 9, 9]])[0][0].tolist() == [0, 0, 1, 1]  # one pixel among pixel boxes
    assert judge([[0.25, 0.5, 0.5, 1]], size=(0, 0))[1].tolist() == [False]


def test_shift_comes_after_the_judgement():
    boxes, keep, problems = judge([[1, 1, 50, 30], [4, 4, 4, 9]], shift=(-1, -1))
    assert boxes[0].tolist() == [0, 0, 50, 30] and keep.tolist() == [True, False]
    assert [p.kind for p in problems] == ["zero-area box"]


@given(st.lists(st.tuples(*[st.floats(-80, 120, width=32)] * 4), max_size=12))
def test_what_is_kept_is_a_box_in_the_image_and_what_is_not_has_a_reason(rows):
    boxes, keep, problems = judge(rows)
    kept = boxes[keep]
    assert (kept >= 0).all() and (kept[:, 2] <= 50).all() and (kept[:, 3] <= 30).all()
    assert (kept[:, :2] < kept[:, 2:]).all()
    assert {p.line - 10 for p in problems if p.left_out} == set(np.flatnonzero(~keep))


def test_pictures_cut_out_along_their_only_box():
    sizes = np.array([(20, 11), (20, 11), (40, 30), (20, 11), (0, 0)])
    xyxy = np.array(
        [
            [5, 7, 25, 18],
            [0, 0, 20, 11],
            [5, 7, 25, 18],
            [5, 7, 25, 18],
            [1, 2, 4, 5],
            [5, 7, 25, 18],
            [np.nan] * 4,
        ]
    )
    rows = np.array([0, 1, 2, 3, 3, 4, 2])
    assert cut_out(xyxy[:3], rows[:3], sizes).tolist() == [True, False, False]
    assert not cut_out(xyxy[3:], rows[3:], sizes).any()  # two boxes, an unknown size, an unreadable box
    assert cut_out(np.array([[1.0, 2, 21, 13]]), np.array([0]), sizes).tolist() == [
        False
    ]  # within two pixels: a sloppy border
    assert cut_out(np.zeros((0, 4)), np.zeros(0, int), sizes).shape == (0,)
