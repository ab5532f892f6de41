"""Thresholds per class as a table to edit: what each gives, and how that differs from the slider's one
number. No Streamlit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analysis.matching.counts import Counts, counts
from analysis.matching.matches import Matches
from analysis.thresholds import curves as rules
from analysis.thresholds.curves import Curve, Suggestion

RULES = ("best F1", "recall at least", "precision at least", "least cost")


def rule_of(
    name: str, value: float = 0.9, wrong: float = 1.0, missed: float = 5.0
) -> tuple[str, Callable[[Curve], Suggestion]]:
    """(what is saved as the rule, the rule) for a choice of `RULES`; `value` in 0..1."""
    if name == "recall at least":
        return f"recall ≥ {value:g}", lambda curve: rules.recall_at_least(curve, value)
    if name == "precision at least":
        return f"precision ≥ {value:g}", lambda curve: rules.precision_at_least(curve, value)
    if name == "least cost":
        return f"least cost (wrong {wrong:g}, missed {missed:g})", lambda curve: rules.least_cost(
            curve, wrong, missed
        )
    return "best F1", rules.best_f1


def shown(matches: Matches, chosen: tuple[int, ...] | None) -> list[int]:
    """Class ids worth a line: the chosen ones with objects or judged detections, those of most objects
    first.
    """
    c = counts(matches, 0.0).per_class
    weight = c.objects * 1_000_000 + c.tp + c.fp
    return [
        int(k) for k in np.argsort(-weight, kind="stable") if weight[k] and (chosen is None or k in chosen)
    ]


def suggested(
    overall: Suggestion, by_class: list[Suggestion], now: np.ndarray
) -> tuple[np.ndarray, dict[int, str]]:
    """(thresholds float32 [K], class id -> why there is none); a class without a suggestion keeps what it has
    `now`.
    """
    thresholds, why = now.copy(), {}
    for k, s in enumerate(by_class):
        if s.threshold is None:
            why[k] = s.reason
        else:
            thresholds[k] = np.float32(s.threshold)
    return thresholds, why


def rows(
    matches: Matches,
    names: tuple[str, ...],
    classes: list[int],
    thresholds: np.ndarray,
    base: Counts,
    why: dict[int, str] | None = None,
) -> dict[str, list[Any]]:
    """Columns of the table.

    Args:
        thresholds: float32 [K], the thresholds as edited; base: counts at the slider's threshold, which the
            differences are against.
    """
    at, before = counts(matches, thresholds).per_class, base.per_class

    def rate(values: np.ndarray) -> list[float | None]:
        return [None if np.isnan(values[k]) else 100 * float(values[k]) for k in classes]

    def change(values: np.ndarray) -> list[int | None]:
        return [int(values[k]) or None for k in classes]

    table: dict[str, list[Any]] = {
        "class": [names[k] for k in classes],
        "threshold": [float(f"{thresholds[k]:.7g}") for k in classes],
        "objects": at.objects[classes].tolist(),
        "correct": at.tp[classes].tolist(),
        "± correct": change(at.tp - before.tp),
        "wrong": at.fp[classes].tolist(),
        "± wrong": change(at.fp - before.fp),
        "precision": rate(at.precision),
        "recall": rate(at.recall),
        "F1": rate(at.f1),
    }
    if why:
        table["note"] = [why.get(k, "") for k in classes]
    return table


def edited(thresholds: np.ndarray, classes: list[int], edits: dict[int, dict[str, Any]]) -> np.ndarray:
    """The thresholds with the editor's changes (row -> {"threshold": value}); an emptied cell keeps its
    number.
    """
    out = thresholds.copy()
    for row, change in edits.items():
        value = change.get("threshold")
        if value is not None and 0 <= int(row) < len(classes):
            out[classes[int(row)]] = np.float32(min(1.0, max(0.0, float(value))))
    return out


def live_curve(per_class: list[Curve], whole: Curve, classes: list[int] | None) -> Curve:
    """The grid curve of some classes together; of all where None."""
    if classes is None:
        return whole
    mine = [per_class[k] for k in classes]
    zero = np.zeros(len(whole.thresholds), np.int64)
    return Curve(
        whole.thresholds,
        sum((c.tp for c in mine), zero),
        sum((c.fp for c in mine), zero),
        sum(c.objects for c in mine),
    )


def precision_recall(exact: Curve, points: int = 400) -> dict[str, list[float | None]]:
    """Precision over recall at some of a curve's points, for drawing."""
    n = len(exact.thresholds)
    at = np.unique(np.linspace(0, n - 1, min(points, n)).round().astype(int)) if n else np.zeros(0, int)
    some = Curve(exact.thresholds[at], exact.tp[at], exact.fp[at], exact.objects, exact.class_id)
    return {"pr_recall": _plain(some.recall), "pr_precision": _plain(some.precision)}


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else round(float(v), 6) for v in values]


def curve_payload(
    grid: Curve,
    points: dict[str, list[float | None]],
    *,
    threshold: float,
    floor: float,
    fixed: Counts | None = None,
    marks: list[float] = (),
) -> dict[str, Any]:
    """What the live curves are given.

    Args:
        grid: at 0, .01 .. 1, for the lines over confidence; points: `precision_recall`'s.
        fixed: counts at thresholds per class, which take the place of the movable line.
        marks: suggested thresholds, drawn as dotted lines.
    """
    data = {name: _plain(getattr(grid, name)) for name in ("precision", "recall", "f1")}
    data |= points | {"threshold": threshold, "floor": floor, "marks": [float(m) for m in marks]}
    if fixed is not None:
        data["fixed"] = {
            name: None if np.isnan(getattr(fixed, name)) else getattr(fixed, name)
            for name in ("precision", "recall", "f1")
        }
    return data
