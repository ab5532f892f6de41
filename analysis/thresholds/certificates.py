"""What a guaranteed threshold carries with it, and whether another run still keeps it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from analysis.matching.counts import image_counts
from analysis.matching.matches import Matches
from analysis.runs.store import Run
from analysis.thresholds.betting import conformal_mean, p_values
from analysis.thresholds.files import Certificate, Thresholds
from analysis.thresholds.guarantee import (
    HEADROOM,
    LEAST_WORST,
    Goal,
    Guarantee,
    ImageTable,
    guarantee,
    image_table,
    informative,
)
from detector.core import ClassMap
from detector.errors import InputError

EVERY_IMAGE, HALF = "all", "half"

BREAK_ERROR = 0.05
"""A certificate is called broken only where a run that keeps it would look this bad in at most 1 of 20
cases.
"""

Verdict = Literal["kept", "within chance", "broken", "nothing to judge by"]


def calibration_images(run: Run, part: str = EVERY_IMAGE) -> np.ndarray:
    """bool [N], the images a threshold may be chosen on.

    Args:
        part: "all"; "half", the same half in every run over the same images, by their ids; or a split's name.

    Raises:
        InputError: the run has no such split.
    """
    n = len(run.sample_ids)
    if part == EVERY_IMAGE:
        return np.ones(n, bool)
    if part == HALF:
        return np.array([hashlib.sha256(s.encode()).digest()[0] % 2 == 0 for s in run.sample_ids], bool)
    chosen = np.array([split == part for split in run.splits], bool)
    if not chosen.any():
        names = sorted({str(split) for split in run.splits if split})
        known = f"its splits are {', '.join(names)}" if names else "it has no splits"
        raise InputError(
            f"The run has no split {part!r}: {known}. Say {EVERY_IMAGE}, {HALF} or the name of a split."
        )
    return chosen


@dataclass(frozen=True, eq=False)
class RunGuarantee:
    """The guarantee of all classes together, or of each class.

    Args:
        goal, confidence: of the whole promise; `classes` share the error equally.
        whole: of all classes together, None where it was asked per class.
        classes: class id -> guarantee, of the classes with evidence; empty for all together.
        table: of the calibration images, all classes together.
        images: bool [N], the calibration images; part: how they were named.
        floor: the run's score floor.
    """

    goal: Goal
    confidence: float
    whole: Guarantee | None
    classes: dict[int, Guarantee]
    table: ImageTable
    images: np.ndarray
    part: str
    floor: float

    @property
    def met(self) -> bool:
        """Whether anything can be promised."""
        found = [self.whole] if self.whole is not None else list(self.classes.values())
        return any(g.threshold is not None for g in found)

    def thresholds(self, num_classes: int) -> tuple[float, np.ndarray]:
        """(default, float32 [K]): what cannot be promised keeps the safe end, the floor for recall and 1
        otherwise.
        """
        safe = self.floor if self.goal.name == "recall" else 1.0
        if self.whole is not None:
            value = safe if self.whole.threshold is None else self.whole.threshold
            return value, np.full(num_classes, value, np.float32)
        values = np.full(num_classes, safe, np.float32)
        for k, found in self.classes.items():
            if found.threshold is not None:
                values[k] = found.threshold
        return safe, values

    def certificate(self, class_map: ClassMap, run: Run) -> Certificate:
        """What is written into the thresholds file."""
        found = [self.whole] if self.whole is not None else list(self.classes.values())
        promised = [g for g in found if g.threshold is not None]
        names = class_map.names
        dataset = run.manifest.dataset
        return Certificate(
            goal=self.goal.name,
            value=self.goal.value,
            confidence=self.confidence,
            images=max((g.images for g in promised), default=0),
            objects=sum(g.objects for g in promised),
            at_most=max((g.at_most for g in promised), default=0),
            classes=[names[k] for k, g in self.classes.items() if g.threshold is not None],
            without=[names[k] for k, g in self.classes.items() if g.threshold is None],
            per_class=self.whole is None,
            calibrated_on=self.part,
            data=dataset.name,
            data_fingerprint=dataset.fingerprint,
            assumption=promised[0].assumption if promised else "",
        )


def guarantee_run(
    matches: Matches,
    goal: Goal,
    confidence: float = 0.9,
    *,
    images: np.ndarray | None = None,
    part: str = EVERY_IMAGE,
    per_class: bool = False,
    forecast: bool = True,
    floor: float = 0.0,
) -> RunGuarantee:
    """Thresholds that keep a goal on new images like those of a run.

    Args:
        images: bool [N], the calibration images; None: all that are judged. part: how to name them.
        per_class: one threshold per class, each keeping the goal; all of them together with this confidence.
        forecast: whether to say what more images would give (all classes together only).
        floor: the run's score floor.

    Raises:
        InputError: a confidence outside (0, 1), or classes asked of a matching that ignores the class.
    """
    chosen = matches.judged if images is None else matches.judged & images
    table = image_table(matches, chosen, floor=floor)
    if not per_class:
        whole = guarantee(table, goal, confidence, forecast=forecast)
        return RunGuarantee(goal, confidence, whole, {}, table, chosen, part, floor)
    counted = matches.truth_counted & chosen[matches.truth_rows]
    there = np.flatnonzero(np.bincount(matches.truth_classes[counted], minlength=matches.num_classes))
    found = {}
    for k in there.tolist():
        mine = image_table(matches, _with_class(matches, chosen, k, goal), class_id=k, floor=floor)
        found[k] = guarantee(mine, goal, confidence, classes=len(there))
    return RunGuarantee(goal, confidence, None, found, table, chosen, part, floor)


def _with_class(matches: Matches, chosen: np.ndarray, k: int, goal: Goal) -> np.ndarray:
    """bool [N], the chosen images that can say something about class k: for recall and precision those that
    show it.
    """
    if goal.name == "false positives":
        return chosen
    there = np.zeros(len(chosen), bool)
    there[matches.truth_rows[matches.truth_classes == k]] = True
    there[matches.det_rows[matches.det_classes == k]] = True
    return chosen & there


def mean_recall_threshold(table: ImageTable, value: float) -> float | None:
    """The highest threshold at which the mean recall of a new image is at least `value`, by conformal risk
    control.

    The mean is over images with an object, each counting alike, and over draws of calibration images: no
    confidence is stated, and about half the draws fall below. None where no threshold does.

    Raises:
        InputError: a value outside (0, 1).
    """
    goal = Goal("recall", value)
    table = informative(table, goal)
    if not len(table.objects):
        return None
    held = conformal_mean(1 - table.tp / table.objects[:, None], 1 - goal.value)
    failed = np.flatnonzero(~held)
    last = (failed[0] if len(failed) else len(held)) - 1
    return None if last < 0 else float(str(table.grid[last]))


@dataclass(frozen=True)
class CertificateCheck:
    """Whether a run keeps a certificate.

    Args:
        verdict: "kept": the figure meets the goal; "within chance": it does not, but a run that keeps the
            goal would look like this in more than 1 of 20 cases; "broken": it would not; "nothing to judge
            by".
        reached: the goal's figure on the judged images, the worst class's where it is per class; None
            without.
        worst: that class's name, "" for all together.
        images: that were judged; seen: images left out since the threshold was chosen on them.
        p_value: of "the goal still holds".
    """

    certificate: Certificate
    verdict: Verdict
    reached: float | None
    worst: str
    images: int
    seen: int
    p_value: float

    def __str__(self) -> str:
        c = self.certificate
        promise = (
            f"{Goal(c.goal, c.value)}{' in each class' if c.per_class else ''}, confidence {c.confidence:.0%}"
        )
        if self.reached is None:
            fresh = ": every image here was used to choose the threshold" if self.seen else ""
            return f"certificate ({promise}): nothing to judge by{fresh}"
        figure = f"{self.reached:.3g}" if c.goal == "false positives" else f"{self.reached:.1%}"
        of = f" of {self.worst}" if self.worst else ""
        without = f", without the {self.seen:,} it was chosen on" if self.seen else ""
        return (
            f"certificate ({promise}): {self.verdict}; {c.goal}{of} {figure} on {self.images:,}"
            f" images{without} (p = {self.p_value:.2g})"
        )

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "certificate"}
        return {"certificate": self.certificate.model_dump(), **values}


def fresh_images(run: Run, certificate: Certificate) -> np.ndarray:
    """bool [N], the images of a run that the threshold was not chosen on, as far as the certificate tells."""
    fingerprint = run.manifest.dataset.fingerprint
    if not fingerprint or fingerprint != certificate.data_fingerprint:
        return np.ones(len(run.sample_ids), bool)
    return ~calibration_images(run, certificate.calibrated_on)


def check_certificate(run: Run, matches: Matches, thresholds: Thresholds) -> CertificateCheck | None:
    """Whether a run keeps the certificate of a thresholds file; None where the file carries none.

    Raises:
        InputError: the matching has another IoU or rule for difficult objects than the promise.
        ConfigError: a class of the file is not one of the run's.
    """
    certificate, at = thresholds.certificate, thresholds.operating_point
    if certificate is None:
        return None
    if not np.isclose(matches.iou, at.iou) or matches.difficult != at.difficult:
        raise InputError(
            f"The thresholds promise something at IoU {at.iou:g} with difficult objects as {at.difficult!r};"
            f" this matching has IoU {matches.iou:g} and {matches.difficult!r}. Evaluate at the promise's"
            " settings."
        )
    fresh = fresh_images(run, certificate)
    values = thresholds.thresholds(run.class_map)
    goal = Goal(certificate.goal, certificate.value)
    groups: Sequence[int | None] = [None]
    if certificate.per_class:
        groups = [run.class_map.index(name) for name in certificate.classes]
    judged = matches.judged & fresh
    seen = int((matches.judged & ~fresh).sum())
    worst: tuple[float, float, str] | None = None
    for k in groups:
        tested = _test(*_counts(matches, judged, values, k), goal)
        if tested is not None and (worst is None or tested[0] < worst[0]):
            worst = (*tested, "" if k is None else run.class_map.names[k])
    if worst is None:
        return CertificateCheck(certificate, "nothing to judge by", None, "", int(judged.sum()), seen, 1.0)
    p, reached, name = worst
    p = min(1.0, p * len(groups))
    verdict: Verdict = "broken" if p <= BREAK_ERROR else "kept" if goal.met(reached) else "within chance"
    return CertificateCheck(certificate, verdict, reached, name, int(judged.sum()), seen, p)


def _counts(
    matches: Matches, judged: np.ndarray, values: np.ndarray, class_id: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(correct, wrong, objects) of each judged image at these thresholds, float64 [n]; of one class or
    all.
    """
    if class_id is None:
        c = image_counts(matches, values)
        return tuple(np.asarray(column[judged], float) for column in (c.tp, c.fp, c.objects))
    table = image_table(matches, judged, class_id=class_id, grid=values[class_id : class_id + 1])
    return table.tp[:, -1].astype(float), table.fp[:, -1].astype(float), table.objects.astype(float)


def _test(tp: np.ndarray, fp: np.ndarray, objects: np.ndarray, goal: Goal) -> tuple[float, float] | None:
    """(p-value of "the goal holds", the figure reached); None without a denominator."""
    whole = {"recall": objects.sum(), "precision": (tp + fp).sum(), "false positives": float(len(tp))}[
        goal.name
    ]
    if not whole:
        return None
    if goal.name == "false positives":
        return float(p_values((fp - goal.value)[:, None], goal.value, BREAK_ERROR)[0]), float(
            fp.sum() / whole
        )
    base = objects if goal.name == "recall" else tp + fp
    most = max(float(base.max()) * HEADROOM, LEAST_WORST) * (1 - goal.value)
    return float(p_values((goal.value * base - tp)[:, None], most, BREAK_ERROR)[0]), float(tp.sum() / whole)
