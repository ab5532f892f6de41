"""The confusion matrix by hand, against a plain loop, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.matching.match import match_run
from analysis.mistakes.confusion import Confusions, list_cell
from detector.boxes import iou
from detector.errors import InputError
from tests.analysis.builders import make_run, random_run

RUN = make_run(
    dets=[
        (0, 0, 0, 20, 10, 0.9, 0),
        (0, 40, 0, 60, 10, 0.8, 0),
        (0, 41, 0, 60, 10, 0.7, 2),
        (0, 0, 0, 19, 10, 0.6, 1),
        (0, 70, 60, 80, 75, 0.6, 1),
        (1, 0, 0, 20, 10, 0.3, 1),
        (1, 60, 0, 80, 10, 0.9, 0),
    ],
    objects=[
        (0, 0, 0, 20, 10, 0),
        (0, 40, 0, 60, 10, 1),
        (1, 0, 0, 20, 10, 1),
        (1, 60, 0, 80, 10, 0, {"crowd"}),
    ],
)


def test_by_hand():
    c = Confusions(RUN).at(0.5)
    # rows car dog cup background; columns the same
    assert c.matrix.tolist() == [[1, 0, 0, 0], [1, 0, 0, 1], [0, 0, 0, 0], [0, 2, 1, 0]]
    assert [v.tolist() for v in c.cell(1, 0)] == [[1], [1]], "the dog that is called a car"
    assert [v.tolist() for v in c.cell(0, 0)] == [[0], [0]]
    dets, objects = c.cell(-1, 1)
    assert sorted(dets.tolist()) == [3, 4] and len(objects) == 0, (
        "its car is taken, so the dog on it is background"
    )
    assert [v.tolist() for v in c.cell(1, -1)] == [[], [2]] and [v.tolist() for v in c.cell(-1, -1)] == [
        [],
        [],
    ]
    assert c.most_confused() == [(1, 0, 1)]


def test_a_lower_threshold_moves_cells():
    assert Confusions(RUN).at(0.3).matrix[1].tolist() == [1, 1, 0, 0]
    assert Confusions(RUN).at(0.75).matrix.tolist() == [
        [1, 0, 0, 0],
        [1, 0, 0, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    assert Confusions(RUN).at([0.95, 0.5, 0.5]).matrix[1].tolist() == [0, 0, 1, 1]


def test_an_object_freed_by_the_threshold_can_be_confused():
    run = make_run([(0, 0, 0, 20, 10, 0.9, 1), (0, 0, 0, 20, 10, 0.4, 0)], [(0, 0, 0, 20, 10, 0)])
    assert Confusions(run).at(0.5).matrix[0].tolist() == [0, 1, 0, 0]
    assert Confusions(run).at(0.3).matrix[0].tolist() == [1, 0, 0, 0]


def test_nothing_and_nonsense():
    empty = Confusions(make_run([], [], num_images=1))
    assert empty.at(0.5).matrix.sum() == 0 and empty.at().most_confused() == []
    with pytest.raises(InputError, match="class ids of 0..2"):
        empty.at().cell(3, 0)
    with pytest.raises(InputError, match="matches of this run"):
        Confusions(RUN, matches=match_run(RUN, class_aware=False))


def plain(run, m, threshold):
    """The two passes in plain loops."""
    d, t, k = run.detections, run.truth, m.num_classes
    matrix = np.zeros((k + 1, k + 1), int)
    free, rest = set(np.flatnonzero(m.truth_counted).tolist()), []
    for n in np.argsort(-d.scores, kind="stable").tolist():
        if d.scores[n] < np.float32(threshold) or m.det_kind[n] == 3:
            continue
        if m.det_kind[n] == 1:
            matrix[d.class_ids[n], d.class_ids[n]] += 1
            free.discard(int(m.det_truth[n]))
        else:
            rest.append(n)
    for n in rest:
        fits = [
            (float(iou(d.xyxy[[n]], t.xyxy[[j]])[0, 0]), j)
            for j in free
            if t.rows[j] == d.rows[n] and t.class_ids[j] != d.class_ids[n]
        ]
        fits = [f for f in fits if f[0] >= m.iou]
        if fits:
            j = max(fits)[1]
            free.discard(j)
            matrix[t.class_ids[j], d.class_ids[n]] += 1
        else:
            matrix[k, d.class_ids[n]] += 1
    for j in free:
        matrix[t.class_ids[j], k] += 1
    return matrix


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 5000), threshold=st.sampled_from([0, 0.3, 0.55, 0.9]))
def test_equal_to_the_plain_loop(seed, threshold):
    run = random_run(seed, images=5)
    table = Confusions(run, 0.4)
    c = table.at(threshold)
    np.testing.assert_array_equal(c.matrix, plain(run, table.matches, threshold))
    k = len(c.matrix) - 1
    for a in range(-1, k):
        for b in range(-1, k):
            dets, objects = c.cell(a, b)
            assert max(len(dets), len(objects)) == c.matrix[a, b], (a, b)


def test_a_cell_as_a_list():
    c = Confusions(RUN).at(0.5)
    (row,) = list_cell(RUN, c, "dog", "car")
    assert row == {
        "sample": "img0",
        "truth": "dog",
        "predicted": "car",
        "object": 1,
        "score": pytest.approx(0.8),
        "x1": 40,
        "y1": 0,
        "x2": 60,
        "y2": 10,
    }
    (missed,) = list_cell(RUN, c, "dog", "background")
    assert missed["score"] is None and missed["sample"] == "img1" and missed["x2"] == 20
    assert [r["object"] for r in list_cell(RUN, c, "background", "dog")] == [None, None]
    with pytest.raises(InputError, match="No class"):
        list_cell(RUN, c, "cat", "dog")
