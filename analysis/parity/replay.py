"""One image through two detectors, with the steps of one exchanged for the other's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from analysis.matching.greedy import fitting_pairs, greedy
from analysis.misses.image_verdicts import columns_of
from analysis.misses.replay import Boxes, Replay, TrialRun, agrees, settings_in, suppresses_across_classes
from analysis.runs.store import Run
from detector.boxes import iou as box_iou
from detector.boxes import paired_iou
from detector.core import Candidates, Detections, Detector, Staged
from detector.nms import SUPPRESSED, PostprocessSettings

if TYPE_CHECKING:
    from analysis.parity.pairs import Pairing

MANY = 1_000_000


class Target(NamedTuple):
    """A lost object: its row in the pairing, whether a detection ("pair") or an object of the truth ("truth")
    is looked for, its image, joint class id, and box."""

    pair: int
    of: str
    image: int
    class_id: int
    xyxy: np.ndarray


class Best(NamedTuple):
    """A box that fits; score -1 and anchor -1 without."""

    score: float
    anchor: int
    overlap: float = 0.0


@dataclass(frozen=True, eq=False)
class SideReplay:
    """Candidates and the rule that picks from them; each part may be another detector's.

    Args:
        xyxy: float32 [A, 4], scores: float32 [A, K], of one image; columns: int [K], joint class ids.
        settings: thresholds, IoU and caps; pooled: see `analysis.misses.replay.Replay`.
    """

    xyxy: np.ndarray
    scores: np.ndarray
    columns: np.ndarray
    image_size: tuple[int, int]
    settings: PostprocessSettings
    pooled: bool

    @cached_property
    def replay(self) -> Replay:
        settings = self.settings
        if self.pooled:
            settings = replace(settings, max_detections_per_class=settings.max_total_detections)
        return Replay(
            Candidates(self.xyxy, self.scores, self.image_size), self.columns, settings, self.pooled
        )

    @cached_property
    def boxes(self) -> Boxes:
        return self.replay.boxes()

    def ordered(self, columns: np.ndarray) -> SideReplay | None:
        """The same with its columns in this order; None where the classes are not the same."""
        if sorted(self.columns.tolist()) != sorted(columns.tolist()):
            return None
        at = [int(np.flatnonzero(self.columns == c)[0]) for c in columns]
        return replace(self, scores=np.ascontiguousarray(self.scores[:, at]), columns=columns)

    def with_step(self, step: str, other: SideReplay) -> SideReplay:
        """The same with one step of another's: "score", "box", "nms", "cut" or "cap"."""
        s, o = self.settings, other.settings
        if step == "score":
            return replace(self, scores=other.scores)
        if step == "box":
            return replace(self, xyxy=other.xyxy)
        if step == "nms":
            return replace(self, pooled=other.pooled, settings=replace(s, iou_threshold=o.iou_threshold))
        if step == "cut":
            return replace(self, settings=replace(s, score_threshold=o.score_threshold))
        caps = {
            "max_detections_per_class": o.max_detections_per_class,
            "max_total_detections": o.max_total_detections,
        }
        return replace(self, settings=replace(s, **caps))

    def freed(self, step: str) -> SideReplay | None:
        """The same with one rule lifted: suppression across classes, the score cut, the caps; None where it
        has none.
        """
        if step == "nms":
            return replace(self, pooled=False) if self.pooled else None
        if step == "cut":
            return (
                replace(self, settings=replace(self.settings, score_threshold=0.0))
                if self.settings.score_threshold > 0
                else None
            )
        return replace(
            self, settings=replace(self.settings, max_detections_per_class=MANY, max_total_detections=MANY)
        )

    def column(self, class_id: int) -> int:
        at = np.flatnonzero(self.columns == class_id)
        return int(at[0]) if len(at) else -1

    def score(self, anchor: int, class_id: int) -> float:
        return float(self.scores[anchor, self.column(class_id)])

    def box(self, anchor: int) -> np.ndarray:
        """float32 [4], clipped as a detection would be."""
        return self.replay.clipped[anchor]


