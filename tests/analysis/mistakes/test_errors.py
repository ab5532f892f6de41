"""TIDE's kinds and costs: by hand, and against the tidecv package."""

from __future__ import annotations

import json

import numpy as np
import pytest

from analysis.matching.match import match_run
from analysis.mistakes.errors import (
    BACKGROUND,
    BOTH,
    CLASSIFICATION,
    DUPLICATE_OF,
    KINDS,
    LOCALISATION,
    MISSED,
    find_errors,
)
from detector.errors import InputError
from detector.paths import ROOT
from tests.analysis.builders import make_run, random_run

NAMES = {
    "Cls": "classification",
    "Loc": "localisation",
    "Both": "both",
    "Dupe": "duplicate",
    "Bkg": "background",
    "Miss": "missed",
}
GOLDEN = ROOT / "tests" / "golden" / "tide.json"


def by_hand():
    objects = [
        (0, 0, 0, 20, 10, 0),
        (0, 40, 0, 60, 10, 1),
        (0, 0, 40, 20, 60, 0),
        (0, 60, 60, 80, 80, 2),
        (0, 80, 0, 99, 9, 0, {"crowd"}),
    ]
    dets = [
        (0, 0, 0, 20, 10, 0.9, 0),
        (0, 0, 0, 20, 9, 0.8, 0),
        (0, 40, 0, 60, 10, 0.7, 0),
        (0, 0, 40, 8, 60, 0.6, 0),
        (0, 60, 60, 80, 66, 0.5, 1),
        (0, 30, 70, 40, 80, 0.4, 1),
        (0, 81, 1, 90, 8, 0.3, 0),
        (1, 5, 5, 9, 9, 0.2, 2),
        (0, 0, 40, 7, 60, 0.15, 0),
    ]
    return make_run(dets, objects, num_images=2)


def test_one_of_each_by_hand():
    e = find_errors(by_hand())
    # image 0's detections in falling score, then image 1's
    assert e.det_error.tolist() == [
        0,
        DUPLICATE_OF,
        CLASSIFICATION,
        LOCALISATION,
        BOTH,
        BACKGROUND,
        0,
        LOCALISATION,
        BACKGROUND,
    ]
    assert e.det_truth.tolist() == [-1, 0, 1, 2, -1, -1, -1, 2, -1]
    assert e.det_mends.tolist() == [False, False, True, True] + [False] * 5
    assert e.truth_error.tolist() == [0, CLASSIFICATION, LOCALISATION, MISSED, 0]
    assert e.counts == {
        "classification": 1,
        "localisation": 2,
        "both": 1,
        "duplicate": 1,
        "background": 2,
        "missed": 1,
    }


def test_kinds_at_a_threshold():
    e = find_errors(by_hand())
    dets, objects = e.at(0.65)
    assert dets.tolist() == [0, DUPLICATE_OF, CLASSIFICATION] + [0] * 6
    assert objects.tolist() == [0, CLASSIFICATION, MISSED, MISSED, 0]
    assert e.at(0.95)[1].tolist() == [MISSED] * 4 + [0], "at .95 nothing is found, nothing is near"


def test_nothing():
    e = find_errors(make_run([], [], num_images=1))
    assert e.ap == 0 and set(e.counts.values()) == {0} and e.dap["missed"] == 0
    only_objects = find_errors(make_run([], [(0, 1, 1, 9, 9, 0)]))
    assert only_objects.counts["missed"] == 1 and only_objects.dap["missed"] == 0, (
        "no class is left to measure"
    )


def test_bounds_are_checked():
    with pytest.raises(InputError, match="background_iou < iou"):
        find_errors(by_hand(), iou=0.1, background_iou=0.2)
    with pytest.raises(InputError, match="matches of this run"):
        find_errors(by_hand(), iou=0.5, matches=match_run(by_hand(), 0.75))


def tide(run, iou=0.5, background_iou=0.1):
    tidecv = pytest.importorskip("tidecv")
    gt, dt = tidecv.Data("gt"), tidecv.Data("dt")

    def xywh(b):
        b = b.astype(float)
        return [b[0], b[1], b[2] - b[0], b[3] - b[1]]

    for i in range(len(run.sample_ids)):
        gt.add_image(i, str(i))
    for r, k, b, crowd in zip(
        run.truth.rows.tolist(), run.truth.class_ids.tolist(), run.truth.xyxy, run.truth.crowd
    ):
        (gt.add_ignore_region if crowd else gt.add_ground_truth)(r, k, xywh(b))
    for r, k, s, b in zip(
        run.detections.rows.tolist(),
        run.detections.class_ids.tolist(),
        run.detections.scores.tolist(),
        run.detections.xyxy,
    ):
        dt.add_detection(r, k, s, xywh(b))
    t = tidecv.TIDE(iou, background_iou)
    result = t.evaluate(gt, dt, name="x")
    counts = {NAMES[k.short_name]: v for k, v in result.count_errors().items()}
    dap = {NAMES[k.short_name]: v for k, v in result.fix_main_errors().items()}
    special = {k.short_name: v for k, v in result.fix_special_errors().items()}
    return result.ap, counts, dap, special


