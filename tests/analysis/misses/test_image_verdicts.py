"""A picture where every cause is planted once, and candidates that know it: each verdict, its proof and its
rescue.
"""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest

from analysis import autopsy
from analysis.matching.counts import counts
from analysis.matching.match import match_run
from analysis.misses.causes import CAUSES
from analysis.misses.prices import THRESHOLDS
from analysis.misses.replay import CLASS_CAP, SUPPRESSED, Replay, TrialRun, agrees, settings_in
from detector.boxes import iou
from detector.core import Candidates
from detector.nms import PostprocessSettings, replay
from tests.analysis.builders import make_run

SIZE = (230, 150)
SETTINGS = PostprocessSettings(
    score_threshold=0.001, iou_threshold=0.5, max_detections_per_class=3, max_total_detections=9
)
CAR, DOG, CUP = range(3)
TRUTH = {  # name of the planted cause -> (box, class)
    "no anchor": ((4, 4, 10, 9), CAR),
    "no box": ((100, 10, 130, 30), CAR),
    "wrong class": ((10, 40, 40, 70), CAR),
    "below threshold": ((60, 40, 90, 75), DOG),
    "found beside": ((100, 50, 140, 90), DOG),  # suppresses its neighbour
    "suppressed": ((110, 50, 150, 90), DOG),
    "capped": ((170, 100, 200, 130), CUP),
    "cup 1": ((10, 100, 40, 130), CUP),
    "cup 2": ((50, 100, 80, 130), CUP),
    "cup 3": ((90, 100, 120, 130), CUP),
    "outscored": ((170, 20, 200, 50), DOG),
    "found in its place": ((170, 14, 200, 44), DOG),
}
BOXES = [  # decoded box, anchor, level, scores of car, dog, cup
    ((0, 0, 30, 30), (0, 0, 30, 30), 0, (0.02, 0.01, 0.01)),
    ((100, 10, 112, 22), (100, 8, 130, 32), 0, (0.7, 0.01, 0.01)),  # the anchor fits, the box went astray
    ((10, 41, 40, 71), (8, 40, 40, 72), 1, (0.21, 0.84, 0.01)),
    ((60, 42, 90, 75), (56, 40, 90, 74), 1, (0.01, 0.31, 0.02)),
    ((100, 50, 140, 90), (100, 50, 140, 90), 1, (0.01, 0.92, 0.01)),
    ((110, 50, 150, 90), (110, 50, 150, 90), 1, (0.01, 0.71, 0.01)),  # IoU 0.6 with the one before
    ((10, 100, 40, 130), (10, 100, 40, 130), 2, (0.01, 0.01, 0.9)),
    ((50, 100, 80, 130), (50, 100, 80, 130), 2, (0.01, 0.01, 0.8)),
    ((90, 100, 120, 130), (90, 100, 120, 130), 2, (0.01, 0.01, 0.7)),
    ((170, 100, 200, 130), (170, 100, 200, 130), 2, (0.01, 0.01, 0.6)),
    (
        (170, 17, 200, 47),
        (170, 17, 200, 47),
        1,
        (0.01, 0.65, 0.01),
    ),  # fits both of two dogs, the later one better placed
]


def candidates(boxes=BOXES, size=SIZE) -> Candidates:
    return Candidates(
        [b for b, *_ in boxes],
        [s for *_, s in boxes],
        size,
        anchors=[a for _, a, *_ in boxes],
        levels=[level for *_, level, _ in boxes],
    )


def run_of(shown: Candidates, settings: PostprocessSettings, truth, floor=0.01):
    """A stored run of one picture, whose detections are what post-processing makes of the candidates."""
    found = replay(shown, settings)
    rows = [
        (0, *box, score, c)
        for box, score, c in zip(found.xyxy, found.scores, found.class_ids)
        if score >= np.float32(floor)
    ]
    return make_run(rows, [(0, *box, c) for box, c in truth], num_images=1, sizes=SIZE, floor=floor)


def planted(settings=SETTINGS, names=None):
    truth = TRUTH if names is None else {n: TRUTH[n] for n in names}
    shown = candidates()
    return run_of(shown, settings, truth.values()), shown, list(truth)


def verdicts(result, names):
    return {names[j]: str(cause) for j, cause in zip(result.evidence.truth.tolist(), result.causes)}


# Four dogs pass NMS (one of them the car), so a cap of 3 a class would take one away; and twelve detections
# in all.
DOGS = PostprocessSettings(
    score_threshold=0.001, iou_threshold=0.5, max_detections_per_class=11, max_total_detections=30
)


