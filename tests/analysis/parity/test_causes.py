"""Why an object is lost: a small detector, open in every step, against a copy with one step changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from analysis.misses.replay import Replay
from analysis.parity.causes import counted, explain_lost
from analysis.parity.pairs import pair_runs
from analysis.runs.in_memory import run_from_detections
from detector.core import Candidates, ClassMap, Detections, DetectorInfo, Staged
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import ModelError
from detector.nms import PostprocessSettings

SIZE, INPUT = (90, 60), (30, 20)
CLASSES = ClassMap(("cat", "dog"))
# Two cats and a dog; the dog lies on the first cat (IoU 0.67). Rows 3 and 4 are weaker boxes of the same.
BOXES = np.array(
    [(10, 10, 40, 40), (60, 5, 80, 45), (10, 16, 40, 46), (11, 10, 41, 40), (5, 50, 45, 58)], np.float32
)
SCORES = np.array([(0.9, 0.01), (0.6, 0.02), (0.03, 0.8), (0.5, 0.01), (0.02, 0.55)], np.float32)
PICTURE = np.full((SIZE[1], SIZE[0], 3), 100, np.uint8)


@dataclass
class Toy:
    """Scores fall with the picture's brightness above 100; each field is one step of the chain."""

    brighter: float = 0.0  # of the prepared picture
    step: float = 0.0  # scores in such steps, rounded down
    shift: float = 0.0  # of the second box, in pixels
    pooled: bool = False
    settings: PostprocessSettings = field(default_factory=PostprocessSettings)
    shows: bool = True
    fails: bool = False

    @property
    def info(self) -> DetectorInfo:
        s = self.settings
        stated: dict[str, Any] = asdict(s)
        if self.pooled:  # as a .tflite states them
            stated = {
                "use_regular_nms": 0,
                "nms_score_threshold": s.score_threshold,
                "nms_iou_threshold": s.iou_threshold,
                "max_detections": s.max_total_detections,
            }
        return DetectorInfo(
            "toy",
            "test",
            CLASSES,
            repr(self).encode().hex()[-40:],
            INPUT,
            frozenset({"candidates"} if self.shows else ()),
            settings=stated,
        )

    def resized(self, image):
        return np.full((INPUT[1], INPUT[0], 3), image.mean() + self.brighter, np.float32)

    def candidates_resized(self, pixels, sizes):
        if self.fails:
            raise ModelError("out of order")
        out = []
        for p, size in zip(pixels, sizes):
            scores = np.clip(SCORES - (p.mean() - 100) / 1000, 0, 1)
            if self.step:
                scores = np.floor(scores / self.step) * self.step
            boxes = BOXES.copy()
            boxes[1, ::2] += self.shift
            out.append(Candidates(boxes, scores, size))
        return out

    def detect_resized(self, pixels, sizes):
        s, out = self.settings, []
        if self.pooled:
            s = replace(s, max_detections_per_class=s.max_total_detections)
        for c in Toy.candidates_resized(replace(self, fails=False), pixels, sizes):
            b = Replay(c, np.arange(2), s, self.pooled).boxes()
            out.append(Detections(b.xyxy, b.scores, b.class_ids, c.image_size))
        return out

    def candidates(self, images):
        return self.candidates_resized(
            [self.resized(i) for i in images], [(i.shape[1], i.shape[0]) for i in images]
        )

    def detect(self, images):
        return self.detect_resized(
            [self.resized(i) for i in images], [(i.shape[1], i.shape[0]) for i in images]
        )


class Closed:
    """The same without its steps: pictures in, boxes out."""

    def __init__(self, toy: Toy):
        self.info, self.detect, self.candidates = toy.info, toy.detect, toy.candidates


DATA = Dataset(
    name="one",
    format="memory",
    source="memory",
    class_map=CLASSES,
    sample_ids=["s0"],
    files=[""],
    sizes=np.array([SIZE]),
    objects=ObjectTable.build(
        np.zeros(1, np.int32), np.array([[64, 5, 86, 45]], np.float32), np.zeros(1, np.int32)
    ),
    loader=lambda i: PICTURE,
)


def causes(a: Any, b: Any, threshold: float = 0.5, ask_a: bool = True, floor: float = 0.01, **kwargs):
    runs = [run_from_detections(DATA, d.detect([PICTURE]), d.info, floor=floor) for d in (a, b)]
    return explain_lost(pair_runs(*runs, threshold, **kwargs), a if ask_a else None, b)


def only(found):
    assert len(found) == 1
    return found[0]


