"""Is B really better than A? Differences of runs with interval and p-value, over the images both judged.

The two runs saw the same images, so their errors move together: the test is on the difference per image, and
the image is the unit. Intervals are the paired bootstrap's in its limit of many draws
(`analysis.mistakes.influence`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from analysis.matching.operating_point import Threshold
from analysis.mistakes.compare import same_objects
from analysis.mistakes.influence import METRICS, Measures, measure
from detector.errors import InputError

METHOD = (
    "Intervals and p-values over draws of images, paired by image (infinitesimal jackknife, the limit of the"
    " paired bootstrap). They say how sure the difference is on images like these, not on other data."
)
LEAST_IMAGES = 10
"""Fewer images carry no interval worth the name."""


@dataclass(frozen=True)
class Difference:
    """One figure of two runs.

    Args:
        figure: "AP", "AP50", "recall", "F1"; class_name: "" for all classes.
        a, b: the figure of each run; difference: b - a.
        low, high: the interval of the difference.
        p_value: of "there is no difference", two-sided; adjusted: after Holm's correction over the family it
            stands in (the classes, or the runs), the same where it stands alone.
        alpha: 1 - confidence.
    """

    figure: str
    class_name: str
    a: float
    b: float
    difference: float
    low: float
    high: float
    p_value: float
    adjusted: float
    alpha: float

    @property
    def verdict(self) -> str:
        """ "better", "worse" (b than a) or "no evidence"."""
        if not self.adjusted <= self.alpha:
            return "no evidence"
        return "better" if self.difference > 0 else "worse"

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {"verdict": self.verdict}


@dataclass(frozen=True)
class Significance:
    """Two runs: `figures` of all classes, `classes` by AP, the surest difference first; over `images`
    images.
    """

    figures: tuple[Difference, ...]
    classes: tuple[Difference, ...]
    images: int
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "confidence": self.confidence,
            "method": METHOD,
            "figures": [d.to_dict() for d in self.figures],
            "per_class": [d.to_dict() for d in self.classes],
        }


@dataclass(frozen=True)
class Standing:
    """One run among several.

    Args:
        name: of the run; values: its figures; intervals: figure -> (low, high), of this run alone.
        against_best: its difference from the run in front by AP, None for that run itself. Tested with Holm's
            correction over all runs; the best was picked by the same data, which makes the test a little
                generous.
        against_previous: its difference from the run before it in the order given, None for the first.
    """

    name: str
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    against_best: Difference | None
    against_previous: Difference | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "run": self.name,
            **self.values,
            "intervals": self.intervals,
            "against_best": None if self.against_best is None else self.against_best.to_dict(),
            "against_previous": None if self.against_previous is None else self.against_previous.to_dict(),
        }


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down adjustment: float64, each at most 1 and in the order given."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    return adjusted


def significance(
    run_a: Any,
    run_b: Any,
    *,
    threshold: Threshold = 0.5,
    threshold_b: Threshold | None = None,
    iou: float = 0.5,
    confidence: float = 0.95,
) -> Significance:
    """The differences of two runs in AP, AP50, recall and F1, and per class in AP with Holm's correction.

    Raises:
        InputError: fewer than 10 images judged by both, different ground truth, or a confidence outside (0,
            1).
    """
    threshold_b = threshold if threshold_b is None else threshold_b
    places = common_images([run_a, run_b])
    a = measure(run_a, places[0], threshold, iou=iou)
    b = measure(run_b, places[1], threshold_b, iou=iou)
    names = run_a.class_map.names
    of_b = {name: k for k, name in enumerate(run_b.class_map.names[: len(b.class_ap)])}
    classes = []
    for k in np.flatnonzero(~np.isnan(a.class_ap)).tolist():
        other = of_b.get(names[k])
        if other is None or np.isnan(b.class_ap[other]):
            continue
        infl = b.class_influence[other] - a.class_influence[k]
        classes.append(difference_of("AP", names[k], a.class_ap[k], b.class_ap[other], infl, confidence))
    adjusted = holm([d.p_value for d in classes])
    classes = [replace(d, adjusted=float(p)) for d, p in zip(classes, adjusted)]
    classes.sort(key=lambda d: (d.p_value, -abs(d.difference)))
    figures = tuple(_between(name, a, b, confidence) for name in METRICS)
    return Significance(figures, tuple(classes), len(places[0]), confidence)


def standings(
    runs: Sequence[Any],
    thresholds: Sequence[Threshold] | None = None,
    *,
    iou: float = 0.5,
    confidence: float = 0.95,
) -> list[Standing]:
    """Several runs over the images all of them judged, the best AP first.

    Args:
        runs: two or more, in the order they were made: `against_previous` follows it.
        thresholds: one per run, default .5, for recall and F1.

    Raises:
        InputError: as `significance`; or fewer than two runs.
    """
    if len(runs) < 2:
        raise InputError(f"standings: expected at least two runs, got {len(runs)}.")
    places = common_images(runs)
    cuts = [0.5] * len(runs) if thresholds is None else list(thresholds)
    found = [measure(run, rows, at, iou=iou) for run, rows, at in zip(runs, places, cuts)]
    best = max(range(len(runs)), key=lambda i: np.nan_to_num(found[i].values["AP"], nan=-1))
    others = [i for i in range(len(runs)) if i != best]
    behind = [_between("AP", found[best], found[i], confidence) for i in others]
    adjusted = holm([d.p_value for d in behind])
    against = {i: replace(d, adjusted=float(p)) for i, d, p in zip(others, behind, adjusted)}
    rows = [
        Standing(
            run.name,
            one.values,
            {name: _alone(one, name, confidence) for name in METRICS},
            against.get(i),
            _between("AP", found[i - 1], one, confidence) if i else None,
        )
        for i, (run, one) in enumerate(zip(runs, found))
    ]
    return sorted(rows, key=lambda row: -np.nan_to_num(row.values["AP"], nan=-1))


def common_images(runs: Sequence[Any]) -> list[np.ndarray]:
    """For each run, int64 [n]: the places of the images that all of them judged, in the first run's order.

    Raises:
        InputError: fewer than 10 such images, or the runs' objects differ on them.
    """
    first = runs[0]
    where = [{s: i for i, s in enumerate(run.sample_ids)} for run in runs]
    judged = [run.usable for run in runs]
    shared = [
        s
        for s in first.sample_ids
        if all(s in at and ok[at[s]] for at, ok in zip(where, judged, strict=True))
    ]
    if len(shared) < LEAST_IMAGES:
        raise InputError(
            f"expected runs over the same images: {len(shared)} were judged by all {len(runs)} runs, and"
            f" fewer than {LEAST_IMAGES} say nothing about a difference."
        )
    places = [np.array([at[s] for s in shared], np.int64) for at in where]
    mask = np.zeros(len(first.sample_ids), bool)
    mask[places[0]] = True
    for run, at in zip(runs[1:], where[1:]):
        rows = np.array([at.get(s, -1) for s in first.sample_ids], np.int64)
        same_objects(first, run, mask, rows)
    return places


def _between(name: str, a: Measures, b: Measures, confidence: float) -> Difference:
    return difference_of(
        name, "", a.values[name], b.values[name], b.influence[name] - a.influence[name], confidence
    )


def difference_of(
    name: str, class_name: str, a: float, b: float, influence: np.ndarray, confidence: float
) -> Difference:
    """One figure of two runs, from its values and the difference of each image's sway, float64 [n]."""
    error, width = _error(influence, confidence)
    difference = float(b - a)
    if error == 0:
        p = 1.0 if difference == 0 else 0.0
    else:
        p = float(2 * student.sf(abs(difference) / error, max(1, _evidence(influence) - 1)))
    low, high = difference - width, difference + width
    return Difference(
        name, class_name, float(a), float(b), difference, low, high, p, p, round(1 - confidence, 9)
    )


def _alone(one: Measures, name: str, confidence: float) -> tuple[float, float]:
    width = _error(one.influence[name], confidence)[1]
    return max(0.0, one.values[name] - width), min(1.0, one.values[name] + width)


def _error(influence: np.ndarray, confidence: float) -> tuple[float, float]:
    """(standard error, half the interval's width).

    Raises:
        InputError: a confidence outside (0, 1).
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence: expected more than 0 and less than 1, got {confidence!r}.")
    n = len(influence)
    error = float(np.sqrt((influence**2).sum() * n / max(1, n - 1)))
    if error < 1e-12:
        return 0.0, 0.0
    return error, error * float(student.ppf(0.5 + confidence / 2, max(1, _evidence(influence) - 1)))


def _evidence(influence: np.ndarray) -> int:
    """How many images the figure rests on: those that sway it at all."""
    return int((np.abs(influence) > 1e-15).sum())
