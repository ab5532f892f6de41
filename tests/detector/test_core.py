"""The value types: what they refuse, what they keep, that nobody can change them."""

from __future__ import annotations

import numpy as np
import pytest

from detector.core import Annotations, Candidates, ClassMap, Detections, DetectorInfo, check_images
from detector.errors import BoxscopeError, DataError, ImageError, InputError

SIZE = (97, 41)  # wide, and divisible by nothing


def detections(**changes) -> Detections:
    fields = {
        "xyxy": [[1, 2, 30, 40], [5.5, 0, 97, 41], [10, 10, 10, 20]],
        "scores": [0.9, 0.5, 0.01],
        "class_ids": [2, 0, 2],
        "image_size": SIZE,
        "anchor_ids": [7, 3, 900],
    }
    return Detections(**{**fields, **changes})


def test_empty_comes_first():
    empty = Detections.empty(SIZE)
    assert len(empty) == 0 and empty.xyxy.shape == (0, 4) and empty.xyxy.dtype == np.float32
    assert len(empty.above(0.5)) == 0 and len(empty[np.zeros(0, bool)]) == 0 and len(empty[[]]) == 0
    assert len(Annotations.empty(SIZE)) == 0
    assert len(ClassMap(())) == 0


def test_dtypes_are_those_of_the_design():
    d = detections()
    assert (d.xyxy.dtype, d.scores.dtype, d.class_ids.dtype) == (np.float32, np.float32, np.int32)
    assert d.image_size == (97, 41)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"xyxy": [[1, 2, 3]]}, "shape"),
        ({"scores": [0.9, 0.5]}, "shape [3]"),
        ({"scores": [0.9, np.nan, 0.1]}, "row 1"),
        ({"scores": [0.9, 0.5, 1.5]}, "row 2"),
        ({"scores": [0.9, -0.5, 0.5]}, "sigmoid"),
        ({"class_ids": [0, -1, 0]}, "row 1"),
        ({"xyxy": [[1, 2, 30, 40], [5, 0, 97.5, 41], [0, 0, 1, 1]]}, "box 1"),
        ({"xyxy": [[30, 2, 1, 40], [5, 0, 9, 41], [0, 0, 1, 1]]}, "box 0"),
        ({"xyxy": [[1, 2, 30, 40], [5, 0, 9, 41], [0, -1, 1, 1]]}, "clip"),
        ({"image_size": (0, 41)}, "at least 1"),
        ({"image_size": "wide"}, "(width, height)"),
        ({"anchor_ids": [1]}, "anchor_ids"),
    ],
)
def test_bad_detections_are_refused_by_name(change, word):
    with pytest.raises(InputError, match="expected") as error:
        detections(**change)
    assert word in str(error.value)


def test_arrays_are_copies_that_cannot_be_written():
    mine = np.array([[1.0, 2, 30, 40]], np.float32)
    d = Detections(mine, [0.5], [0], SIZE)
    mine[0, 0] = 29
    assert d.xyxy[0, 0] == 1
    with pytest.raises(ValueError):
        d.xyxy[0, 0] = 3
    with pytest.raises(AttributeError):
        d.scores = np.zeros(1)


def test_masks_keep_rows_together():
    d = detections()
    kept = d[np.array([False, True, True])]
    assert kept.scores.tolist() == [0.5, np.float32(0.01)] and kept.anchor_ids.tolist() == [3, 900]
    assert d[[2, 0]].class_ids.tolist() == [2, 2]
    assert len(d[:1]) == 1


def test_a_threshold_includes_its_own_value_and_may_differ_by_class():
    d = detections()
    assert d.above(0.5).scores.tolist() == [np.float32(0.9), 0.5]
    assert d.above([0.6, 0, 0.0]).class_ids.tolist() == [2, 2]
    assert d.of_classes([0]).xyxy[0, 0] == np.float32(5.5)


def test_equality_sees_order_and_tolerance():
    d = detections()
    assert d.equals(detections()) and not d.equals(d[[1, 0, 2]])
    near = detections(scores=[0.9001, 0.5, 0.01])
    assert not d.equals(near) and d.equals(near, atol=1e-3)


def test_annotations_carry_flags_and_ids_through_a_mask():
    a = Annotations(
        [[0, 0, 5, 5], [1, 1, 2, 2]], [1, 0], SIZE, ids=[0, 71], crowd=[True, False], area=[3, np.nan]
    )
    kept = a[np.array([False, True])]
    assert kept.ids.tolist() == [71] and not kept.crowd[0] and np.isnan(kept.area[0])
    assert a.ids.dtype == np.int64 and a.difficult.tolist() == [False, False]


def test_class_map_keeps_sparse_ids_outside():
    coco = ClassMap(("person", "hair drier", "toothbrush"), (1, 89, 90))
    assert coco.index("toothbrush") == 2 and coco.from_external(89) == 1 and coco.to_external(2) == 90
    assert coco.from_external(12) is None and coco.indices(None) == [0, 1, 2]


def test_an_unknown_class_name_offers_the_nearest():
    with pytest.raises(InputError, match="did you mean toothbrush"):
        ClassMap(("person", "toothbrush")).index("tothbrush")


@pytest.mark.parametrize(
    ("names", "ids"), [(("a", "a"), ()), (("a", "b"), (1, 1)), (("a",), (1, 2)), ((" ",), ())]
)
def test_bad_class_maps_are_refused(names, ids):
    with pytest.raises(InputError):
        ClassMap(names, ids)


def test_candidates_may_leave_the_image_but_not_disagree():
    c = Candidates([[-5, -5, 200, 60]], [[0.1, 0.2]], SIZE, levels=[3])
    assert len(c) == 1 and c.levels.dtype == np.int32
    with pytest.raises(InputError):
        Candidates([[0, 0, 1, 1]], [[0.1, 0.2]], SIZE, logits=[[0.1]])


def test_unknown_capabilities_are_refused():
    with pytest.raises(InputError, match="telepathy"):
        DetectorInfo("x", "fake", ClassMap(()), "00", capabilities=frozenset({"telepathy"}))


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8), "x.jpg"],
)
def test_images_that_are_not_rgb_uint8_are_refused(image):
    with pytest.raises(InputError, match="image 1"):
        check_images([np.zeros((4, 5, 3), np.uint8), image])


def test_a_lone_array_is_not_a_batch():
    with pytest.raises(InputError, match="detect\\(\\[image\\]\\)"):
        check_images(np.zeros((4, 5, 3), np.uint8))


def test_errors_say_where():
    error = ImageError("expected a JPEG, got nothing.", path="a b.jpg", line=3)
    assert str(error) == "a b.jpg:3: expected a JPEG, got nothing." and isinstance(
        error, (DataError, BoxscopeError)
    )
    assert str(InputError("x")) == "x" and issubclass(InputError, ValueError)
