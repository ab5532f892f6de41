"""Slices by hand; intervals against the textbook where one exists; planted weakness is named, noise is
not.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.matching.match import match_run
from analysis.mistakes.slices import _intervals, border_objects, crowded_objects, slice_run
from detector.errors import InputError
from tests.analysis.builders import make_run

OBJECTS = [
    (0, 0, 10, 20, 30, 0),
    (0, 30, 10, 60, 30, 1, {"truncated"}),
    (0, 45, 10, 75, 30, 1, {"difficult"}),
    (1, 10, 10, 60, 60, 0, {"truncated"}),
    (1, 70, 70, 99, 79, 2, {"crowd"}),
]
RUN = make_run(
    [
        (0, 0, 10, 20, 30, 0.9, 0),
        (0, 30, 10, 60, 30, 0.8, 1),
        (1, 10, 10, 60, 60, 0.3, 0),
        (1, 5, 70, 9, 75, 0.7, 0),
    ],
    OBJECTS,
)


def by_label(slices):
    return {(s.group, s.name): s for s in slices.slices}


def test_by_hand():
    s = slice_run(RUN, 0.5, samples=50)
    assert (s.whole.objects, s.whole.found, s.whole.detections, s.whole.correct) == (4, 2, 3, 2)
    parts = by_label(s)
    assert (parts["size", "small"].objects, parts["size", "small"].found) == (3, 2)
    assert (parts["size", "medium"].objects, parts["size", "medium"].recall) == (1, 0)
    assert ("size", "large") not in parts, "an empty slice is not shown"
    assert (parts["truncated", "yes"].objects, parts["truncated", "yes"].found) == (2, 1)
    assert (parts["difficult", "yes"].objects, parts["difficult", "no"].objects) == (1, 3) and (
        "occluded",
        "yes",
    ) not in parts
    assert (
        parts["border", "at the image's edge"].objects,
        parts["border", "at the image's edge"].recall,
    ) == (1, 1)
    assert parts["crowded", "overlapped by another object"].objects == 2
    car = parts["class", "car"]
    assert (car.objects, car.found, car.detections, car.correct, car.precision) == (2, 1, 2, 1, 0.5)
    assert parts["size", "small"].precision is None
    json.dumps(s.to_dict())


def test_masks():
    assert border_objects(RUN).tolist() == [True, False, False, False, True]
    counted = match_run(RUN).truth_counted
    assert crowded_objects(RUN, counted).tolist() == [False, True, True, False, False]


def test_nothing():
    s = slice_run(make_run([], [], num_images=1), samples=20)
    assert s.whole.recall is None and s.whole.recall_interval is None and s.worst() == []


def many(seed, weak, images=300):
    """One car an image; every third is small. Found with probability .8, small ones with `weak`."""
    rng = np.random.default_rng(seed)
    dets, objects = [], []
    for i in range(images):
        box = (10, 10, 30, 24) if i % 3 == 0 else (10, 10, 60, 70)
        objects.append((i, *box, 0))
        if rng.random() < (weak if i % 3 == 0 else 0.8):
            dets.append((i, *box, 0.9, 0))
    return make_run(dets, objects)


def test_a_planted_weakness_is_named():
    s = slice_run(many(0, 0.4))
    assert s.worst()[0].label == "size: small" and s.worst()[0].recall_interval[1] < s.whole.recall


def test_noise_is_seldom_named():
    named = sum(
        any(w.group == "size" for w in slice_run(many(seed, 0.8), samples=200).worst()) for seed in range(20)
    )
    assert named <= 3


def test_the_interval_is_the_binomial_one_where_images_hold_one_object_each():
    s = slice_run(many(1, 0.8), samples=4000)
    p, n = s.whole.recall, s.whole.objects
    low, high = s.whole.recall_interval
    half = 1.96 * np.sqrt(p * (1 - p) / n)
    assert low == pytest.approx(p - half, abs=0.008) and high == pytest.approx(p + half, abs=0.008)


def test_objects_of_one_image_are_not_independent():
    """Ten copies of each object say nothing new, and must not make the interval narrower."""
    one = many(2, 0.8, images=100)
    t, d = one.truth, one.detections
    ten = make_run(
        [(int(r), *(b + 0), s, 0) for r, b, s in zip(d.rows, d.xyxy, d.scores) for _ in range(10)],
        [(int(r), *b, 0) for r, b in zip(t.rows, t.xyxy) for _ in range(10)],
        num_images=100,
    )
    a, b = slice_run(one).whole.recall_interval, slice_run(ten).whole.recall_interval
    assert b[1] - b[0] == pytest.approx(a[1] - a[0], rel=0.05)


@pytest.mark.parametrize(("found", "low", "high"), [(0, 0.0, 0.161), (1, 0.839, 1.0)])
def test_none_found_and_all_found_are_not_certain(found, low, high):
    """Twenty images with an object each: Wilson's bound is z^2 / (20 + z^2)."""
    box = (10, 10, 30, 40)
    detections = [(i, *box, 0.9, 0) for i in range(20)] if found else []
    s = slice_run(make_run(detections, [(i, *box, 0) for i in range(20)], num_images=20))
    assert s.whole.recall == found and s.whole.recall_interval == pytest.approx((low, high), abs=1e-3)


def test_seeded_and_extra_and_checked():
    run = many(3, 0.5)
    assert slice_run(run, seed=4).to_dict() == slice_run(run, seed=4).to_dict()
    night = np.arange(300) < 100
    extra = by_label(slice_run(run, extra={("light", "night"): night}))["light", "night"]
    assert extra.objects == 100 and extra.images == 100
    for kwargs in ({"samples": 1}, {"confidence": 1.0}, {"extra": {("a", "b"): np.ones(3, bool)}}):
        with pytest.raises(InputError):
            slice_run(run, **kwargs)


def test_an_interval_leaves_half_of_the_rest_out_at_either_end():
    """101 draws whose ratios are 0, .01, ... 1."""
    part, whole = np.arange(101, dtype=np.float32)[:, None] / 100, np.ones((101, 1), np.float32)
    assert _intervals(np.eye(101, dtype=np.float32), part, whole, 0.95)[0] == pytest.approx((0.025, 0.975))
    assert _intervals(np.eye(101, dtype=np.float32), part, whole, 0.5)[0] == pytest.approx((0.25, 0.75))
    assert slice_run(RUN, samples=10).confidence == 0.95