def test_each_planted_cause_is_named():
    names = [
        "no anchor",
        "no box",
        "wrong class",
        "below threshold",
        "found beside",
        "suppressed",
        "outscored",
        "found in its place",
    ]
    run, shown, names = planted(DOGS, names)
    result = autopsy(run, candidates={0: shown}, settings=DOGS)
    assert verdicts(result, names) == {name: name for name in names if name in CAUSES}
    assert {result.tier(q) for q in range(len(result))} == {"replay"}
    proofs = {names[result.evidence.truth[q]]: result.proof(q) for q in range(len(result))}
    assert all(proof.holds and proof.by == "post-processing" for proof in proofs.values())
    assert [(c.rule, round(c.value, 6)) for c in proofs["below threshold"].changes] == [("threshold", 0.31)]
    assert [(c.rule, round(c.value, 6)) for c in proofs["suppressed"].changes] == [("iou_threshold", 0.6)]
    assert [c.rule for c in proofs["wrong class"].changes] == ["name"]
    assert [c.rule for c in proofs["outscored"].changes] == ["rival"]
    assert not proofs["no anchor"].found and not proofs["no box"].found


def test_the_evidence_is_in_numbers():
    run, shown, names = planted(
        DOGS,
        [
            "no anchor",
            "no box",
            "wrong class",
            "below threshold",
            "found beside",
            "suppressed",
            "outscored",
            "found in its place",
        ],
    )
    result = autopsy(run, candidates={"img0": shown}, settings=asdict(DOGS))
    e = result.evidence
    at = {names[j]: q for q, j in enumerate(e.truth.tolist())}
    assert e.anchor_iou[at["no anchor"]] == pytest.approx(30 / 900) and e.iou[
        at["no anchor"]
    ] == pytest.approx(30 / 900)
    assert e.anchor_iou[at["no box"]] == pytest.approx(600 / 720) and e.iou[at["no box"]] == pytest.approx(
        144 / 600
    )
    q = at["wrong class"]
    assert (
        (e.other_class[q], e.anchor[q], e.level[q]) == (DOG, 2, 1)
        and e.other_score[q] == pytest.approx(0.84)
        and e.score[q] == pytest.approx(0.21)
    )
    q = at["suppressed"]
    assert (
        e.by_iou[q] == pytest.approx(0.6)
        and e.by_score[q] == pytest.approx(0.92)
        and e.score[q] == pytest.approx(0.71)
        and e.anchor[q] == 5
    )
    assert run.detections.scores[e.det[q]] == pytest.approx(0.92), "the suppressor's own row in the run"
    q = at["below threshold"]
    assert e.score[q] == pytest.approx(0.31) and (e.anchor[q], e.level[q]) == (3, 1)
    assert names[e.rival[at["outscored"]]] == "found in its place"
    assert (
        result.sentence(at["suppressed"])
        == "A dog was found here at 0.71 and suppressed by a dog of 0.92: their boxes overlap by IoU 0.60."
    )
    assert result.sentence(at["wrong class"]) == "Seen as dog at 0.84; car had 0.21 (IoU 0.94)."
    assert (
        result.sentence(at["below threshold"])
        == "A dog was found here at 0.31 with IoU 0.94 and cut by the threshold 0.50."
    )


@pytest.mark.parametrize(
    "settings, rule, value",
    [
        (SETTINGS, "max_detections_per_class", 4),
        (PostprocessSettings(0.001, 0.5, 7, 7), "max_total_detections", 8),
    ],
)
def test_a_capped_crowd(settings, rule, value):
    """Four cups: a cap of 3 a class, or of 6 in all, leaves the weakest out."""
    cups = ["cup 1", "cup 2", "cup 3", "capped"]
    run, shown, names = planted(settings, cups)
    result = autopsy(run, candidates={0: shown}, settings=settings)
    assert verdicts(result, names) == {"capped": "capped"}
    proof = result.proof(0)
    assert proof.holds and [(c.rule, c.value) for c in proof.changes] == [(rule, value)]
    rescue = result.rescues(0)[0]
    assert (rescue.rule, rescue.value, rescue.gained) == (rule, value, 1)


def test_the_price_of_nms_is_what_a_recount_says():
    names = ["found beside", "suppressed"]
    run, shown, names = planted(DOGS, names)
    result = autopsy(run, candidates={0: shown}, settings=DOGS)
    rescue = result.rescues(0)[0]
    looser = PostprocessSettings(**(asdict(DOGS) | {"iou_threshold": rescue.value}))
    before, after = (
        counts(match_run(run_of(shown, s, [TRUTH[n] for n in names])), 0.5) for s in (DOGS, looser)
    )
    assert (
        (rescue.rule, rescue.gained, rescue.wrong)
        == ("iou_threshold", after.tp - before.tp, after.fp - before.fp)
        == ("iou_threshold", 1, 0)
    )
    assert rescue.precision == pytest.approx(after.precision) and rescue.whole
    assert result.best_changes()[0].rule == "iou_threshold"


