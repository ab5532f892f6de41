"""The DETR family (DETR, RT-DETR, RF-DETR, D-FINE): queries, each a box and class logits, no suppression.

Two outputs, boxes [1, Q, 4] (centre and size, shares of the input) and logits [1, Q, K], under the names
dets and labels, pred_boxes and pred_logits, or boxes and logits. Scores by a sigmoid; the original DETR's
softmax ends in a column "no object", which a model of this kind says by its name alone (`softmax=True`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.models.decoders.input_rule import InputRule
from detector.models.decoders.interface import DecoderFacts, Described, Rows, corners, sigmoid
from detector.nms import PostprocessSettings

FAMILY = "DETR"
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""ImageNet's mean and deviation of pixels 0..255."""
SETTINGS = PostprocessSettings(0.005, 1.0, 300, 300)
"""An IoU of 1 suppresses nothing."""
PLAIN = ("rtdetr", "rt-detr", "rt_detr", "dfine", "d-fine", "d_fine", "deim")
"""Families that take pixels / 255 without ImageNet's mean, known by the name of file or folder."""


@dataclass(frozen=True, kw_only=True)
class DETR(DecoderFacts):
    """Args: size: (W, H) of the input; boxes_at, scores_at: places of the two outputs."""

    size: tuple[int, int]
    boxes_at: int
    scores_at: int

    def rows(self, outputs: Sequence[np.ndarray]) -> Rows:
        boxes = outputs[self.boxes_at][0] * np.float32([*self.size, *self.size])
        logits = np.ascontiguousarray(outputs[self.scores_at][0], np.float32)
        return Rows(corners(boxes), sigmoid(logits), logits)


def recognise(file: Described, probe: Sequence[np.ndarray]) -> DETR | None:
    """The decoder of this file, or None where it is of another family."""
    if len(probe) != 2 or any(p.ndim != 3 for p in probe) or probe[0].shape[1] != probe[1].shape[1]:
        return None
    names = [t.name.lower().split(":")[0] for t in file.outputs]
    boxes = [k for k, n in enumerate(names) if n.endswith(("dets", "boxes")) and probe[k].shape[2] == 4]
    other = [k for k, n in enumerate(names) if n.endswith(("labels", "logits", "scores"))]
    if len(boxes) != 1 or other != [1 - boxes[0]]:
        return None
    table, logits = probe[boxes[0]][0], probe[other[0]][0]
    if table.min() < -0.5 or table.max() > 1.5 or 0 <= logits.min() <= logits.max() <= 1:
        return None
    width = logits.shape[1]
    where = f"{file.path.parent.name}/{file.path.name}".lower()
    plain = next((word for word in PLAIN if word in where), None)
    return DETR(
        family=FAMILY,
        unit="query",
        decided_by=f"the outputs' names and shapes, {file.listed()}",
        classes=width - int(width == 91),
        background=int(width == 91),
        rule=InputRule("stretch") if plain else InputRule("stretch", MEAN, STD),
        settings=SETTINGS,
        size=file.size,
        boxes_at=boxes[0],
        scores_at=other[0],
        notes=(
            (
                "The file does not say the range of its input; pixels / 255 were taken, because it is named"
                f" {plain}."
                if plain
                else (
                    "The file does not say the range of its input; ImageNet's mean and deviation were taken"
                    " (input_range=(0, 1) changes it)."
                )
            ),
        ),
    )
