"""From candidates to detections: greedy non-maximum suppression by the TF2 Object Detection API's rule.

For each class on its own: candidates whose score is strictly above the threshold, best first (equal scores:
lower anchor first), on **unclipped** boxes; one is suppressed when its IoU with a kept one is strictly above
the IoU threshold; at most `max_detections_per_class` are kept. Then all classes together, best first (equal
scores: lower class first): boxes are clipped to the image, those left without area are dropped, the best
`max_total_detections` stay. A box outside the image is dropped only after it suppressed others and took a
place of its class.

numpy only, no network needed: a stored `Candidates` can be replayed with other settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from detector.core import Candidates, Detections
from detector.errors import ConfigError
from detector.greedy_nms import FULL, NOBODY, GreedyNMS

KEPT, SUPPRESSED, CLASS_CAP, OUTSIDE, TOTAL_CAP = range(5)
FATES = ("kept", "suppressed", "over the cap of its class", "outside the image", "over the total cap")

_AT_ONCE = 256
# About how many of the best candidates a pass looks at; a pass that fills the total cap is the last.
_POOLS = (400, 3_000, 30_000)


@dataclass(frozen=True)
class PostprocessSettings:
    """The settings of the reference's `batch_non_max_suppression`, under their names.

    Raises:
        ConfigError: thresholds outside 0..1, caps below 1, or a cap per class above the total cap.
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


def replay(
    candidates: Candidates, settings: PostprocessSettings, *, class_agnostic: bool = False
) -> Detections:
    """Detections of a stored image under these settings, with the anchor each came from.

    Boxes are compared in pixels; the network's own frame differs only in rounding.

    Args:
        class_agnostic: a box has its best class only, and boxes of all classes suppress each other.
    """
    width, height = candidates.image_size
    scores = candidates.scores
    values = scores.max(axis=1, keepdims=True, initial=0) if class_agnostic else scores
    trace = select(values, lambda rows: candidates.xyxy[rows], settings, window=(0, 0, width, height))
    found = detections(trace, candidates.image_size)
    if not class_agnostic:
        return found
    own = scores[found.anchor_ids].argmax(axis=1)
    return Detections(found.xyxy, found.scores, own, found.image_size, found.anchor_ids)


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
        skip: columns in front that are no class (background); a whole matrix is searched faster than a part
            of one.
        score_of, value_of: values to scores, and one score to the value below which no such score lies.
        every: trace each candidate above the threshold; otherwise only as many of the best as decide the
            answer.

    Returns:
        A trace whose kept rows are the detections, in their order.
    """
    greedy = GreedyNMS(settings.iou_threshold, settings.max_detections_per_class, together=not every)
    parts, found, above = [], 0, np.float32(np.inf)
    for floor in score_floors(
        values[:, skip:], np.float32(settings.score_threshold), () if every else _POOLS, score_of
    ):
        lowest = floor if value_of is None else np.float32(value_of(float(floor)))
        table = _table(values, lowest, skip, floor, above, score_of)
        above = floor
        for at in range(0, len(table[0]), max(1, len(table[0])) if every else _AT_ONCE):
            part = [column[at:] if every else column[at : at + _AT_ONCE] for column in table]
            boxes = boxes_of(part[0]).astype(np.float32, copy=False).reshape(-1, 4)
            first = len(greedy.by)
            greedy.add(boxes, part[1])
            shown = visible(boxes, window)
            parts.append((*part, boxes, shown))
            found += int(((greedy.by[first:] == NOBODY) & shown).sum())
            if not every and found >= settings.max_total_detections:
                break
        else:
            continue
        break
    return _trace(parts, greedy, settings, every)


def score_floors(
    values: np.ndarray,
    floor: np.float32,
    pools: tuple[int, ...] = _POOLS,
    score_of: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Iterator[np.float32]:
    """Scores above which about as many candidates lie as each pool holds, falling, the threshold `floor`
    last.

    Estimated from every n-th anchor, which is several times cheaper than a partition of them all; a poor
    estimate costs time, never exactness.
    """
    sample = np.sort(values[:: max(1, len(values) // 200)], axis=None)
    for pool in pools if values.size else ():
        rank = pool * len(sample) // values.size
        if rank >= len(sample):
            break
        cut = sample[len(sample) - 1 - rank]
        cut = np.float32(cut) if score_of is None else score_of(cut[None])[0]
        if not cut > floor:
            break
        yield cut
    yield floor


def _table(values, lowest, skip, floor, above, score_of) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(anchor ids, class ids, scores) of the candidates whose score is above the floor and not above `above`,
    in the order the rule meets them; parts are bounded by scores, so that equal ones are never torn apart."""
    anchor_ids, columns = np.divmod(np.flatnonzero(values > lowest), values.shape[1])
    if skip:
        anchor_ids, columns = anchor_ids[columns >= skip], columns[columns >= skip]
    found = values[anchor_ids, columns]
    scores = found.astype(np.float32, copy=False) if score_of is None else score_of(found)
    here = (scores > floor) & (scores <= above)
    anchor_ids, class_ids, scores = (
        anchor_ids[here].astype(np.int32),
        (columns[here] - skip).astype(np.int32),
        scores[here],
    )
    order = np.lexsort((anchor_ids, class_ids, -scores))
    return anchor_ids[order], class_ids[order], scores[order]


def _trace(parts, greedy, settings, every) -> Trace:
    """Who was suppressed, and what both caps and the image's border then did to the rest."""
    if not parts:
        none = np.zeros(0, np.int32)
        return Trace(
            none, none, np.zeros(0, np.float32), np.zeros(0, np.uint8), none, np.zeros((0, 4), np.float32)
        )
    anchor_ids, class_ids, scores, boxes, shown = (np.concatenate(column) for column in zip(*parts))
    kept = greedy.by == NOBODY
    fates = np.where(greedy.by == FULL, CLASS_CAP, SUPPRESSED).astype(np.uint8)
    fates[kept] = OUTSIDE
    inside = np.flatnonzero(kept & shown)
    fates[inside], fates[inside[settings.max_total_detections :]] = KEPT, TOTAL_CAP
    rows = np.arange(len(fates)) if every else np.flatnonzero(fates == KEPT)
    return Trace(
        anchor_ids[rows],
        class_ids[rows],
        scores[rows],
        fates[rows],
        np.maximum(greedy.by[rows], -1),
        boxes[rows],
    )


def visible(boxes: np.ndarray, window: tuple[float, float, float, float]) -> np.ndarray:
    """bool [n]: which boxes float32 [n, 4] have area once clipped to the window (a1, b1, a2, b2)."""
    low, high = np.float32(window[:2]), np.float32(window[2:])
    first, second = np.clip(boxes[:, :2], low, high), np.clip(boxes[:, 2:], low, high)
    size = second - first
    return size[:, 0] * size[:, 1] > 0
