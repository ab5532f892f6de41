"""The operating point: everything that decides whether a detection counts, in one value.

It stands on every figure and in every file. A number without it cannot be compared with another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.runs.reader import RunReader
from detector.core import ClassMap
from detector.errors import InputError

Threshold = float | Sequence[float] | np.ndarray


def class_thresholds(threshold: Threshold, num_classes: int) -> np.ndarray:
    """One score threshold a class, float32 [K], from one number or K of them.

    Scores are kept in float32 and compared in float32, so that a score written as 0.7 passes 0.7.

    Raises:
        InputError: a number is missing, negative or not a number.
    """
    try:
        thresholds = np.asarray(threshold, np.float32)
    except (TypeError, ValueError):
        raise InputError(f"threshold: expected a number, or one per class, got {threshold!r}.") from None
    if thresholds.ndim == 0:
        thresholds = np.full(num_classes, thresholds, np.float32)
    if thresholds.shape != (num_classes,):
        raise InputError(
            f"threshold: expected one number or {num_classes}, one per class, got {list(thresholds.shape)}."
        )
    if len(thresholds) and not (thresholds >= 0).all():
        raise InputError(
            f"threshold: expected 0 and more, class {int(np.argmin(thresholds >= 0))} has"
            f" {thresholds[np.argmin(thresholds >= 0)]}."
        )
    return thresholds + np.float32(0)  # -0.0 becomes 0.0, whose bits sort as numbers do


@dataclass(frozen=True)
class OperatingPoint:
    """Confidence, IoU and matcher under which a figure was made.

    Args:
        threshold: the confidence threshold in 0..1, or one per class.
        iou: a detection fits an object from this IoU on.
        class_aware: whether only an object of its own class can make a detection correct.
        difficult: "count" (COCO) or "ignore" (VOC): what objects flagged difficult are.
        detector: the detector's name, empty where unknown.
        weights_hash: the detector's hash, empty where unknown.
    """

    threshold: float | tuple[float, ...] = 0.5
    iou: float = 0.5
    class_aware: bool = True
    difficult: str = "count"
    detector: str = ""
    weights_hash: str = ""

    def __post_init__(self) -> None:
        thresholds = np.asarray(self.threshold, float)
        value = float(thresholds) if thresholds.ndim == 0 else tuple(float(v) for v in thresholds)
        object.__setattr__(self, "threshold", value)

    def __str__(self) -> str:
        if isinstance(self.threshold, tuple):
            low, high = min(self.threshold, default=0.0), max(self.threshold, default=0.0)
            confidence = f"confidence per class ({low:.2f} to {high:.2f})"
        else:
            confidence = f"confidence ≥ {rounded_score(self.threshold)}"
        parts = [
            confidence,
            f"IoU ≥ {self.iou:.2f}",
            "COCO matching" if self.class_aware else "COCO matching, class ignored",
        ]
        if self.difficult == "ignore":
            parts.append("difficult ignored")
        if self.detector:
            parts.append(self.detector + (f" {self.weights_hash[:8]}" if self.weights_hash else ""))
        return " · ".join(parts)

    def to_dict(self, class_map: ClassMap | None = None) -> dict[str, Any]:
        """Plain values for JSON or YAML; thresholds per class by name where a class map is given."""
        threshold: Any = self.threshold
        if isinstance(threshold, tuple):
            threshold = dict(zip(class_map.names, threshold)) if class_map is not None else list(threshold)
        return {
            "threshold": threshold,
            "iou": self.iou,
            "matcher": "coco",
            "class_aware": self.class_aware,
            "difficult": self.difficult,
            "detector": self.detector,
            "weights_hash": self.weights_hash,
        }


def rounded_score(threshold: float) -> str:
    """A threshold with two digits, or with as many as tell it from its neighbours: two thresholds never read
    alike.
    """
    return f"{threshold:.2f}" if abs(round(threshold, 2) - threshold) < 1e-7 else f"{threshold:.6g}"


def operating_point(
    run: RunReader | None,
    threshold: Threshold = 0.5,
    *,
    iou: float = 0.5,
    class_aware: bool = True,
    difficult: str = "count",
) -> OperatingPoint:
    """The operating point of a figure over `run`, with its detector's name and hash where the run knows
    them.
    """
    detector = None if run is None else run.manifest.detector
    thresholds = np.asarray(threshold, float)
    return OperatingPoint(
        float(thresholds) if thresholds.ndim == 0 else tuple(thresholds.tolist()),
        iou,
        class_aware,
        difficult,
        "" if detector is None else detector.name,
        "" if detector is None else detector.weights_hash,
    )
