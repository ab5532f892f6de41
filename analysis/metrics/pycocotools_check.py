"""The parity panel: the same predictions through pycocotools, and what other conventions would make of them.

pycocotools is a referee, not a dependency: where it is not installed, the panel says so.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.metrics.coco_columns import image_ranks
from analysis.metrics.coco_json import Source, read_truth
from analysis.metrics.evaluate import evaluate
from analysis.metrics.evaluation import FIGURES, Evaluation
from analysis.metrics.voc import evaluate_voc
from analysis.mistakes.errors import find_errors
from analysis.runs.in_memory import run_from_tables
from analysis.runs.store import Run
from analysis.runs.tables import DetectionTable
from detector.boxes import xywh_to_xyxy, xyxy_to_xywh
from detector.core import ClassMap
from detector.data.dataset import ObjectTable
from detector.data.results import read_results
from detector.errors import UnavailableError


@dataclass(frozen=True)
class ParityRow:
    """One figure in both columns; None where it is undefined (pycocotools prints -1)."""

    name: str
    ours: float | None
    pycocotools: float | None

    @property
    def difference(self) -> float:
        """ours - pycocotools, 0 where both are undefined, NaN where only one is."""
        if self.ours is None and self.pycocotools is None:
            return 0.0
        return float("nan") if self.ours is None or self.pycocotools is None else self.ours - self.pycocotools


@dataclass(frozen=True)
class Convention:
    """What another way of measuring gives on the same boxes, and why it differs."""

    name: str
    figure: str
    value: float | None
    why: str


@dataclass(frozen=True)
class Parity:
    """Both columns, the reasons for differences, and the other conventions."""

    rows: tuple[ParityRow, ...]
    reasons: tuple[str, ...]
    conventions: tuple[Convention, ...]
    evaluation: Evaluation

    @property
    def equal(self) -> bool:
        return all(row.difference == 0 for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        return {
            "equal": self.equal,
            "rows": [{"name": r.name, "ours": r.ours, "pycocotools": r.pycocotools} for r in self.rows],
            "reasons": list(self.reasons),
            "conventions": [vars(c) for c in self.conventions],
            "settings": self.evaluation.settings,
        }


def parity(run: Run = None, *, truth: Source | None = None, predictions: Source | None = None) -> Parity:
    """Evaluate a run, or two COCO files, here and by pycocotools.

    Raises:
        UnavailableError: pycocotools is not installed.
        InputError, DataError: as `metrics.evaluate`.
    """
    evaluation = evaluate(run, truth=truth, predictions=predictions)
    if run is not None:
        like, gt, dt, zero = run, *_dicts_of_run(run), False
    else:
        columns, results = read_truth(truth), read_results(predictions)
        like, gt, dt = _run_of_files(columns, results), *_dicts_of_files(truth, columns, results)
        zero = any(a["id"] == 0 for a in gt["annotations"])
    stats = _pycocotools(gt, dt)
    rows = tuple(
        ParityRow(name, evaluation[name], None if value == -1 else float(value))
        for name, value in zip(FIGURES, stats)
    )
    reasons = []
    if zero:
        reasons.append(
            "An annotation has the id 0, which pycocotools takes for “no match”: it loses that object's true"
            " positive. Here the id means nothing."
        )
    return Parity(rows, tuple(reasons), tuple(_conventions(like, evaluation)), evaluation)


def _pycocotools(gt: dict, dt: list[dict]) -> np.ndarray:
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError:
        raise UnavailableError(
            "pycocotools is not installed; `pip install pycocotools` adds the second column."
        ) from None
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = gt
        truth.createIndex()
        if dt:
            found = truth.loadRes(dt)
        else:
            found = COCO()
            found.dataset = {**gt, "annotations": []}
            found.createIndex()
        ev = COCOeval(truth, found, "bbox")
        ev.evaluate()
        ev.accumulate()
        ev.summarize()
    return ev.stats


def _dicts_of_run(run: Run) -> tuple[dict, list[dict]]:
    from analysis.queries import object_areas

    seen, k, rank = run.usable, run.labelled_classes, image_ranks(run.sample_ids)
    t, d = run.truth, run.detections
    mine, theirs = (
        np.flatnonzero(seen[t.rows] & (t.class_ids < k)),
        np.flatnonzero(seen[d.rows] & (d.class_ids < k)),
    )
    areas = object_areas(t)
    gt = {
        "images": [{"id": int(rank[i])} for i in np.flatnonzero(seen)],
        "categories": [{"id": c, "name": run.class_map.names[c]} for c in range(k)],
        "annotations": [
            {
                "id": n + 1,
                "image_id": int(rank[t.rows[j]]),
                "category_id": int(t.class_ids[j]),
                "bbox": box,
                "area": float(areas[j]),
                "iscrowd": int(t.crowd[j]),
            }
            for n, (j, box) in enumerate(
                zip(mine.tolist(), xyxy_to_xywh(t.xyxy[mine].astype(np.float64)).tolist())
            )
        ],
    }
    dt = [
        {
            "image_id": int(rank[d.rows[j]]),
            "category_id": int(d.class_ids[j]),
            "bbox": box,
            "score": float(d.scores[j]),
        }
        for j, box in zip(theirs.tolist(), xyxy_to_xywh(d.xyxy[theirs].astype(np.float64)).tolist())
    ]
    return gt, dt


def _dicts_of_files(source: Source, truth, results) -> tuple[dict, list[dict]]:
    """What pycocotools would read, with ids as written; only entries it would refuse or ignore are left
    out.
    """
    from analysis.metrics.coco_json import load

    data, _ = load(source, "annotation")
    at, kinds = {str(i): i for i in truth.image_ids}, {str(c): c for c in truth.category_ids}
    listed = [a for a in data["annotations"] if str(a["image_id"]) in at and str(a["category_id"]) in kinds]
    gt = {
        "images": [dict(i) for i in data["images"]],
        "categories": [dict(c) for c in data["categories"]],
        "annotations": [
            {
                "id": a["id"],
                "image_id": a["image_id"],
                "category_id": a["category_id"],
                "bbox": box.tolist(),
                "area": float(area),
                "iscrowd": int(crowd),
            }
            for a, box, area, crowd in zip(listed, truth.xywh, truth.area, truth.crowd)
        ],
    }
    dt = [
        {"image_id": at[str(i)], "category_id": kinds[str(c)], "bbox": box.tolist(), "score": float(s)}
        for i, c, box, s in zip(results.image_ids, results.category_ids, results.xywh, results.scores)
        if str(i) in at and str(c) in kinds
    ]
    return gt, dt


def _run_of_files(truth, results) -> Run:
    """The files as run-like tables (float32), for the conventions that work on tables."""
    at, kinds = (
        {str(i): n for n, i in enumerate(truth.image_ids)},
        {str(c): k for k, c in enumerate(truth.category_ids)},
    )
    rows = np.array([at.get(str(i), -1) for i in results.image_ids], np.int64)
    classes = np.array([kinds.get(str(c), -1) for c in results.category_ids], np.int64)
    keep = (rows >= 0) & (classes >= 0)
    n = len(truth.image_ids)

    names = [
        f"{name} ({c})" if truth.names.count(name) > 1 else name
        for name, c in zip(truth.names, truth.category_ids)
    ]
    ids = [str(i) for i in truth.image_ids]
    return run_from_tables(
        ClassMap(tuple(names)),
        ids,
        truth.sizes,
        detections=DetectionTable.build(
            rows[keep],
            xywh_to_xyxy(results.xywh[keep]),
            np.clip(results.scores[keep], 0, 1),
            classes[keep],
            count=n,
        ),
        truth=ObjectTable.build(
            truth.rows,
            xywh_to_xyxy(truth.xywh),
            truth.classes,
            area=truth.area,
            crowd=truth.crowd,
            difficult=truth.difficult,
        ),
    )


def _conventions(run: Run, evaluation: Evaluation) -> list[Convention]:
    ap50 = evaluation["AP50"]
    rows = [
        Convention(
            "COCO",
            "AP50",
            ap50,
            "101 recall points, greedy matching, crowds ignored: the figure beside which the others stand.",
        )
    ]
    for interpolation, name in (("11", "VOC 2007"), ("all", "VOC 2010 and later")):
        value = evaluate_voc(run, interpolation=interpolation).mean_ap
        what = "11 recall points" if interpolation == "11" else "every recall point"
        rows.append(
            Convention(
                name,
                "mAP at IoU 0.5",
                value,
                f"{what}; a detection belongs to the object it overlaps most, taken or not; "
                "difficult objects count on neither side.",
            )
        )
    rows.append(
        Convention(
            "VOC devkit's pixels",
            "mAP at IoU 0.5",
            evaluate_voc(run, plus_one=True).mean_ap,
            "boxes are taken to be one pixel wider and higher, which moves small boxes over the bound.",
        )
    )
    errors = find_errors(run)
    rows.append(
        Convention(
            "tidecv",
            "AP at IoU 0.5",
            errors.ap,
            "a class with detections but without objects counts as 0; "
            "at most 100 detections per image over all classes together.",
        )
    )
    return rows