class Exchange:
    """Both detectors on image i of the first run.

    Attributes:
        first, second: their replays, None where candidates are hidden or do not give the stored detections
            again.
        second_fed: the second given the first's resized picture; `second` where that cannot be.
        fed: whether it can; aligned: whether candidates correspond row by row.

    Args:
        p: the pairing; i: position in run a; picture: RGB uint8.
        a, b: the detectors that made the runs; a may be None.

    Raises:
        BoxscopeError: a detector fails on the image.
    """

    def __init__(self, p: Pairing, i: int, picture: np.ndarray, a: Detector | None, b: Detector):
        self.p, self.i, self.size = p, i, (picture.shape[1], picture.shape[0])
        self.j = int(p.b_images[np.flatnonzero(p.images == i)[0]])
        self._same = np.arange(len(p.a.class_map), dtype=np.int32)
        self.first = (
            None
            if a is None
            else self._side(
                p.a,
                i,
                a,
                self._same,
                a.candidates([picture])[0] if "candidates" in a.info.capabilities else None,
            )
        )
        self.second = self._side(
            p.b,
            self.j,
            b,
            p.to_a,
            b.candidates([picture])[0] if "candidates" in b.info.capabilities else None,
        )
        self.fed = (
            isinstance(a, Staged)
            and isinstance(b, Staged)
            and a.info.input_size == b.info.input_size is not None
        )
        self.second_fed, self._fed_boxes = self.second, None
        if self.fed:
            pixels = a.resized(picture)
            self._fed_boxes = self._boxes(p.b, b.detect_resized([pixels], [self.size])[0], p.to_a)
            if self.second is not None:
                c = b.candidates_resized([pixels], [self.size])[0]
                self.second_fed = replace(self.second, xyxy=c.xyxy, scores=c.scores)
        if self.first is not None and self.second is not None:
            self.second, self.second_fed = (
                s.ordered(self.first.columns) or s for s in (self.second, self.second_fed)
            )
        self.aligned = self._aligned()

    def _side(
        self, run: Run, i: int, detector: Detector, to_joint: np.ndarray, candidates: Candidates | None
    ) -> SideReplay | None:
        if candidates is None:
            return None
        stated = detector.info.settings
        pooled = suppresses_across_classes(stated)
        side = SideReplay(
            candidates.xyxy,
            candidates.scores,
            to_joint[columns_of(run, candidates)],
            self.size,
            settings_in(stated),
            pooled,
        )
        stored = run.detections_of(i)
        return (
            side
            if agrees(
                side.boxes, self._boxes(run, stored, to_joint, unified=True), run.manifest.floor, self.size
            )
            else None
        )

    @staticmethod
    def _boxes(run: Run, d: Detections, to_joint: np.ndarray, unified: bool = False) -> Boxes:
        """Detections in the joint numbering; `unified` where they are in the run's, else in the
        detector's.
        """
        ids = (
            d.class_ids
            if unified
            else np.array([link.class_id for link in run.manifest.classes.links], np.int32)[d.class_ids]
        )
        return Boxes(d.xyxy, d.scores, to_joint[ids], np.full(len(d), -1))

    def _aligned(self) -> bool:
        """Same rows, same classes, and boxes that are about the same: the second is the first at another
        precision.
        """
        a, b = self.first, self.second_fed
        if (
            a is None
            or b is None
            or a.scores.shape != b.scores.shape
            or not np.array_equal(a.columns, b.columns)
            or not len(a.scores)
        ):
            return False
        return float(np.median(paired_iou(a.xyxy, b.xyxy))) > 0.5

    @cached_property
    def _bench(self) -> TrialRun:
        return TrialRun(self.p.a, self.p.truth.a.matches, self.i)  # asked only where there is truth

    def _cut(self, class_id: int) -> float:
        at = np.flatnonzero(self.p.to_a == class_id)
        return float(self.p.cuts_b[at[0]]) if len(at) else 1.0

    def finds(self, side: SideReplay, t: Target) -> bool:
        """Whether the object is there when this chain stands in the second detector's place."""
        return self._found(side.boxes, t)

    def fed_finds(self, t: Target) -> bool:
        """Whether the second detector finds it in the first's resized picture."""
        return self._fed_boxes is not None and self._found(self._fed_boxes, t)

    def _found(self, boxes: Boxes, t: Target) -> bool:
        threshold = np.float32(self._cut(t.class_id))
        if t.of == "truth":
            rows = self.p.a.truth.xyxy[self._bench.first :]
            j = int(
                np.flatnonzero(
                    (rows[: len(self._bench.truth_xyxy)] == t.xyxy).all(axis=1)
                    & (self._bench.truth_classes == t.class_id)
                )[0]
            )
            return bool(self._bench.score_of(boxes, j)[0] >= threshold)
        p = self.p
        stored = p.a.detections.of(self.i)
        mine = np.arange(stored.start, stored.stop)
        mine = mine[
            (p.a.detections.class_ids[mine] == t.class_id)
            & (p.a.detections.scores[mine] >= p.cuts_a[t.class_id])
        ]
        theirs = np.flatnonzero((boxes.class_ids == t.class_id) & (boxes.scores >= threshold))
        one, none = np.zeros(len(mine), np.int64), np.zeros(len(theirs), bool)
        fits = fitting_pairs(
            one, p.a.detections.xyxy[mine], np.zeros(len(theirs), np.int64), boxes.xyxy[theirs], none, p.iou
        )
        taken, _ = greedy(fits, np.arange(len(mine)), -np.arange(len(theirs)), none, none)
        return int(p.det_a[t.pair]) in mine[taken.det].tolist()

    def best(self, side: SideReplay, t: Target) -> Best:
        """The box of its class, among the detections of a chain, that is this object's: of a pair the one
        that fits best, of an object of the truth the surest that fits."""
        b = side.boxes
        overlap = box_iou(b.xyxy, t.xyxy[None])[:, 0]
        at = np.flatnonzero((b.class_ids == t.class_id) & (overlap >= self.p.iou))
        if not len(at):
            return Best(-1.0, -1)
        k = int(at[np.argmax(overlap[at] if t.of == "pair" else b.scores[at])])
        return Best(float(b.scores[k]), int(b.anchors[k]), float(overlap[k]))

    def candidate(self, side: SideReplay, t: Target) -> Best:
        """The surest candidate of its class that fits, whatever becomes of it; where none fits, the one that
        fits best.
        """
        column = side.column(t.class_id)
        if column < 0 or not len(side.scores):
            return Best(-1.0, -1, -1.0)
        overlap = box_iou(side.replay.clipped, t.xyxy[None])[:, 0]
        at = np.flatnonzero(overlap >= self.p.iou)
        bearing = at[side.replay.supports(at, column)] if len(at) else at
        at = bearing if len(bearing) else at
        k = int(at[np.argmax(side.scores[at, column])]) if len(at) else int(np.argmax(overlap))
        return Best(float(side.scores[k, column]), k, float(overlap[k]))

    def suppressor(self, side: SideReplay, t: Target, anchor: int) -> str:
        """Who suppresses a candidate in a chain, in words; empty where nobody does."""
        column = side.column(t.class_id)
        if anchor < 0 or column < 0:
            return ""
        fate, by, overlap = side.replay.fate(anchor, column)
        if fate != SUPPRESSED:
            return ""
        k = int(side.scores[by].argmax()) if side.pooled else column
        return (
            f"{self.p.names[side.columns[k]]} at {side.scores[by, k]:.3f} suppresses it (IoU {overlap:.2f})"
        )
