"""AP and AR by COCO's rule, equal to pycocotools on the same boxes, computed by hotcoco.

    evaluate(run)
    evaluate(truth="instances.json", predictions="results.json")

Figures carry their settings. What COCO leaves undefined (no object of that size) is None here, where
pycocotools prints -1. One thing differs from pycocotools on purpose: an annotation with id 0, which
pycocotools takes for "no match" and so loses, counts like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.coco_json import ResultColumns, Source, TruthColumns, read_results, read_truth
from analysis.matching import judged_images, labelled_classes
from analysis.queries import class_ids_of, object_areas
from detector.data.dataset import ObjectTable
from detector.data.results_check import find_mistakes
from detector.errors import DataError, InputError

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
AREA_SOURCES = ("file", "box")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """COCO's twelve figures, the figures per class, and everything that decided them.

    Args:
        figures: AP, AP50, ... by name, in 0..1, or None where there was nothing to measure.
        per_class: class name -> AP, AP50, AR (at the largest number of detections), objects, detections;
            AP, AP50 and AR are None for a class without counted objects.
        settings: IoU bounds, score floor, detections a image, interpolation, area source, crowd, matcher,
            detector and hash.
        images, objects, detections: what took part; crowd: crowd regions beside the objects.
        notes: what was left out or looks wrong, one sentence each.
    """

    figures: dict[str, float | None]
    per_class: dict[str, dict[str, Any]]
    settings: dict[str, Any]
    images: int
    objects: int
    crowd: int
    detections: int
    notes: tuple[str, ...] = ()
    arrays: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __getitem__(self, name: str) -> float | None:
        return self.figures[name]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the figures by name, then `per_class`, `settings`, counts and notes."""
        return {
            **self.figures, "images": self.images, "objects": self.objects, "crowd": self.crowd, "detections": self.detections,
            "settings": self.settings, "per_class": self.per_class, "notes": list(self.notes),
        }

    @property
    def operating_point(self) -> str:
        """The settings in one line of small type."""
        s = self.settings
        parts = [
            f"IoU {s['iou']}", f"confidence ≥ {s['floor']:g}" if s["floor"] is not None else "every score",
            f"{s['max_detections'][-1]} detections an image and class", f"{s['interpolation']}", s["matcher"],
        ]
        if s["area"] != "file":
            parts.append(f"area of the {s['area']}")
        if s["detector"]:
            parts.append(f"{s['detector']} {s['weights_hash'][:8]}".strip())
        return " · ".join(parts)

    def __str__(self) -> str:
        lines = [f"{name:6} {'-' if v is None else format(v, '.3f')}" for name, v in self.figures.items()]
        counted = f"{self.images} images, {self.objects} objects, {self.crowd} crowd regions, {self.detections} detections"
        return "\n".join([*lines, counted, self.operating_point, *self.notes])


def evaluate(
    run: Any = None, *, truth: Source | None = None, predictions: Source | None = None, classes: Iterable[str | int] | None = None,
    images: np.ndarray | None = None, max_detections: Sequence[int] = (1, 10, 100), area: str = "file",
    check: bool = True,
) -> Evaluation:
    """COCO's figures for a run, or for an annotation file and a results file.

    Args:
        run: a Run; its labelled images on which detection has finished are evaluated, over the classes of
            the data set.
        truth, predictions: COCO files (paths, or their parsed content) instead of a run.
        classes: names or ids (0..K-1) to narrow to; None means all.
        images: bool [N], the images to narrow to, in the order of the run or of the truth file.
        max_detections: COCO's three caps, of detections an image and class.
        area: what sizes an object: "file" (its stated area, COCO: the mask's; else the box) or "box".
        check: refuse a results file with a plain mistake (normalised boxes, shifted ids, ...) by its name;
            False scores it as written and leaves the mistake in the notes.

    Raises:
        InputError: neither or both kinds of input, or an unknown choice.
        DataError: a file cannot be used, or its boxes or ids cannot be meant for this truth.
    """
    if (run is None) == (truth is None and predictions is None) or (truth is None) != (predictions is None):
        raise InputError("evaluate: expected a run, or truth= and predictions= together.")
    if area not in AREA_SOURCES:
        raise InputError(f"area: expected one of {', '.join(AREA_SOURCES)}, got {area!r}.")
    caps = sorted(int(m) for m in max_detections)
    if len(caps) != 3 or caps[0] < 1:
        raise InputError(f"max_detections: expected three numbers of at least 1, got {list(max_detections)}.")
    columns = _from_run(run) if run is not None else _from_files(read_truth(truth), read_results(predictions), check)
    columns.narrow(classes, images)
    return _figures(columns, caps, area, run)


