"""Narrowed matches keep their verdicts, and the choice of images by class looks at both sides."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.matching.counts import counts, image_counts
from analysis.matching.match import match_columns
from analysis.runs.in_memory import run_from_tables
from analysis.runs.tables import DetectionTable
from analysis.subsets import images_showing, narrow
from detector.core import ClassMap
from detector.data.dataset import ObjectTable
from detector.errors import InputError

BOX = [[0, 0, 10, 20], [50, 0, 60, 20], [0, 30, 10, 50]]
# image 0: cat found at .9, dog missed; image 1: cat predicted at .4 on nothing; image 2: dog found at .6
TRUTH = ObjectTable.build([0, 0, 2], [BOX[0], BOX[1], BOX[2]], [0, 1, 1])
DETECTIONS = DetectionTable.build(
    [0, 1, 2, 2], [BOX[0], BOX[1], BOX[2], BOX[0]], [0.9, 0.4, 0.6, 0.3], [0, 0, 1, 0], count=4
)
RUN = run_from_tables(
    ClassMap(("cat", "dog")),
    list("abcd"),
    np.tile(np.int32([100, 80]), (4, 1)),
    TRUTH,
    DETECTIONS,
    labelled=np.array([1, 1, 1, 0], bool),
    done=np.array([1, 1, 1, 0], bool),
)


def matches(**options):
    d, t = DETECTIONS, TRUTH
    return match_columns(
        d.rows,
        d.xyxy,
        d.scores,
        d.class_ids,
        t.rows,
        t.xyxy,
        t.class_ids,
        judged=RUN.labelled,
        num_classes=2,
        **options,
    )


def plain(c):
    return c.tp, c.fp, c.fn


def test_narrowing_to_everything_changes_nothing():
    m = matches()
    same = narrow(m, images=np.ones(4, bool), class_ids=[0, 1])
    for name in ("det_rows", "det_kind", "det_truth", "truth_det", "truth_score", "judged"):
        assert np.array_equal(getattr(same, name), getattr(m, name)), name


def test_one_class_keeps_its_own_counts():
    m = matches()
    assert plain(counts(m, 0.35)) == (2, 1, 1)
    assert plain(counts(narrow(m, class_ids=[0]), 0.35)) == (1, 1, 0)
    assert plain(counts(narrow(m, class_ids=[1]), 0.35)) == (1, 0, 1)
    assert plain(counts(narrow(m, class_ids=[]), 0.35)) == (0, 0, 0)


def test_some_images_keep_their_own_counts_and_their_partners():
    m = matches()
    part = narrow(m, images=np.array([0, 0, 1, 0], bool))
    assert plain(counts(part, 0.0)) == (1, 1, 0)
    assert part.det_truth.tolist() == [0, -1] and part.truth_det.tolist() == [0]
    assert image_counts(part, 0.0).tp.tolist() == [0, 0, 1, 0]


def test_pairs_across_classes_cannot_be_torn():
    with pytest.raises(InputError, match="ignores the class"):
        narrow(matches(class_aware=False), class_ids=[0])


@pytest.mark.parametrize(
    ("classes", "mode", "threshold", "expected"),
    [
        ([0], "any", 0.35, "ab"),
        ([0], "any", 0.2, "abc"),
        ([0, 1], "all", 0.35, "a"),
        ([0, 1], "all", 0.2, "ac"),
        ([0], "only", 0.35, "b"),
        ([1], "only", 0.35, "c"),
        ([1], "none", 0.35, "b"),
        ([0], "none", 0.95, "bc"),
        ([], "any", 0.5, ""),
    ],
)
def test_images_by_class_on_either_side(classes, mode, threshold, expected):
    found = images_showing(RUN, classes, mode, threshold)
    assert "".join(s for s, f in zip("abcd", found) if f) == expected
