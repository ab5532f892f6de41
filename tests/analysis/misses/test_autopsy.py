"""Causes of misses from stored detections, their proofs, and prices against a recount from scratch."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis import autopsy, autopsy_columns
from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.matching.operating_point import class_thresholds
from analysis.misses.causes import CAUSES
from analysis.misses.prices import lowered, threshold_prices
from analysis.misses.run import COLUMNS
from analysis.mistakes.errors import find_errors
from detector.errors import InputError
from tests.analysis.builders import make_run, random_run

# image, box, score, class (0 car, 1 dog, 2 cup)
DETECTIONS = [
    (0, 0, 0, 20, 40, 0.9, 0),  # finds the car at its place
    (0, 40, 0, 60, 40, 0.31, 0),  # the second car, below the threshold
    (0, 70, 0, 90, 40, 0.8, 1),  # on the third car, as a dog
    (0, 70, 2, 90, 40, 0.12, 0),
    (1, 10, 10, 40, 30, 0.7, 2),  # one cup for two cups that lie over each other
    (1, 60, 40, 70, 60, 0.6, 1),  # near a dog, IoU 200/600
    (2, 5, 5, 35, 45, 0.95, 0),  # a correct car that a dog lies under: says nothing about the dog
]
OBJECTS = [
    (0, 0, 0, 20, 40, 0),
    (0, 40, 2, 60, 42, 0),
    (0, 70, 0, 90, 42, 0),
    (1, 10, 10, 40, 30, 2),
    (1, 10, 12, 40, 34, 2),
    (1, 60, 40, 90, 60, 1),
    (2, 5, 5, 35, 45, 0),
    (2, 5, 8, 35, 45, 1),
    (2, 50, 50, 80, 70, 1, {"crowd"}),
]


def recount(run, thresholds):
    """Counts with every detection below its threshold thrown away before matching."""
    fewer = copy.copy(run)
    fewer.detections = run.detections.take(run.detections.scores >= thresholds[run.detections.class_ids])
    return counts(match_run(fewer), 0.0)


def test_the_cause_of_each_object():
    run = make_run(DETECTIONS, OBJECTS)
    a = autopsy(run)
    found = {
        int(j): (str(c), round(float(s), 3), round(float(i), 3), int(d))
        for j, c, s, i, d in zip(a.evidence.truth, a.causes, a.evidence.score, a.evidence.iou, a.evidence.det)
    }
    # Rows of detections: image 0 by score: 0.9 car, 0.8 dog, 0.31 car, 0.12 car; image 1: 0.7 cup, 0.6 dog;
    # image 2.
    assert found == {
        1: ("below threshold", 0.31, round(760 / 840, 3), 2),
        2: ("wrong class", 0.12, round(800 / 840, 3), 1),
        4: ("outscored", 0.7, round(540 / 720, 3), 4),
        5: ("not stored", -1, round(200 / 600, 3), 5),
        7: ("not stored", -1, 0.0, -1),
    }
    assert a.counts() == {name: 0 for name in CAUSES} | {
        "below threshold": 1,
        "wrong class": 1,
        "outscored": 1,
        "not stored": 2,
    }
    q = a.miss_of(2)
    assert (
        a.evidence.other_class[q] == 1
        and a.evidence.other_score[q] == pytest.approx(0.8)
        and a.miss_of(0) is None
    )
    assert a.evidence.rival[a.miss_of(4)] == 3
    assert (
        a.sentence(a.miss_of(1))
        == "A car was found here at 0.31 with IoU 0.90 and cut by the threshold 0.50."
    )
    assert a.sentence(q) == "Seen as dog at 0.80; car had 0.12 (IoU 0.95)."
    assert (
        a.sentence(a.miss_of(5))
        == "No stored detection of dog down to 0.01 fits this object: the nearest of its class has IoU 0.33."
    )
    proofs = {int(j): a.proof(k) for k, j in enumerate(a.evidence.truth)}
    assert all(p.holds and p.by == "matching" for p in proofs.values())
    assert [c.rule for c in proofs[1].changes] == ["threshold"] and [c.rule for c in proofs[2].changes] == [
        "name"
    ]
    assert [c.rule for c in proofs[4].changes] == ["rival"] and proofs[5].expected is False


def test_one_detection_explains_one_object():
    """A dog on two cars: the car it fits best was seen as a dog, the other was not stored."""
    run = make_run([(0, 0, 0, 30, 40, 0.8, 1)], [(0, 0, 0, 30, 36, 0), (0, 0, 0, 30, 40, 0)])
    assert autopsy(run).causes.tolist() == ["not stored", "wrong class"]


def test_a_name_the_data_set_lacks_is_a_wrong_name_too():
    from tests.analysis.run_builders import INFO, numbered

    data = numbered(
        1
    )  # a cat at 1,2..9,11 and an aeroplane at 10,3..21,13; the detector knows airplane, dog and Cat
    from analysis.runs.in_memory import run_from_detections
    from detector.core import Detections

    found = Detections([[1, 2, 9, 11], [10, 3, 21, 13]], [0.9, 0.8], [1, 0], (21, 13))
    a = autopsy(run_from_detections(data, [found], INFO))
    assert a.causes.tolist() == ["wrong class"]
    assert a.sentence(0) == "Seen as dog at 0.90 (IoU 1.00)."


def test_a_class_the_detector_does_not_know():
    from analysis.runs.in_memory import run_from_detections
    from detector.core import ClassMap, Detections, DetectorInfo
    from tests.analysis.run_builders import numbered

    info = DetectorInfo("one class", "stub", ClassMap(("cat",)), "w")
    a = autopsy(run_from_detections(numbered(2), [Detections.empty((21, 13))] * 2, info, floor=0.05))
    assert a.counts()["unknown class"] == 2 and a.counts()["not stored"] == 2
    assert a.sentence(1) == "The detector knows no class aeroplane."


def test_a_run_without_a_miss_is_empty():
    a = autopsy(make_run([(0, 0, 0, 20, 40, 0.9, 0)], [(0, 0, 0, 20, 40, 0)]))
    assert (
        len(a) == 0
        and sum(a.counts().values()) == 0
        and a.best_changes() == []
        and a.to_dict()["misses"] == []
    )
    assert len(autopsy(make_run([], [], num_images=1))) == 0


def test_wrong_input_is_refused():
    run = make_run(DETECTIONS, OBJECTS)
    with pytest.raises(InputError, match="matches of this run at this IoU"):
        autopsy(run, matches=match_run(run, 0.7))
    with pytest.raises(InputError, match="expected one of unknown class"):
        autopsy(run).of("bad luck")


def test_the_rescue_of_a_low_score_and_its_price():
    """The car's own threshold lets one false car in, everyone's a false dog as well; the values are as short
    as they can be.
    """
    run = make_run([*DETECTIONS, (2, 60, 5, 90, 20, 0.35, 0), (2, 60, 25, 90, 40, 0.33, 1)], OBJECTS)
    a = autopsy(run)
    q = a.miss_of(1)
    first, second = a.rescues(q)
    assert (first.rule, first.class_id, first.value, first.gained, first.wrong) == (
        "class threshold",
        0,
        0.3,
        1,
        1,
    )
    assert (second.rule, second.value, second.gained, second.wrong) == ("threshold", 0.3, 1, 2)
    assert (a.rescue_gained[q], a.rescue_wrong[q]) == (1, 1) and a.rescue_precision[q] == pytest.approx(
        first.precision
    )
    assert a.rescue_wrong[a.miss_of(5)] == -1 and a.rescues(a.miss_of(5)) == []
    assert first.sentence(run.class_map.names).startswith(
        "The threshold of car at 0.3 over the whole run finds 1 more object and adds 1 false positive ("
    )


def test_json_is_plain_and_whole():
    a = autopsy(make_run(DETECTIONS, OBJECTS))
    value = json.loads(json.dumps(a.to_dict(proofs=True), allow_nan=False))
    assert value["counts"]["fn"] == len(value["misses"]) == 5 and sum(value["causes"].values()) == 5
    assert value["misses"][0]["cause"] == "below threshold" and value["misses"][0]["proof"]["holds"] is True
    assert value["operating_point"]["iou"] == 0.5 and value["best_changes"][0]["objects_gained"] == 2


def test_columns_for_a_push_stand_beside_the_truth():
    run = make_run(DETECTIONS, OBJECTS)
    columns = autopsy_columns(run)
    assert tuple(columns) == COLUMNS
    assert all(len(c) == len(OBJECTS) for c in columns.values())
    assert columns["miss_cause"].tolist() == [
        "",
        "below threshold",
        "wrong class",
        "",
        "outscored",
        "not stored",
        "",
        "not stored",
        "",
    ]
    assert columns["miss_seen_as"][2] == "dog" and columns["miss_score"][1] == pytest.approx(0.31)
    assert np.isnan(columns["miss_score"][[0, 5]]).all() and columns["rescue_threshold"][1] == pytest.approx(
        0.31
    )
    from analysis.fiftyone.push.verdicts import judge

    judge(run, truth_columns=columns)  # a push accepts their names and lengths


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.55, 0.8, 1.0]), st.sampled_from([0.3, 0.5, 0.75]))
def test_causes_sum_to_the_misses_and_every_proof_holds(seed, threshold, iou):
    run = random_run(seed, images=4)
    thresholds = class_thresholds(threshold, 4) if seed % 2 else np.float32([threshold, 0.5, 0.2, 0.9])
    a = autopsy(run, thresholds, iou)
    m = match_run(run, iou)
    assert sum(a.counts().values()) == len(a) == counts(m, thresholds).fn and (a.evidence.cause > 0).all()
    assert (np.diff(a.evidence.truth) > 0).all() and not m.truth_ignored[a.evidence.truth].any()
    for q in range(len(a)):
        assert a.proof(q).holds, (a.sentence(q), a.proof(q).sentence())
    by_name = a.of("wrong class")
    assert len(np.unique(a.evidence.det[by_name])) == len(by_name), "one detection explains one object"


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.4, 0.6, 0.9]))
def test_prices_are_what_a_recount_says(seed, threshold):
    run = random_run(seed, images=5, ties=bool(seed % 2))
    m = match_run(run)
    thresholds = np.float32([threshold, 0.5, 0.7, threshold])
    now = recount(run, thresholds)
    a = autopsy(run, thresholds)
    for rescue in [r for q in range(len(a)) for r in a.rescues(q)] + a.best_changes():
        then = recount(run, lowered(thresholds, rescue))
        assert (rescue.gained, rescue.wrong) == (then.tp - now.tp, then.fp - now.fp)
        assert (
            rescue.recall == pytest.approx(then.recall)
            and rescue.precision == pytest.approx(then.precision)
            and rescue.gained >= 1
        )
    at = np.flatnonzero(a.evidence.back_score >= 0)
    everyone = threshold_prices(m, thresholds, None, a.evidence.back_score[at])
    for k, q in enumerate(at.tolist()):
        own, glob = thresholds.copy(), np.minimum(thresholds, a.evidence.back_score[q])
        own[m.truth_classes[a.evidence.truth[q]]] = a.evidence.back_score[q]
        assert (a.rescue_gained[q], a.rescue_wrong[q]) == (
            recount(run, own).tp - now.tp,
            recount(run, own).fp - now.fp,
        )
        assert (everyone.gained[k], everyone.wrong[k]) == (
            recount(run, glob).tp - now.tp,
            recount(run, glob).fp - now.fp,
        )


def test_the_best_change_of_a_class_is_the_best_of_all_its_thresholds():
    run = random_run(7, images=30, ties=False)
    thresholds = np.full(4, 0.6, np.float32)
    best = {(r.rule, r.class_id): r.f1 for r in autopsy(run, 0.6).best_changes(50)}
    for c in range(3):
        scores = run.detections.scores[(run.detections.class_ids == c) & (run.detections.scores < 0.6)]
        every = []
        for s in scores:
            tried = thresholds.copy()
            tried[c] = s
            then = recount(run, tried)
            if then.tp > counts(match_run(run), thresholds).tp:
                every.append(then.f1)
        assert best[("class threshold", c)] == pytest.approx(max(every))


def test_every_miss_of_a_simulated_detector_has_a_verdict_that_holds(tmp_path):
    """Scenes and the simulated detector: with candidates, no miss is left at "not stored"."""
    from analysis.runs.in_memory import run_from_detections
    from detector.data.samples.scenes import demo_dataset
    from detector.models.fake import FakeDetector

    dataset = demo_dataset(tmp_path, count=10)
    detector = FakeDetector(dataset)
    run = run_from_detections(dataset, detector.detect_samples(dataset.sample_ids), detector.info, floor=0.01)
    plain = autopsy(run)
    asked = []

    def candidates(i):
        asked.append(i)
        return detector.candidates([dataset.load_image(i)])[0]

    a = autopsy(run, candidates=candidates)
    assert sorted(asked) == sorted(set(a.rows.tolist())), "only images with a miss are asked for"
    assert len(a) == len(plain) == counts(match_run(run), 0.5).fn > 3
    assert plain.counts()["not stored"] > 0 == a.counts()["not stored"]
    assert all(x.proof(q).holds for x in (plain, a) for q in range(len(x)))
    kinds = find_errors(run, max_detections=None).at(0.5)[1]
    assert (kinds[a.evidence.truth] > 0).all()
