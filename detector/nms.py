"""From candidates to detections: greedy non-maximum suppression by the TF2 Object Detection API's rule.

For each class on its own: candidates whose score is strictly above the threshold, best first (equal scores: lower
anchor first), on **unclipped** boxes; one is suppressed when its IoU with a kept one is strictly above the IoU
threshold; at most `max_detections_per_class` are kept. Then all classes together, best first (equal scores: lower
class first): boxes are clipped to the image, those left without area are dropped, the best `max_total_detections`
stay. A box outside the image is dropped only after it suppressed others and took a place of its class.

numpy only, no network needed: a stored `Candidates` can be replayed with other settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from detector.core import Candidates, Detections
from detector.errors import ConfigError

KEPT, SUPPRESSED, CLASS_CAP, OUTSIDE, TOTAL_CAP = range(5)
FATES = ("kept", "suppressed", "over the cap of its class", "outside the image", "over the total cap")

# About how many of the best candidates a pass looks at; a pass that fills the total cap is the last.
_POOLS = (400, 3_000, 30_000)


@dataclass(frozen=True)
class PostprocessSettings:
    """The settings of the reference's `batch_non_max_suppression`, under their names.

    Raises:
        ConfigError: thresholds outside 0..1, caps below 1, a class cap above the total cap.
    """

    score_threshold: float = 1e-8
    iou_threshold: float = 0.6
    max_detections_per_class: int = 100
    max_total_detections: int = 100

    def __post_init__(self) -> None:
        for name in ("score_threshold", "iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected a number from 0 to 1, got {getattr(self, name)!r}.")
        for name in ("max_detections_per_class", "max_total_detections"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)!r}.")
        if self.max_detections_per_class > self.max_total_detections:
            raise ConfigError(
                f"max_detections_per_class ({self.max_detections_per_class}) must not exceed "
                f"max_total_detections ({self.max_total_detections})."
            )


@dataclass(frozen=True, eq=False)
class Trace:
    """What became of candidates, one row each, best score first.

    Args:
        anchor_ids, class_ids: int32 [N].
        scores: float32 [N].
        fates: uint8 [N], an index into `FATES`.
        suppressed_by: int32 [N], the **row of this table** whose box suppressed this one, else -1.
        boxes: float32 [N, 4], unclipped, in the frame of the caller.
    """

    anchor_ids: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray
    fates: np.ndarray
    suppressed_by: np.ndarray
    boxes: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def kept(self) -> np.ndarray:
        """Rows that became detections, best first."""
        return np.flatnonzero(self.fates == KEPT)


def replay(candidates: Candidates, settings: PostprocessSettings) -> Detections:
    """Detections of a stored image under these settings, with the anchor each came from.

    Boxes are compared in pixels; the network's own frame differs only in rounding.
    """
    width, height = candidates.image_size
    trace = select(candidates.scores, lambda rows: candidates.xyxy[rows], settings, window=(0, 0, width, height))
    return detections(trace, candidates.image_size)


def explain(candidates: Candidates, settings: PostprocessSettings) -> Trace:
    """The fate of every candidate above the score threshold; boxes are xyxy pixels."""
    width, height = candidates.image_size
    window = (0, 0, width, height)
    return select(candidates.scores, lambda rows: candidates.xyxy[rows], settings, window=window, every=True)


def detections(trace: Trace, image_size: tuple[int, int]) -> Detections:
    """The kept rows of a trace in pixels as Detections: clipped, best first."""
    rows = trace.kept()
    width, height = image_size
    xyxy = np.clip(trace.boxes[rows], 0, np.float32([width, height, width, height]))
    return Detections(xyxy, trace.scores[rows], trace.class_ids[rows], image_size, trace.anchor_ids[rows])


def select(
    values: np.ndarray,
    boxes_of: Callable[[np.ndarray], np.ndarray],
    settings: PostprocessSettings,
    *,
    window: tuple[float, float, float, float] = (0, 0, 1, 1),
    skip: int = 0,
    score_of: Callable[[np.ndarray], np.ndarray] | None = None,
    value_of: Callable[[float], float] | None = None,
    every: bool = False,
) -> Trace:
    """Run the rule over a table of candidates.

    Args:
        values: float32 [A, skip + K], the scores, or anything that grows with them (logits).
        boxes_of: anchor rows [n] -> float32 [n, 4] unclipped boxes, corner order (a1, b1, a2, b2).
        settings: thresholds and caps.
        window: the image in the same frame.
        skip: columns in front that are no class (background); a whole matrix is searched faster than a part of one.
        score_of, value_of: values to scores, and one score to the value below which no such score lies.
        every: trace each candidate above the threshold; otherwise only as many of the best as decide the answer.

    Returns:
        A trace whose kept rows are the detections, in their order.
    """
    floor = settings.score_threshold
    lowest = np.float32(floor if value_of is None else value_of(floor))
    for cut in [*_cuts(values[:, skip:], lowest, () if every else _POOLS), lowest]:
        rows, columns = np.divmod(np.flatnonzero(values > cut), values.shape[1])
        if skip:
            rows, columns = rows[columns >= skip], columns[columns >= skip]
        table = _table(rows, columns - skip, values[rows, columns], floor, score_of)
        trace = _trace(*table, boxes_of, settings, window, every)
        if cut == lowest or len(trace.kept()) == settings.max_total_detections:
            break
    return trace


def _cuts(values: np.ndarray, lowest: np.float32, pools: tuple[int, ...]) -> Iterator[np.float32]:
    """Values above which about as many candidates lie as each pool holds, as far as that is above the lowest.

    Estimated from every n-th anchor, which is several times cheaper than a partition of them all; a poor
    estimate costs time, never exactness.
    """
    sample = np.sort(values[:: max(1, len(values) // 200)], axis=None)
    for pool in pools if values.size else ():
        rank = pool * len(sample) // values.size
        if rank >= len(sample):
            return
        cut = sample[len(sample) - 1 - rank]
        if not cut > lowest:
            return
        yield cut


def _table(anchor_ids, class_ids, found, floor, score_of) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(anchor ids, class ids, scores) of the candidates above the floor, in the order the rule meets them."""
    scores = found.astype(np.float32, copy=False) if score_of is None else score_of(found)
    above = scores > np.float32(floor)
    anchor_ids, class_ids, scores = anchor_ids[above].astype(np.int32), class_ids[above].astype(np.int32), scores[above]
    order = np.lexsort((anchor_ids, class_ids, -scores))
    return anchor_ids[order], class_ids[order], scores[order]


