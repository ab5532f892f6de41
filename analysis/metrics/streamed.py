"""AP of a run read in windows: exactly what it is for the run in memory.

What looks at one image at a time is done window by window; only a few bytes per detection are kept of each
window: 21 for a matching, 27 for error kinds, about 110 while AP is gathered (hotcoco's state). AP takes
several passes over the run, a group of classes each, where all classes at once would be more than
`PASS_DETECTIONS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.matching.match import Progress
from analysis.metrics.coco_columns import Columns, columns_of_run, image_ranks
from analysis.metrics.evaluation import (
    DEFAULTS,
    FIGURES,
    Evaluation,
    figures_of_arrays,
    figures_per_class,
    settings_of,
)
from analysis.runs.store import Run
from analysis.runs.streamed import StreamedRun

PASS_DETECTIONS = 12_000_000


def evaluate_streamed(
    run: StreamedRun,
    classes: Iterable[str | int] | None,
    images: np.ndarray | None,
    caps: list[int],
    area: str,
    progress: Progress | None = None,
) -> Evaluation:
    """`analysis.metrics.evaluate.evaluate` of the whole run, with COCO's own choices; the arguments are
    its.
    """
    import hotcoco

    k = run.labelled_classes
    names = list(run.class_map.names[:k])
    frame = Columns(names, run.sizes, None, None, _ranks(run), run.usable)
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
    left = int((~run.usable).sum())
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
    """`analysis.metrics.coco_columns.image_ranks` of the run's sample ids, without making a Python string of
    each.
    """
    ids = pq.read_table(run.path / "samples.parquet", columns=["sample"]).column(0)
    numeric = pa.types.is_string(ids.type) and pc.all(pc.match_substring_regex(ids, "^[0-9]+$")).as_py()
    if not pa.types.is_string(ids.type) or (numeric and pc.max(pc.utf8_length(ids)).as_py() > 18):
        return image_ranks(run.sample_ids)
    order = pc.sort_indices(ids.cast(pa.int64()) if numeric else ids).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank
