"""The confidence map: where in the image the model believes an object is, on a fixed 0..1 scale.

It says where, not why; evidence maps say why. Nothing is normalised per picture, so an image without
the class stays cold.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from detector.core import Candidates, Detections
from detector.errors import InputError

PAINTS = ("cell", "box")
ALMOST = 1 / 3
"""Share of the threshold from which an object is called almost detected (the second contour)."""


def confidence_map(
    source: Candidates | Detections,
    *,
    class_ids: Iterable[int] | int | None = None,
    image_size: tuple[int, int] | None = None,
    paint: str | None = None,
    side: int | None = None,
    floor: float = 0.005,
) -> np.ndarray:
    """Confidence at every pixel, float32 [h, w] in 0..1.

    From candidates with anchors (paint "cell"): on each feature level the best score of each cell, laid over
    the image bilinearly between the anchors' centres; then the maximum over the levels. From candidates
    without anchors, and from detections (paint "box"): each box raises a dome with its score at its centre
    and 0 on the rim of the ellipse within it; then the maximum. The second needs no inside knowledge, but
    detections show only what survived NMS and the score floor.

    Args:
        source: Candidates (one row an anchor) or Detections.
        class_ids: the classes to show, one or several; None for any class.
        image_size: (W, H) of the map; None takes the source's own. Boxes are scaled to it.
        paint: "cell" or "box"; None takes "cell" where anchors and levels are known.
        side: shrink the longer side of the map to this many pixels; None keeps `image_size`.
        floor: domes of boxes below this score are left out (paint "box").

    No boxes, or no such class: zeros.

    Raises:
        InputError: a class is outside the candidates' columns, or cells are asked of boxes without anchors.
    """
    own = source.image_size
    width, height = image_size or own
    if side is not None and max(width, height) > side:
        width, height = (max(1, round(v * side / max(width, height))) for v in (width, height))
    scale = np.array([width / own[0], height / own[1]] * 2, np.float64)
    scores = _scores(source, class_ids)
    cells = getattr(source, "cells", None)
    anchors = getattr(source, "anchors", None) if cells is None else cells
    levels = getattr(source, "levels", None)
    paint = paint or ("cell" if anchors is not None and levels is not None else "box")
    if paint not in PAINTS:
        raise InputError(f"paint: expected one of {', '.join(PAINTS)}, got {paint!r}.")
    if paint == "box":
        return _domes(source.xyxy * scale, scores, (width, height), floor)
    if anchors is None or levels is None:
        raise InputError('paint: "cell" needs candidates with anchors and levels; "box" works with any.')
    out = np.zeros((height, width), np.float32)
    for level in np.unique(levels):
        rows = levels == level
        np.maximum(out, _cells(anchors[rows] * scale, scores[rows], (width, height)), out=out)
    return out


def _scores(source: Candidates | Detections, class_ids: Iterable[int] | int | None) -> np.ndarray:
    """float32 [A]: the best score among the chosen classes of each row."""
    if class_ids is not None:
        class_ids = sorted(
            {
                int(c)
                for c in np.atleast_1d(
                    np.array(list(class_ids) if isinstance(class_ids, Iterable) else class_ids)
                )
            }
        )
    if isinstance(source, Detections):
        return (
            source.scores
            if class_ids is None
            else np.where(np.isin(source.class_ids, class_ids), source.scores, np.float32(0))
        )
    k = source.scores.shape[1]
    if class_ids is None:
        class_ids = list(range(k))
    if class_ids and not 0 <= class_ids[0] <= class_ids[-1] < k:
        raise InputError(f"class_ids: expected 0..{k - 1}, got {class_ids}.")
    return source.scores[:, class_ids].max(axis=1, initial=0)


def _cells(anchors: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One level: the best score at each anchor centre, bilinear between centres, held beyond the
    outermost.
    """
    width, height = size
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2
    # Centres of one row or column agree up to rounding in float32; cells lie pixels apart.
    xs, column = _grid_line(centres[:, 0], width)
    ys, row = _grid_line(centres[:, 1], height)
    grid = np.zeros((len(ys), len(xs)), np.float32)
    np.maximum.at(grid, (row, column), scores)
    fx = np.interp(np.arange(width) + 0.5, xs, np.arange(len(xs)))
    fy = np.interp(np.arange(height) + 0.5, ys, np.arange(len(ys)))
    x0, y0 = np.minimum(fx.astype(int), max(len(xs) - 2, 0)), np.minimum(fy.astype(int), max(len(ys) - 2, 0))
    wx, wy = (fx - x0).astype(np.float32), (fy - y0).astype(np.float32)
    x1, y1 = np.minimum(x0 + 1, len(xs) - 1), np.minimum(y0 + 1, len(ys) - 1)
    along = grid[:, x0] * (1 - wx) + grid[:, x1] * wx
    return along[y0] * (1 - wy)[:, None] + along[y1] * wy[:, None]


def _grid_line(values: np.ndarray, extent: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct coordinates, ascending, and the place of each value among them."""
    step = max(extent, 1) * 1e-4
    keys = np.round(values / step).astype(np.int64)
    order = np.argsort(keys, kind="stable")
    fresh = np.concatenate([[True], np.diff(keys[order]) > 1])
    place = np.empty(len(values), np.int64)
    place[order] = np.cumsum(fresh) - 1
    return values[order][fresh].astype(np.float64), place


def _domes(xyxy: np.ndarray, scores: np.ndarray, size: tuple[int, int], floor: float) -> np.ndarray:
    """Each box raises score * (1 - r^2), r the distance from its centre in units of its half sides; the
    maximum of all.
    """
    width, height = size
    out = np.zeros((height, width), np.float32)
    for (x1, y1, x2, y2), score in zip(xyxy.tolist(), scores.tolist()):
        if score < floor:
            continue
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        rx, ry = max((x2 - x1) / 2, 0.75), max((y2 - y1) / 2, 0.75)  # a box thinner than a pixel still shows
        left, right = max(int(cx - rx), 0), min(int(np.ceil(cx + rx)) + 1, width)
        top, bottom = max(int(cy - ry), 0), min(int(np.ceil(cy + ry)) + 1, height)
        if left >= right or top >= bottom:
            continue
        # The pixel that holds the centre gets the whole score.
        dx = np.maximum(np.abs(np.arange(left, right) + 0.5 - cx) - 0.5, 0) / rx
        dy = np.maximum(np.abs(np.arange(top, bottom) + 0.5 - cy) - 0.5, 0) / ry
        dome = score * (1 - dx[None, :] ** 2 - dy[:, None] ** 2)
        part = out[top:bottom, left:right]
        np.maximum(part, dome, out=part, casting="same_kind")
    return out