def test_a_score_under_the_detectors_own_cut_comes_back_with_it():
    strict = PostprocessSettings(0.4, 0.5, 11, 30)
    run, shown, names = planted(strict, ["below threshold"])
    result = autopsy(run, candidates={0: shown}, settings=strict)
    assert verdicts(result, names) == {"below threshold": "below threshold"}
    assert [c.rule for c in result.proof(0).changes] == ["threshold", "score_threshold"] and result.proof(
        0
    ).holds
    low = autopsy(run, 0.2, candidates={0: shown}, settings=strict)
    assert [c.rule for c in low.proof(0).changes] == ["score_threshold"] and low.proof(0).holds, (
        "here the detector's cut is the higher one"
    )


def test_without_a_replay_the_candidates_still_tell_what_they_can():
    """Settings that do not give the stored detections: no replay, and it says so."""
    names = ["no anchor", "no box", "wrong class", "below threshold", "found beside", "suppressed"]
    run, shown, names = planted(DOGS, names)
    result = autopsy(run, candidates={0: shown}, settings=PostprocessSettings(0.5, 0.9, 2, 2))
    assert not result.replays and {result.tier(q) for q in range(len(result))} == {"candidates"}
    assert verdicts(result, names) == {n: n for n in names if n in CAUSES}
    assert all(result.proof(q).holds and result.proof(q).by == "matching" for q in range(len(result)))


def test_a_replay_must_give_the_stored_detections():
    run, shown, _ = planted(DOGS)
    bench = TrialRun(run, match_run(run), 0)
    columns = np.arange(3)
    assert agrees(Replay(shown, columns, DOGS).boxes(), bench.stored, 0.01, SIZE)
    assert not agrees(Replay(shown, columns, SETTINGS).boxes(), bench.stored, 0.01, SIZE)
    moved = Candidates(shown.xyxy + np.float32([0, 0, 9, 0]), shown.scores, SIZE)
    assert not agrees(Replay(moved, columns, DOGS).boxes(), bench.stored, 0.01, SIZE)


def test_settings_go_by_either_name():
    assert settings_in(asdict(SETTINGS)) == SETTINGS
    assert settings_in(
        {"nms_iou_threshold": 0.4, "max_detections": 10, "nms_score_threshold": 0.2, "use_regular_nms": True}
    ) == PostprocessSettings(0.2, 0.4, 10, 10)
    assert settings_in({"seed": 3}) == PostprocessSettings()


def fast_nms(shown: Candidates, iou_threshold: float, most: int):
    """TFLite's NonMaxSuppressionMultiClassFastHelper in plain words: [(anchor, class), ...], best first."""
    best = shown.scores.max(axis=1)
    kept: list[int] = []
    for anchor in np.argsort(-best, kind="stable").tolist():
        if best[anchor] > 0 and all(
            iou(shown.xyxy[anchor], shown.xyxy[k])[0, 0] <= iou_threshold for k in kept
        ):
            kept.append(anchor)
    return [(k, int(shown.scores[k].argmax())) for k in kept[:most]]


@pytest.mark.parametrize("pooled", [False, True], ids=["class by class", "fast"])
@pytest.mark.parametrize("seed", range(12))
def test_every_miss_of_a_random_picture_has_a_proof_that_replays(seed, pooled):
    """Crowded candidates, tied scores, tight caps: whatever the verdict, its replay bears it out, and prices
    are a recount's.
    """
    rng = np.random.default_rng(seed)
    n, objects = 60, 14

    def boxes(k):
        low = rng.integers(0, 60, (k, 2))
        return np.concatenate([low, low + rng.integers(6, 30, (k, 2))], axis=1).astype(np.float32)

    truth = boxes(objects)
    near = np.maximum(truth[rng.integers(0, objects, n)] + rng.integers(-3, 4, (n, 4)), 0)
    shown = Candidates(
        near, rng.beta(0.3, 1.2, (n, 3)).round(2), SIZE, anchors=boxes(n), levels=rng.integers(0, 3, n)
    )
    cap = 9 if pooled else int(rng.integers(2, 6))
    settings = PostprocessSettings(
        0.0 if pooled else float(rng.choice([0.001, 0.3])), float(rng.choice([0.2, 0.5])), cap, 9
    )
    stated = asdict(settings)
    if pooled:
        stated = {
            "nms_score_threshold": 0.0,
            "nms_iou_threshold": settings.iou_threshold,
            "max_detections": 9,
            "use_regular_nms": 0,
        }
    ids = rng.integers(0, 3, objects)

    def run_with(s):
        b = Replay(shown, np.arange(3), s, pooled).boxes()
        rows = [(0, *box, score, c) for box, score, c in zip(b.xyxy, b.scores, b.class_ids)]
        objects = [(0, *box, c) for box, c in zip(truth.tolist(), ids)]
        return make_run(rows, objects, num_images=1, sizes=SIZE, floor=0.0), b

    run, b = run_with(settings)
    if pooled:
        assert list(zip(b.anchors.tolist(), b.class_ids.tolist())) == fast_nms(
            shown, settings.iou_threshold, 9
        )
    thresholds = np.float32([0.5, 0.3, 0.7])
    result = autopsy(run, thresholds, candidates={0: shown}, settings=stated)
    before = counts(match_run(run), thresholds)
    assert result.replays and sum(result.counts().values()) == len(result) == before.fn
    for q in range(len(result)):
        assert result.proof(q).holds, (result.sentence(q), result.proof(q).sentence())
        assert result.tier(q) == "replay"
        for r in result.rescues(q):
            if r.rule not in THRESHOLDS:
                caps = (
                    {"max_detections_per_class": int(r.value)}
                    if pooled and r.rule == "max_total_detections"
                    else {}
                )
                loose = PostprocessSettings(
                    **(asdict(settings) | {r.rule: type(getattr(settings, r.rule))(r.value)} | caps)
                )
                after = counts(match_run(run_with(loose)[0]), thresholds)
                assert (after.tp - before.tp, after.fp - before.fp) == (r.gained, r.wrong)


