"""One image on the bench: its detections under changed rules, matched anew, to see whether an object comes
back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from analysis.matching.counts import Counts, counts
from analysis.matching.match import match_columns
from analysis.matching.matches import Matches
from analysis.misses.proofs import SETTINGS, Change, Proof
from analysis.misses.ranking import RankedCandidates
from analysis.runs.store import Run
from detector.core import Candidates
from detector.nms import CLASS_CAP, KEPT, OUTSIDE, SUPPRESSED, PostprocessSettings, select

OTHER_NAMES = {
    "score_threshold": ("nms_score_threshold",),
    "iou_threshold": ("nms_iou_threshold",),
    "max_detections_per_class": ("detections_per_class",),
    "max_total_detections": ("max_detections",),
}
"""What other detectors call the settings of the reference's batch_non_max_suppression (TFLite's operation,
SavedModels).
"""

LIFTED = 400
"""A cap on all detections above this is none that anybody ships: it was lifted for a replay."""
FEW = 2000
"""So many more candidates are still walked through for all classes together."""


class Boxes(NamedTuple):
    """Detections of one image in unified class ids, best score first; anchors -1 where unknown."""

    xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    anchors: np.ndarray


class TrialRun:
    """The objects of image `i` of a run, and detections to match them with.

    Args:
        run: a Run; m: its class-aware matches; i: the image's position.
    """

    def __init__(self, run: Run, m: Matches, i: int):
        self.run, self.m, self.i = run, m, i
        self._last: tuple[Boxes, Matches] | None = None
        d, t = run.detections, run.truth
        self.first = int(np.searchsorted(t.rows, i))
        last = int(np.searchsorted(t.rows, i + 1))
        rows = slice(self.first, last)
        self.truth_xyxy, self.truth_classes = t.xyxy[rows], t.class_ids[rows]
        self.crowd, self.difficult = t.crowd[rows], t.difficult[rows]
        rows = d.of(i)
        self.first_det = rows.start
        self.stored = Boxes(d.xyxy[rows], d.scores[rows], d.class_ids[rows], d.anchor_ids[rows])

    def match(self, boxes: Boxes, alone: int | None = None) -> Matches:
        """Match by the run's rule; `alone` leaves only that object of the image. The last answer for all
        objects is kept: a threshold moved asks for it again."""
        if alone is None and self._last is not None and self._last[0] is boxes:
            return self._last[1]
        keep = slice(None) if alone is None else slice(alone, alone + 1)
        classes = self.truth_classes[keep]
        found = match_columns(
            np.zeros(len(boxes.scores), np.int64),
            boxes.xyxy,
            boxes.scores,
            boxes.class_ids,
            np.zeros(len(classes), np.int64),
            self.truth_xyxy[keep],
            classes,
            judged=np.ones(1, bool),
            num_classes=self.m.num_classes,
            crowd=self.crowd[keep],
            difficult_flags=self.difficult[keep],
            iou=self.m.iou,
            difficult=self.m.difficult,
        )
        if alone is None:
            self._last = boxes, found
        return found

    def score_of(self, boxes: Boxes, j: int, *, alone: bool = False) -> tuple[float, float]:
        """(score, IoU) of the detection that finds object j of this image at any threshold; (-1, 0) where
        none does.
        """
        m, at = self.match(boxes, j if alone else None), 0 if alone else j
        return float(m.truth_score[at]), float(m.truth_iou[at])

    def run_trial(self, changes: list[Change], boxes: Boxes, j: int, threshold: float, by: str) -> Proof:
        """Whether object j is found at `threshold` by these boxes; where another object has its box, that one
        is taken away too.
        """
        score, iou = self.score_of(boxes, j, alone=any(c.rule == "rival" for c in changes))
        found = score >= np.float32(threshold)
        if not found and not any(c.rule == "rival" for c in changes):
            score, iou = self.score_of(boxes, j, alone=True)
            if score >= np.float32(threshold):
                return Proof((*changes, Change("rival")), by, True, True, score, iou)
        return Proof(
            tuple(changes), by, True, bool(found), score if found else np.nan, iou if found else np.nan
        )

    def cannot_match(self, boxes: Boxes, j: int, by: str) -> Proof:
        """That none of these boxes finds object j, at any threshold and with no rival."""
        score, iou = self.score_of(boxes, j, alone=True)
        found = score >= 0
        return Proof((), by, False, found, score if found else np.nan, iou if found else np.nan)


class Replay:
    """Candidates of one image and the rule that makes detections of them.

    Args:
        candidates: of the detector, one column a class of its own.
        columns: int [detector classes], the unified class id of each column.
        settings: those the detector works with.
        pooled: TFLite's fast NMS: a box has one class, its best, and boxes of all classes suppress each
            other. The cap of a class is then that of all.
        numbers: int [A], the anchor each row of the candidates had before it was trimmed; None: its place.
        guess: (anchors, columns) of the detections that are expected, see `Ladder`.
    """

    def __init__(
        self,
        candidates: Candidates,
        columns: np.ndarray,
        settings: PostprocessSettings,
        pooled: bool = False,
        numbers: np.ndarray | None = None,
        guess: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        self.candidates, self.settings, self.pooled = candidates, settings, pooled
        self.numbers = np.arange(len(candidates)) if numbers is None else numbers
        self.columns = np.asarray(columns, np.int32)
        width, height = candidates.image_size
        self.window = (0, 0, width, height)
        self.limit = np.float32([width, height, width, height])
        self.clipped = np.clip(candidates.xyxy, 0, self.limit)
        self.guess = guess
        self._ladders: dict[tuple[int | None, float], RankedCandidates] = {}

    def boxes(
        self,
        settings: PostprocessSettings | None = None,
        scores: np.ndarray | None = None,
        at_least: float = 0.0,
    ) -> Boxes:
        """The detections under these settings (and class scores, float32 [A, K]); those below `at_least` left
        out.

        Leaving low scores out changes nothing above: candidates are taken best first.
        """
        settings = self.settings if settings is None else settings
        if at_least > settings.score_threshold:
            settings = replace(
                settings, score_threshold=float(np.nextafter(np.float32(at_least), np.float32(0)))
            )
        if scores is None:
            boxes, found, anchors, columns = self._walked(settings)
        else:
            values = scores.max(axis=1, keepdims=True) if self.pooled else scores
            trace = select(values, lambda rows: self.candidates.xyxy[rows], settings, window=self.window)
            rows = trace.kept()
            boxes, found, anchors = trace.boxes[rows], trace.scores[rows], trace.anchor_ids[rows]
            columns = scores[anchors].argmax(axis=1) if self.pooled else trace.class_ids[rows]
        return Boxes(np.clip(boxes, 0, self.limit), found, self.columns[columns], anchors)

    def _walked(self, settings: PostprocessSettings) -> tuple[np.ndarray, ...]:
        """(boxes, scores, anchors, columns) of the detections, from ladders that are kept for the next
        question.
        """
        floor, cap, total = (
            settings.score_threshold,
            settings.max_detections_per_class,
            settings.max_total_detections,
        )
        scores = self.candidates.scores
        together = (
            self.pooled or total <= LIFTED or self._ladder(None, settings.iou_threshold).ahead(floor) <= FEW
        )
        # Where thousands come one class after another is quicker: each ends where it is full, and no table
        # holds them all.
        classes = [None] if together else np.flatnonzero((scores > np.float32(floor)).any(axis=0)).tolist()
        parts = []
        for column in classes:
            ladder = self._ladder(column, settings.iou_threshold)
            rows = ladder.detections(floor, cap, total if together else cap)
            anchors = ladder.anchors[rows]
            own = (
                scores[anchors].argmax(axis=1)
                if self.pooled
                else ladder.columns[rows]
                if together
                else np.full(len(rows), column)
            )
            parts.append((ladder.scores[rows], anchors, own))
        found, anchors, columns = (
            (np.concatenate(c) for c in zip(*parts))
            if parts
            else (np.zeros(0, np.float32), *[np.zeros(0, np.int64)] * 2)
        )
        if not together:
            best = np.lexsort((anchors, columns, -found))[:total]
            found, anchors, columns = found[best], anchors[best], columns[best]
        return self.candidates.xyxy[anchors], found, anchors, columns

    def _ladder(self, column: int | None, iou_threshold: float) -> RankedCandidates:
        """Of one class, or (None) of all together."""
        scores = self.candidates.scores
        column = None if self.pooled else column
        key = (column, iou_threshold)
        if key not in self._ladders:
            values = (
                scores.max(axis=1, keepdims=True)
                if self.pooled
                else scores
                if column is None
                else np.ascontiguousarray(scores[:, column : column + 1])
            )
            guess = self.guess if column is None and iou_threshold == self.settings.iou_threshold else None
            self._ladders[key] = RankedCandidates(
                values, self.candidates.xyxy, iou_threshold, self.window, guess
            )
        return self._ladders[key]

    def supports(self, anchors: np.ndarray, column: int) -> np.ndarray:
        """bool: which of these candidates can become a detection of this class."""
        scores = self.candidates.scores[anchors]
        able = scores[:, column] > 0
        return able & (scores.argmax(axis=1) == column) if self.pooled else able

    def changed(self, settings: PostprocessSettings, rule: str, value: float) -> PostprocessSettings:
        """The settings with one of them changed; a class cap may not exceed the total, and is the same where
        pooled.
        """
        values = {rule: type(getattr(settings, rule))(value)}
        if rule == "max_detections_per_class":
            values["max_total_detections"] = max(settings.max_total_detections, int(value))
        elif rule == "max_total_detections":
            values["max_detections_per_class"] = (
                int(value) if self.pooled else min(settings.max_detections_per_class, int(value))
            )
        return replace(settings, **values)

    def trimmed(self, at_least: float) -> Replay:
        """The same with only the rows that hold a score of at least this: enough for `boxes` down to there,
        and small.

        Rows keep their order; `numbers` says which anchors they were.
        """
        c = self.candidates
        rows = np.flatnonzero((c.scores >= np.float32(at_least)).any(axis=1))
        return Replay(
            Candidates(c.xyxy[rows], c.scores[rows], c.image_size),
            self.columns,
            self.settings,
            self.pooled,
            self.numbers[rows],
        )

    def rank(self, settings: PostprocessSettings, anchor: int, column: int, *, of_all: bool = False) -> int:
        """The place of a candidate among the detections of its class (or `of_all` classes) were there no such
        cap.
        """
        if of_all:
            many, score = self.candidates.scores.size + 1, float(self._score(anchor, column))
            boxes = self.boxes(replace(settings, max_total_detections=many), at_least=score)
            return (
                int(np.flatnonzero((boxes.anchors == anchor) & (boxes.class_ids == self.columns[column]))[0])
                + 1
            )
        ladder, row = self._met(anchor, column, settings)
        # A box outside the image takes a place of its class too.
        return int(((ladder.rank[:row] > 0) & (ladder.columns[:row] == ladder.columns[row])).sum()) + 1

    def _met(self, anchor: int, column: int, settings: PostprocessSettings) -> tuple[RankedCandidates, int]:
        """(a ladder with a candidate's class, down to it; its row there)."""
        floor = float(np.nextafter(self._score(anchor, column), np.float32(-1)))
        ladder = self._ladder(None, settings.iou_threshold)
        if ladder.ahead(floor) > FEW:
            ladder = self._ladder(column, settings.iou_threshold)
        return ladder.down_to(floor), ladder.row(anchor, 0 if ladder.single else column)

    def _score(self, anchor: int, column: int) -> np.float32:
        """The score by which a candidate of this class takes its turn."""
        scores = self.candidates.scores[anchor]
        return scores.max() if self.pooled else scores[column]

    def fate(
        self, anchor: int, column: int, settings: PostprocessSettings | None = None
    ) -> tuple[int, int, float]:
        """(fate, anchor of the suppressor or -1, IoU of the two) of one candidate within its class.

        The fate is one of `detector.nms`, or -1 where its score does not pass `score_threshold`; KEPT says
        only that it passed its class, the total cap is another matter.
        """
        settings = self.settings if settings is None else settings
        ladder, row = self._met(anchor, column, settings)
        if not ladder.scores[row] > np.float32(settings.score_threshold):
            return -1, -1, -1.0
        cap, by = settings.max_detections_per_class, int(ladder.by[row])
        if by < 0:
            if ladder.rank[row] > cap:
                return CLASS_CAP, -1, -1.0
            return KEPT if ladder.inside[row] else OUTSIDE, -1, -1.0
        if (
            ladder.rank[by] >= cap
        ):  # the box that fills its class suppresses nobody: post-processing stops there
            return CLASS_CAP, -1, -1.0
        suppressor = int(ladder.anchors[by])
        return (
            SUPPRESSED,
            suppressor,
            overlap_of(self.candidates.xyxy[anchor], self.candidates.xyxy[suppressor]),
        )


def overlap_of(a: np.ndarray, b: np.ndarray) -> float:
    """IoU as `detector.nms` computes it, in float32."""
    a, b = np.float32(a).reshape(2, 2), np.float32(b).reshape(2, 2)
    side = np.maximum(
        np.minimum(np.maximum(*a), np.maximum(*b)) - np.maximum(np.minimum(*a), np.minimum(*b)), np.float32(0)
    )
    inter = side[0] * side[1]
    sizes = [(x.max(0) - x.min(0)) for x in (a, b)]
    union = sizes[0][0] * sizes[0][1] + sizes[1][0] * sizes[1][1] - inter
    return float(inter / union) if inter > 0 else 0.0


def suppresses_across_classes(named: Any) -> bool:
    """Whether a detector's `info.settings` say that boxes of all classes suppress each other, each box with
    its best class only: TFLite's fast NMS, or `class_agnostic`."""
    if "class_agnostic" in named:
        return bool(named["class_agnostic"])
    return "use_regular_nms" in named and not named["use_regular_nms"]


def settings_in(named: Any) -> PostprocessSettings:
    """Post-processing settings from a detector's `info.settings`, under the reference's names or TFLite's;
    what it does not state is the zoo's default."""
    default = PostprocessSettings()
    values: dict[str, Any] = {}
    for name in SETTINGS:
        stated = next(
            (named[n] for n in (name, *OTHER_NAMES[name]) if isinstance(named.get(n), (int, float))), None
        )
        if stated is not None:
            values[name] = type(getattr(default, name))(stated)
    total = values.get("max_total_detections", default.max_total_detections)
    values["max_detections_per_class"] = min(values.get("max_detections_per_class", total), total)
    return PostprocessSettings(**values)


def agrees(replayed: Boxes, stored: Boxes, floor: float, size: tuple[int, int]) -> bool:
    """Whether a replay gives the stored detections: as many, of the same classes, scores within 1e-3 and
    boxes within a hundredth of the longer side."""
    keep = replayed.scores >= np.float32(floor)
    if int(keep.sum()) != len(stored.scores):
        return False
    r = Boxes(*(c[keep] for c in replayed))

    a, b = np.lexsort((-r.scores, r.class_ids)), np.lexsort((-stored.scores, stored.class_ids))
    if (
        not np.array_equal(r.class_ids[a], stored.class_ids[b])
        or (np.abs(r.scores[a] - stored.scores[b]) > 1e-3).any()
    ):
        return False
    if (np.abs(r.xyxy[a] - stored.xyxy[b]) <= 0.01 * max(size)).all():
        return True
    # Equal scores may stand in another order.
    near = np.abs(r.xyxy[:, None] - stored.xyxy[None]).max(axis=2) <= 0.01 * max(size)
    near &= r.class_ids[:, None] == stored.class_ids[None]
    return bool(near.any(axis=1).all() and near.any(axis=0).all())


def image_counts_of(bench: TrialRun, boxes: Boxes, thresholds: np.ndarray) -> Counts:
    """Correct, wrong and missed of this image with these boxes."""
    return counts(bench.match(boxes), thresholds)


__all__ = [
    "CLASS_CAP",
    "KEPT",
    "SUPPRESSED",
    "TrialRun",
    "Boxes",
    "Replay",
    "agrees",
    "image_counts_of",
    "overlap_of",
    "settings_in",
    "suppresses_across_classes",
]