def _trace(anchor_ids, class_ids, scores, boxes_of, settings, window, every) -> Trace:
    """Walk the candidates best first. Classes do not touch each other, so one walk serves them all, and it may
    end as soon as the total cap is filled."""
    n = len(scores)
    boxes = boxes_of(anchor_ids).astype(np.float32, copy=False).reshape(-1, 4)
    # The same candidates class by class, each class best first and contiguous: what one may suppress is a slice.
    by_class = np.argsort(class_ids, kind="stable")
    place = np.empty(n, np.int64)
    place[by_class] = np.arange(n)
    ends = np.searchsorted(class_ids[by_class], class_ids, side="right").tolist()
    corners = np.ascontiguousarray(boxes[by_class].T).reshape(2, 2, n)
    low, high = corners.min(axis=0), corners.max(axis=0)
    area = (high[0] - low[0]) * (high[1] - low[1])
    visible = _visible(boxes, window).tolist()
    fate = np.zeros(n, np.uint8)
    by = np.full(n, -1, np.int32)
    taken: dict[int, int] = {}
    outputs, threshold, zero = 0, np.float32(settings.iou_threshold), np.float32(0)
    ids, where, end_row = class_ids.tolist(), place.tolist(), n
    kept_rows = []
    for row in range(n):
        i, end = where[row], ends[row]
        if fate[i]:
            continue
        count = taken[ids[row]] = taken.get(ids[row], 0) + 1
        if not visible[row]:
            fate[i] = OUTSIDE
        elif outputs < settings.max_total_detections:
            outputs += 1
            kept_rows.append(row)
        else:
            fate[i] = TOTAL_CAP
        if outputs == settings.max_total_detections and not every:
            end_row = row + 1
            break
        if i + 1 == end:
            continue
        rest = slice(i + 1, end)
        if count == settings.max_detections_per_class:
            fate[rest][fate[rest] == KEPT] = CLASS_CAP
            continue
        side = np.minimum(high[:, rest], high[:, i : i + 1])
        side -= np.maximum(low[:, rest], low[:, i : i + 1])
        np.maximum(side, zero, out=side)
        inter = side[0] * side[1]
        if not inter.any():
            continue
        union = area[rest] + area[i]
        union -= inter
        # Divided only where boxes touch and both have area, as the reference: then the union is positive.
        over = np.zeros(len(inter), np.float32)
        np.divide(inter, union, out=over, where=inter > 0)
        hit = over > threshold
        if every:
            by[rest][hit & (fate[rest] == KEPT)] = row
        fate[rest][hit] = SUPPRESSED
    rows = np.array(kept_rows, np.int64) if not every else np.arange(end_row)
    fates = fate[place[rows]]
    return Trace(anchor_ids[rows], class_ids[rows], scores[rows], fates, by[place[rows]], boxes[rows])


def _visible(boxes: np.ndarray, window: tuple[float, float, float, float]) -> np.ndarray:
    """Which boxes have area once clipped to the window."""
    low, high = np.float32(window[:2]), np.float32(window[2:])
    first, second = np.clip(boxes[:, :2], low, high), np.clip(boxes[:, 2:], low, high)
    size = second - first
    return size[:, 0] * size[:, 1] > 0
