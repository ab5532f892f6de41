"""The matcher: a table worked out by hand, and pycocotools as the referee, match by match."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.matching.match import match, match_columns, match_run
from analysis.matching.matches import Verdict
from analysis.runs.in_memory import run_from_detections
from detector.core import Annotations, ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import InputError
from tests.analysis.builders import coco_dicts, make_run, pycoco_eval, random_run


def test_nothing_at_all():
    m = match(Detections.empty((50, 40)), Annotations.empty((50, 40)))
    assert len(m.det_kind) == 0 and len(m.truth_det) == 0 and m.num_images == 1


def test_hand_table():
    # A 20x10 car. Best score takes it (IoU .8), the second on it is a duplicate although it fits better.
    objects = [(0, 10, 10, 30, 20, 0), (0, 50, 10, 60, 40, 1), (0, 70, 50, 90, 70, 0, {"crowd"})]
    dets = [
        (0, 10, 10, 26, 20, 0.9, 0),  # 160 / 200 = .8
        (0, 10, 10, 30, 20, 0.8, 0),  # 1.0, but taken
        (0, 50, 10, 60, 40, 0.7, 0),  # fits the dog, says car
        (0, 70, 50, 80, 60, 0.6, 0),  # wholly inside the crowd
        (0, 72, 50, 80, 60, 0.5, 0),  # a second one inside it
        (0, 0, 60, 20, 75, 0.4, 2),  # nothing there
    ]
    m = match_run(make_run(dets, objects))
    assert m.det_kind.tolist() == [
        Verdict.CORRECT,
        Verdict.DUPLICATE,
        Verdict.WRONG,
        Verdict.IGNORED,
        Verdict.IGNORED,
        Verdict.WRONG,
    ]
    assert m.det_truth.tolist() == [0, 0, -1, 2, 2, -1]
    np.testing.assert_allclose(m.det_iou, [0.8, 1, 0, 1, 1, 0], rtol=1e-6)
    assert m.truth_det.tolist() == [0, -1, 3]
    np.testing.assert_allclose(m.truth_score, [0.9, -1, 0.6], rtol=1e-6)
    assert m.truth_ignored.tolist() == [False, False, True]


def test_class_ignored_lets_the_dog_be_found():
    run = make_run([(0, 50, 10, 60, 40, 0.7, 0)], [(0, 50, 10, 60, 40, 1)])
    assert match_run(run).det_kind.tolist() == [Verdict.WRONG]
    assert match_run(run, class_aware=False).det_kind.tolist() == [Verdict.CORRECT]


def test_counted_object_comes_before_a_better_fitting_crowd():
    objects = [(0, 0, 0, 40, 40, 0, {"crowd"}), (0, 10, 10, 20, 20, 0)]
    m = match_run(
        make_run([(0, 10, 10, 20, 16, 0.9, 0)], objects)
    )  # IoU .6 with the object, 1.0 with the crowd
    assert m.det_kind.tolist() == [Verdict.CORRECT] and m.det_truth.tolist() == [1]


def test_equal_fit_takes_the_later_object():
    m = match_run(make_run([(0, 10, 10, 20, 20, 0.9, 0)], [(0, 10, 10, 20, 20, 0)] * 2))
    assert m.truth_det.tolist() == [-1, 0]


def test_difficult_is_a_choice():
    run = make_run(
        [(0, 10, 10, 20, 20, 0.9, 0), (0, 10, 10, 20, 20, 0.8, 0)], [(0, 10, 10, 20, 20, 0, {"difficult"})]
    )
    assert match_run(run).det_kind.tolist() == [Verdict.CORRECT, Verdict.DUPLICATE]
    ignoring = match_run(run, difficult="ignore")
    assert ignoring.det_kind.tolist() == [Verdict.IGNORED, Verdict.IGNORED] and ignoring.truth_ignored.all()


def test_iou_of_exactly_the_bound_fits():
    run = make_run([(0, 0, 0, 10, 5, 0.9, 0)], [(0, 0, 0, 10, 10, 0)])
    assert match_run(run, 0.5).det_kind.tolist() == [Verdict.CORRECT]
    assert match_run(run, 0.5001).det_kind.tolist() == [Verdict.WRONG]
    same = make_run([(0, 0, 0, 10, 10, 0.9, 0)], [(0, 0, 0, 10, 10, 0)])
    assert match_run(same, 1.0).det_kind.tolist() == [Verdict.CORRECT]


def test_unlabelled_unfinished_and_failed_images_are_left_out_on_both_sides():
    dets = [(i, 10, 10, 20, 20, 0.9, 0) for i in range(4)]
    objects = [(i, 10, 10, 20, 20, 0) for i in range(4)]
    m = match_run(make_run(dets, objects, labelled=[1, 0, 1, 1], done=[1, 1, 0, 1], failed=["img3"]))
    assert m.det_kind.tolist() == [Verdict.CORRECT, Verdict.UNJUDGED, Verdict.UNJUDGED, Verdict.UNJUDGED]
    assert m.truth_counted.tolist() == [True, False, False, False]


def test_a_class_the_data_set_does_not_have_is_nobodys_mistake():
    info = DetectorInfo("toy", "fake", ClassMap(("dog", "ufo")), "0" * 8)
    objects = ObjectTable.build([0], [[10, 10, 20, 20]], [0])
    data = Dataset(
        name="d",
        format="test",
        source="",
        class_map=ClassMap(("dog",)),
        sample_ids=["a"],
        files=[""],
        sizes=[[90, 70]],
        objects=objects,
    )
    found = Detections(
        [[10, 10, 20, 20], [40, 10, 60, 20], [60, 10, 80, 20]], [0.9, 0.8, 0.7], [0, 1, 0], (90, 70)
    )
    m = match_run(run_from_detections(data, [found], info))
    assert m.det_kind.tolist() == [Verdict.CORRECT, Verdict.UNJUDGED, Verdict.WRONG]


def test_two_detections_on_zero_area_boxes_do_not_match():
    m = match_run(make_run([(0, 5, 5, 5, 5, 0.9, 0)], [(0, 5, 5, 5, 5, 0)]))
    assert m.det_kind.tolist() == [Verdict.WRONG]


def test_match_keeps_the_callers_order():
    size = (90, 70)
    truth = Annotations([[10, 10, 30, 20]], [2], size)
    d = Detections([[0, 0, 5, 5], [10, 10, 30, 20], [10, 10, 29, 20]], [0.2, 0.5, 0.9], [2, 2, 2], size)
    m = match([Detections.empty(size), d, d], [truth, truth, None])
    assert m.det_kind.tolist() == [
        Verdict.WRONG,
        Verdict.DUPLICATE,
        Verdict.CORRECT,
        Verdict.UNJUDGED,
        Verdict.UNJUDGED,
        Verdict.UNJUDGED,
    ]
    assert m.truth_det.tolist() == [-1, 2]


def test_bad_settings_are_named():
    run = make_run([], [], num_images=1)
    with pytest.raises(InputError, match="iou: expected more than 0"):
        match_run(run, 0)
    with pytest.raises(InputError, match="difficult: expected one of count, ignore"):
        match_run(run, difficult="maybe")
    with pytest.raises(InputError, match="one Annotations"):
        match([Detections.empty((5, 4))], [])


@pytest.mark.parametrize("class_aware", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_matches_are_pycocotools_own(seed, class_aware):
    run = random_run(seed)
    bounds = [0.3, 0.5, 0.75]
    truth, results = coco_dicts(run)
    ev = pycoco_eval(
        truth,
        results,
        iouThrs=np.array(bounds),
        areaRng=[[0, 1e10]],
        areaRngLbl=["all"],
        maxDets=[1000],
        useCats=int(class_aware),
    )
    partner = [{} for _ in bounds]
    ignored = [{} for _ in bounds]
    for e in ev.evalImgs:
        if e:
            for t in range(len(bounds)):
                partner[t] |= {i: int(g) for i, g in zip(e["dtIds"], e["dtMatches"][t])}
                ignored[t] |= {i: bool(g) for i, g in zip(e["dtIds"], e["dtIgnore"][t])}
    n = len(run.detections.rows)
    assert n > 20
    for t, bound in enumerate(bounds):
        m = match_run(run, bound, class_aware=class_aware)
        own = np.where(np.isin(m.det_kind, (Verdict.CORRECT, Verdict.IGNORED)), m.det_truth + 1, 0)
        assert own.tolist() == [partner[t][i + 1] for i in range(n)]
        assert (m.det_kind == Verdict.IGNORED).tolist() == [ignored[t][i + 1] for i in range(n)]


@pytest.mark.parametrize("seed", range(4))
def test_columns_may_come_in_any_order(seed):
    run = random_run(seed, ties=False)
    d, t = run.detections, run.truth
    rng = np.random.default_rng(seed)
    order, t_order = rng.permutation(len(d.rows)), rng.permutation(len(t.rows))
    mixed = match_columns(
        d.rows[order],
        d.xyxy[order],
        d.scores[order],
        d.class_ids[order],
        t.rows[t_order],
        t.xyxy[t_order],
        t.class_ids[t_order],
        judged=np.ones(12, bool),
        num_classes=4,
        crowd=t.crowd[t_order],
    )
    np.testing.assert_array_equal(mixed.det_kind, match_run(run).det_kind[order])
    two = match_columns(
        [0, 1, 0],
        np.float32([[0, 0, 9, 9]] * 3),
        np.float32([0.3, 0.9, 0.5]),
        np.zeros(3, int),
        [0],
        np.float32([[0, 0, 9, 9]]),
        np.zeros(1, int),
        judged=np.ones(2, bool),
        num_classes=1,
    )
    assert two.det_kind.tolist() == [Verdict.DUPLICATE, Verdict.WRONG, Verdict.CORRECT]


def plain_rule(dets, objects, bound):
    """The rule in the plainest words, one image and class, ignored objects counted as in the VOC devkit."""
    from detector.boxes import iou

    free = [True] * len(objects)
    out = []
    for d in dets:
        fits = [(float(iou([d[1:5]], [o[1:5]])[0, 0]), j) for j, o in enumerate(objects)]
        counted = [f for f in fits if free[f[1]] and not objects[f[1]][6] and f[0] >= bound]
        hard = [f for f in fits if objects[f[1]][6] and f[0] >= bound]
        if counted:
            j = max(counted)[1]
            free[j] = False
            out.append((Verdict.CORRECT, j))
        elif hard:
            out.append((Verdict.IGNORED, max(hard)[1]))
        else:
            out.append(
                (
                    Verdict.DUPLICATE
                    if any(f[0] >= bound and not objects[f[1]][6] for f in fits)
                    else Verdict.WRONG,
                    None,
                )
            )
    return out


@pytest.mark.parametrize("seed", range(8))
def test_difficult_ignored_follows_the_plain_rule(seed):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 25, (6, 2))
    objects = [
        (0, *b, *(b + rng.integers(6, 20, 2)), 0, {"difficult"} if k % 2 else set())
        for k, b in enumerate(low)
    ]
    base = np.array([o[1:5] for o in objects])[rng.integers(0, 6, 25)]
    boxes = np.maximum(base + rng.integers(-2, 3, (25, 4)), 0)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    dets = [(0, *b, 1 - k / 30, 0) for k, b in enumerate(boxes)]
    m = match_run(make_run(dets, objects), difficult="ignore")
    for k, (kind, j) in enumerate(plain_rule(dets, objects, 0.5)):
        assert m.det_kind[k] == kind
        if j is not None:
            assert m.det_truth[k] == j


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shuffle=st.integers(0, 1000))
def test_order_of_detections_changes_nothing(seed, shuffle):
    run = random_run(seed, images=3, ties=False)
    rng = np.random.default_rng(shuffle)
    d = run.detections
    size = (80, 80)

    def lists(order_of):
        out = []
        for i in range(3):
            rows = order_of(np.flatnonzero(d.rows == i))
            out.append((rows, Detections(d.xyxy[rows], d.scores[rows], d.class_ids[rows], size)))
        return out

    truth = [
        Annotations(run.truth.xyxy[r], run.truth.class_ids[r], size, crowd=run.truth.crowd[r])
        for r in (run.truth.rows == i for i in range(3))
    ]
    straight, mixed = lists(lambda r: r), lists(rng.permutation)
    a = match([x for _, x in straight], truth)
    b = match([x for _, x in mixed], truth)
    back = np.concatenate([rows for rows, _ in mixed]).astype(int)
    np.testing.assert_array_equal(a.det_kind[back], b.det_kind)
    np.testing.assert_array_equal(a.det_truth[back], b.det_truth)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.floats(0, 1))
def test_what_happens_above_a_threshold_does_not_depend_on_what_lies_below(seed, threshold):
    run = random_run(seed, images=4)
    keep = run.detections.scores >= np.float32(threshold)
    whole = match_run(run)
    run.detections = run.detections.take(keep)
    np.testing.assert_array_equal(whole.det_kind[keep], match_run(run).det_kind)


def test_a_duplicate_names_the_taken_object_it_fits_best():
    def bar(x, *rest):  # two that lie d apart have IoU (100 - d) / (100 + d)
        return (0, x, 0, x + 100, 10, *rest)

    run = make_run(
        [bar(0, 0.9, 0), bar(10, 0.8, 0), bar(2, 0.7, 0)], [bar(0, 0), bar(10, 0)], sizes=(200, 80)
    )
    m = match_run(run)
    assert m.det_truth.tolist() == [0, 1, 0] and m.det_kind[2] == Verdict.DUPLICATE
    assert m.det_iou[2] == np.float32(98 / 102), "0.96 with the first, 0.85 with the second"


def test_across_classes_the_object_of_the_later_class_wins_a_tie():
    run = make_run([(0, 0, 0, 9, 9, 0.9, 2)], [(0, 0, 0, 9, 9, 1), (0, 0, 0, 9, 9, 0)])
    assert match_run(run, class_aware=False).det_truth.tolist() == [0], "as if the table were sorted by class"
