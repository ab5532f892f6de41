"""Average precision as PASCAL VOC defines it: one IoU, 11 points or every point.

VOC's matching is not COCO's: a detection belongs to the object of its class it overlaps most, taken or not;
the best-scored detection of an object is correct, every further one is wrong, even where another object is
free. Objects flagged difficult (and crowd regions) count on neither side. Everingham et al., "The PASCAL
Visual Object Classes Challenge", IJCV 2010; the devkit's VOCevaldet.m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.average_precision import average_precision
from analysis.matching.greedy import fitting_pairs
from analysis.runs.store import Run
from detector.errors import InputError

VOC_INTERPOLATIONS = {"all": "every recall point (VOC from 2010)", "11": "11 recall points (VOC 2007)"}


@dataclass(frozen=True, eq=False)
class VocEvaluation:
    """VOC's AP of a run.

    Args:
        mean_ap: over the classes with objects, None without any.
        per_class: class name -> AP, or None for a class without counted objects.
        settings: IoU, interpolation, pixel convention, difficult, as named.
    """

    mean_ap: float | None
    per_class: dict[str, float | None]
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"mAP": self.mean_ap, "per_class": self.per_class, "settings": self.settings}

    @property
    def operating_point(self) -> str:
        s = self.settings
        pixel = "widths + 1 pixel" if s["plus_one"] else "continuous boxes"
        return f"VOC AP · IoU ≥ {s['iou']:.2f} · {s['interpolation']} · {pixel} · difficult {s['difficult']}"


def voc_correct(
    det_keys: np.ndarray,
    det_xyxy: np.ndarray,
    scores: np.ndarray,
    truth_keys: np.ndarray,
    truth_xyxy: np.ndarray,
    ignored: np.ndarray,
    *,
    iou: float = 0.5,
    plus_one: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """VOC's matching on columns whose keys (int64, -1 for none) name the image and class.

    Returns:
        (order, correct, kept): the detections in falling score (ties in table order), and for each of them
        whether it is correct and whether it counts at all (not on an ignored object).
    """
    grow = np.float64([0, 0, 1, 1]) if plus_one else 0.0
    det, truth = np.asarray(det_xyxy, np.float64) + grow, np.asarray(truth_xyxy, np.float64) + grow
    pairs = fitting_pairs(det_keys, det, truth_keys, truth, np.zeros(len(truth), bool), 0.0)
    by_overlap = np.lexsort((pairs.truth, -pairs.iou, pairs.det))
    first, at = np.unique(pairs.det[by_overlap], return_index=True)
    nearest, overlap = np.full(len(det), -1), np.zeros(len(det))
    nearest[first], overlap[first] = pairs.truth[by_overlap][at], pairs.iou[by_overlap][at]
    nearest[overlap < iou] = -1
    order = np.argsort(-np.asarray(scores), kind="stable")
    claimed = nearest[order]
    _, firsts = np.unique(claimed, return_index=True)
    correct = np.zeros(len(det), bool)
    correct[firsts] = True
    correct &= claimed >= 0
    on_ignored = (claimed >= 0) & np.append(ignored, False)[claimed]
    return order, correct & ~on_ignored, ~on_ignored


def evaluate_voc(
    run: Run,
    *,
    iou: float = 0.5,
    interpolation: str = "all",
    plus_one: bool = False,
    difficult: str = "ignore",
) -> VocEvaluation:
    """VOC's AP for each class of the data set, over the labelled images on which detection has finished.

    Args:
        run: a Run.
        iou: a detection fits from this IoU on.
        interpolation: "all" or "11".
        plus_one: the devkit's integer pixels: a box from x1 to x2 is x2 - x1 + 1 wide. Off: continuous boxes.
        difficult: "ignore" (VOC) or "count".

    Raises:
        InputError: an unknown choice, or an IoU outside (0, 1].
    """
    if interpolation not in VOC_INTERPOLATIONS:
        raise InputError(
            f"interpolation: expected one of {', '.join(VOC_INTERPOLATIONS)}, got {interpolation!r}."
        )
    if difficult not in ("ignore", "count"):
        raise InputError(f"difficult: expected ignore or count, got {difficult!r}.")
    if not 0 < iou <= 1:
        raise InputError(f"iou: expected more than 0 and at most 1, got {iou!r}.")
    d, t, k = run.detections, run.truth, max(len(run.class_map), 1)
    seen, known = run.usable, run.labelled_classes
    det_keys = np.where(seen[d.rows] & (d.class_ids < known), d.rows.astype(np.int64) * k + d.class_ids, -1)
    truth_keys = np.where(seen[t.rows], t.rows.astype(np.int64) * k + t.class_ids, -1)
    ignored = t.crowd | (t.difficult if difficult == "ignore" else False)
    order, correct, kept = voc_correct(
        det_keys, d.xyxy, d.scores, truth_keys, t.xyxy, ignored, iou=iou, plus_one=plus_one
    )
    kept &= det_keys[order] >= 0
    objects = np.bincount(t.class_ids[(truth_keys >= 0) & ~ignored], minlength=k)
    classes = d.class_ids[order]
    per_class = {}
    for c in range(known):
        value = average_precision(correct[kept & (classes == c)], int(objects[c]), interpolation)
        per_class[run.class_map.names[c]] = None if np.isnan(value) else value
    values = [v for v in per_class.values() if v is not None]
    settings = {
        "iou": iou,
        "interpolation": VOC_INTERPOLATIONS[interpolation],
        "plus_one": plus_one,
        "difficult": difficult,
        "matcher": "VOC",
    }
    return VocEvaluation(float(np.mean(values)) if values else None, per_class, settings)