class _Columns:
    """What hotcoco needs, in float64: images by rank, K categories, M annotations, D detections."""

    def __init__(self, names, sizes, rows, kinds, xywh, areas, crowd, det_rows, det_kinds, det_xywh, scores, seen=None, notes=()):
        self.names, self.sizes = list(names), sizes
        self.rows, self.kinds, self.xywh, self.areas, self.crowd = rows, kinds, xywh, areas, crowd
        self.det_rows, self.det_kinds, self.det_xywh, self.scores = det_rows, det_kinds, det_xywh, scores
        self.seen = np.ones(len(sizes), bool) if seen is None else seen
        self.rank = np.arange(len(sizes))
        self.class_ids = list(range(len(self.names)))
        self.notes = list(notes)

    def narrow(self, classes, images) -> None:
        if images is not None:
            images = np.asarray(images)
            if images.dtype != bool or images.shape != self.seen.shape:
                raise InputError(f"images: expected a mask over {len(self.seen)} images, got {images.dtype} {list(images.shape)}.")
            self.seen = self.seen & images
        if classes is not None:
            from detector.core import ClassMap

            self.class_ids = sorted(set(class_ids_of(ClassMap(tuple(self.names)), classes)))


def image_ranks(ids: Sequence) -> np.ndarray:
    """int64 [N], each image's turn in COCO's evaluation: by number where every id is one, else by text.

    It decides between detections of equal score on different images, and so the last digits of AP.
    """
    texts = [str(i) for i in ids]
    numeric = all(t.isascii() and t.isdigit() for t in texts)
    order = sorted(range(len(texts)), key=(lambda i: int(texts[i])) if numeric else (lambda i: texts[i]))
    rank = np.empty(len(texts), np.int64)
    rank[order] = np.arange(len(texts))
    return rank


