"""Is a confidence of 0.8 right eight times in ten? Reliability, expected calibration error, and a correction.

A detection is right when the matching calls it correct; ignored and unlabelled ones are left out. All of it
holds for detections from the run's score floor on, at the matching's IoU, and for nothing else.
"""

from __future__ import annotations

import copy
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.matching.matches import Matches, Verdict
from analysis.runs.store import Run
from analysis.runs.tables import DetectionTable
from detector.errors import InputError

METHODS = ("isotonic", "platt")


@dataclass(frozen=True, eq=False)
class Reliability:
    """Detections in equal bins of confidence.

    Args:
        edges: float64 [B + 1], 0..1; bin b holds scores above edges[b] up to edges[b + 1] (the first also 0).
        counts, correct: int64 [B]; confidence: float64 [B], mean score, NaN in an empty bin.
        class_id: the class, None for all together.
    """

    edges: np.ndarray
    counts: np.ndarray
    correct: np.ndarray
    confidence: np.ndarray
    class_id: int | None = None

    @property
    def accuracy(self) -> np.ndarray:
        """float64 [B], share correct; NaN in an empty bin."""
        return np.divide(
            self.correct, self.counts, out=np.full(len(self.counts), np.nan), where=self.counts > 0
        )

    @property
    def ece(self) -> float | None:
        """Expected calibration error in 0..1: mean |accuracy - confidence| weighted by the bins' counts
        (Naeini et al., AAAI 2015); None without detections."""
        total = int(self.counts.sum())
        if not total:
            return None
        return float(np.nansum(self.counts * np.abs(self.accuracy - self.confidence)) / total)

    @property
    def overconfidence(self) -> float | None:
        """Mean confidence minus share correct, signed; None without detections."""
        total = int(self.counts.sum())
        return (
            float((np.nansum(self.counts * self.confidence) - self.correct.sum()) / total) if total else None
        )


def judged(matches: Matches, class_id: int | None = None) -> np.ndarray:
    """int64 [n], the detections that are correct or wrong, of one class or all.

    Raises:
        InputError: a class id outside 0..K-1.
    """
    if class_id is not None and not 0 <= class_id < matches.num_classes:
        raise InputError(f"calibration: expected a class id of 0..{matches.num_classes - 1}, got {class_id}.")
    mask = np.isin(matches.det_kind, (Verdict.CORRECT, Verdict.WRONG, Verdict.DUPLICATE))
    return np.flatnonzero(mask if class_id is None else mask & (matches.det_classes == class_id))


def reliability(
    scores: np.ndarray, correct: np.ndarray, bins: int = 10, class_id: int | None = None
) -> Reliability:
    """Bin scores (float [n] in 0..1) with their outcome (bool [n]).

    Raises:
        InputError: fewer than one bin, or scores outside 0..1.
    """
    if bins < 1:
        raise InputError(f"bins: expected at least 1, got {bins}.")
    scores = np.asarray(scores, np.float64)
    if len(scores) and (scores.min() < 0 or scores.max() > 1):
        raise InputError("reliability: expected scores in 0..1.")
    edges = np.linspace(0, 1, bins + 1)
    at = np.maximum(np.searchsorted(edges, scores, side="left") - 1, 0)
    counts = np.bincount(at, minlength=bins)
    sums = np.bincount(at, weights=scores, minlength=bins)
    mean = np.divide(sums, counts, out=np.full(bins, np.nan), where=counts > 0)
    return Reliability(
        edges, counts, np.bincount(at[np.asarray(correct, bool)], minlength=bins), mean, class_id
    )


def run_reliability(matches: Matches, bins: int = 10) -> tuple[Reliability, list[Reliability]]:
    """(all classes together, one per class)."""

    def of(class_id: int | None) -> Reliability:
        rows = judged(matches, class_id)
        return reliability(
            matches.det_scores[rows], matches.det_kind[rows] == Verdict.CORRECT, bins, class_id
        )

    return of(None), [of(k) for k in range(matches.num_classes)]


