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
from typing import Any, NamedTuple

import numpy as np

from analysis.average_precision import INTERPOLATIONS
from analysis.coco_choices import CROWD, EMPTY_CLASSES, IOUS, chosen_figures
from analysis.coco_json import ResultColumns, Source, TruthColumns, read_results, read_truth
from analysis.matches import DIFFICULT
from analysis.matching import judged_images, labelled_classes
from analysis.queries import class_ids_of, object_areas
from detector.boxes import xywh_to_xyxy
from detector.data.dataset import ObjectTable
from detector.data.results_check import find_mistakes
from detector.errors import DataError, InputError

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
AREA_SOURCES = ("file", "box")
DEFAULTS = {"crowd": "ignore", "difficult": "count", "interpolation": "101", "classes_without_truth": "leave out"}
"""COCO's own choices; with them hotcoco does the work, with others `analysis.coco_choices` on our matcher."""
RECALL_POINTS = {"101": "101 recall points", "11": "11 recall points", "all": "every recall point"}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """COCO's twelve figures, the figures per class, and everything that decided them.

    Args:
        figures: AP, AP50, ... by name, in 0..1, or None where there was nothing to measure.
        per_class: class name -> AP, AP50, AR (at the largest number of detections), objects, detections;
            AP, AP50 and AR are None for a class without counted objects.
        settings: IoU bounds, score floor, detections a image, interpolation, area source, crowd, matcher,
            detector and hash.
        images, objects, detections: what took part; crowd: regions and objects that count on neither side.
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
            f"{s['max_detections'][-1]} detections an image and class", RECALL_POINTS[s["interpolation"]], s["matcher"],
        ]
        parts += [f"{name.replace('_', ' ')}: {s[name]}" for name, usual in DEFAULTS.items() if name != "interpolation" and s[name] != usual]
        if s["area"] != "file":
            parts.append(f"area of the {s['area']}")
        if s["detector"]:
            parts.append(f"{s['detector']} {s['weights_hash'][:8]}".strip())
        return " · ".join(parts)

    def __str__(self) -> str:
        lines = [f"{name:6} {'-' if v is None else format(v, '.3f')}" for name, v in self.figures.items()]
        counted = f"{self.images} images, {self.objects} objects, {self.crowd} ignored regions, {self.detections} detections"
        return "\n".join([*lines, counted, self.operating_point, *self.notes])


def evaluate(
    run: Any = None, *, truth: Source | None = None, predictions: Source | None = None, classes: Iterable[str | int] | None = None,
    images: np.ndarray | None = None, max_detections: Sequence[int] = (1, 10, 100), area: str = "file",
    crowd: str = "ignore", difficult: str = "count", interpolation: str = "101", classes_without_truth: str = "leave out", check: bool = True,
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
        crowd: "ignore" (COCO), "count" (an object like any other) or "leave out" (detections on one are wrong).
        difficult: "count" (COCO) or "ignore" (VOC: neither found nor missed, any number of detections on it ignored).
        interpolation: "101" recall points (COCO), "11" or "all" (VOC).
        classes_without_truth: "leave out" of the mean (COCO), or "zero" where something was detected as one.
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
    choices = {"crowd": (crowd, CROWD), "difficult": (difficult, DIFFICULT), "interpolation": (interpolation, INTERPOLATIONS), "classes_without_truth": (classes_without_truth, EMPTY_CLASSES)}
    for name, (value, known) in choices.items():
        if value not in known:
            raise InputError(f"{name}: expected one of {', '.join(known)}, got {value!r}.")
    caps = sorted(int(m) for m in max_detections)
    if len(caps) != 3 or caps[0] < 1:
        raise InputError(f"max_detections: expected three numbers of at least 1, got {list(max_detections)}.")
    columns = _from_run(run) if run is not None else _from_files(read_truth(truth), read_results(predictions), check)
    columns.narrow(classes, images)
    return _figures(columns, caps, area, run, {name: value for name, (value, _) in choices.items()})


class _Columns:
    """What hotcoco needs, in float64: images by rank, K categories, M annotations, D detections."""

    def __init__(self, names, sizes, rows, kinds, xywh, areas, crowd, difficult, det_rows, det_kinds, det_xywh, scores, seen=None, notes=()):
        self.names, self.sizes = list(names), sizes
        self.rows, self.kinds, self.xywh, self.areas, self.crowd, self.difficult = rows, kinds, xywh, areas, crowd, difficult
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
        t.crowd[of_class], t.difficult[of_class], d.rows[known], d.class_ids[known], _xywh(d.xyxy[known]), d.scores[known].astype(np.float64), seen, notes,
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
        truth.names, truth.sizes, truth.rows, truth.classes, truth.xywh, truth.area, truth.crowd, truth.difficult,
        det_rows[keep], det_kinds[keep], results.xywh[keep], results.scores[keep], notes=notes,
    )
    columns.rank = image_ranks(truth.image_ids)
    return columns


def _figures(c: _Columns, caps: list[int], area: str, run: Any, choices: dict[str, str]) -> Evaluation:
    wanted = np.zeros(len(c.names), bool)
    wanted[c.class_ids] = True
    keep, det_keep = c.seen[c.rows] & wanted[c.kinds], c.seen[c.det_rows] & wanted[c.det_kinds]
    boxes = c.xywh[keep]
    truth = _Truth(c.rank[c.rows[keep]], c.kinds[keep].astype(np.int64), boxes, boxes[:, 2] * boxes[:, 3] if area == "box" else c.areas[keep], c.crowd[keep], c.difficult[keep])
    found = _Found(c.rank[c.det_rows[det_keep]], c.det_kinds[det_keep].astype(np.int64), c.det_xywh[det_keep], c.scores[det_keep])
    images = np.flatnonzero(c.seen)
    figures: dict[str, float | None] = dict.fromkeys(FIGURES)
    by_class: dict[str, np.ndarray] = {}
    arrays: dict[str, np.ndarray] = {}
    matcher = "COCO"
    if len(images) and c.class_ids and choices == DEFAULTS:
        arrays, matcher = _through_hotcoco(c, images, truth, found, caps)
        p, r = arrays["precision"], arrays["recall"]
        figures = _summary(p, r)
        by_class = {"AP": p[:, :, :, 0, -1].transpose(2, 0, 1), "AP50": p[0, :, :, 0, -1].T, "AR": r[:, :, 0, -1].T}
    elif len(images) and c.class_ids:
        figures, by_class = _chosen(c, truth, found, caps, choices)
    crowd = truth.crowd & (choices["crowd"] != "count") | truth.difficult & (choices["difficult"] == "ignore")
    objects, detections = np.bincount(truth.kinds[~crowd], minlength=len(c.names)), np.bincount(found.kinds, minlength=len(c.names))
    per_class = {}
    for n, k in enumerate(c.class_ids):
        name = c.names[k] if c.names.count(c.names[k]) == 1 else f"{c.names[k]} ({k})"
        rates = {what: _mean(by_class[what][n]) if by_class else None for what in ("AP", "AP50", "AR")}
        per_class[name] = {**rates, "objects": int(objects[k]), "detections": int(detections[k])}
    return Evaluation(
        figures, per_class, _settings(c, caps, area, run, choices, matcher), images=len(images), objects=int((~crowd).sum()), crowd=int(crowd.sum()),
        detections=len(found.rows), notes=tuple(c.notes), arrays=arrays,
    )


class _Truth(NamedTuple):
    rows: np.ndarray
    kinds: np.ndarray
    xywh: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray


class _Found(NamedTuple):
    rows: np.ndarray
    kinds: np.ndarray
    xywh: np.ndarray
    scores: np.ndarray


def _through_hotcoco(c: _Columns, images: np.ndarray, truth: _Truth, found: _Found, caps: list[int]) -> tuple[dict[str, np.ndarray], str]:
    import hotcoco

    listed = [{"id": i, "width": max(w, 1), "height": max(h, 1)} for i, (w, h) in zip(c.rank[images].tolist(), np.asarray(c.sizes)[images].tolist())]
    gt = hotcoco.COCO.from_arrays(
        listed, [{"id": k, "name": str(k)} for k in c.class_ids], truth.rows, truth.kinds, truth.xywh, ids=np.arange(1, len(truth.rows) + 1),
        area=truth.areas, iscrowd=truth.crowd,
    )
    dt = gt.load_res(np.column_stack([found.rows, found.xywh, found.scores, found.kinds]).astype(np.float64))
    ev = hotcoco.COCOeval(gt, dt, "bbox")
    ev.params.max_dets = caps
    ev.evaluate()
    ev.accumulate()
    return {"precision": ev.eval["precision"], "recall": ev.eval["recall"]}, f"COCO (hotcoco {hotcoco.__version__})"


def _chosen(c: _Columns, truth: _Truth, found: _Found, caps: list[int], choices: dict[str, str]) -> tuple[dict[str, float | None], dict[str, np.ndarray]]:
    """The figures by our own matcher, and per class; undefined is -1 as in hotcoco's arrays."""
    aps, recalls = chosen_figures(
        truth.rows, truth.kinds, xywh_to_xyxy(truth.xywh), truth.areas, truth.crowd, truth.difficult, found.rows, found.kinds, xywh_to_xyxy(found.xywh),
        found.scores, num_images=len(c.seen), classes=c.class_ids, caps=caps, crowd_choice=choices["crowd"], difficult=choices["difficult"],
        interpolation=choices["interpolation"], empty_classes=choices["classes_without_truth"],
    )

    def over(area: str, cap: int | None = None) -> np.ndarray:
        values = [recalls[i, area, cap] if cap else aps[i, area] for i in IOUS.tolist()]
        return np.nan_to_num(np.stack(values), nan=-1.0)

    ap, last = over("all"), caps[-1]
    values = (
        ap, ap[0], ap[5], over("small"), over("medium"), over("large"), over("all", caps[0]), over("all", caps[1]), over("all", last),
        over("small", last), over("medium", last), over("large", last),
    )
    return dict(zip(FIGURES, map(_mean, values))), {"AP": ap.T, "AP50": ap[:1].T, "AR": over("all", last).T}


