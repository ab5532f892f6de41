"""Which objects anchors reach: the quick way against every anchor, and tables counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.datasets.anchor_reach import AnchorSet, best_iou, reach
from detector.boxes import iou
from detector.errors import InputError
from detector.training.networks import read_network
from tests.analysis.dataset_builders import table


def grid(rows=2, columns=3, height=0.5, width=0.25) -> AnchorSet:
    """One type of anchor on a grid of the whole frame."""
    cells = np.array([(r, c, 0) for r in range(rows) for c in range(columns)])
    y, x = (cells[:, 0] + 0.5) / rows, (cells[:, 1] + 0.5) / columns
    boxes = np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], axis=1)
    return AnchorSet("grid", boxes, np.zeros(len(cells)), cells, (96, 64))


def network(name: str, size=None) -> AnchorSet:
    chosen = read_network(name, size)
    a = chosen.anchors
    return AnchorSet(name, a.boxes, a.levels, a.cells, (chosen.config.width, chosen.config.height))


SETS = [grid(), network("ssd_mobilenet_v2_fpnlite", (96, 64)), network("ssd_mobilenet_v2", (120, 90))]
side = st.floats(0, 1, width=32)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SETS), st.lists(st.tuples(side, side, side, side), max_size=6))
def test_the_nearest_anchor_of_each_size_is_the_best_of_all(anchors, corners):
    boxes = np.array([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in corners]).reshape(-1, 4)
    every = iou(boxes, anchors.boxes).max(axis=1, initial=0)
    assert best_iou(boxes, anchors) == pytest.approx(every, abs=2e-5)


def test_anchors_that_are_no_grid_are_refused():
    good = grid()
    moved = good.boxes.copy()
    moved[0, [1, 3]] += 0.1
    with pytest.raises(InputError, match="grid"):
        AnchorSet("bad", moved, good.levels, good.cells, (96, 64))


def test_a_table_by_hand():
    # On 200x100 the anchors measure 50 x 50 pixels, centred at x 33.3, 100, 166.7 and y 25, 75.
    dataset = table(
        [
            (0, 0, 75, 0, 125, 50),
            (0, 0, 75, 0, 125, 24),
            (0, 1, 75, 0, 85, 10),
            (0, 1, 0, 0, 200, 100),
            (1, 1, 0, 0, 5, 5),
        ],
        sizes=((200, 100), (0, 0)),
        flags={"crowd": [False, False, False, True, False]},
    )
    found = reach(dataset, grid())
    assert found.iou[:3] == pytest.approx([1.0, 0.48, 0.04], abs=1e-5) and np.isnan(found.iou[3:]).all(), (
        "a crowd, and an image of unknown size"
    )
    assert (found.whole.objects, found.whole.reached, found.whole.ceiling) == (3, 1, pytest.approx(1 / 3))
    assert [(p.name, p.objects, p.reached) for p in found.classes] == [("car", 2, 1), ("dog", 1, 0)]
    # At an input of 96x64: 24x32 (side 27.7), 24x15.4 (19.2), 4.8x6.4 (5.5).
    assert [(p.objects, p.reached) for p in found.sizes] == [(1, 0), (0, 0), (2, 1), (0, 0), (0, 0)]
    assert found.shorter[:3] == pytest.approx([24, 15.36, 4.8], abs=1e-4)
    assert found.unreached.tolist() == [False, True, True, False, False]
    assert found.to_dict(("car", "dog"))["classes_by_size"]["car"]["16 to 32 px"] == {
        "objects": 2,
        "reached": 1,
        "ceiling": 0.5,
    }


def test_no_objects():
    found = reach(table([], sizes=((200, 100),)), grid())
    assert found.whole.objects == 0 and found.whole.ceiling is None and found.classes == ()


def test_a_cell_is_the_stride_of_the_finest_map():
    assert network("ssd_mobilenet_v2_fpnlite").cell == 8
    assert network("ssd_mobilenet_v2_fpnlite", (640, 640)).cell == 8


def test_real_data(shared):
    from detector import load_dataset

    found = reach(load_dataset(shared / "data" / "bccd"), network("ssd_mobilenet_v2_fpnlite"))
    assert found.whole.objects == 4886
    assert {p.name: p.reached for p in found.classes} == {"Platelets": 198, "RBC": 4153, "WBC": 371}
