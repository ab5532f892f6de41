"""Anchor matching and targets: by hand, and against the reference."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.boxes import iou
from detector.errors import InputError
from detector.paths import ROOT
from detector.ssd.anchors import anchors
from detector.ssd.coder import BoxCoder
from detector.ssd.config import PRESETS
from detector.ssd.targets import assign_targets, match_anchors

GOLDEN = json.loads((ROOT / "tests" / "golden" / "ssd_training.json").read_text())["models"]

# yxyx, twice as wide as tall: none of these numbers is right with x and y exchanged
ROW = np.array([[0, 0, 0.2, 0.4], [0, 0.4, 0.2, 0.8], [0.2, 0, 0.4, 0.4], [0.2, 0.4, 0.4, 0.8]], np.float32)


def match(boxes, weights=None, grid=ROW, threshold=0.5):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return match_anchors(
        grid, boxes, np.ones(len(boxes)) if weights is None else np.array(weights), threshold
    ).tolist()


def test_no_objects_make_every_anchor_background():
    assert match([]) == [-1, -1, -1, -1]
    empty = assign_targets(ROW, [], [])
    assert empty.classes.tolist() == [0, 0, 0, 0]
    assert empty.class_weights.tolist() == [1, 1, 1, 1]
    assert empty.box_weights.tolist() == [0, 0, 0, 0]
    assert not empty.boxes.any()


def test_no_anchors():
    assert match([[0, 0, 1, 1]], grid=np.zeros((0, 4), np.float32)) == []


def test_an_iou_of_exactly_the_threshold_matches():
    # the box is anchor 0 and as much again below it: IoU 0.5 with anchors 0 and 2 alike
    assert match([[0, 0, 0.4, 0.4]]) == [0, -1, 0, -1]
    assert match([[0, 0, 0.4, 0.4]], threshold=0.51) == [0, -1, -1, -1]  # forced onto the first of the two


def test_an_object_below_the_threshold_is_forced_onto_its_best_anchor():
    # IoU with anchor 1: 0.1 * 0.2 / 0.08 = 0.25
    assert match([[0.05, 0.5, 0.15, 0.7]]) == [-1, 0, -1, -1]


def test_two_objects_that_want_one_anchor_leave_it_to_the_first():
    small = [[0.05, 0.5, 0.15, 0.7], [0.05, 0.45, 0.15, 0.65]]
    assert match(small) == [-1, 0, -1, -1]
    assert match(small[::-1]) == [-1, 0, -1, -1]


def test_an_anchor_takes_the_object_it_overlaps_most_and_of_equals_the_first():
    near, nearer = [0, 0, 0.2, 0.3], [0, 0, 0.2, 0.38]
    assert match([near, nearer, [0.2, 0.4, 0.4, 0.8]])[3] == 2
    # anchor 0 overlaps the second more, but it is the best anchor of the first too, and force match comes
    # last
    assert match([near, nearer])[0] == 0
    assert match([near, nearer], weights=[0, 1])[0] == 1
    assert match([near, near], weights=[0, 0])[0] == 0


def test_forcing_overrides_a_better_match():
    # object 0 fits anchor 0 fully; object 1's best anchor is anchor 0 too, but object 0 comes first
    assert match([[0, 0, 0.2, 0.4], [0, 0, 0.1, 0.2]]) == [0, -1, -1, -1]
    # the other way round the small object takes the anchor away from the one that fits
    assert match([[0, 0, 0.1, 0.2], [0, 0, 0.2, 0.4]]) == [0, -1, -1, -1]


def test_an_object_that_overlaps_no_anchor_takes_anchor_0():
    assert match([[0.9, 0.9, 1, 1]]) == [0, -1, -1, -1]


def test_weight_0_is_not_forced_but_matches_and_padding_matches_nothing():
    assert match([[0.05, 0.5, 0.15, 0.7]], weights=[0]) == [-1, -1, -1, -1]
    assert match([[0, 0.4, 0.2, 0.8]], weights=[0]) == [-1, 0, -1, -1]
    padded = [[0, 0.4, 0.2, 0.8], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert match(padded, weights=[1, 0, 0]) == [-1, 0, -1, -1]


def test_targets_by_hand():
    # anchor 3: centre (0.3, 0.6), size 0.2 x 0.4; box: centre (0.31, 0.58), size 0.18 x 0.44
    got = assign_targets(ROW, [[0.22, 0.36, 0.4, 0.8]], [4], [0.5])
    assert got.matched.tolist() == [-1, -1, -1, 0]
    assert got.classes.tolist() == [0, 0, 0, 5]
    assert got.class_weights.tolist() == [1, 1, 1, 0.5]
    assert got.box_weights.tolist() == [0, 0, 0, 0.5]
    want = [10 * 0.01 / 0.2, 10 * -0.02 / 0.4, 5 * np.log(0.18 / 0.2), 5 * np.log(0.44 / 0.4)]
    np.testing.assert_allclose(got.boxes[3], want, rtol=1e-5)
    assert not got.boxes[:3].any()


@pytest.mark.parametrize(
    "bad, words",
    [
        ({"class_ids": [1, 2]}, "1 boxes, 2 class ids and 1 weights"),
        ({"boxes": [[0, 0, np.nan, 1]]}, "finite"),
        ({"class_ids": [-1]}, "0 and more"),
    ],
)
def test_refusals(bad, words):
    with pytest.raises(InputError, match=words):
        assign_targets(ROW, **({"boxes": [[0, 0, 0.5, 0.5]], "class_ids": [0]} | bad))


boxes_in_unit = st.lists(st.tuples(*[st.integers(0, 900)] * 2, *[st.integers(60, 500)] * 2), max_size=6).map(
    lambda rows: (
        np.array([(y, x, y + h, x + w) for y, x, h, w in rows], np.float32).reshape(-1, 4) / np.float32(1000)
    )
)


@settings(max_examples=60, deadline=None)
@given(boxes_in_unit)
def test_laws(boxes):
    """Every object has an anchor unless an earlier one took it; every other match overlaps by half."""
    grid = anchors(PRESETS["ssd_mobilenet_v2_320x320_coco17_tpu-8"]()).boxes
    got = assign_targets(grid, boxes, np.arange(len(boxes)))
    overlap = iou(boxes, grid) if len(boxes) else np.zeros((0, len(grid)))
    matched = np.flatnonzero(got.matched >= 0)
    for anchor in matched:
        row = got.matched[anchor]
        forced = overlap[row].max() - overlap[row, anchor] < 1e-6
        assert forced or overlap[row, anchor] >= 0.5 - 1e-6
    if len(boxes):
        assert 0 in got.matched  # the first object always has at least its own anchor
        np.testing.assert_array_equal(got.classes[matched], got.matched[matched] + 1)
    decoded = BoxCoder().decode(got.boxes[matched], grid[matched])
    np.testing.assert_allclose(decoded, boxes[got.matched[matched]], atol=1e-5)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("case", range(4))
def test_the_reference_assigns_the_same(name, case):
    model, want = GOLDEN[name], GOLDEN[name]["targets"][case]
    boxes, classes = model["boxes"][want["image"]], model["classes"][want["image"]]
    weights = np.ones(len(boxes))
    if (
        want["variant"] == "padded_weighted"
    ):  # the reference pads; the second picture's third object weighs half
        weights = np.append(weights, 0)
        boxes, classes = [*boxes, [0, 0, 0, 0]], [*classes, 0]
        weights[2] = 0.5 if want["image"] else 0
    got = assign_targets(anchors(PRESETS[name]()).boxes, boxes, classes, weights)
    matched = np.flatnonzero(got.matched >= 0)
    assert matched.tolist() == want["anchors"]
    assert got.matched[matched].tolist() == want["objects"]
    assert got.classes[matched].tolist() == want["classes"]
    assert got.box_weights[matched].tolist() == want["weights"]
    if want["codes"]:
        np.testing.assert_allclose(got.boxes[matched][::3], want["codes"], atol=1e-6)


@pytest.mark.parametrize("name", GOLDEN)
def test_every_box_target_of_the_reference(shared, name):
    stored = np.load(shared / "golden" / name / "targets.npz")
    for image in range(2):
        got = assign_targets(
            anchors(PRESETS[name]()).boxes, GOLDEN[name]["boxes"][image], GOLDEN[name]["classes"][image]
        )
        at = stored[f"plain_img{image}_matched_anchor_idx"]
        assert np.flatnonzero(got.matched >= 0).tolist() == at.tolist()
        np.testing.assert_allclose(got.boxes[at], stored[f"plain_img{image}_reg_targets"], rtol=0, atol=1e-6)


def test_an_anchor_of_exactly_the_threshold_takes_the_object():
    grid = np.array(
        [[0, 0, 0.5, 1], [0, 0, 1, 1]], np.float32
    )  # IoU 1, which is forced anyway, and exactly 1/2
    assert match([[0, 0, 0.5, 1]], grid=grid, threshold=0.5) == [0, 0]
    assert match([[0, 0, 0.5, 1]], grid=grid, threshold=0.501) == [0, -1]
