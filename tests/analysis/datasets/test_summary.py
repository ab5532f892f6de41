"""Figures of a data set against a table counted by hand."""

from __future__ import annotations

import pytest

from analysis.datasets.summary import GRID, summarise
from tests.analysis.dataset_builders import table

# Image 0 (200x100, train): a car 20x50 at its left, a dog 100x100 (half the frame). Image 1 (50x400, val): a
# car 10x10,
# a crowd of dogs. Image 2 (size unknown, train): a dog. Image 3 (val): labelled, empty. Image 4: unlabelled.
OBJECTS = [
    (0, 0, 0, 50, 20, 100),
    (0, 1, 100, 0, 200, 100),
    (1, 0, 40, 390, 50, 400),
    (1, 1, 0, 0, 50, 50),
    (2, 1, 5, 5, 9, 9),
]
SIZES = ((200, 100), (50, 400), (0, 0), (200, 100), (200, 100))


@pytest.fixture
def summary():
    return summarise(
        table(
            OBJECTS,
            names=("car", "dog", "cup"),
            sizes=SIZES,
            splits=["train", "val", "train", "val", None],
            labelled=[True, True, True, True, False],
            flags={"crowd": [False, False, False, True, False]},
        )
    )


def test_counts(summary):
    assert summary.images == {"all": 5, "labelled": 4, "unlabelled": 1, "empty": 1, "unknown size": 1}
    assert summary.objects == {"all": 5, "crowd": 1, "difficult": 0, "truncated": 0, "occluded": 0}
    assert summary.splits == {
        "": {"images": 1, "labelled": 0, "objects": 0},
        "train": {"images": 2, "labelled": 2, "objects": 3},
        "val": {"images": 2, "labelled": 2, "objects": 2},
    }
    assert summary.per_image == {0: 1, 1: 1, 2: 2}
    assert summary.frames[0] == ((200, 100), 3) and summary.frame_kinds == 2
    assert summary.frame_quantiles["height"] == (100, 100, 100, 175, 400)


def test_classes(summary):
    car, dog, cup = summary.classes
    assert (car.objects, car.images, car.splits) == (2, 2, {"": 0, "train": 1, "val": 1})
    assert (dog.objects, dog.images, dog.crowds, dog.splits["train"]) == (2, 2, 1, 2)
    assert (cup.objects, cup.side, cup.ratio) == (0, None, None)
    assert car.sizes == {"small": 2, "medium": 0, "large": 0} and dog.sizes == {
        "small": 0,
        "medium": 0,
        "large": 1,
    }
    # sqrt(20*50 / 20000) = 0.2236, sqrt(100 / 20000) = 0.0707; ratios 0.4 and 1
    assert car.side == pytest.approx((0.223607 + 0.070711) / 2, abs=1e-5) and car.ratio == pytest.approx(0.7)
    assert summary.imbalance == 1.0


def test_histograms_leave_crowds_and_unknown_sizes_out(summary):
    assert (
        summary.measured == 3
        and sum(summary.sides.counts) == sum(summary.ratios.counts) == int(summary.centres.sum()) == 3
    )
    # 0.071, 0.224 and sqrt(1/2) = 0.707 of the frame's side; ratios 0.4, 1 and 1.
    assert {summary.sides.edges[k] for k, n in enumerate(summary.sides.counts) if n} == {0.06, 0.16, 0.64}
    assert [n for n in summary.ratios.counts if n] == [1, 2]
    assert summary.sizes == {"small": 2, "medium": 0, "large": 1}
    # Centres: (10, 75) of 200x100, (150, 50) of 200x100, (45, 395) of 50x400.
    for x, y in ((10 / 200, 0.75), (0.75, 0.5), (0.9, 395 / 400)):
        assert summary.centres[int(y * GRID), int(x * GRID)] == 1
    assert summary.covered == pytest.approx((0.55 + 0.005) / 2)


def test_nothing_at_all():
    empty = summarise(table([], names=(), sizes=()))
    assert (
        empty.images["all"] == 0 and empty.classes == () and empty.imbalance is None and empty.covered is None
    )
    assert empty.to_dict()["centres"] == [[0] * GRID] * GRID
