"""Pairing two runs object by object: by hand, its laws, figures and bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.parity.pairs import GAINED, KEPT, LOST, pair_runs
from analysis.parity.report import Bounds, report, rows_of, text
from analysis.runs.in_memory import run_from_detections
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import InputError

SIZE = (90, 60)
CLASSES = ClassMap(("cat", "dog"))


def dataset(n: int = 2, objects=()) -> Dataset:
    rows, boxes, ids = ([o[k] for o in objects] for k in range(3))
    return Dataset(
        name="two",
        format="memory",
        source="memory",
        class_map=CLASSES,
        sample_ids=[f"s{i}" for i in range(n)],
        files=[""] * n,
        sizes=np.tile(SIZE, (n, 1)),
        objects=ObjectTable.build(
            np.array(rows, np.int32), np.array(boxes, np.float32).reshape(-1, 4), np.array(ids, np.int32)
        ),
        loader=lambda i: np.zeros((SIZE[1], SIZE[0], 3), np.uint8),
    )


def run(found, *, classes: ClassMap = CLASSES, data: Dataset | None = None, name: str = "d", **kwargs):
    """`found`: a list of (class name, box, score) an image, or None for an image not done."""
    data = data or dataset(len(found))
    detections = [
        None
        if rows is None
        else Detections(
            np.array([b for _, b, _ in rows], np.float32).reshape(-1, 4),
            np.array([s for *_, s in rows], np.float32),
            np.array([classes.index(c) for c, *_ in rows], np.int32),
            SIZE,
        )
        for rows in found
    ]
    return run_from_detections(
        data, detections, DetectorInfo(name, "test", classes, weights_hash=name * 8), **kwargs
    )


def test_nothing_found_is_nothing_lost():
    p = pair_runs(run([[], []]), run([[], []]))
    f = p.figures()
    assert len(p) == 0 and (f["lost"], f["gained"], f["lost_share"]) == (0, 0, 0.0)
    assert f["score_difference"] is None and f["least_iou"] is None
    assert not Bounds.parse("0", score=0, box=0).broken(f)


A = [
    [
        ("cat", (10, 10, 30, 40), 0.9),
        ("dog", (50, 5, 80, 45), 0.8),
        ("cat", (0, 45, 20, 60), 0.6),
        ("dog", (60, 50, 70, 58), 0.3),
    ],
    [("dog", (5, 5, 25, 35), 0.7), ("cat", (40, 10, 70, 50), 0.55)],
]
B = [
    [
        ("cat", (11, 10, 30, 42), 0.88),
        ("dog", (50, 5, 80, 45), 0.8),
        ("cat", (0, 45, 20, 60), 0.4),
        ("dog", (60, 50, 70, 58), 0.51),
    ],
    [("cat", (5, 5, 25, 35), 0.65), ("cat", (60, 30, 89, 59), 0.52)],
]


def test_each_object_by_hand():
    p = pair_runs(run(A), run(B), 0.5)
    got = [
        (int(k), p.a.sample_ids[i], p.names[c], round(float(sa), 2), round(float(sb), 2))
        for k, i, c, sa, sb in zip(p.kind, p.image, p.class_id, p.score_a, p.score_b)
    ]
    assert got == [  # lost, gained, kept; the largest difference of score first
        (LOST, "s1", "dog", 0.7, -1),
        (LOST, "s1", "cat", 0.55, -1),
        (LOST, "s0", "cat", 0.6, 0.4),
        (GAINED, "s1", "cat", -1, 0.65),
        (GAINED, "s1", "cat", -1, 0.52),
        (GAINED, "s0", "dog", 0.3, 0.51),
        (KEPT, "s0", "cat", 0.9, 0.88),
        (KEPT, "s0", "dog", 0.8, 0.8),
    ]
    # The dog of s1 is a cat to b; the cat of s1 is a gained one's place too far away.
    assert [p.b.detections.scores[o].round(2) if o >= 0 else None for o in p.other[:3]] == [
        np.float32(0.65),
        None,
        None,
    ]
    assert (
        p.shift[6] == 2.0
        and p.overlap[6] == pytest.approx(19 * 30 / (20 * 30 + 19 * 32 - 19 * 30))
        and np.isnan(p.shift[0])
    )
    f = p.figures()
    assert (f["objects_a"], f["objects_b"], f["kept"], f["lost"], f["gained"], f["renamed"]) == (
        5,
        5,
        2,
        3,
        3,
        1,
    )
    assert f["lost_share"] == 0.6 and f["moved"] == 1 and f["rescored"] == 1
    assert f["score_difference"]["largest"] == pytest.approx(0.02, abs=1e-6) and f["score_difference"][
        "median"
    ] == pytest.approx(0.01, abs=1e-6)
    assert f["box_difference"] == {"largest": 2.0, "median": 1.0, "of_95_percent": pytest.approx(1.9)}
    assert f["true_positives_a"] is None or f["true_positives_a"] == 0


def test_two_objects_need_two_boxes():
    """One box of b serves one of two overlapping cats, the surer one."""
    near = [[("cat", (10, 10, 40, 40), 0.9), ("cat", (14, 10, 44, 40), 0.8)]]
    p = pair_runs(run(near), run([[("cat", (12, 10, 42, 40), 0.7)]]))
    assert p.kind.tolist() == [LOST, KEPT] and p.score_a.round(2).tolist() == pytest.approx([0.8, 0.9])


def test_classes_are_paired_by_name():
    p = pair_runs(
        run([[("cat", (10, 10, 30, 40), 0.9)]]),
        run(
            [[("cat", (10, 10, 30, 40), 0.9), ("cow", (50, 5, 80, 45), 0.8)]],
            classes=ClassMap(("cow", "dog", "cat")),
        ),
    )
    assert p.kind.tolist() == [GAINED, KEPT] and [p.names[c] for c in p.class_id] == ["cow", "cat"]


def test_one_threshold_a_class_and_another_for_b():
    thresholds = np.array([0.85, 0.5], np.float32)
    assert pair_runs(run(A), run(A), thresholds).figures()["objects_a"] == 3
    assert pair_runs(run(A), run(A), 0.5, threshold_b=0.75).figures()["lost"] == 3


def test_only_images_both_went_through():
    p = pair_runs(run(A), run([B[0], None]))
    assert p.figures()["images"] == 1 and p.left_out == 1 and p.figures()["objects_a"] == 3
    with pytest.raises(InputError, match="no image went through both"):
        pair_runs(run([None, A[1]]), run([B[0], None]))
    with pytest.raises(InputError, match="above 0"):
        pair_runs(run(A), run(B), iou=0)


def test_true_positives_lost():
    data = dataset(2, [(0, (10, 10, 30, 40), 0), (0, (0, 45, 20, 60), 0), (1, (5, 5, 25, 35), 1)])
    p = pair_runs(run(A, data=data), run(B, data=data))
    f = p.figures()
    assert (f["true_positives_a"], f["true_positives_lost"], f["true_positives_gained"]) == (3, 2, 0)
    assert Bounds.parse("66%").broken(f) == ["2 of 3 true positives are lost (66.67 %), more than 66 %."]
    assert Bounds.parse("67%").broken(f) == [] and Bounds.parse("2").broken(f) == []
    assert Bounds.parse("2", every_object=True).broken(f) == [
        "3 of 5 objects are lost (60.00 %), more than 2."
    ]


def test_bounds_are_said_and_read():
    f = pair_runs(run(A), run(B)).figures()
    assert Bounds.parse(score=0.01, box=1.5).broken(f) == [
        "a score differs by 0.02, more than 0.01.",
        "a box differs by 2 pixels, more than 1.5.",
    ]
    for wrong in ("half", "-1", "-2%"):
        with pytest.raises(InputError):
            Bounds.parse(wrong)


def test_the_report_lists_what_changed():
    p = pair_runs(run(A), run(B))
    out = report(p, None)
    assert (
        len(out["objects"]) == 7
        and out["objects"][0]["renamed"]["class"] == "cat"
        and out["objects"][2]["score_b"] == pytest.approx(0.4)
    )
    assert rows_of(p, ("moved",)).tolist() == [6] and rows_of(p, ()).tolist() == []
    assert "lost              3 (60.00 %), 1 of them under another class" in text(p, None)


boxes = st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(5, 29), st.integers(5, 19)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)
image = st.lists(
    st.tuples(st.sampled_from(("cat", "dog")), boxes, st.integers(1, 20).map(lambda s: s / 20)), max_size=6
).map(lambda rows: sorted(rows, key=lambda r: -r[2]))


@settings(max_examples=30, deadline=None)
@given(st.lists(image, min_size=1, max_size=3), st.data())
def test_laws(found, draw):
    same = pair_runs(run(found), run(found)).figures()
    assert (same["lost"], same["gained"]) == (0, 0) and (same["score_difference"] or {"largest": 0})[
        "largest"
    ] == 0
    other = [draw.draw(image) for _ in found]
    p = pair_runs(run(found), run(other), 0.5)
    f = p.figures()
    assert f["objects_a"] == sum(s >= 0.5 for rows in found for *_, s in rows) == f["kept"] + f["lost"]
    assert f["objects_b"] == sum(s >= 0.5 for rows in other for *_, s in rows) == f["kept"] + f["gained"]
    kept = p.kind == KEPT
    assert (p.overlap[kept] >= 0.5).all() and len(set(p.det_b[kept].tolist())) == kept.sum() == len(
        set(p.det_a[kept].tolist())
    )


def test_of_two_boxes_that_fit_equally_the_surer_one_is_the_pair():
    box = (10, 10, 30, 30)
    p = pair_runs(run([[("cat", box, 0.8)]]), run([[("cat", box, 0.9), ("cat", box, 0.6)]]))
    assert p.kind.tolist() == [GAINED, KEPT] and p.score_b.tolist() == np.float32([0.6, 0.9]).tolist()


def test_a_difference_of_exactly_the_step_is_none():
    p = pair_runs(run([[("cat", (10, 10, 30, 30), 0.5)]]), run([[("cat", (10, 12, 30, 30), 0.75)]]))
    assert p.shift.tolist() == [2] and p.step.tolist() == [0.25]
    assert not p.rescored(0.25).any() and not p.moved(2).any()
    assert p.rescored(0.2499).all() and p.moved(1.99).all()


def test_an_iou_of_exactly_the_bound_pairs():
    p = pair_runs(run([[("cat", (0, 0, 20, 10), 0.9)]]), run([[("cat", (0, 0, 10, 10), 0.9)]]), iou=0.5)
    assert p.kind.tolist() == [KEPT] and p.overlap.tolist() == [0.5]
