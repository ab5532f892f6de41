"""The boxes behind a figure: lists of detections and objects, side by side, to look at and to export.

A kind of mistake, a cell of the confusion matrix, the missed objects of a slice: each gives a `BoxList`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.csv_text import csv_text
from analysis.matching.matches import FALSE_POSITIVES, Matches, Verdict
from analysis.matching.operating_point import OperatingPoint, Threshold, class_thresholds
from analysis.mistakes.confusion import BACKGROUND, Confusion
from analysis.mistakes.errors import CLASSIFICATION, DUPLICATE_OF, KINDS, LOCALISATION, MISSED, Errors
from analysis.runs.store import Run
from detector.errors import InputError

COLUMNS = (
    "sample",
    "file",
    "what",
    "truth",
    "predicted",
    "object",
    "score",
    "x1",
    "y1",
    "x2",
    "y2",
    "object_x1",
    "object_y1",
    "object_x2",
    "object_y2",
    "threshold",
    "iou",
)


@dataclass(frozen=True, eq=False)
class BoxList:
    """n boxes, the surest first.

    Args:
        what: what they are, in words.
        dets: int64 [n], rows of the run's detections, -1 where nothing was predicted.
        objects: int64 [n], rows of its truth, -1 where there is no object.
        of_objects: the list is of objects; a detection beside one is what stands in its way.

    Objects without a detection come by the score of the box that finds them below the threshold, then by
    size.
    """

    what: str
    dets: np.ndarray
    objects: np.ndarray
    of_objects: bool = False

    def __len__(self) -> int:
        return len(self.dets)

    def images(self, run: Run) -> np.ndarray:
        """int64 [n], the image of each."""
        if not len(self):
            return np.zeros(0, np.int64)
        d, t = run.detections.rows, run.truth.rows
        of_det = d[self.dets] if len(d) else np.zeros(len(self), np.int64)
        of_object = t[self.objects] if len(t) else np.zeros(len(self), np.int64)
        return np.where(self.dets >= 0, of_det, of_object).astype(np.int64)


def _listed(
    run: Run,
    what: str,
    dets: np.ndarray,
    objects: np.ndarray,
    near: np.ndarray,
    images: np.ndarray | None,
    class_ids: Iterable[int] | None,
) -> BoxList:
    """Keep those of some images and classes (of either side), and put the surest first. `near`: score of
    objects without a detection.
    """
    d, t = run.detections, run.truth
    found = BoxList(what, np.asarray(dets, np.int64), np.asarray(objects, np.int64))
    keep = np.ones(len(found), bool)
    if images is not None:
        keep &= np.asarray(images, bool)[found.images(run)]
    if class_ids is not None:
        wanted = np.zeros(len(run.class_map) + 1, bool)
        wanted[list(class_ids)] = True
        keep &= (
            wanted[np.append(d.class_ids, len(run.class_map))[found.dets]]
            | wanted[np.append(t.class_ids, len(run.class_map))[found.objects]]
        )
    dets, objects = found.dets[keep], found.objects[keep]
    score = np.where(dets >= 0, np.append(d.scores, 0)[dets], np.append(near, -1)[objects])
    size = np.append((t.xyxy[:, 2] - t.xyxy[:, 0]) * (t.xyxy[:, 3] - t.xyxy[:, 1]), 0)[objects]
    order = np.lexsort((np.arange(len(dets)), -size, -score))
    return BoxList(what, dets[order], objects[order])


def of_kind(
    run: Run,
    errors: Errors,
    kind: str,
    threshold: Threshold = 0.5,
    *,
    images: np.ndarray | None = None,
    class_ids: Iterable[int] | None = None,
) -> BoxList:
    """The mistakes of one of TIDE's kinds at a threshold; the object beside a detection is the one it stands
    on.

    Raises:
        InputError: no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}.")
    code = KINDS.index(kind) + 1
    det_codes, object_codes = errors.at(threshold)
    if code == MISSED:
        objects = np.flatnonzero(object_codes == MISSED)
        return _listed(
            run,
            "missed objects",
            np.full(len(objects), -1),
            objects,
            errors.matches.truth_score,
            images,
            class_ids,
        )
    dets = np.flatnonzero(det_codes == code)
    on = (
        errors.det_truth[dets]
        if code in (CLASSIFICATION, LOCALISATION, DUPLICATE_OF)
        else np.full(len(dets), -1)
    )
    return _listed(run, f"{kind} mistakes", dets, on, errors.matches.truth_score, images, class_ids)


