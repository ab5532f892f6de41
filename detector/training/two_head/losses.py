"""The parts of a two-head network's loss and how they are weighed. `keras.ops`, float32, any backend."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

EPSILON = 1e-7


def cross_entropy(logits: Any, class_ids: Any, smoothing: float = 0.0) -> Any:
    """Softmax cross entropy of each picture, [B].

    Args:
        logits: [B, K]; class_ids: int [B].
        smoothing: s moves the target from (0, .., 1, .., 0) to (s / K, .., 1 - s + s / K, .., s / K).
    """
    logits = ops.cast(logits, "float32")
    classes = logits.shape[-1]
    log_shares = ops.log_softmax(logits, axis=-1)
    target = ops.one_hot(class_ids, classes) * (1 - smoothing) + smoothing / classes
    return -ops.sum(target * log_shares, axis=-1)


def huber(boxes: Any, truth: Any, delta: float = 0.1) -> Any:
    """Huber loss of the four corners, mean over them and divided by `delta`, [B]: |d| - delta/2 far out, so
    that its size does not depend on `delta`. Boxes are [B, 4] shares of the input."""
    d = ops.abs(ops.cast(boxes, "float32") - ops.cast(truth, "float32"))
    return ops.mean(ops.where(d <= delta, 0.5 * d * d / delta, d - 0.5 * delta), axis=-1)


def iou(boxes: Any, truth: Any) -> Any:
    """Intersection over union of pairs of boxes [B, 4] xyxy, [B]; 0 where both are empty."""
    x1, y1, x2, y2 = (boxes[:, i] for i in range(4))
    a1, b1, a2, b2 = (truth[:, i] for i in range(4))
    inter = ops.maximum(ops.minimum(x2, a2) - ops.maximum(x1, a1), 0.0) * ops.maximum(
        ops.minimum(y2, b2) - ops.maximum(y1, b1), 0.0
    )
    union = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - inter
    return inter / ops.maximum(union, EPSILON)


def ciou(boxes: Any, truth: Any) -> Any:
    """Complete-IoU loss of pairs of boxes [B, 4] xyxy with x1 <= x2, y1 <= y2, [B] in 0..: 1 - IoU + d²/c² +
    alpha v.

    d is the distance of the centres, c the diagonal of the smallest box around both, v the squared difference
    of the angles atan(w/h) times 4/pi², alpha = v / (1 - IoU + v), not differentiated. Source: Zheng et al.,
    "Distance-IoU Loss", AAAI 2020, equations 7 to 11.
    """
    boxes, truth = ops.cast(boxes, "float32"), ops.cast(truth, "float32")
    overlap = iou(boxes, truth)
    x1, y1, x2, y2 = (boxes[:, i] for i in range(4))
    a1, b1, a2, b2 = (truth[:, i] for i in range(4))
    distance = ((x1 + x2 - a1 - a2) ** 2 + (y1 + y2 - b1 - b2) ** 2) / 4
    diagonal = (ops.maximum(x2, a2) - ops.minimum(x1, a1)) ** 2 + (
        ops.maximum(y2, b2) - ops.minimum(y1, b1)
    ) ** 2
    angle = ops.arctan((a2 - a1) / ops.maximum(b2 - b1, EPSILON)) - ops.arctan(
        (x2 - x1) / ops.maximum(y2 - y1, EPSILON)
    )
    v = (4 / math.pi**2) * angle**2
    alpha = ops.stop_gradient(v / ops.maximum(1 - overlap + v, EPSILON))
    return 1 - overlap + distance / ops.maximum(diagonal, EPSILON) + alpha * v


def by_uncertainty(loss: Any, log_variance: Any, *, classification: bool) -> Any:
    """A part of the loss under a learned uncertainty s = log sigma²: L e^-s + s / 2 for a classification,
    half of L for a regression. Source: Kendall, Gal and Cipolla, CVPR 2018, equations 7 and 10."""
    return (1.0 if classification else 0.5) * ops.exp(-log_variance) * loss + 0.5 * log_variance