def agree(run, **bounds):
    ap, counts, dap, special = tide(run, *bounds.values())
    e = find_errors(run, ignored_too=True, **bounds)
    assert e.counts == counts
    assert e.ap * 100 == pytest.approx(ap, abs=1e-9)
    for kind in KINDS:
        assert e.dap[kind] * 100 == pytest.approx(dap[kind], abs=1e-9), kind
    assert e.dap["false positives"] * 100 == pytest.approx(special["FalsePos"], abs=1e-9)
    assert e.dap["false negatives"] * 100 == pytest.approx(special["FalseNeg"], abs=1e-9)


def jittered(seed, **kwargs):
    """Boxes off the grid, so that no two IoUs are equal."""
    run = random_run(seed, **kwargs)
    rng = np.random.default_rng(seed)
    for table in (run.detections, run.truth):
        moved = table.xyxy + rng.uniform(0, 0.3, table.xyxy.shape).astype(np.float32)
        moved.setflags(write=False)
        object.__setattr__(table, "xyxy", moved)
    return run


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kwargs", [{"crowd": 0, "ties": False}, {"crowd": 0.3}, {"dets": 200, "images": 4}])
def test_equal_to_tidecv(seed, kwargs):
    agree(jittered(seed, **kwargs))


@pytest.mark.parametrize("iou, background_iou", [(0.75, 0.3), (0.3, 0.05)])
def test_equal_to_tidecv_at_other_bounds(iou, background_iou):
    agree(jittered(99, images=20), iou=iou, background_iou=background_iou)


def test_detections_on_crowds_are_mistakes_only_for_tidecv():
    run = jittered(5, crowd=0.5, images=30)
    ours, theirs = find_errors(run), find_errors(run, ignored_too=True)
    assert sum(ours.counts.values()) < sum(theirs.counts.values())
    assert ours.ap == theirs.ap


def test_equal_iou_takes_the_later_object_where_tidecv_takes_the_first():
    # Two equal cars in one box: whichever is taken, the counts are the same.
    run = make_run(
        [(0, 10, 10, 20, 20, 0.9, 0), (0, 10, 10, 20, 20, 0.8, 0), (0, 10, 10, 20, 20, 0.7, 0)],
        [(0, 10, 10, 20, 20, 0)] * 2,
    )
    assert find_errors(run).counts["duplicate"] == 1
    agree(run)


def test_every_mistake_has_one_kind():
    run = jittered(3, images=30)
    e = find_errors(run, max_detections=None)
    wrong = np.isin(e.matches.det_kind, (0, 2))
    assert ((e.det_error > 0) == wrong).all()
    unfound = e.matches.truth_counted & (e.matches.truth_det < 0)
    assert ((e.truth_error > 0) == unfound).all()


def test_golden_numbers_of_tidecv():
    golden = json.loads(GOLDEN.read_text())
    for case in golden["cases"]:
        e = find_errors(jittered(case["seed"], images=case["images"]), ignored_too=True)
        assert e.counts == case["counts"]
        assert e.ap * 100 == pytest.approx(case["ap"], abs=1e-9)
        for kind in KINDS:
            assert e.dap[kind] * 100 == pytest.approx(case["dap"][kind], abs=1e-9)


def test_images_without_an_object_hold_only_background():
    e = find_errors(make_run([(0, 0, 0, 9, 9, 0.8, 0), (1, 5, 5, 30, 20, 0.6, 1)], []))
    assert (
        e.det_error.tolist() == [BACKGROUND, BACKGROUND]
        and e.counts["background"] == 2
        and e.counts["missed"] == 0
    )


def test_a_run_without_ground_truth_has_no_kinds():
    e = find_errors(make_run([(0, 0, 0, 9, 9, 0.8, 0)], [], labelled=[False]))
    assert e.det_error.tolist() == [0] and not any(e.counts.values())


def test_kinds_at_exactly_their_bounds():
    """One car of 10 x 10 in each image, and a box that holds it: IoU 10 / width."""
    car = (0, 0, 10, 10, 0)
    run = make_run(
        [
            (0, 0, 0, 10, 10, 0.9, 0),
            (0, 0, 0, 20, 10, 0.8, 0),  # 1/2 with a car that is taken: badly placed before it is a duplicate
            (1, 0, 0, 40, 10, 0.8, 0),  # 1/4: badly placed from there on
            (2, 0, 0, 40, 10, 0.8, 1),  # 1/4 under another name: still background
            (3, 0, 0, 20, 10, 0.8, 1),  # 1/2 under another name: the name alone is wrong
            (4, 0, 0, 30, 10, 0.8, 1),  # 1/3: both
        ],
        [(i, *car) for i in range(5)],
    )
    kinds = find_errors(run, iou=0.5, background_iou=0.25).det_error.tolist()
    assert kinds == [0, LOCALISATION, LOCALISATION, BACKGROUND, CLASSIFICATION, BOTH]
