"""Matching, AP, error kinds of a run read in windows: exactly what they are for the run in memory.

What looks at one image at a time is done window by window; what is left of a window are a few bytes a
detection: 21 for a matching, 27 for error kinds, about 110 while AP is gathered (hotcoco's state). AP takes
several passes over the run, a group of classes each, where all classes at once would be more than
`PASS_DETECTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.matching.match import judged_images, labelled_classes, match_run
from analysis.matching.matches import Matches
from analysis.metrics.coco_columns import Columns, columns_of_run, image_ranks
from analysis.metrics.evaluate import (
    DEFAULTS,
    FIGURES,
    Evaluation,
    figures_of_arrays,
    figures_per_class,
    settings_of,
)
from analysis.mistakes.errors import Errors, Kinds, kinds_of, put_together

if TYPE_CHECKING:
    from analysis.runs.store import Run
    from analysis.runs.streamed import StreamedRun

PASS_DETECTIONS = 12_000_000
Tell = Callable[[int, int], object]


def match_streamed(
    run: StreamedRun,
    iou: float = 0.5,
    *,
    class_aware: bool = True,
    difficult: str = "count",
    progress: Tell | None = None,
) -> Matches:
    """`analysis.matching.match.match_run` of the whole run; `progress` is told (images done, images)."""
    gathered = _Gathered(run)
    for first, window in run.windows():
        gathered.add(first, match_run(window, iou, class_aware=class_aware, difficult=difficult))
        if progress is not None:
            progress(first + len(window), len(run))
    return gathered.matches(float(iou), class_aware, difficult)


class _Gathered:
    """The matchings of windows, one after another, as one."""

    DETS = {
        "det_rows": np.int32,
        "det_classes": np.int32,
        "det_scores": np.float32,
        "det_kind": np.uint8,
        "det_truth": np.int32,
        "det_iou": np.float32,
    }
    TRUTHS = ("truth_rows", "truth_classes", "truth_ignored", "truth_det", "truth_iou", "truth_score")

    def __init__(self, run: StreamedRun):
        self.run = run
        self.dets = {name: np.empty(run.detection_count, dtype) for name, dtype in self.DETS.items()}
        self.truths: dict[str, list[np.ndarray]] = {name: [] for name in self.TRUTHS}
        self.det_count = self.truth_count = 0

    def add(self, first: int, m: Matches) -> None:
        part = slice(self.det_count, self.det_count + len(m.det_rows))
        for name in self.DETS:
            self.dets[name][part] = getattr(m, name)
        self.dets["det_rows"][part] += first
        partner = self.dets["det_truth"][part]
        partner[partner >= 0] += self.truth_count
        for name in self.TRUTHS:
            self.truths[name].append(getattr(m, name))
        self.truths["truth_rows"][-1] = m.truth_rows + np.int32(first)
        self.truths["truth_det"][-1] = np.where(
            m.truth_det >= 0, m.truth_det + np.int32(self.det_count), np.int32(-1)
        )
        self.det_count += len(m.det_rows)
        self.truth_count += len(m.truth_rows)

    def matches(self, iou: float, class_aware: bool, difficult: str) -> Matches:
        truths = {
            name: np.concatenate(values) if values else np.zeros(0) for name, values in self.truths.items()
        }
        return Matches(
            iou=iou,
            class_aware=class_aware,
            difficult=difficult,
            num_classes=len(self.run.class_map),
            judged=judged_images(self.run),
            **self.dets,
            **truths,
        )


def find_errors_streamed(
    run: StreamedRun,
    *,
    iou: float = 0.5,
    background_iou: float = 0.1,
    max_detections: int | None = 100,
    ignored_too: bool = False,
    progress: Tell | None = None,
) -> Errors:
    """`analysis.mistakes.errors.find_errors` of the whole run; `progress` is told (images done, images)."""
    gathered, kinds = _Gathered(run), []
    for first, window in run.windows():
        m = match_run(window, iou)
        k = kinds_of(window, m, iou, background_iou, max_detections, ignored_too)
        kinds.append(
            replace(
                k,
                det_truth=np.where(
                    k.det_truth >= 0, k.det_truth + np.int32(gathered.truth_count), np.int32(-1)
                ),
            )
        )
        gathered.add(first, m)
        if progress is not None:
            progress(first + len(window), len(run))
    if not kinds:
        kinds.append(
            Kinds(
                *(
                    np.zeros(0, dtype)
                    for dtype in (np.uint8, np.int32, bool, np.uint8, np.float32, bool, bool)
                )
            )
        )
    whole = Kinds(*(np.concatenate([getattr(k, name) for k in kinds]) for name in Kinds.__dataclass_fields__))
    kinds.clear()
    return put_together(gathered.matches(float(iou), True, "count"), whole, background_iou, max_detections)


def evaluate_streamed(
    run: StreamedRun,
    classes: Iterable[str | int] | None,
    images: np.ndarray | None,
    caps: list[int],
    area: str,
    progress: Tell | None = None,
) -> Evaluation:
    """`analysis.metrics.evaluate.evaluate` of the whole run, with COCO's own choices; the arguments are its."""
    import hotcoco

    k = labelled_classes(run)
    names = list(run.class_map.names[:k])
    frame = Columns(names, run.sizes, None, None, _ranks(run), judged_images(run))
    frame.narrow(classes, images)
    seen, counts = frame.seen, _Counts(k)
    groups = _class_groups(run, frame.class_ids)
    arrays: dict[str, np.ndarray] = {}
    for turn, group in enumerate(groups):
        params = hotcoco.Params("bbox")
        params.max_dets = caps
        gathering = hotcoco.StreamingEval([{"id": c, "name": str(c)} for c in group], params=params)
        for first, window in run.windows():
            _feed(gathering, window, first, frame, group, area, counts, turn == 0)
            if progress is not None:
                progress(turn * len(run) + first + len(window), len(groups) * len(run))
        if not seen.any():
            continue
        ev = gathering.finalize()
        ev.accumulate()
        at = [frame.class_ids.index(c) for c in group]
        for name, axis in (("precision", 2), ("recall", 1)):
            part = ev.eval[name]
            if name not in arrays:
                arrays[name] = np.full(
                    [*part.shape[:axis], len(frame.class_ids), *part.shape[axis + 1 :]], -1.0
                )
            arrays[name][(slice(None),) * axis + (at,)] = part
        del ev, gathering
    figures, by_class = (
        figures_of_arrays(arrays["precision"], arrays["recall"]) if arrays else (dict.fromkeys(FIGURES), {})
    )
    matcher = f"COCO (hotcoco {hotcoco.__version__})" if arrays else "COCO"
    per_class = figures_per_class(names, frame.class_ids, by_class, counts.objects, counts.detections)
    left = int((~judged_images(run)).sum())
    notes = (
        [f"{left} of {len(run)} images take no part: not labelled, not finished or not readable."]
        if left
        else []
    )
    notes += (
        [f"{counts.unknown} detections take no part: the data set has no such class."]
        if counts.unknown
        else []
    )
    return Evaluation(
        figures,
        per_class,
        settings_of(len(frame.class_ids), caps, area, run, DEFAULTS, matcher),
        images=int(seen.sum()),
        objects=int(counts.objects.sum()),
        crowd=counts.crowd,
        detections=int(counts.detections.sum()),
        notes=tuple(notes),
        arrays=arrays,
    )


