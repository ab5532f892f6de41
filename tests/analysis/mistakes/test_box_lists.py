"""The boxes behind a figure: which, in which order, and what the exports say. All by hand."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.matching.operating_point import operating_point
from analysis.mistakes import box_lists
from analysis.mistakes.confusion import BACKGROUND, Confusions
from analysis.mistakes.errors import KINDS, find_errors
from analysis.runs.in_memory import run_from_detections
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import InputError

CLASSES = ClassMap(("cat", "dog"), (7, 9))
SIZE = (120, 90)
# image, class, box: a cat that is found, a dog found late, a dog taken for a cat, a cat nobody sees
OBJECTS = [
    (0, 0, (5, 5, 25, 35)),
    (0, 1, (50, 10, 80, 50)),
    (1, 1, (10, 20, 50, 60)),
    (2, 0, (70, 5, 110, 80)),
]
FOUND = [
    [(0, (5, 5, 25, 35), 0.9), (1, (50, 10, 80, 52), 0.3), (0, (6, 5, 25, 35), 0.6)],
    [(0, (10, 20, 50, 60), 0.8), (1, (90, 70, 110, 85), 0.7)],
    [],
]


def run_of(objects, found):
    rows = np.array([o[0] for o in objects])
    truth = ObjectTable.build(
        rows,
        np.array([o[2] for o in objects], float).reshape(-1, 4),
        np.array([o[1] for o in objects], int),
        ids=np.arange(11, 11 + len(objects)),
    )
    data = Dataset(
        name="d",
        format="coco",
        source="d.json",
        class_map=CLASSES,
        sample_ids=["a", "b", "c"],
        files=["", "", ""],
        sizes=np.array([SIZE] * 3),
        labelled=np.ones(3, bool),
        objects=truth,
    )
    detections = [
        Detections(
            np.array([b for _, b, _ in f], float).reshape(-1, 4), [s for *_, s in f], [k for k, *_ in f], SIZE
        )
        for f in found
    ]
    return run_from_detections(
        data, detections, DetectorInfo("by hand", "test", CLASSES, weights_hash="ab12cd34ef")
    )


@pytest.fixture(scope="module")
def run():
    return run_of(OBJECTS, FOUND)


@pytest.fixture(scope="module")
def matches(run):
    return match_run(run)


def test_nothing_gives_empty_lists():
    run = run_of([], [[], [], []])
    m = match_run(run)
    for kind in KINDS:
        assert len(box_lists.of_kind(run, find_errors(run, matches=m), kind)) == 0
    empty = box_lists.every_mistake(run, m)
    assert len(empty) == 0 and empty.images(run).tolist() == []
    point = operating_point(run)
    assert box_lists.as_csv(run, empty, point) == ",".join(box_lists.COLUMNS) + "\n"
    coco = box_lists.as_coco(run, empty, point)
    assert (coco["images"], coco["annotations"], coco["predictions"]) == ([], [], [])


@pytest.mark.parametrize(
    ("kind", "boxes"),
    [
        ("classification", [("b", 0.8, 13)]),
        ("duplicate", [("a", 0.6, 11)]),
        ("background", [("b", 0.7, None)]),
        ("localisation", []),
        ("both", []),
        ("missed", [("a", None, 12), ("c", None, 14)]),
    ],
)
def test_each_kind_lists_its_boxes(run, matches, kind, boxes):
    found = box_lists.of_kind(run, find_errors(run, matches=matches), kind, 0.5)
    rows = box_lists.rows_of(run, found, operating_point(run))
    assert [
        (r["sample"], None if r["score"] is None else round(r["score"], 6), r["object"]) for r in rows
    ] == boxes


def test_an_unknown_kind_is_refused(run, matches):
    with pytest.raises(InputError, match="classification"):
        box_lists.of_kind(run, find_errors(run, matches=matches), "sloppy")


def test_missed_objects_found_late_come_first(run, matches):
    found = box_lists.missed_among(run, matches, "missed", np.ones(4, bool), 0.5)
    assert found.objects.tolist() == [
        1,
        3,
        2,
    ], "the dog found at 0.3, then those that nothing of their class finds, the larger first"
    low = box_lists.missed_among(run, matches, "missed", np.ones(4, bool), 0.3)
    assert 1 not in low.objects


def test_lists_can_be_narrowed_to_images_and_classes(run, matches):
    everything = box_lists.every_mistake(run, matches, 0.5)
    c = counts(matches, 0.5)
    assert len(everything) == c.fp + c.fn == 6
    only = box_lists.of_kind(
        run, find_errors(run, matches=matches), "missed", 0.5, images=np.array([False, True, True])
    )
    assert only.objects.tolist() == [3]
    dogs = box_lists.of_kind(run, find_errors(run, matches=matches), "classification", 0.5, class_ids=[1])
    assert len(dogs) == 1, "the object is a dog, though the prediction says cat"
    assert (
        len(box_lists.of_kind(run, find_errors(run, matches=matches), "background", 0.5, class_ids=[0])) == 0
    )


def test_every_cell_holds_as_many_boxes_as_it_says(run, matches):
    confusion = Confusions(run, matches=matches).at(0.5)
    for truth in (0, 1, BACKGROUND):
        for predicted in (0, 1, BACKGROUND):
            found = box_lists.of_cell(run, matches, confusion, truth, predicted)
            assert len(found) == confusion.matrix[truth, predicted]
    assert box_lists.of_cell(run, matches, confusion, 1, 0).what == "dog taken for cat"
    assert box_lists.of_cell(run, matches, confusion, 1, BACKGROUND).what == "dog missed"
    assert box_lists.of_cell(run, matches, confusion, BACKGROUND, 0).what == "cat on background"


def test_setting_aside_counts_like_narrowing_and_keeps_the_rows(run, matches):
    from analysis.subsets import narrow

    images = np.array([True, False, True])
    aside, narrowed = box_lists.set_aside(matches, images, [1]), narrow(matches, images=images, class_ids=[1])
    assert len(aside.det_rows) == len(matches.det_rows)
    for threshold in (0.2, 0.5, 0.75):
        a, b = counts(aside, threshold), counts(narrowed, threshold)
        assert (a.tp, a.fp, a.fn, a.objects) == (b.tp, b.fp, b.fn, b.objects)


def test_csv_carries_both_boxes_and_the_operating_point(run, matches):
    found = box_lists.of_kind(run, find_errors(run, matches=matches), "classification", [0.25, 0.5])
    row = next(csv.DictReader(io.StringIO(box_lists.as_csv(run, found, operating_point(run, [0.25, 0.5])))))
    assert (row["truth"], row["predicted"], row["object"], row["score"]) == (
        "dog",
        "cat",
        "13",
        "0.800000012",
    )
    assert [float(row[k]) for k in ("x1", "y1", "x2", "y2")] == [10, 20, 50, 60]
    assert (row["threshold"], row["iou"]) == ("0.25", "0.5"), "of the row's own class"


def test_coco_json_points_from_predictions_to_objects(run, matches):
    coco = box_lists.as_coco(run, box_lists.every_mistake(run, matches, 0.5), operating_point(run))
    assert coco["info"]["operating_point"]["threshold"] == 0.5
    assert {c["name"]: c["id"] for c in coco["categories"]} == {"cat": 7, "dog": 9}
    by_id = {a["id"]: a for a in coco["annotations"]}
    double = next(p for p in coco["predictions"] if p["score"] == 0.600000024)
    assert by_id[double["object_id"]]["source_id"] == 11 and by_id[double["object_id"]]["bbox"] == [
        5,
        5,
        20,
        30,
    ]
    assert double["category_id"] == 7 and double["bbox"] == [6, 5, 19, 30]
    assert {i["id"] for i in coco["images"]} == {a["image_id"] for a in coco["annotations"]} | {
        p["image_id"] for p in coco["predictions"]
    }
