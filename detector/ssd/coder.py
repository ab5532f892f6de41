"""Boxes as offsets from their anchors, and back: both directions in one object.

Law: `decode(encode(b, a), a) == b` to rounding, for boxes and anchors of positive size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# Added to widths and heights before dividing or taking the logarithm (reference: faster_rcnn_box_coder).
EPSILON = 1e-8


@dataclass(frozen=True)
class BoxCoder:
    """The Faster R-CNN code (ty, tx, th, tw): centre offsets in anchor sizes, log size ratios, each scaled.

    Works on numpy arrays and on any Keras backend's tensors: [..., 4] in, [..., 4] out, normalised yxyx
    (any unit does, as long as box and anchor share it). Nothing is clipped.

    Args:
        scales: (y, x, height, width) factors; the zoo uses (10, 10, 5, 5).
    """

    scales: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0)

    def encode(self, boxes: Any, anchors: Any) -> Any:
        """yxyx boxes to codes; row i belongs to anchor i."""
        ops = _ops(boxes, anchors)
        ya, xa, ha, wa = _centre_size(anchors)
        y, x, h, w = _centre_size(boxes)
        ha, wa, h, w = ha + EPSILON, wa + EPSILON, h + EPSILON, w + EPSILON
        sy, sx, sh, sw = self.scales
        return ops.stack(
            [(y - ya) / ha * sy, (x - xa) / wa * sx, ops.log(h / ha) * sh, ops.log(w / wa) * sw], axis=-1
        )

    def decode(self, codes: Any, anchors: Any) -> Any:
        """Codes to yxyx boxes, unclipped."""
        ops = _ops(codes, anchors)
        ya, xa, ha, wa = _centre_size(anchors)
        sy, sx, sh, sw = self.scales
        h = ops.exp(codes[..., 2] / sh) * ha
        w = ops.exp(codes[..., 3] / sw) * wa
        y = codes[..., 0] / sy * ha + ya
        x = codes[..., 1] / sx * wa + xa
        return ops.stack([y - h / 2.0, x - w / 2.0, y + h / 2.0, x + w / 2.0], axis=-1)


def _centre_size(boxes: Any) -> tuple[Any, Any, Any, Any]:
    height = boxes[..., 2] - boxes[..., 0]
    width = boxes[..., 3] - boxes[..., 1]
    return boxes[..., 0] + height / 2.0, boxes[..., 1] + width / 2.0, height, width


def _ops(*values: Any) -> Any:
    """numpy for numpy arrays, so that post-processing never imports a network library; else keras.ops."""
    if all(isinstance(value, np.ndarray) for value in values):
        return np
    import keras  # noqa: PLC0415  Keras costs seconds

    return keras.ops
