"""Two runs, or two settings of one: which objects changed state, both ways.

A flip is an object found on one side and missed on the other. Totals can stand still while a hundred objects
change places, so the list comes first and every figure is a count over it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma, log
from typing import Any

import numpy as np

from analysis.matching.counts import Counts, counts, image_counts
from analysis.matching.match import match_run
from analysis.matching.matches import Matches
from analysis.matching.operating_point import OperatingPoint, Threshold, class_thresholds, operating_point
from analysis.queries import object_areas
from analysis.runs.store import Run
from analysis.runs.tables import DetectionTable
from detector.errors import InputError

STATES = ("missed by both", "gained", "lost", "found by both")


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison: a run at a threshold, its matches and counts over the common images."""

    run: Run
    matches: Matches
    threshold: np.ndarray
    point: OperatingPoint
    counts: Counts


@dataclass(frozen=True, eq=False)
class Comparison:
    """Every counted object of the images both sides judged.

    Args:
        a, b: the two sides.
        images: bool [N] over a's images: those in the comparison; `b_rows` int64 [N] their place in b, -1 for
            none.
        objects: int64 [Q], rows of a's truth table; b_objects: int64 [Q], the same objects in b's.
        state: uint8 [Q], 0 missed by both, 1 gained (only b finds it), 2 lost (only a), 3 found by both.
        score_a, score_b, iou_a, iou_b: float32 [Q], of the detection that found it (at any score), -1 and 0
            without.
        wrong_change: int64 [N], b's wrong detections minus a's, of each image.
        left_out: images of a that take no part.
    """

    a: Side
    b: Side
    images: np.ndarray
    b_rows: np.ndarray
    objects: np.ndarray
    b_objects: np.ndarray
    state: np.ndarray
    score_a: np.ndarray
    score_b: np.ndarray
    iou_a: np.ndarray
    iou_b: np.ndarray
    wrong_change: np.ndarray
    left_out: int

    @property
    def gained(self) -> int:
        return int((self.state == 1).sum())

    @property
    def lost(self) -> int:
        return int((self.state == 2).sum())

    @property
    def p_value(self) -> float:
        """Two-sided sign test (McNemar's, exact): how likely flips this uneven are if both sides were equally
        good.

        It takes objects as independent, which objects of one image are not: take it as the more hopeful
        bound.
        """
        return sign_test(self.gained, self.lost)

    def per_class(self) -> list[dict[str, Any]]:
        """One row a class with objects: name, objects, found by each side, gained, lost."""
        kinds = self.a.run.truth.class_ids[self.objects]
        table = np.bincount(kinds * 4 + self.state, minlength=4 * len(self.a.run.class_map)).reshape(-1, 4)
        return [
            {
                "class": self.a.run.class_map.names[k],
                "objects": int(row.sum()),
                "found_a": int(row[2] + row[3]),
                "found_b": int(row[1] + row[3]),
                "gained": int(row[1]),
                "lost": int(row[2]),
            }
            for k, row in enumerate(table)
            if row.sum()
        ]

    def flips(self) -> list[dict[str, Any]]:
        """The flip list, lost objects first, then by how far their scores moved; plain values, ready to sort
        and export.
        """
        run, t = self.a.run, self.a.run.truth
        areas = object_areas(t)
        rows = np.flatnonzero((self.state == 1) | (self.state == 2))
        moved = np.abs(np.maximum(self.score_a, 0) - np.maximum(self.score_b, 0))
        rows = rows[np.lexsort((-moved[rows], -self.state[rows].astype(int)))]
        return [
            {
                "sample": run.sample_ids[t.rows[o]],
                "object": int(t.ids[o]),
                "row": int(o),
                "class": run.class_map.names[t.class_ids[o]],
                "change": STATES[self.state[q]],
                "score_a": _score(self.score_a[q]),
                "score_b": _score(self.score_b[q]),
                "iou_a": float(self.iou_a[q]),
                "iou_b": float(self.iou_b[q]),
                "area": float(areas[o]),
                "x1": float(t.xyxy[o][0]),
                "y1": float(t.xyxy[o][1]),
                "x2": float(t.xyxy[o][2]),
                "y2": float(t.xyxy[o][3]),
            }
            for q, o in zip(rows.tolist(), self.objects[rows].tolist())
        ]

    def to_dict(self) -> dict[str, Any]:
        return {
            "a": {"operating_point": self.a.point.to_dict(self.a.run.class_map), **self.a.counts.to_dict()},
            "b": {"operating_point": self.b.point.to_dict(self.b.run.class_map), **self.b.counts.to_dict()},
            "images": int(self.images.sum()),
            "left_out": self.left_out,
            "gained": self.gained,
            "lost": self.lost,
            "found_by_both": int((self.state == 3).sum()),
            "missed_by_both": int((self.state == 0).sum()),
            "p_value": self.p_value,
            "per_class": self.per_class(),
            "flips": self.flips(),
        }