def _xywh(xyxy: np.ndarray) -> np.ndarray:
    boxes = np.asarray(xyxy, np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _from_run(run: Any) -> _Columns:
    t: ObjectTable = run.truth
    d = run.detections
    k = labelled_classes(run)
    known, of_class = d.class_ids < k, t.class_ids < k
    seen = judged_images(run)
    notes = []
    if (left := int((~seen).sum())):
        notes.append(f"{left} of {len(seen)} images take no part: not labelled, not finished or not readable.")
    if (other := int((~known).sum())):
        notes.append(f"{other} detections take no part: the data set has no such class.")
    columns = _Columns(
        run.class_map.names[:k], run.sizes, t.rows[of_class], t.class_ids[of_class], _xywh(t.xyxy[of_class]), object_areas(t)[of_class],
        t.crowd[of_class], d.rows[known], d.class_ids[known], _xywh(d.xyxy[known]), d.scores[known].astype(np.float64), seen, notes,
    )
    columns.rank = image_ranks(run.sample_ids)
    return columns


def _from_files(truth: TruthColumns, results: ResultColumns, check: bool) -> _Columns:
    notes = list(truth.notes)
    mistakes = find_mistakes(
        results.xywh, results.scores, results.image_ids, results.category_ids, truth_xywh=truth.xywh, truth_rows=truth.rows,
        truth_kinds=truth.classes, truth_image_ids=truth.image_ids, truth_category_ids=truth.category_ids, sizes=truth.sizes,
    )
    if check and mistakes and mistakes[0].fatal:
        raise DataError(f"{mistakes[0]} (Evaluate with check=False to score it as written.)", path=results.path)
    notes += [str(m) for m in mistakes]
    at = {str(i): n for n, i in enumerate(truth.image_ids)}
    kind_at = {str(c): k for k, c in enumerate(truth.category_ids)}
    det_rows = np.array([at.get(str(i), -1) for i in results.image_ids], np.int64)
    det_kinds = np.array([kind_at.get(str(c), -1) for c in results.category_ids], np.int64)
    keep = (det_rows >= 0) & (det_kinds >= 0)
    columns = _Columns(
        truth.names, truth.sizes, truth.rows, truth.classes, truth.xywh, truth.area, truth.crowd,
        det_rows[keep], det_kinds[keep], results.xywh[keep], results.scores[keep], notes=notes,
    )
    columns.rank = image_ranks(truth.image_ids)
    return columns


def _figures(c: _Columns, caps: list[int], area: str, run: Any) -> Evaluation:
    import hotcoco

    def image(i: int) -> dict:
        return {"id": int(c.rank[i]), "width": max(int(c.sizes[i][0]), 1), "height": max(int(c.sizes[i][1]), 1)}

    wanted = np.zeros(len(c.names), bool)
    wanted[c.class_ids] = True
    keep, det_keep = c.seen[c.rows] & wanted[c.kinds], c.seen[c.det_rows] & wanted[c.det_kinds]
    rows, kinds, xywh, crowd = c.rows[keep], c.kinds[keep], c.xywh[keep], c.crowd[keep]
    areas = xywh[:, 2] * xywh[:, 3] if area == "box" else c.areas[keep]
    det_rows, det_kinds = c.det_rows[det_keep], c.det_kinds[det_keep]
    images = [image(i) for i in np.flatnonzero(c.seen)]
    objects = np.bincount(kinds[~crowd], minlength=len(c.names))
    found = np.bincount(det_kinds, minlength=len(c.names))
    settings = _settings(c, caps, area, run, hotcoco.__version__)
    arrays: dict[str, np.ndarray] = {}
    if images and c.class_ids:
        gt = hotcoco.COCO.from_arrays(
            images, [{"id": k, "name": str(k)} for k in c.class_ids], c.rank[rows], kinds.astype(np.int64), xywh,
            ids=np.arange(1, len(rows) + 1), area=areas, iscrowd=crowd,
        )
        dt = gt.load_res(np.column_stack([c.rank[det_rows], c.det_xywh[det_keep], c.scores[det_keep], det_kinds]).astype(np.float64))
        ev = hotcoco.COCOeval(gt, dt, "bbox")
        ev.params.max_dets = caps
        ev.evaluate()
        ev.accumulate()
        arrays = {"precision": ev.eval["precision"], "recall": ev.eval["recall"]}
    figures = _summary(arrays)
    per_class = {}
    for n, k in enumerate(c.class_ids):
        name = c.names[k] if c.names.count(c.names[k]) == 1 else f"{c.names[k]} ({k})"
        p = arrays["precision"][:, :, n, 0, -1] if arrays else None
        per_class[name] = {
            "AP": None if p is None else _mean(p), "AP50": None if p is None else _mean(p[0]),
            "AR": None if p is None else _mean(arrays["recall"][:, n, 0, -1]), "objects": int(objects[k]), "detections": int(found[k]),
        }
    return Evaluation(
        figures, per_class, settings, images=len(images), objects=int((~crowd).sum()), crowd=int(crowd.sum()),
        detections=len(det_rows), notes=tuple(c.notes), arrays=arrays,
    )


def _mean(values: np.ndarray) -> float | None:
    """The mean over what is defined, as pycocotools takes it; None where nothing is."""
    values = values[values > -1]
    return float(np.mean(values)) if len(values) else None


def _summary(arrays: dict[str, np.ndarray]) -> dict[str, float | None]:
    """The twelve figures from precision [T, R, K, area, cap] and recall [T, K, area, cap]."""
    if not arrays:
        return dict.fromkeys(FIGURES)
    p, r = arrays["precision"], arrays["recall"]
    return dict(zip(FIGURES, (
        _mean(p[..., 0, -1]), _mean(p[[0]][..., 0, -1]), _mean(p[[5]][..., 0, -1]), _mean(p[..., 1, -1]), _mean(p[..., 2, -1]),
        _mean(p[..., 3, -1]), _mean(r[..., 0, 0]), _mean(r[..., 0, 1]), _mean(r[..., 0, 2]), _mean(r[..., 1, -1]),
        _mean(r[..., 2, -1]), _mean(r[..., 3, -1]),
    )))


def _settings(c: _Columns, caps: list[int], area: str, run: Any, version: str) -> dict[str, Any]:
    from analysis.operating_point import operating_point

    who = operating_point(run)
    floor = getattr(getattr(run, "manifest", None), "floor", getattr(run, "floor", None))
    return {
        "iou": "0.50:0.95", "floor": None if floor is None else float(floor), "max_detections": caps, "interpolation": "101 recall points",
        "area": area, "area_bounds": [32**2, 96**2], "crowd": "ignored", "difficult": "count", "classes_without_truth": "left out of the mean",
        "classes": len(c.class_ids), "matcher": f"COCO (hotcoco {version})", "detector": who.detector, "weights_hash": who.weights_hash,
    }

