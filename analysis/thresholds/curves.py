"""Which threshold: precision, recall and F1 against confidence, and suggestions by a named rule.

All of it reads the columns of one matching, so moving a threshold never matches again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.matching.counts import SortedScores
from analysis.matching.matches import FALSE_POSITIVES, Matches, Verdict
from detector.errors import InputError


@dataclass(frozen=True, eq=False)
class Curve:
    """Counts at every threshold that makes a difference, thresholds ascending.

    Args:
        thresholds: float64 [T]; a detection counts from its score on.
        tp, fp: int64 [T], correct and wrong detections (duplicates are wrong) at or above each threshold.
        objects: counted objects.
        class_id: the class, None for all together.

    The empty case is T = 0: nothing was judged.
    """

    thresholds: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    objects: int
    class_id: int | None = None

    @property
    def fn(self) -> np.ndarray:
        return self.objects - self.tp

    @property
    def precision(self) -> np.ndarray:
        """float64 [T]; NaN where nothing is kept."""
        kept = self.tp + self.fp
        return np.divide(self.tp, kept, out=np.full(len(kept), np.nan), where=kept > 0)

    @property
    def recall(self) -> np.ndarray:
        """float64 [T]; NaN without objects."""
        return self.tp / self.objects if self.objects else np.full(len(self.tp), np.nan)

    @property
    def f1(self) -> np.ndarray:
        """float64 [T]; NaN where there is neither an object nor a kept detection."""
        whole = 2 * self.tp + self.fp + self.fn
        return np.divide(2 * self.tp, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def exact_curve(matches: Matches, class_id: int | None = None) -> Curve:
    """A point at each distinct score of a judged detection: nothing changes between two of them.

    Raises:
        InputError: a class id outside 0..K-1, or a class asked of a matching that ignores the class.
    """
    _check_class(matches, class_id)
    mine = np.ones(len(matches.det_kind), bool) if class_id is None else matches.det_classes == class_id
    right = np.sort(matches.det_scores[mine & (matches.det_kind == Verdict.CORRECT)])
    wrong = np.sort(matches.det_scores[mine & np.isin(matches.det_kind, FALSE_POSITIVES)])
    thresholds = np.unique(np.concatenate([right, wrong]))
    tp, fp = (len(s) - np.searchsorted(s, thresholds) for s in (right, wrong))
    return Curve(thresholds.astype(np.float64), tp, fp, _objects(matches, class_id), class_id)


def grid_curves(matches: Matches, thresholds: np.ndarray | None = None) -> tuple[Curve, list[Curve]]:
    """(all classes together, one per class) at the same thresholds, by default 0, .01, ... 1. Quick enough to
    redraw live.

    Raises:
        InputError: as `exact_curve`.
    """
    grid = np.round(np.arange(101) / 100, 2) if thresholds is None else np.asarray(thresholds, np.float64)
    k = matches.num_classes
    right, wrong = _sorted(matches)
    tp, fp = (
        (
            np.stack([s.at_least(np.full(k, np.float32(c))) for c in grid])
            if len(grid)
            else np.zeros((0, k), int)
        )
        for s in (right, wrong)
    )
    objects = np.bincount(matches.truth_classes[matches.truth_counted], minlength=k)
    per_class = (
        [Curve(grid, tp[:, c], fp[:, c], int(objects[c]), c) for c in range(k)] if matches.class_aware else []
    )
    return Curve(grid, tp.sum(axis=1), fp.sum(axis=1), int(objects.sum())), per_class


def _sorted(matches: Matches) -> tuple[SortedScores, SortedScores]:
    cached = matches.__dict__.get("_thresholds")
    if cached is None:
        masks = matches.det_kind == Verdict.CORRECT, np.isin(matches.det_kind, FALSE_POSITIVES)
        cached = tuple(
            SortedScores(matches.det_classes[m], matches.det_scores[m], matches.num_classes) for m in masks
        )
        object.__setattr__(matches, "_thresholds", cached)
    return cached


def _check_class(matches: Matches, class_id: int | None) -> None:
    if class_id is None:
        return
    if not matches.class_aware:
        raise InputError("thresholds: a curve per class needs class-aware matching.")
    if not 0 <= class_id < matches.num_classes:
        raise InputError(f"thresholds: expected a class id of 0..{matches.num_classes - 1}, got {class_id}.")


def _objects(matches: Matches, class_id: int | None) -> int:
    counted = matches.truth_counted
    return int(counted.sum() if class_id is None else (counted & (matches.truth_classes == class_id)).sum())


@dataclass(frozen=True)
class Suggestion:
    """A threshold and what it gives on the data it was chosen on (which flatters it a little).

    Args:
        threshold: None where no threshold satisfies the rule; `reason` says why.
        tp, fp, fn: counts there; precision, recall, f1: None without a denominator.
    """

    rule: str
    threshold: float | None
    tp: int = 0
    fp: int = 0
    fn: int = 0
    reason: str = ""

    @property
    def precision(self) -> float | None:
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else None

    @property
    def recall(self) -> float | None:
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else None

    @property
    def f1(self) -> float | None:
        whole = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / whole if whole else None

    def to_dict(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in ("rule", "threshold", "tp", "fp", "fn", "precision", "recall", "f1", "reason")
        }


def shortest_between(low: float, high: float) -> float:
    """The number with the fewest decimals that is more than `low` and at most `high` once both are
    float32.
    """
    for digits in range(1, 10):
        for value in (round(high, digits), round(np.floor(high * 10**digits) / 10**digits, digits)):
            if low < float(np.float32(value)) <= float(np.float32(high)):
                return float(value)
    return float(high)


def _pick(
    curve: Curve, rule: str, score: np.ndarray, tie: np.ndarray, allowed: np.ndarray, unmet: str
) -> Suggestion:
    """The allowed point of the best score (ties: of the best `tie`, then the highest threshold)."""
    if not len(curve.thresholds) or not curve.objects:
        what = "no object of this class" if curve.class_id is not None else "no object"
        return Suggestion(
            rule,
            None,
            fn=curve.objects,
            reason=f"there is {what} to judge by" if not curve.objects else "nothing was detected",
        )
    allowed = allowed & ~np.isnan(score)
    if not allowed.any():
        return Suggestion(rule, None, fn=curve.objects, reason=unmet)
    order = np.lexsort((curve.thresholds, np.nan_to_num(tie, nan=-np.inf), np.where(allowed, score, -np.inf)))
    at = int(order[-1])
    below = curve.thresholds[at - 1] if at else -1.0
    return Suggestion(
        rule,
        shortest_between(below, curve.thresholds[at]),
        int(curve.tp[at]),
        int(curve.fp[at]),
        int(curve.fn[at]),
    )


def best_f1(curve: Curve) -> Suggestion:
    """The threshold of the largest F1 (ties: of the best precision); none for a class of which no detection
    is right.
    """
    if curve.class_id is not None and curve.objects and len(curve.tp) and not curve.tp.any():
        return Suggestion(
            "best F1", None, fn=curve.objects, reason="no detection of it is right at any threshold"
        )
    f1 = curve.f1
    return _pick(curve, "best F1", f1, curve.precision, np.ones(len(f1), bool), "")


def recall_at_least(curve: Curve, r: float) -> Suggestion:
    """The best precision among thresholds whose recall is at least r.

    Raises:
        InputError: r is outside 0..1.
    """
    _share("recall", r)
    recall = curve.recall
    reached = float(np.nanmax(recall)) if len(recall) and curve.objects else 0.0
    return _pick(
        curve,
        f"recall ≥ {r:g}",
        curve.precision,
        recall,
        recall >= r - 1e-12,
        f"recall reaches {reached:.1%} at the lowest stored score",
    )


def precision_at_least(curve: Curve, p: float) -> Suggestion:
    """The best recall among thresholds whose precision is at least p.

    Raises:
        InputError: p is outside 0..1.
    """
    _share("precision", p)
    precision = curve.precision
    reached = float(np.nanmax(precision)) if len(precision) else 0.0
    return _pick(
        curve,
        f"precision ≥ {p:g}",
        curve.recall,
        precision,
        precision >= p - 1e-12,
        f"precision reaches {reached:.1%} at best",
    )


def least_cost(curve: Curve, wrong: float, missed: float) -> Suggestion:
    """The threshold where `wrong` a false positive plus `missed` a false negative cost least.

    Keeping nothing is a choice too, where a threshold of 1 does so.

    Raises:
        InputError: a cost is negative or both are 0.
    """
    if wrong < 0 or missed < 0 or wrong + missed == 0:
        raise InputError(f"least_cost: expected costs of 0 and more, one above 0, got {wrong} and {missed}.")
    rule = f"least cost (wrong {wrong:g}, missed {missed:g})"
    cost = wrong * curve.fp + missed * curve.fn
    chosen = _pick(curve, rule, -cost.astype(float), curve.recall, np.ones(len(cost), bool), "")
    if chosen.threshold is not None and missed * curve.objects < cost.min() and curve.thresholds[-1] < 1:
        return Suggestion(rule, 1.0, 0, 0, curve.objects)
    return chosen


def _share(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise InputError(f"{what}: expected 0..1, got {value!r}.")


def suggest(
    matches: Matches, rule: Callable[[Curve], Suggestion] = best_f1, *, floor: float = 0.0
) -> tuple[Suggestion, list[Suggestion]]:
    """(for all classes together, one per class) by one rule, e.g. `lambda c: recall_at_least(c, 0.9)`.

    Args:
        floor: the run's score floor; a suggestion below it becomes it, as far as the counts stay what they
            are.

    Raises:
        InputError: the matching ignores the class.
    """
    curves = exact_curve(matches), *(exact_curve(matches, k) for k in range(matches.num_classes))
    whole, *by_class = (_from_floor(rule(curve), curve, floor) for curve in curves)
    return whole, by_class


def _from_floor(chosen: Suggestion, curve: Curve, floor: float) -> Suggestion:
    """The suggestion at the floor, where it lies below it and no detection lies between."""
    if chosen.threshold is None or chosen.threshold >= floor:
        return chosen
    at, at_floor = np.searchsorted(curve.thresholds, np.float32([chosen.threshold, floor]).astype(np.float64))
    return replace(chosen, threshold=float(floor)) if at == at_floor else chosen
