"""find_images_with_classes by hand and against pycocotools' own queries; the filters that compose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.queries import (
    find_images_with_classes,
    images_with_classes,
    object_areas,
    size_mask,
    with_flag,
    with_size,
)
from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import InputError
from tests.analysis.builders import coco_dicts, make_run, random_run


def data():
    """a: car dog; b: car car; c: dog cup; d: nothing; e: nobody labelled it."""
    objects = ObjectTable.build(
        [0, 0, 1, 1, 2, 2],
        [[0, 0, 9, 7]] * 6,
        [0, 1, 0, 0, 1, 2],
        crowd=[0, 0, 1, 0, 0, 0],
        truncated=[0, 1, 0, 0, 0, 0],
    )
    return Dataset(
        name="hand",
        format="test",
        source="",
        class_map=ClassMap(("car", "dog", "cup")),
        sample_ids="abcde",
        files=[""] * 5,
        labelled=np.array([1, 1, 1, 1, 0], bool),
        objects=objects,
    )


@pytest.mark.parametrize(
    "classes, mode, min_count, expected",
    [
        (["car"], "any", 1, "ab"),
        (["car", "cup"], "any", 1, "abc"),
        (["car", "dog"], "all", 1, "a"),
        (["car", "dog"], "only", 1, "ab"),
        (["car"], "only", 1, "b"),
        (["car"], "none", 1, "cd"),
        (["car"], "any", 2, "b"),
        (["car", "dog"], "all", 2, ""),
        (["car"], "none", 2, "acd"),
        (["car", "dog"], "only", 2, "b"),
        ("dog", "any", 1, "ac"),
        ([0, 2], "any", 1, "abc"),
        ([" Car"], "any", 1, "ab"),
        ([], "any", 1, ""),
        ([], "none", 1, "abcd"),
        ([], "all", 1, "abcd"),
        ([], "only", 1, ""),
        (["dog", "dog"], "all", 1, "ac"),
    ],
)
def test_truth_by_hand(classes, mode, min_count, expected):
    assert find_images_with_classes(data(), classes, mode, min_count) == list(expected)


def test_predictions_above_the_threshold():
    run = make_run(
        [(0, 1, 1, 9, 5, 0.7, 0), (1, 1, 1, 9, 5, 0.4, 0), (2, 1, 1, 9, 5, 0.9, 1)],
        [(2, 1, 1, 9, 5, 0)],
        num_images=4,
        done=[1, 1, 1, 0],
    )
    assert find_images_with_classes(run, ["car"]) == ["img0"]
    assert find_images_with_classes(run, ["car"], threshold=0.7) == ["img0"]
    assert find_images_with_classes(run, ["car"], threshold=0.3) == ["img0", "img1"]
    assert find_images_with_classes(run, ["car", "dog"], threshold=[0.3, 0.95, 0]) == ["img0", "img1"]
    assert find_images_with_classes(run, ["car"], mode="none") == ["img1", "img2"], "img3 was never run"
    assert find_images_with_classes(run, ["car"], side="truth") == ["img2"]


def test_a_question_that_makes_no_sense_is_named():
    d = data()
    for kwargs, words in (
        ({"classes": ["cat"]}, "No class is named 'cat'"),
        ({"classes": [7]}, "ids of 0..2"),
        ({"classes": [], "mode": "some"}, "mode: expected one of any"),
        ({"classes": [], "min_count": 0}, "at least 1"),
        ({"classes": [], "side": "predictions"}, "a data set has no predictions"),
        ({"classes": [], "side": "left"}, "side: expected one of"),
    ):
        with pytest.raises(InputError, match=words):
            find_images_with_classes(d, **kwargs)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), classes=st.sets(st.integers(0, 3)), min_count=st.integers(1, 3))
def test_modes_obey_their_words(seed, classes, min_count):
    run = random_run(seed, images=8)
    t = run.truth
    table = np.zeros((8, 4), int)
    np.add.at(table, (t.rows, t.class_ids), 1)
    there = table[:, sorted(classes)] >= min_count
    others = table[:, [k for k in range(4) if k not in classes]].sum(axis=1)
    expected = {
        "any": there.any(1),
        "all": there.all(1),
        "none": ~there.any(1),
        "only": there.any(1) & (others == 0),
    }
    for mode, want in expected.items():
        np.testing.assert_array_equal(images_with_classes(run, classes, mode, min_count, side="truth"), want)


@pytest.mark.parametrize("seed", range(3))
def test_all_agrees_with_pycocotools(seed):
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO

    run = random_run(seed, images=40)
    gt = COCO()
    gt.dataset, _ = coco_dicts(run)
    gt.createIndex()
    for classes in ([0], [0, 1], [1, 2]):
        ids = {f"img{i}" for i in gt.getImgIds(catIds=classes)}
        assert set(find_images_with_classes(run, classes, "all", side="truth")) == ids


def test_filters_compose():
    objects = [
        (0, 0, 0, 31, 33, 0),
        (0, 0, 0, 40, 40, 1, {"truncated"}),
        (1, 0, 0, 100, 92.16, 0),
        (2, 5, 5, 9, 9, 0),
    ]
    run = make_run([(0, 0, 0, 31, 33, 0.9, 0), (2, 50, 5, 60, 9, 0.9, 0)], objects)
    assert with_size(run, "small").tolist() == [True, False, True]  # 31 x 33 = 1023
    assert with_size(run, "medium").tolist() == [True, False, False]
    assert with_size(run, "large").tolist() == [False, True, False]  # 9216 = 96 x 96 to the pixel
    assert with_flag(run, "truncated").tolist() == [True, False, False]
    for call, words in (
        (lambda: with_size(run, "huge"), "size"),
        (lambda: with_flag(run, "x"), "flag"),
    ):
        with pytest.raises(InputError, match=words):
            call()


def test_area_as_stated_wins_over_the_box():
    table = ObjectTable.build([0, 0], [[0, 0, 50, 40]] * 2, [0, 0], area=[900, np.nan])
    assert object_areas(table).tolist() == [900, 2000]
    assert size_mask(object_areas(table), "small").tolist() == [True, False]


def test_a_size_holds_its_lower_bound_and_not_its_upper_one():
    areas = np.array([0, 1023.9, 1024, 9215.9, 9216])
    assert [size_mask(areas, s).tolist() for s in ("small", "medium", "large")] == [
        [True, True, False, False, False],
        [False, False, True, True, False],
        [False, False, False, False, True],
    ]
