"""Where labels go: near their box, inside the picture, off each other and off the centres of other
objects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Placed(NamedTuple):
    """A label's rectangle (x1, y1, x2, y2) in the picture's pixels, of the box with this index."""

    index: int
    xyxy: tuple[float, float, float, float]


def _spots(box: np.ndarray, w: float, h: float) -> list[tuple[float, float]]:
    """Upper left corners to try, the best first: above the box, below it, inside at its corners, beside
    it.
    """
    x1, y1, x2, y2 = box
    return [
        (x1, y1 - h),
        (x2 - w, y1 - h),
        (x1, y2),
        (x2 - w, y2),
        (x1, y1),
        (x2 - w, y1),
        (x1, y2 - h),
        (x2 - w, y2 - h),
        (x2, y1),
        (x1 - w, y1),
        (x2, y2 - h),
        (x1 - w, y2 - h),
    ]


def place_labels(
    boxes: np.ndarray, sizes: Sequence[tuple[float, float]], picture: tuple[float, float], margin: float = 0.0
) -> list[Placed]:
    """A place for as many labels as have one; earlier boxes choose first, the rest stay without.

    Args:
        boxes: [N, 4] xyxy pixels, in order of importance.
        sizes: N label sizes (width, height) in the same pixels.
        picture: (W, H).
        margin: how far from a centre a label keeps, in pixels.

    Laws: labels lie inside the picture, do not overlap, and cover the centre of no box but their own.
    """
    boxes = np.asarray(boxes, float).reshape(-1, 4)
    centres = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2], axis=1)
    width, height = picture
    taken = np.zeros((0, 4))
    placed: list[Placed] = []
    for i, (box, (w, h)) in enumerate(zip(boxes, sizes)):
        if w > width or h > height:
            continue
        others = np.delete(centres, i, axis=0)
        for x, y in _spots(box, w, h):
            x, y = min(max(x, 0.0), width - w), min(max(y, 0.0), height - h)
            spot = (x, y, x + w, y + h)
            covers = (
                (others[:, 0] > x - margin)
                & (others[:, 0] < spot[2] + margin)
                & (others[:, 1] > y - margin)
                & (others[:, 1] < spot[3] + margin)
            )
            hits = (taken[:, 0] < spot[2]) & (taken[:, 2] > x) & (taken[:, 1] < spot[3]) & (taken[:, 3] > y)
            if not covers.any() and not hits.any():
                taken = np.vstack([taken, spot])
                placed.append(Placed(i, spot))
                break
    return placed