def test_nothing_lost_nothing_to_explain():
    assert isinstance(Toy(), Staged) and not isinstance(Closed(Toy()), Staged)
    assert causes(Toy(), Toy()) == [] and counted([]) == {}


@pytest.mark.parametrize("cause, changed, words", [
    ("preprocessing", Toy(brighter=60), "Given the first detector's resized picture it is found at 0.550; from its own, its best fitting box has 0.490."),
    ("score", Toy(step=0.2), "On the same input its score goes from 0.550 to 0.400, below 0.50; with the first detector's scores it is found."),
    ("nms", Toy(pooled=True), "Boxes of all classes suppress each other (fast NMS): cat at 0.900 suppresses it (IoU 0.67); with the first detector's rule it is found."),
    ("cut", Toy(settings=PostprocessSettings(score_threshold=0.58)), "Its score 0.550 is below the second detector's own cut of 0.58; without it, it is found."),
    ("cap", Toy(settings=PostprocessSettings(max_detections_per_class=3, max_total_detections=3)), "list of 3 is full before it; with room it is found at 0.550"),
])  # fmt: skip
def test_one_step_changed_is_the_cause(cause, changed, words):
    got = only(causes(Toy(), changed))
    assert (got.cause, got.how, got.alone, got.of, got.proved) == (cause, "exchanged", True, "pair", True)
    assert words in got.sentence


def test_a_box_that_moved():
    found = causes(Toy(), Toy(shift=12.0))
    assert [(c.cause, c.of, c.alone) for c in found] == [("box", "pair", True)]
    assert (
        found[0].sentence
        == "On the same input its box lies 12.0 pixels off; with the first detector's boxes it is found."
    )


def test_a_kept_box_may_still_leave_its_object():
    got = only(causes(Toy(), Toy(shift=-6.0)))  # IoU with the first's 0.54, with the object's 10/32
    assert (got.of, got.cause, got.how) == ("truth", "box", "exchanged") and "6.0 pixels off" in got.sentence


def test_two_steps_at_once_are_said():
    both = Toy(step=0.06, brighter=40)  # 0.55 is 0.54 in steps; less 0.04, 0.51, it is 0.48
    got = only(causes(Toy(), both))
    assert got.cause == "preprocessing" and "found at 0.540" in got.sentence
    worse = Toy(step=0.2, settings=PostprocessSettings(score_threshold=0.58))
    got = only(causes(Toy(), worse))
    assert got.cause == "score" and not got.alone and "another one stands in its way too" in got.sentence


def test_without_the_first_detector_the_second_s_candidates_speak():
    assert [(c.cause, c.how) for c in causes(Toy(), Toy(pooled=True), ask_a=False)] == [("nms", "candidates")]
    capped = Toy(settings=PostprocessSettings(max_detections_per_class=3, max_total_detections=3))
    assert [(c.cause, c.how) for c in causes(Toy(), capped, ask_a=False)] == [("cap", "candidates")]
    low = only(causes(Toy(), Toy(step=0.2), ask_a=False))
    assert (low.cause, low.how, low.alone) == (
        "score",
        "candidates",
        False,
    ) and low.sentence == "Its surest candidate there has 0.400, below 0.50."
    assert only(causes(Toy(), Toy(shift=12.0), ask_a=False)).cause == "box"


def test_hidden_candidates_still_take_another_s_picture():
    got = only(causes(Toy(), Toy(brighter=60, shows=False)))
    assert (got.cause, got.how, got.proved) == ("preprocessing", "candidates", True)


def test_what_cannot_be_asked_is_inferred_and_says_so():
    fell = only(causes(Toy(), Closed(Toy(step=0.2, shows=False))))
    assert (fell.cause, fell.how, fell.proved) == (
        "score",
        "stored",
        False,
    ) and fell.sentence == "The second detector has its box at 0.400, below 0.50."
    full = only(
        causes(
            Toy(),
            Closed(
                Toy(
                    shows=False,
                    settings=PostprocessSettings(max_detections_per_class=3, max_total_detections=3),
                )
            ),
        )
    )
    assert full.cause == "cap" and full.sentence == "The second detector's list is full at 3."
    broken = only(causes(Toy(), Toy(step=0.2, fails=True)))
    assert broken.how == "stored" and "could not be asked: out of order" in broken.sentence
    gone = only(causes(Toy(), Closed(Toy(step=0.2, shows=False)), floor=0.45))
    assert "below 0.45" in gone.sentence


def test_a_higher_threshold_for_the_second_is_its_own_cause():
    assert counted(causes(Toy(), Toy(), threshold_b=0.7)) == {"threshold": 2}