@pytest.mark.slow
def test_a_real_tflite_network_is_replayed_exactly(shared):
    """An int8 SSD MobileNetV2 FPNLite whose file suppresses by the fast rule: every image replays, every
    proof holds.
    """
    from analysis.runs.detect import detect_run
    from detector import load_dataset, load_detector

    detector = load_detector(
        str(shared / "weights" / "ssd_mobilenet_v2_fpnlite_cat_raccoon" / "detect_quant.tflite")
    )
    run = detect_run(detector, load_dataset(str(shared / "data" / "raccoon")), limit=60)
    images = np.flatnonzero(run.usable)
    result = autopsy(
        run,
        0.9,
        0.85,
        candidates=lambda i: detector.candidates([run.load_image(i)])[0],
        images=images.tolist(),
    )
    assert len(images) == 60 == len(result.replays) and len(result) > 3 and result.counts()["not stored"] == 0
    assert all(result.tier(q) == "replay" and result.proof(q).holds for q in range(len(result)))


def side(x: float, score: float, length: float = 100):
    """A dog's box of height 10: two of length 100 that lie d apart have IoU (100 - d) / (100 + d)."""
    box = (x, 10, x + length, 20)
    return box, box, 0, (0.01, score, 0.01)


def test_where_the_first_candidate_needs_two_changes_the_next_is_tried():
    """The surest box of the dog at 40 (at 30, IoU 0.54 with the one that suppresses it) would go to the dog
    at 36; the second (at 20) finds it by a higher NMS IoU alone."""
    boxes = [side(0, 0.9), side(30, 0.8), side(20, 0.7)]
    shown = candidates(boxes, (300, 60))
    run = run_of(shown, SETTINGS, [((36, 10, 136, 20), DOG), ((40, 10, 140, 20), DOG)])
    a = autopsy(run, 0.5, candidates={0: shown}, settings=asdict(SETTINGS))
    q = a.evidence.truth.tolist().index(1)
    proof = a.proof(q)
    assert proof.found and [c.rule for c in proof.changes] == ["iou_threshold"]
    assert int(a.evidence.anchor[q]) == 2 and a.evidence.score[q] == np.float32(0.7)


@pytest.mark.parametrize(("width", "cause"), [(20, "no box"), (22, "no anchor")])
def test_an_anchor_reaches_an_object_from_an_iou_of_one_half_on(width, cause):
    boxes = [
        ((200, 100, 210, 110), (0, 0, width, 10), 0, (0.01, 0.9, 0.01))
    ]  # IoU 10 / width with the object
    shown = candidates(boxes)
    run = run_of(shown, SETTINGS, [((0, 0, 10, 10), DOG)])
    a = autopsy(run, 0.5, candidates={0: shown}, settings=asdict(SETTINGS))
    assert a.causes.tolist() == [cause]


def test_the_box_that_fills_its_class_suppresses_nobody():
    shown = candidates([side(0, 0.9), side(20, 0.8)], (300, 60))  # IoU 2/3

    def fate(cap):
        settings = replace(SETTINGS, max_detections_per_class=cap)
        return Replay(shown, np.arange(3), settings).fate(1, DOG)

    assert fate(1) == (CLASS_CAP, -1, -1.0), "post-processing has stopped before it"
    assert fate(2)[:2] == (SUPPRESSED, 0)