def _score(value: float) -> float | None:
    return None if value < 0 else float(value)


def sign_test(a: int, b: int) -> float:
    """Two-sided exact binomial probability of a split at least this uneven between equally likely sides; 1
    without any.
    """
    n, k = a + b, min(a, b)
    if not n:
        return 1.0
    terms = [lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) - n * log(2) for i in range(k + 1)]
    return float(min(1.0, 2 * np.exp(terms).sum()))


def compare(
    run_a: Any,
    run_b: Any = None,
    *,
    threshold: Threshold = 0.5,
    threshold_b: Threshold | None = None,
    iou: float = 0.5,
    iou_b: float | None = None,
    nms_iou_b: float | None = None,
    matches_a: Matches | None = None,
    matches_b: Matches | None = None,
) -> Comparison:
    """Compare two runs over the images both judged, or one run with itself at other settings.

    Args:
        run_a: the run before; run_b: the run after, None for the same run.
        threshold, iou: of both sides, unless `threshold_b` or `iou_b` says otherwise for b.
        nms_iou_b: suppress b's stored detections again, per class at this IoU, before matching: what a
            stricter NMS would leave (a looser one cannot bring back what was never stored).
        matches_a, matches_b: class-aware matches of the runs at these IoUs, to save time.

    Raises:
        InputError: the runs share no image both judged, or their objects differ.
    """
    run_b = run_a if run_b is None else run_b
    if nms_iou_b is not None:
        run_b, matches_b = with_nms(run_b, nms_iou_b), None
    threshold_b = threshold if threshold_b is None else threshold_b
    iou_b = iou if iou_b is None else iou_b
    m_a = matches_a or match_run(run_a, iou)
    m_b = matches_b or (m_a if run_b is run_a and iou_b == iou else match_run(run_b, iou_b))
    at = {s: i for i, s in enumerate(run_b.sample_ids)}
    b_rows = np.array([at.get(s, -1) for s in run_a.sample_ids], np.int64)
    images = m_a.judged & (b_rows >= 0)
    images[images] = m_b.judged[b_rows[images]]
    if not images.any():
        raise InputError("compare: expected two runs over the same images; no image was judged in both.")
    objects, b_objects = same_objects(run_a, run_b, images, b_rows)
    counted = m_a.truth_counted[objects] & m_b.truth_counted[b_objects]
    objects, b_objects = objects[counted], b_objects[counted]
    found_a = _found(m_a, threshold)[objects]
    found_b = _found(m_b, threshold_b)[b_objects]
    state = (found_b + 2 * found_a).astype(np.uint8)
    b_images = np.zeros(m_b.num_images, bool)
    b_images[b_rows[images]] = True
    a = _side(run_a, m_a, threshold, images, iou)
    b = _side(run_b, m_b, threshold_b, b_images, iou_b)
    change = np.zeros(len(images), np.int64)
    change[images] = (
        image_counts(m_b, threshold_b).fp[b_rows[images]] - image_counts(m_a, threshold).fp[images]
    )
    return Comparison(
        a,
        b,
        images,
        np.where(images, b_rows, -1),
        objects,
        b_objects,
        state,
        m_a.truth_score[objects],
        m_b.truth_score[b_objects],
        m_a.truth_iou[objects],
        m_b.truth_iou[b_objects],
        change,
        int((~images).sum()),
    )