def of_cell(
    run: Run,
    matches: Matches,
    confusion: Confusion,
    truth: int,
    predicted: int,
    *,
    images: np.ndarray | None = None,
) -> BoxList:
    """The boxes of a cell of the confusion matrix; class id -1 is background.

    Raises:
        InputError: a class id outside -1..K-1.
    """
    names = [*run.class_map.names, "background"]
    dets, objects = confusion.cell(truth, predicted)
    n = max(len(dets), len(objects))
    dets, objects = (column if len(column) == n else np.full(n, -1) for column in (dets, objects))
    what = (
        f"{names[truth]} missed"
        if predicted == BACKGROUND
        else (
            f"{names[predicted]} on background"
            if truth == BACKGROUND
            else (
                f"{names[truth]} found"
                if truth == predicted
                else f"{names[truth]} taken for {names[predicted]}"
            )
        )
    )
    return _listed(run, what, dets, objects, matches.truth_score, images, None)


def missed_among(
    run: Run,
    matches: Matches,
    what: str,
    objects: np.ndarray,
    threshold: Threshold = 0.5,
    *,
    images: np.ndarray | None = None,
    class_ids: Iterable[int] | None = None,
) -> BoxList:
    """The missed ones (false negatives) of the objects under a mask (bool [M]) at a threshold."""
    kept = matches.det_scores >= class_thresholds(threshold, matches.num_classes)[matches.det_classes]
    found = matches.truth_det >= 0
    found[found] = kept[matches.truth_det[found]]
    rows = np.flatnonzero(matches.truth_counted & ~found & objects)
    return _listed(run, what, np.full(len(rows), -1), rows, matches.truth_score, images, class_ids)


def every_mistake(run: Run, matches: Matches, threshold: Threshold = 0.5) -> BoxList:
    """Every wrong detection (false positive; a duplicate beside the object it repeats) and every missed
    object (false negative).
    """
    kept = matches.det_scores >= class_thresholds(threshold, matches.num_classes)[matches.det_classes]
    wrong = np.flatnonzero(kept & np.isin(matches.det_kind, FALSE_POSITIVES))
    found = matches.truth_det >= 0
    found[found] = kept[matches.truth_det[found]]
    missed = np.flatnonzero(matches.truth_counted & ~found)
    dets = np.concatenate([wrong, np.full(len(missed), -1)])
    return _listed(
        run,
        "mistakes",
        dets,
        np.concatenate([matches.det_truth[wrong], missed]),
        matches.truth_score,
        None,
        None,
    )


def set_aside(matches: Matches, images: np.ndarray, class_ids: Iterable[int] | None = None) -> Matches:
    """The same columns with everything outside these images (bool [N]) and classes counted on neither side.

    Unlike `subsets.narrow`, rows stay where they are, beside the run's tables.
    """
    wanted = np.ones(matches.num_classes, bool)
    if class_ids is not None:
        wanted[:] = False
        wanted[list(class_ids)] = True
    det, truth = (
        np.asarray(images, bool)[matches.det_rows] & wanted[matches.det_classes],
        wanted[matches.truth_classes],
    )
    return replace(
        matches,
        judged=matches.judged & images,
        det_kind=np.where(det, matches.det_kind, Verdict.IGNORED),
        truth_ignored=matches.truth_ignored | ~truth,
    )


