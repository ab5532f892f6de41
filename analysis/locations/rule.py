"""The UIUC benchmark's own matching rule, beside IoU, and the figures published with it.

Agarwal, Awan and Roth, "Learning to detect objects in images via a sparse, part-based representation", PAMI
2004: a detection is correct when it lies in an ellipse round the true location whose axes are 25 % of the
object's dimensions (with scale: an ellipsoid, the width's axis 25 % of the true width); an object takes one
detection, others on it are false. Location is the window's upper left corner, as in the benchmark's evaluator
program. That program takes detections in the order of its file and gives each the first free object it fits;
here the best score goes first and gets the nearest, which differs only where one window fits two objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detector.errors import InputError

ALPHA = 0.25


def inside_ellipse(
    windows: np.ndarray, truth: np.ndarray, *, with_scale: bool, alpha: float = ALPHA
) -> np.ndarray:
    """Squared distance, in units of the ellipse, of each window's corner from each true one; <= 1 is correct.

    Args:
        windows: [N, 4] xyxy in pixels; truth: [M, 4] whole windows, over the border too.
        with_scale: the multi-scale rule, which adds the difference of widths.

    Returns:
        float64 [N, M].
    """
    windows, truth = (np.asarray(x, np.float64).reshape(-1, 4) for x in (windows, truth))
    size = truth[:, 2:] - truth[:, :2]
    if len(size) and size.min() <= 0:
        raise InputError("location rule: expected true windows of positive size.")
    axes = alpha * size
    offset = (windows[:, None, :2] - truth[None, :, :2]) / axes[None]
    distance = (offset**2).sum(axis=2)
    if with_scale:
        width = windows[:, 2] - windows[:, 0]
        distance += ((width[:, None] - size[None, :, 0]) / axes[None, :, 0]) ** 2
    return distance


@dataclass(frozen=True)
class LocationCurve:
    """Counts at every threshold that changes them, highest first.

    Args:
        thresholds, tp, fp: [T]; objects: true windows in all.
    """

    thresholds: np.ndarray
    tp: np.ndarray
    fp: np.ndarray
    objects: int

    @property
    def recall(self) -> np.ndarray:
        return self.tp / max(self.objects, 1)

    @property
    def precision(self) -> np.ndarray:
        return self.tp / np.maximum(self.tp + self.fp, 1)

    @property
    def f1(self) -> np.ndarray:
        return 2 * self.tp / np.maximum(self.tp + self.fp + self.objects, 1)

    @property
    def best(self) -> int:
        """Row of the best F1, the highest threshold on a tie."""
        if not len(self.thresholds):
            raise InputError("location rule: there are no detections, so no threshold is best.")
        return int(np.argmax(self.f1))

    @property
    def area(self) -> float:
        """Area under precision over recall, every point, precision made monotone; 0 without detections."""
        if not len(self.thresholds):
            return 0.0
        envelope = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float((np.diff(self.recall, prepend=0.0) * envelope).sum())

    @property
    def equal_error_rate(self) -> float:
        """The lower of recall and precision where they are nearest, the 'recall-precision equal error rate'
        of the literature, although it is a rate of successes; 0 without detections."""
        if not len(self.thresholds):
            return 0.0
        i = int(np.argmin(np.abs(self.recall - self.precision)))
        return float(min(self.recall[i], self.precision[i]))

    def at(self, threshold: float) -> dict[str, float | int | None]:
        """Counts and rates of the detections at or above a threshold (compared in float32, as scores are
        kept).
        """
        above = int((self.thresholds.astype(np.float32) >= np.float32(threshold)).sum())
        tp, fp = (int(self.tp[above - 1]), int(self.fp[above - 1])) if above else (0, 0)
        rates = (tp / (tp + fp) if tp + fp else None, tp / self.objects if self.objects else None)
        f1 = 2 * tp / (tp + fp + self.objects) if tp + fp + self.objects else None
        return {
            "threshold": threshold,
            "objects": self.objects,
            "tp": tp,
            "fp": fp,
            "fn": self.objects - tp,
            "precision": rates[0],
            "recall": rates[1],
            "f1": f1,
        }


def location_curve(
    found: Mapping[str, tuple[np.ndarray, np.ndarray]],
    truth: Mapping[str, np.ndarray],
    *,
    with_scale: bool = False,
    alpha: float = ALPHA,
) -> LocationCurve:
    """Match every image's windows, best score first, each to the nearest free true window it is inside.

    Args:
        found: sample id -> (xyxy [N, 4], scores [N]).
        truth: sample id -> whole windows [M, 4]; images without detections count too.

    Raises:
        InputError: `found` names an image that `truth` does not.
    """
    unknown = found.keys() - truth.keys()
    if unknown:
        raise InputError(
            f"location rule: detections of image {sorted(unknown)[0]!r}, which the truth does not hold."
        )
    scores, correct = [], []
    for sample_id, (windows, confidence) in found.items():
        distance = inside_ellipse(windows, truth[sample_id], with_scale=with_scale, alpha=alpha)
        for row in np.argsort(-np.asarray(confidence), kind="stable"):
            nearest = int(np.argmin(distance[row])) if distance.shape[1] else -1
            hit = nearest >= 0 and distance[row, nearest] <= 1
            if hit:
                distance[:, nearest] = np.inf
            scores.append(float(confidence[row]))
            correct.append(hit)
    scores, correct = np.array(scores), np.array(correct, bool)
    order = np.argsort(-scores, kind="stable")
    scores, correct = scores[order], correct[order]
    last = np.flatnonzero(np.diff(scores, append=-np.inf)) if len(scores) else np.zeros(0, int)
    objects = sum(len(np.reshape(t, (-1, 4))) for t in truth.values())
    return LocationCurve(scores[last], np.cumsum(correct)[last], np.cumsum(~correct)[last], objects)