def _mean(values: np.ndarray) -> float | None:
    """The mean over what is defined, as pycocotools takes it; None where nothing is."""
    values = values[values > -1]
    return float(np.mean(values)) if len(values) else None


def _summary(p: np.ndarray, r: np.ndarray) -> dict[str, float | None]:
    """The twelve figures from precision [T, R, K, area, cap] and recall [T, K, area, cap], in pycocotools' order of sums."""
    return dict(zip(FIGURES, (
        _mean(p[..., 0, -1]), _mean(p[[0]][..., 0, -1]), _mean(p[[5]][..., 0, -1]), _mean(p[..., 1, -1]), _mean(p[..., 2, -1]),
        _mean(p[..., 3, -1]), _mean(r[..., 0, 0]), _mean(r[..., 0, 1]), _mean(r[..., 0, 2]), _mean(r[..., 1, -1]),
        _mean(r[..., 2, -1]), _mean(r[..., 3, -1]),
    )))


def _settings(c: _Columns, caps: list[int], area: str, run: Any, choices: dict[str, str], matcher: str) -> dict[str, Any]:
    from analysis.operating_point import operating_point

    who = operating_point(run)
    floor = getattr(getattr(run, "manifest", None), "floor", getattr(run, "floor", None))
    return {
        "iou": "0.50:0.95", "floor": None if floor is None else float(floor), "max_detections": caps, "area": area, "area_bounds": [32**2, 96**2],
        **choices, "classes": len(c.class_ids), "matcher": matcher, "detector": who.detector, "weights_hash": who.weights_hash,
    }