def rows_of(run: Run, boxes: BoxList, point: OperatingPoint) -> list[dict[str, Any]]:
    """One dict a box with the keys `COLUMNS`; None where there is no such side. Thresholds per class: that of
    the row's class.
    """
    d, t, names = run.detections, run.truth, run.class_map.names
    thresholds = class_thresholds(point.threshold, len(names)).tolist()
    out = []
    for det, obj, image in zip(boxes.dets.tolist(), boxes.objects.tolist(), boxes.images(run).tolist()):
        truth, predicted = (
            (int(t.class_ids[obj]) if obj >= 0 else None),
            (int(d.class_ids[det]) if det >= 0 else None),
        )
        out.append(
            dict(
                zip(
                    COLUMNS,
                    (
                        run.sample_ids[image],
                        run.files[image],
                        boxes.what,
                        "background" if truth is None else names[truth],
                        "background" if predicted is None else names[predicted],
                        int(t.ids[obj]) if obj >= 0 else None,
                        float(f"{d.scores[det]:.9g}") if det >= 0 else None,
                        *(d.xyxy[det].tolist() if det >= 0 else [None] * 4),
                        *(t.xyxy[obj].tolist() if obj >= 0 else [None] * 4),
                        round(thresholds[predicted if predicted is not None else truth], 6),
                        point.iou,
                    ),
                )
            )
        )
    return out


def as_csv(run: Run, boxes: BoxList, point: OperatingPoint) -> str:
    """The list as CSV with a header; pixels of the upright picture."""
    return csv_text(COLUMNS, ([row[name] for name in COLUMNS] for row in rows_of(run, boxes, point)))


def as_coco(run: Run, boxes: BoxList, point: OperatingPoint) -> dict[str, Any]:
    """COCO json of the list: its objects as `annotations`, its detections as `predictions` (results with a
    score).

    A prediction names the annotation beside it as `object_id`. `info` says what the list is and its operating
    point.
    """
    from analysis.mistakes.export import image_ids

    d, t, outside, ids = run.detections, run.truth, run.class_map.external_ids, image_ids(run)
    shown = sorted(set(boxes.images(run).tolist()))

    def xywh(box: np.ndarray) -> list[float]:
        x1, y1, x2, y2 = box.astype(np.float64).tolist()
        return [x1, y1, x2 - x1, y2 - y1]

    objects = sorted({o for o in boxes.objects.tolist() if o >= 0})
    number = {o: n for n, o in enumerate(objects, 1)}
    annotations = [
        {
            "id": number[o],
            "source_id": int(t.ids[o]),
            "image_id": ids[t.rows[o]],
            "category_id": outside[t.class_ids[o]],
            "bbox": xywh(t.xyxy[o]),
            "area": float(t.area[o]) if np.isfinite(t.area[o]) else float(np.prod(xywh(t.xyxy[o])[2:])),
            "iscrowd": int(t.crowd[o]),
        }
        for o in objects
    ]
    predictions = [
        {
            "image_id": ids[d.rows[k]],
            "category_id": outside[d.class_ids[k]],
            "bbox": xywh(d.xyxy[k]),
            "score": float(f"{d.scores[k]:.9g}"),
        }
        | ({"object_id": number[o]} if o >= 0 else {})
        for k, o in zip(boxes.dets.tolist(), boxes.objects.tolist())
        if k >= 0
    ]
    images = [
        {
            "id": ids[i],
            "file_name": run.files[i] or run.sample_ids[i],
            "sample": run.sample_ids[i],
            "width": run.image_size(i)[0],
            "height": run.image_size(i)[1],
        }
        for i in shown
    ]
    return {
        "info": {"description": boxes.what, "operating_point": point.to_dict(run.class_map)},
        "images": images,
        "categories": [{"id": o, "name": n} for o, n in zip(outside, run.class_map.names)],
        "annotations": annotations,
        "predictions": predictions,
    }
