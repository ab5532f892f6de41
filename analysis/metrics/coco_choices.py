"""COCO's figures under other choices than COCO's own: difficult objects, crowds, interpolation, empty
classes.

With every choice at its default this is a second, independent computation of what hotcoco gives, and the
tests hold the two together.
"""

from __future__ import annotations

import numpy as np

from analysis.average_precision import average_precision
from analysis.matching.match import match_columns
from analysis.matching.matches import FALSE_POSITIVES, Verdict
from analysis.metrics.coco_columns import Found, Truth
from detector.boxes import xywh_to_xyxy

IOUS = np.linspace(0.5, 0.95, 10)
AREAS = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
CROWD = {
    "ignore": "neither found nor missed; any number of detections on one are neither right nor wrong (COCO)",
    "count": "an object like any other",
    "leave out": "not there: detections on one are wrong",
}
EMPTY_CLASSES = {"leave out": "not in the mean (COCO)", "zero": "0, if something was detected as it"}


def chosen_figures(
    truth: Truth,
    found: Found,
    *,
    num_images: int,
    classes: list[int],
    caps: list[int],
    crowd: str,
    difficult: str,
    interpolation: str,
    classes_without_truth: str,
) -> tuple[dict[tuple[float, str], np.ndarray], dict[tuple[float, str, int], np.ndarray]]:
    """AP and recall per class, NaN where undefined.

    Args:
        truth, found: objects and detections by image rank (ties between images go by it).
        classes, caps: which classes, and COCO's three numbers of detections per image and class.
        crowd, difficult, interpolation, classes_without_truth: the choices of `metrics.evaluate`.

    Returns:
        ({(iou, area): AP float64 [C]}, {(iou, area, cap): recall float64 [C]}) in the order of `classes`.
    """
    if crowd == "leave out":
        truth = truth.take(~truth.crowd)
    regions = truth.crowd if crowd == "ignore" else np.zeros(len(truth.rows), bool)
    rows, kinds, xyxy, areas = truth.rows, truth.kinds, xywh_to_xyxy(truth.xywh), truth.areas
    det_rows, det_kinds, det_xyxy, scores = found.rows, found.kinds, xywh_to_xyxy(found.xywh), found.scores
    order = np.lexsort((-scores, det_rows))
    det_rows, det_kinds, det_xyxy, scores = det_rows[order], det_kinds[order], det_xyxy[order], scores[order]
    place = _place_in_group(det_rows, det_kinds)
    inside = place < caps[-1]
    det_rows, det_kinds, det_xyxy, scores, place = (
        v[inside] for v in (det_rows, det_kinds, det_xyxy, scores, place)
    )
    det_areas = (det_xyxy[:, 2] - det_xyxy[:, 0]) * (det_xyxy[:, 3] - det_xyxy[:, 1])
    num_classes = max([*classes, int(kinds.max(initial=0)), int(det_kinds.max(initial=0))]) + 1
    by_score = np.argsort(-scores, kind="stable")
    aps, recalls = {}, {}
    for area, (low, high) in AREAS.items():
        outside, det_outside = (areas < low) | (areas > high), (det_areas < low) | (det_areas > high)
        for iou in IOUS.tolist():
            m = match_columns(
                det_rows,
                det_xyxy,
                scores,
                det_kinds,
                rows,
                xyxy,
                kinds,
                judged=np.ones(num_images, bool),
                num_classes=num_classes,
                crowd=regions,
                difficult_flags=truth.difficult,
                ignore_flags=outside,
                iou=iou,
                difficult=difficult,
            )
            right = m.det_kind == Verdict.CORRECT
            wrong = np.isin(m.det_kind, FALSE_POSITIVES) & ~det_outside
            objects = np.bincount(kinds[~m.truth_ignored], minlength=num_classes)
            ap, recall = np.full(len(classes), np.nan), np.full((len(caps), len(classes)), np.nan)
            judged = by_score[(right | wrong)[by_score]]
            for n, k in enumerate(classes):
                mine = judged[det_kinds[judged] == k]
                if objects[k]:
                    ap[n] = average_precision(right[mine], int(objects[k]), interpolation)
                    recall[:, n] = [(right[mine] & (place[mine] < cap)).sum() / objects[k] for cap in caps]
                elif classes_without_truth == "zero" and len(mine):
                    ap[n] = 0.0
            aps[iou, area] = ap
            recalls |= {(iou, area, cap): recall[i] for i, cap in enumerate(caps)}
    return aps, recalls


def _place_in_group(rows: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """int64 [D]: how many detections of the same image and class come before each."""
    order = np.lexsort((np.arange(len(rows)), kinds, rows))
    fresh = (
        np.concatenate([[True], (np.diff(rows[order]) != 0) | (np.diff(kinds[order]) != 0)])
        if len(rows)
        else np.zeros(0, bool)
    )
    starts = np.maximum.accumulate(np.where(fresh, np.arange(len(rows)), 0))
    place = np.empty(len(rows), np.int64)
    place[order] = np.arange(len(rows)) - starts
    return place
