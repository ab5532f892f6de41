"""Labels and detections as plain columns, and how they overlap: what every question about labels starts
from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.matching.greedy import Pairs, fitting_pairs

LEAST_IOU = 0.05


@dataclass(frozen=True, eq=False)
class Labels:
    """M labelled boxes: rows (image), classes int64, xyxy float64, and `source` int64, the place in the run's
    truth table (-1 for a planted one)."""

    rows: np.ndarray
    classes: np.ndarray
    xyxy: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, chosen: np.ndarray) -> Labels:
        return Labels(self.rows[chosen], self.classes[chosen], self.xyxy[chosen], self.source[chosen])

    def plus(self, other: Labels) -> Labels:
        return Labels(
            *(np.concatenate([getattr(self, f), getattr(other, f)]) for f in self.__dataclass_fields__)
        )


@dataclass(frozen=True, eq=False)
class Scene:
    """The images of a run with their labels and detections.

    Args:
        labels: the objects of judged images; crowd regions are left out, nobody placed their boxes one by
            one.
        det_rows, det_classes, det_xyxy, det_scores: detections of the data set's classes in judged images.
        det_source: int64 [D], their place in the run's detection table.
        sizes: float64 [N, 2] (W, H), at least 1. classes: K, of the data set. crowd: Labels of the crowd
            regions.
    """

    labels: Labels
    crowd: Labels
    det_rows: np.ndarray
    det_classes: np.ndarray
    det_xyxy: np.ndarray
    det_scores: np.ndarray
    det_source: np.ndarray
    sizes: np.ndarray
    classes: int

    def with_labels(self, labels: Labels) -> Scene:
        return replace(self, labels=labels)

    def of_images(self, mask: np.ndarray) -> Scene:
        """The same of the images under a mask (bool [N]); N stays."""
        kept = mask[self.det_rows]
        return replace(
            self,
            labels=self.labels.take(mask[self.labels.rows]),
            crowd=self.crowd.take(mask[self.crowd.rows]),
            **{
                name: getattr(self, name)[kept]
                for name in ("det_rows", "det_classes", "det_xyxy", "det_scores", "det_source")
            },
        )


def scene_of(run: Any) -> Scene:
    """The judged part of a run; detections of classes that the data set does not label are left out."""
    judged, k = run.usable, run.labelled_classes
    t, d = run.truth, run.detections
    mine = judged[t.rows]

    def labels(rows: np.ndarray) -> Labels:
        return Labels(
            t.rows[rows].astype(np.int64),
            t.class_ids[rows].astype(np.int64),
            t.xyxy[rows].astype(float),
            rows,
        )

    det = np.flatnonzero(judged[d.rows] & (d.class_ids < k))
    sizes = np.asarray(run.sizes, float).reshape(-1, 2)
    far = np.ones_like(sizes)
    np.maximum.at(far, t.rows, t.xyxy[:, 2:].astype(float))
    return Scene(
        labels(np.flatnonzero(mine & ~t.crowd)),
        labels(np.flatnonzero(mine & t.crowd)),
        d.rows[det].astype(np.int64),
        d.class_ids[det].astype(np.int64),
        d.xyxy[det].astype(float),
        d.scores[det].astype(float),
        det,
        np.where(sizes > 0, sizes, far),
        k,
    )


def overlaps(rows_a: np.ndarray, a: np.ndarray, rows_b: np.ndarray, b: np.ndarray) -> Pairs:
    """Pairs of one image, of any classes, whose IoU is at least LEAST_IOU: (place in a, place in b, IoU)."""
    return fitting_pairs(rows_a, a, rows_b, b, np.zeros(len(rows_b), bool), LEAST_IOU)


def best_of(values: np.ndarray, owner: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(largest value of each owner, float64 [count], 0 where it has none; its place in `values`, -1)."""
    order = np.argsort(values, kind="stable")
    place = np.full(count, -1, np.int64)
    place[owner[order]] = order  # the last write is the largest
    return np.where(place >= 0, values[place] if len(values) else 0.0, 0.0), place