class _Counts:
    """What took part, over all windows; `fed` counts the objects handed over, for their ids."""

    def __init__(self, num_classes: int):
        self.objects, self.detections = np.zeros(num_classes, np.int64), np.zeros(num_classes, np.int64)
        self.crowd = self.unknown = self.fed = 0


def _feed(
    gathering: Any,
    window: Run,
    first: int,
    frame: Columns,
    group: list[int],
    area: str,
    counts: _Counts,
    first_turn: bool,
) -> None:
    columns = columns_of_run(window)
    part = slice(first, first + len(window))
    columns.rank, columns.seen, columns.class_ids = frame.rank[part], frame.seen[part], frame.class_ids
    truth, found = columns.chosen()
    if first_turn:
        counts.objects += np.bincount(truth.kinds[~truth.crowd], minlength=len(counts.objects))
        counts.detections += np.bincount(found.kinds, minlength=len(counts.detections))
        counts.crowd += int(truth.crowd.sum())
        counts.unknown += int((window.detections.class_ids >= len(frame.names)).sum())
    if len(group) < len(frame.class_ids):
        truth, found = (table.take(np.isin(table.kinds, group)) for table in (truth, found))
    areas = truth.xywh[:, 2] * truth.xywh[:, 3] if area == "box" else truth.areas
    objects = [
        {"id": number, "image_id": row, "category_id": kind, "bbox": box, "area": size, "iscrowd": int(crowd)}
        for number, (row, kind, box, size, crowd) in enumerate(
            zip(
                truth.rows.tolist(),
                truth.kinds.tolist(),
                truth.xywh.tolist(),
                areas.tolist(),
                truth.crowd.tolist(),
            ),
            counts.fed + 1,
        )
    ]
    counts.fed += len(objects)
    listed = [
        {"id": i, "width": max(w, 1), "height": max(h, 1)}
        for i, (w, h) in zip(columns.rank[columns.seen].tolist(), window.sizes[columns.seen].tolist())
    ]
    if listed:
        gathering.update(
            listed,
            objects,
            np.column_stack([found.rows, found.xywh, found.scores, found.kinds]).astype(np.float64),
        )


def _class_groups(run: StreamedRun, class_ids: list[int]) -> list[list[int]]:
    """The classes in groups of at most `PASS_DETECTIONS` detections; a class with more is a group of its
    own.
    """
    if run.detection_count <= PASS_DETECTIONS:
        return [class_ids] if class_ids else []
    held = np.zeros(len(run.class_map), np.int64)
    for _, window in run.windows(boxes=False, truth=False):
        held += np.bincount(window.detections.class_ids, minlength=len(held))
    groups: list[list[int]] = []
    room = 0
    for c in class_ids:
        if not groups or held[c] > room:
            groups.append([])
            room = PASS_DETECTIONS
        groups[-1].append(c)
        room -= int(held[c])
    return groups


def _ranks(run: StreamedRun) -> np.ndarray:
    """`analysis.metrics.coco_columns.image_ranks` of the run's sample ids, without making a Python string of each."""
    ids = pq.read_table(run.path / "samples.parquet", columns=["sample"]).column(0)
    numeric = pa.types.is_string(ids.type) and pc.all(pc.match_substring_regex(ids, "^[0-9]+$")).as_py()
    if not pa.types.is_string(ids.type) or (numeric and pc.max(pc.utf8_length(ids)).as_py() > 18):
        return image_ranks(run.sample_ids)
    order = pc.sort_indices(ids.cast(pa.int64()) if numeric else ids).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank
