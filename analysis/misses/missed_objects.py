"""The missed objects of one image: how well anchors, candidates and detections fit each of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.matching.greedy import Pairs, greedy
from analysis.matching.matches import Verdict
from analysis.misses.replay import Boxes, Replay, TrialRun
from detector.boxes import iou as box_iou
from detector.boxes import iou_with_few


class MissedObjects:
    """The misses of one image, with its detections and what lies on each missed object."""

    def __init__(
        self,
        bench: TrialRun,
        replay: Replay,
        thresholds: np.ndarray,
        found: Boxes | None,
        bound: float,
        anchor_bound: float,
        missed: list[int],
    ):
        self.bench, self.replay, self.thresholds, self.exact = bench, replay, thresholds, found is not None
        self.bound, self.anchor_bound = bound, anchor_bound
        c = replay.candidates
        truth = bench.truth_xyxy[missed]
        # By missed object: float64 [A], the IoU of each candidate with it; and of the anchor that fits it
        # best.
        self.fit = dict(zip(missed, iou_with_few(replay.clipped, truth)))
        self.reach = (
            {}
            if c.anchors is None
            else dict(zip(missed, iou_with_few(c.anchors, truth).max(axis=1, initial=0).tolist()))
        )
        self.column = {int(u): k for k, u in enumerate(replay.columns)}
        self.base = bench.stored if found is None else found
        self.matched = bench.match(self.base)
        self.named: dict[int, int] = {}
        self._fitting: dict[int, np.ndarray] = {}

    def find_wrong_names(self, missed: list[int]) -> None:
        """Which kept detection of another class stands on which missed object; each explains one."""
        m, b = self.matched, self.base
        taken = {j for j in missed if self._kept_fits(j).any()}
        at = np.array([j for j in missed if j not in taken], np.int64)
        overlap = box_iou(b.xyxy, self.bench.truth_xyxy[at])
        other = b.class_ids[:, None] != self.bench.truth_classes[at][None]
        # A class the data set lacks is wrong here all the same: its box stands on this object.
        wrong = np.isin(m.det_kind, (Verdict.WRONG, Verdict.UNJUDGED)) & (
            b.scores >= self.thresholds[b.class_ids]
        )
        d, k = np.nonzero((overlap >= self.bound) & other & wrong[:, None])
        n = len(self.bench.truth_classes)
        nobody = np.zeros(n, bool)
        pairs, _ = greedy(
            Pairs(d, at[k], overlap[d, k]), np.arange(len(b.scores)), np.arange(n), nobody, nobody
        )
        self.named = dict(zip(pairs.truth.tolist(), pairs.det.tolist()))

    def _kept_fits(self, j: int) -> np.ndarray:
        """bool [D]: kept detections of its class, above the threshold, that fit object j."""
        if j not in self._fitting:
            b, c = self.base, self.bench.truth_classes[j]
            self._fitting[j] = (
                (b.class_ids == c)
                & (b.scores >= self.thresholds[c])
                & (box_iou(b.xyxy, self.bench.truth_xyxy[j : j + 1])[:, 0] >= self.bound)
            )
        return self._fitting[j]

    def _rivals(self, rows: np.ndarray, j: int) -> np.ndarray:
        """float64: how well these candidates fit the other object of its class that they fit best."""
        others = self.bench.truth_classes == self.bench.truth_classes[j]
        others[j] = False
        return box_iou(self.replay.clipped[rows], self.bench.truth_xyxy[others]).max(axis=1, initial=0)

    def _where(self, anchor: int) -> dict[str, Any]:
        levels = self.replay.candidates.levels
        return {"anchor": anchor, "level": -1 if levels is None or anchor < 0 else int(levels[anchor])}

    def _stored(self, boxes: Boxes, d: int) -> int:
        """The run's row of a detection, -1 where it holds none like it."""
        s = self.bench.stored
        if boxes is s:
            return self.bench.first_det + d
        same = (s.class_ids == boxes.class_ids[d]) & (np.abs(s.scores - boxes.scores[d]) < 1e-3)
        at = np.flatnonzero(same)
        if not len(at):
            return -1
        gap = np.abs(s.xyxy[at] - boxes.xyxy[d]).max(axis=1)
        return (
            self.bench.first_det + int(at[np.argmin(gap)])
            if gap.min() <= 0.01 * max(self.replay.candidates.image_size)
            else -1
        )