@dataclass(frozen=True, eq=False)
class Calibration:
    """A map from scores to calibrated scores that never turns two of them round.

    Args:
        method: "isotonic" or "platt".
        x, y: knots of the isotonic map, ascending; for Platt x is empty and y holds (slope, offset) over the
            logit.
        fitted_on: how many detections.
        ece_before, ece_after: on images the map was not fitted on (two halves, each judged by the other's
            map).
    """

    method: str
    x: np.ndarray
    y: np.ndarray
    fitted_on: int
    ece_before: float | None = None
    ece_after: float | None = None

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated scores, float32, same shape, in 0..1."""
        scores = np.asarray(scores, np.float64)
        if self.method == "platt":
            slope, offset = self.y
            return (1 / (1 + np.exp(-(slope * _logit(scores) + offset)))).astype(np.float32)
        return np.clip(np.interp(scores, self.x, self.y), 0, 1).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "x": self.x.tolist(),
            "y": self.y.tolist(),
            "fitted_on": self.fitted_on,
            "ece_before": self.ece_before,
            "ece_after": self.ece_after,
        }


def _logit(scores: np.ndarray) -> np.ndarray:
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def isotonic(scores: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The non-decreasing least-squares fit by pooling adjacent violators: (scores, values) at its knots.

    Equal scores share one value. Between knots the map is linear, outside it is held.
    """
    x, inverse = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    weights = np.bincount(inverse).astype(float)
    means = np.bincount(inverse, weights=np.asarray(correct, float)) / weights
    level: list[float] = []
    weight: list[float] = []
    length: list[int] = []
    for mean, w in zip(means.tolist(), weights.tolist()):
        level.append(mean)
        weight.append(w)
        length.append(1)
        while len(level) > 1 and level[-2] >= level[-1]:
            total = weight[-2] + weight[-1]
            level[-2] = (level[-2] * weight[-2] + level[-1] * weight[-1]) / total
            weight[-2], length[-2] = total, length[-2] + length[-1]
            del level[-1], weight[-1], length[-1]
    y = np.repeat(level, length)
    # Only the ends of each flat stretch are knots.
    inner = np.zeros(len(y), bool)
    inner[1:-1] = (y[1:-1] == y[:-2]) & (y[1:-1] == y[2:])
    return x[~inner], y[~inner]


def platt(scores: np.ndarray, correct: np.ndarray) -> tuple[float, float]:
    """(slope, offset) over the logit of the score, by Newton's method on the logistic loss with Platt's
    (1999) softened targets. The slope is kept at 0 or more, so that order stays."""
    z, correct = _logit(np.asarray(scores, np.float64)), np.asarray(correct, bool)
    right, wrong = int(correct.sum()), int((~correct).sum())
    target = np.where(correct, (right + 1) / (right + 2), 1 / (wrong + 2))
    design = np.stack([z, np.ones(len(z))], axis=1)

    def loss(beta: np.ndarray) -> float:
        logits = design @ beta
        return float((np.logaddexp(0, logits) - target * logits).sum())

    beta = np.array([1.0, 0.0])
    for _ in range(100):
        p = 1 / (1 + np.exp(-design @ beta))
        gradient = design.T @ (p - target)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while loss(beta - size * step) > loss(beta) and size > 1e-8:
            size /= 2
        beta = beta - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    if beta[0] < 0:
        mean = target.mean()
        return 0.0, float(np.log(mean / (1 - mean)))
    return float(beta[0]), float(beta[1])


def fit_calibration(
    matches: Matches, method: str = "isotonic", class_id: int | None = None, bins: int = 10
) -> Calibration:
    """A calibration fitted on a run's judged detections, with its error on held-out halves of the images.

    Raises:
        InputError: no such method, or fewer than 20 detections or only one outcome to fit on.
    """
    if method not in METHODS:
        raise InputError(f"method: expected one of {', '.join(METHODS)}, got {method!r}.")
    rows = judged(matches, class_id)
    scores, right = matches.det_scores[rows], matches.det_kind[rows] == Verdict.CORRECT
    if len(rows) < 20 or right.all() or not right.any():
        raise InputError(
            "fit_calibration: expected at least 20 detections, some correct and some wrong, "
            f"got {len(rows)} with {int(right.sum())} correct."
        )
    half = matches.det_rows[rows] % 2 == 0
    held_out = np.full(len(rows), np.nan)
    for fit, judge in ((half, ~half), (~half, half)):
        if right[fit].any() and not right[fit].all():
            held_out[judge] = _fit(method, scores[fit], right[fit])(scores[judge])
    known = ~np.isnan(held_out)
    whole = _fit(method, scores, right)
    before = reliability(scores[known], right[known], bins).ece
    after = reliability(held_out[known], right[known], bins).ece
    return Calibration(method, whole.x, whole.y, len(rows), before, after)


def calibrated_run(run: Run, calibration: Calibration) -> Any:
    """The same run with calibrated scores, in memory; what is stored does not change.

    Boxes and their order within a score stay; `version` differs, so that caches tell the two apart.
    """
    d = run.detections
    table = DetectionTable.build(
        d.rows, d.xyxy, calibration(d.scores), d.class_ids, count=d.count, anchor_ids=d.anchor_ids
    )
    other = copy.copy(run)
    other.detections = table
    mark = hashlib.sha256(calibration.x.tobytes() + calibration.y.tobytes()).hexdigest()[:8]
    other.__dict__["version"] = f"{run.version}-{calibration.method}-{mark}"
    return other


def _fit(method: str, scores: np.ndarray, right: np.ndarray) -> Calibration:
    if method == "platt":
        return Calibration("platt", np.zeros(0), np.array(platt(scores, right)), len(scores))
    return Calibration("isotonic", *isotonic(scores, right), len(scores))