def _side(run: Run, m: Matches, threshold: Threshold, images: np.ndarray, iou: float) -> Side:
    from analysis.subsets import narrow

    return Side(
        run,
        m,
        class_thresholds(threshold, m.num_classes),
        operating_point(run, threshold, iou=iou),
        counts(narrow(m, images=images) if (m.judged & ~images).any() else m, threshold),
    )


def _found(m: Matches, threshold: Threshold) -> np.ndarray:
    kept = m.det_scores >= class_thresholds(threshold, m.num_classes)[m.det_classes]
    found = m.truth_det >= 0
    found[found] = kept[m.truth_det[found]]
    return found


def same_objects(
    run_a: Any, run_b: Any, images: np.ndarray, b_rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the two truth tables that are the same object, paired by image and object id.

    Raises:
        InputError: an image's objects differ between the runs.
    """
    a, b = run_a.truth, run_b.truth
    if a is b:
        rows = np.flatnonzero(images[a.rows])
        return rows, rows
    rows_a = np.flatnonzero(images[a.rows])
    back = np.full(len(run_b.sample_ids), -1, np.int64)
    back[b_rows[images]] = np.flatnonzero(images)
    rows_b = np.flatnonzero(back[b.rows] >= 0)
    order_a = rows_a[np.lexsort((a.ids[rows_a], a.rows[rows_a]))]
    order_b = rows_b[np.lexsort((b.ids[rows_b], back[b.rows[rows_b]]))]
    names_a, names_b = np.array(run_a.class_map.names, object), np.array(run_b.class_map.names, object)
    same = len(order_a) == len(order_b) and (
        np.array_equal(a.rows[order_a], back[b.rows[order_b]])
        and np.array_equal(a.ids[order_a], b.ids[order_b])
        and np.array_equal(names_a[a.class_ids[order_a]], names_b[b.class_ids[order_b]])
        and np.allclose(a.xyxy[order_a], b.xyxy[order_b], atol=1e-3)
    )
    if not same:
        raise InputError(
            "compare: the two runs have different ground truth for the same images; run both detectors on one"
            " data set."
        )
    order = np.argsort(order_a, kind="stable")
    return order_a[order], order_b[order]


def with_nms(run: Run, nms_iou: float) -> Any:
    """The run with its stored detections suppressed again, per image and class: greedy, best score first.

    A box falls when its IoU with a kept one of its class is more than `nms_iou`.

    Raises:
        InputError: an IoU outside 0..1.
    """
    import copy

    from analysis.matching.greedy import fitting_pairs

    if not 0 <= nms_iou <= 1:
        raise InputError(f"nms_iou: expected 0..1, got {nms_iou!r}.")
    d = run.detections
    keys = d.rows.astype(np.int64) * max(len(run.class_map), 1) + d.class_ids
    pairs = fitting_pairs(keys, d.xyxy, keys, d.xyxy, np.zeros(len(d.rows), bool), nms_iou)
    ahead = (pairs.det < pairs.truth) & (
        pairs.iou > nms_iou
    )  # the table keeps the best score of an image first
    gone = bytearray(len(d.rows))
    for keeper, other in zip(pairs.det[ahead].tolist(), pairs.truth[ahead].tolist()):
        if not gone[keeper]:
            gone[other] = 1
    keep = np.frombuffer(gone, np.uint8) == 0
    other_run = copy.copy(run)
    other_run.detections = DetectionTable(
        d.rows[keep], d.xyxy[keep], d.scores[keep], d.class_ids[keep], d.anchor_ids[keep], d.count
    )
    other_run.__dict__["version"] = f"{run.version}-nms{nms_iou:g}"
    return other_run
