"""The candidates of an image under one NMS IoU, without caps: walked best first, and only as far down as was
asked.

What caps and thresholds do follows from the ranks, so one walk answers every question about them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from detector.greedy_nms import GreedyNMS
from detector.nms import score_floors, visible

AT_ONCE = 256


class RankedCandidates:
    """One row a candidate met so far: best score first; equal scores: lower class, then lower anchor first.

    Args:
        scores: float32 [A, K], those by which candidates take their turn; boxes: float32 [A, 4], not clipped.
        iou_threshold: strictly above it a box goes, if it has the class of the other.
        window: the image in the boxes' frame.
        guess: (anchors, columns) of boxes that are thought to be kept, the best of all: where that is so they
            are found several times sooner, and where it is not, nothing is lost but that attempt.

    Attributes:
        anchors, columns: int64 [N]; scores: float32 [N]; inside: bool [N], whether its box shows within the
            window.
    """

    def __init__(
        self,
        scores: np.ndarray,
        boxes: np.ndarray,
        iou_threshold: float,
        window: tuple[float, float, float, float],
        guess: tuple[np.ndarray, np.ndarray] | None = None,
    ):
        self._all, self._boxes, self._window, self._guess = np.ascontiguousarray(scores), boxes, window, guess
        self._floor, self._waiting = np.float32(np.inf), np.zeros(0, np.int64)
        self._greedy = GreedyNMS(iou_threshold, together=True)
        self.anchors, self.columns = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.scores, self.inside = np.zeros(0, np.float32), np.zeros(0, bool)

    @property
    def by(self) -> np.ndarray:
        """int32 [N], the row of the box that suppressed each, -1 for those kept."""
        return self._greedy.by

    @property
    def rank(self) -> np.ndarray:
        """int32 [N], the place of each kept box among those of its class, from 1; 0 for the others."""
        return self._greedy.rank

    @property
    def single(self) -> bool:
        """Whether its candidates are those of one class, column 0."""
        return self._all.shape[1] == 1

    def down_to(
        self, floor: float, enough: Callable[[RankedCandidates], bool] | None = None
    ) -> RankedCandidates:
        """Itself, with every candidate whose score is above the floor, or as many of them, best first, as are
        `enough`.
        """
        floor = np.float32(floor)
        if enough is not None and enough(self):
            return self
        parts = [floor] if enough is None or floor >= self._floor else score_floors(self._all, floor)
        if self._guess is not None and len(self._guess[0]):  # all of it in the first part
            parts = [max(floor, np.nextafter(self._all[self._guess].min(), np.float32(-1))), *parts]
        for part in parts:
            self._look(part)
            # Those waiting may reach farther down than was asked for now.
            wanted = int(np.searchsorted(-self._all.ravel()[self._waiting], -floor, side="left"))
            while wanted:
                done = self._add(self._waiting[:wanted], wanted if enough is None else AT_ONCE)
                self._waiting, wanted = self._waiting[done:], wanted - done
                if enough is not None and enough(self):
                    return self
        return self

    def _look(self, floor: np.float32) -> None:
        """Put the candidates above a lower floor in line."""
        if floor < self._floor:
            new = np.flatnonzero((self._all > floor) & (self._all <= self._floor))
            anchors, columns = np.divmod(new, self._all.shape[1])
            self._waiting = np.concatenate(
                [self._waiting, new[np.lexsort((anchors, columns, -self._all.ravel()[new]))]]
            )
            self._floor = floor

    def _add(self, waiting: np.ndarray, most: int) -> int:
        """Take some of the line; returns how many."""
        guess = None
        if self._guess is not None:
            guess = np.flatnonzero(
                np.isin(waiting, np.int64(self._guess[0]) * self._all.shape[1] + self._guess[1])
            )
            most, self._guess = max(most, int(guess[-1]) + 1 if len(guess) else 0), None
        new = waiting[:most]
        anchors, columns = np.divmod(new, self._all.shape[1])
        boxes = self._boxes[anchors]
        self._greedy.add(boxes, columns, guess)
        self.anchors, self.columns = (
            np.concatenate([self.anchors, anchors]),
            np.concatenate([self.columns, columns]),
        )
        self.scores, self.inside = (
            np.concatenate([self.scores, self._all.ravel()[new]]),
            np.concatenate([self.inside, visible(boxes, self._window)]),
        )
        return len(new)

    def ahead(self, floor: float) -> int:
        """How many candidates above the floor were not met yet."""
        return int(np.count_nonzero(self._all > np.float32(floor))) - int(
            np.searchsorted(-self.scores, -np.float32(floor), side="left")
        )

    def row(self, anchor: int, column: int) -> int | None:
        """The row of a candidate, None where it was not met."""
        at = np.flatnonzero((self.anchors == anchor) & (self.columns == column))
        return int(at[0]) if len(at) else None

    def detections(self, floor: float, cap: int, total: int) -> np.ndarray:
        """int64, the rows that are detections above a score, with these caps of a class and of all; walked as
        far as needed.
        """

        def allowed(ladder: RankedCandidates) -> np.ndarray:
            return (
                (ladder.rank > 0) & (ladder.rank <= cap) & ladder.inside & (ladder.scores > np.float32(floor))
            )

        return np.flatnonzero(
            allowed(self.down_to(floor, lambda ladder: int(allowed(ladder).sum()) >= total))
        )[:total]
