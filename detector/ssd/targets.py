"""Which anchor answers for which object: IoU matching and the targets the network is trained on.

numpy, one image at a time, so that it runs in the input threads of any Keras backend. The rule is the
reference's argmax matcher with force match (TF2 Object Detection API, float32 throughout):

* an anchor takes the object it overlaps most (ties: the first object) when that IoU is at least the
  threshold, else it is background; there is no band of ignored anchors;
* then every object of positive weight is given its best anchor (ties: the first anchor), whatever the IoU;
  where two objects want one anchor the first object has it. An object that overlaps no anchor at all gets
  anchor 0, as in the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.errors import InputError
from detector.ssd.coder import BoxCoder

UNMATCHED = -1


@dataclass(frozen=True, eq=False)
class Targets:
    """What one image asks of every anchor. A anchors.

    Args:
        matched: int32 [A], the row of the object each anchor answers for, or -1 for background.
        classes: int32 [A], 0 for background, else 1 + class id.
        boxes: float32 [A, 4], codes of the object's box, zeros where unmatched.
        class_weights: float32 [A], the object's weight, 1 for background.
        box_weights: float32 [A], the object's weight, 0 for background.
    """

    matched: np.ndarray
    classes: np.ndarray
    boxes: np.ndarray
    class_weights: np.ndarray
    box_weights: np.ndarray


def match_anchors(
    anchors: np.ndarray, boxes: np.ndarray, weights: np.ndarray, threshold: float = 0.5
) -> np.ndarray:
    """The object of each anchor, int32 [A], -1 for background.

    Args:
        anchors: float32 [A, 4] normalised (ymin, xmin, ymax, xmax), not clipped.
        boxes: float32 [N, 4] in the same frame; rows of zeros (padding) match nothing when their weight is 0.
        weights: float32 [N]; only rows above 0 are forced onto an anchor.
    """
    count = len(anchors)
    matched = np.full(count, UNMATCHED, np.int32)
    if not len(boxes) or not count:
        return matched
    ay1, ax1, ay2, ax2 = np.ascontiguousarray(np.asarray(anchors, np.float32).T)
    anchor_area = (ay2 - ay1) * (ax2 - ax1)
    best = np.full(count, np.float32(0))
    forced = np.full(len(boxes), UNMATCHED, np.int64)
    threshold = np.float32(threshold)
    height, width, iou, union = (np.empty(count, np.float32) for _ in range(4))
    # One object at a time: the four buffers stay in the cache, which beats one [N, A] matrix several times.
    for row, (y1, x1, y2, x2) in enumerate(np.asarray(boxes, np.float32)):
        np.subtract(np.minimum(ay2, y2, out=height), np.maximum(ay1, y1, out=union), out=height)
        np.subtract(np.minimum(ax2, x2, out=width), np.maximum(ax1, x1, out=union), out=width)
        np.maximum(height, 0, out=height)
        np.maximum(width, 0, out=width)
        np.multiply(height, width, out=height)
        np.subtract(anchor_area + (y2 - y1) * (x2 - x1), height, out=union)
        iou.fill(0)
        np.divide(height, union, out=iou, where=height > 0)
        if weights[row] > 0:
            forced[row] = int(np.argmax(iou))
        better = iou > best
        matched[better & (iou >= threshold)] = row
        np.copyto(best, iou, where=better)
    for row in range(len(boxes) - 1, -1, -1):  # backwards, so that the first object keeps a contested anchor
        if forced[row] != UNMATCHED:
            matched[forced[row]] = row
    return matched


def assign_targets(
    anchors: np.ndarray,
    boxes: np.ndarray,
    class_ids: np.ndarray,
    weights: np.ndarray | None = None,
    threshold: float = 0.5,
    coder: BoxCoder = BoxCoder(),  # noqa: B008 - frozen, without state
) -> Targets:
    """Targets of one image.

    Args:
        anchors: float32 [A, 4] normalised (ymin, xmin, ymax, xmax), not clipped.
        boxes: float32 [N, 4] in the same frame; class_ids: int [N], 0..K-1; weights: [N], 1 each where None.

    An image without objects (N = 0) makes every anchor background.

    Raises:
        InputError: lengths differ, a box is not finite, or a class id is negative.
    """
    anchors = np.asarray(anchors, np.float32)
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    class_ids = np.asarray(class_ids, np.int32).reshape(-1)
    weights = (
        np.ones(len(boxes), np.float32) if weights is None else np.asarray(weights, np.float32).reshape(-1)
    )
    if not len(boxes) == len(class_ids) == len(weights):
        raise InputError(
            f"assign_targets: expected one class id and weight a box, got {len(boxes)} boxes,"
            f" {len(class_ids)} class ids and {len(weights)} weights."
        )
    if not np.isfinite(boxes).all():
        raise InputError(
            f"assign_targets: expected finite boxes, row {int(np.argwhere(~np.isfinite(boxes))[0][0])} is"
            " not."
        )
    if len(class_ids) and class_ids.min() < 0:
        raise InputError(
            f"assign_targets: expected class ids of 0 and more, row {int(np.argmin(class_ids))} is"
            f" {class_ids.min()}."
        )
    matched = match_anchors(anchors, boxes, weights, threshold)
    positive = np.flatnonzero(matched != UNMATCHED)
    rows = matched[positive]
    targets = Targets(
        matched=matched,
        classes=np.zeros(len(anchors), np.int32),
        boxes=np.zeros((len(anchors), 4), np.float32),
        class_weights=np.ones(len(anchors), np.float32),
        box_weights=np.zeros(len(anchors), np.float32),
    )
    if len(positive):
        targets.classes[positive] = class_ids[rows] + 1
        targets.boxes[positive] = coder.encode(boxes[rows], anchors[positive])
        targets.class_weights[positive] = weights[rows]
        targets.box_weights[positive] = weights[rows]
    return targets
