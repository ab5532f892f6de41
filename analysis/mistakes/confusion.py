"""The confusion matrix at an operating point, with the boxes behind each cell.

Objects go down, predictions across; the last row and column are background. First every correct detection
and its object stand on the diagonal, exactly as the counts say. Then, from the best score down, each wrong
detection is set against the free object of another class it fits best: a confusion. What remains of the
detections stands in the background row, what remains of the objects in the background column.

Laws: the diagonal sums to TP; a class's row sums to its objects; a class's column sums to its judged
detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.matching.counts import counts, found_objects, prefix_at_least
from analysis.matching.greedy import Pairs, fitting_pairs, greedy
from analysis.matching.match import match_run
from analysis.matching.matches import FALSE_POSITIVES, Matches, Verdict
from analysis.matching.operating_point import Threshold, class_thresholds
from analysis.queries import class_ids_of
from analysis.runs.store import Run
from detector.errors import InputError, LawError

BACKGROUND = -1
"""The class id that stands for background when a cell is asked for."""


@dataclass(frozen=True, eq=False)
class Confusion:
    """The matrix at one threshold.

    Args:
        matrix: int64 [K + 1, K + 1]; rows are the objects' classes, columns the predicted ones, last is
            background.
        det_rows: int64 [P] the judged detections at or above the threshold, best score first; det_truth:
            int64 [P] the object each stands against, -1 for background.
        missed: int64 [Q] objects no detection stands against.
    """

    matrix: np.ndarray
    det_rows: np.ndarray
    det_truth: np.ndarray
    missed: np.ndarray
    _det_classes: np.ndarray
    _truth_classes: np.ndarray

    def cell(self, truth: int, predicted: int) -> tuple[np.ndarray, np.ndarray]:
        """(detections, objects): the rows of the run's tables behind a cell, side by side; class id -1 is
        background.

        In the background row objects are empty, in the background column detections are.

        Raises:
            InputError: a class id outside -1..K-1.
        """
        k = len(self.matrix) - 1
        for value in (truth, predicted):
            if not -1 <= value < k:
                raise InputError(
                    f"cell: expected class ids of 0..{k - 1}, or -1 for background, got {value}."
                )
        none = np.zeros(0, np.int64)
        if predicted == BACKGROUND:
            return none, (
                self.missed[self._truth_classes[self.missed] == truth] if truth != BACKGROUND else none
            )
        mine = self._det_classes[self.det_rows] == predicted
        if truth == BACKGROUND:
            return self.det_rows[mine & (self.det_truth < 0)], none
        mine &= self.det_truth >= 0
        mine[mine] = self._truth_classes[self.det_truth[mine]] == truth
        return self.det_rows[mine], self.det_truth[mine]

    def most_confused(self, n: int = 10) -> list[tuple[int, int, int]]:
        """(truth, predicted, count) of the fullest cells off the diagonal, background left out."""
        inner = self.matrix[:-1, :-1].copy()
        np.fill_diagonal(inner, 0)
        order = np.argsort(-inner, axis=None, kind="stable")[:n]
        cells = (
            [(int(i), int(j), int(inner[i, j])) for i, j in zip(*np.unravel_index(order, inner.shape))]
            if inner.size
            else []
        )
        return [c for c in cells if c[2]]


class Confusions:
    """Matrices of one run at any threshold; the overlaps are computed once.

    Args:
        run: a Run.
        iou: a detection fits an object from this IoU on.
        matches: class-aware matches of this run at this IoU, to save time.

    Raises:
        InputError: the matches are others.
    """

    def __init__(self, run: Run, iou: float = 0.5, matches: Matches | None = None):
        self.matches = m = match_run(run, iou) if matches is None else matches
        if m.iou != iou or not m.class_aware or len(m.det_rows) != len(run.detections.rows):
            raise InputError("Confusions: expected class-aware matches of this run at this IoU.")
        d, t = run.detections, run.truth
        wrong = np.isin(m.det_kind, FALSE_POSITIVES)
        none = np.zeros(len(t.rows), bool)
        pairs = fitting_pairs(
            np.where(wrong, d.rows, -1).astype(np.int64),
            d.xyxy,
            np.where(m.truth_counted, t.rows, -1).astype(np.int64),
            t.xyxy,
            none,
            iou,
        )
        other = m.det_classes[pairs.det] != m.truth_classes[pairs.truth]
        self._pairs = Pairs(*(column[other] for column in pairs))
        # Judged detections by falling score, ties in table order; their place in that order is their turn.
        self._judged = np.flatnonzero(wrong | (m.det_kind == Verdict.CORRECT))
        self._judged = self._judged[np.argsort(-m.det_scores[self._judged], kind="stable")]
        self._turn = np.full(len(d.rows), -1, np.int64)
        self._turn[self._judged] = np.arange(len(self._judged))
        self._scores, self._classes = m.det_scores[self._judged], m.det_classes[self._judged]
        self._partner = np.where(m.det_kind == Verdict.CORRECT, m.det_truth, -1)[self._judged].astype(
            np.int64
        )
        self._pair_scores, self._pair_classes = m.det_scores[self._pairs.det], m.det_classes[self._pairs.det]

    def at(self, threshold: Threshold = 0.5) -> Confusion:
        """The matrix at one threshold, or one per class.

        Raises:
            InputError: a bad threshold.
            LawError: the matrix disagrees with the counts.
        """
        m, k = self.matches, self.matches.num_classes
        thresholds = class_thresholds(threshold, k)
        found = found_objects(m, thresholds)
        usable = (self._pair_scores >= thresholds[self._pair_classes]) & ~found[self._pairs.truth]
        pairs = Pairs(*(column[usable] for column in self._pairs))
        no = np.zeros(len(m.truth_rows), bool)
        taken, _ = greedy(pairs, self._turn, np.arange(len(m.truth_rows)), no, no)
        partner = self._partner.copy()
        partner[self._turn[taken.det]] = taken.truth
        kept = prefix_at_least(self._scores, self._classes, thresholds)
        judged, against, predicted = self._judged[kept], partner[kept], self._classes[kept]
        missed = m.truth_counted & ~found
        missed[taken.truth] = False
        truth_of = np.append(m.truth_classes, k)[against]
        matrix = np.bincount(truth_of * (k + 1) + predicted, minlength=(k + 1) ** 2)
        matrix = matrix.reshape(k + 1, k + 1) if len(matrix) else np.zeros((k + 1, k + 1), np.int64)
        matrix[:k, k] = np.bincount(m.truth_classes[missed], minlength=k)
        self._check(matrix, threshold)
        return Confusion(matrix, judged, against, np.flatnonzero(missed), m.det_classes, m.truth_classes)

    def _check(self, matrix: np.ndarray, threshold: Threshold) -> None:
        c = counts(self.matches, threshold).per_class
        sums = (
            (np.diag(matrix)[:-1], c.tp, "its diagonal and the correct ones"),
            (matrix[:-1].sum(1), c.objects, "its rows and the objects"),
            (matrix[:, :-1].sum(0), c.tp + c.fp, "its columns and the detections"),
        )
        for ours, theirs, what in sums:
            if not np.array_equal(ours, theirs):
                raise LawError(
                    f"The confusion matrix disagrees with the counts: {what} differ: "
                    "this is a fault in Boxscope; please report it."
                )


def background_label(names: Sequence[str]) -> str:
    """What the row and column without a class are called: "background", in brackets where a class has that
    name.
    """
    label = "background"
    while label in names:
        label = f"({label})"
    return label


def list_cell(run: Run, confusion: Confusion, truth: str, predicted: str) -> list[dict[str, Any]]:
    """The boxes of a cell as plain values, best score first; either name may be `background_label`.

    Each row: sample, truth, predicted, object (its id, None for background), score (None where nothing was
    predicted), and the box x1, y1, x2, y2 of the detection, or of the object where there is none.

    Raises:
        InputError: a class that the run does not have.
    """

    def class_id(name: str) -> int:
        return (
            BACKGROUND
            if name == background_label(run.class_map.names)
            else class_ids_of(run.class_map, name)[0]
        )

    dets, objects = confusion.cell(class_id(truth), class_id(predicted))
    n = max(len(dets), len(objects))
    rows = []
    for i in range(n):
        d = int(dets[i]) if len(dets) else None
        o = int(objects[i]) if len(objects) else None
        box = run.detections.xyxy[d] if d is not None else run.truth.xyxy[o]
        image = int(run.detections.rows[d] if d is not None else run.truth.rows[o])
        rows.append(
            {
                "sample": run.sample_ids[image],
                "truth": truth,
                "predicted": predicted,
                "object": None if o is None else int(run.truth.ids[o]),
                "score": None if d is None else float(run.detections.scores[d]),
                **dict(zip(("x1", "y1", "x2", "y2"), box.tolist())),
            }
        )
    return sorted(rows, key=lambda r: -(r["score"] or 0))
