"""YOLO with objectness, decoded but not suppressed: YOLOv5 and YOLOv7.

One output [1, A, 5 + K]: centre x, centre y, width, height, objectness, K class scores; a score is
objectness times class score. Three rows per cell of the strides 8, 16, 32 (one per anchor shape, which the
file does not state). TFLite exports give shares of the input, ONNX exports pixels; a probe image says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.models.decoders import grid
from detector.models.decoders.input_rule import InputRule
from detector.models.decoders.interface import (
    DecoderFacts,
    Described,
    Rows,
    box_scale,
    corners,
    unit_scores,
)
from detector.nms import PostprocessSettings

FAMILY = "YOLOv5/v7, raw with objectness"
SETTINGS = PostprocessSettings(0.005, 0.6, 300, 300)
"""IoU of YOLOv5's own validation (.6; its demo uses .45)."""
RULE = InputRule("letterbox")
REPEATS = 3


@dataclass(frozen=True, kw_only=True)
class YOLOWithObjectness(DecoderFacts):
    """Args: scale: float32 [4], to pixels of the input."""

    scale: np.ndarray

    def rows(self, outputs: Sequence[np.ndarray]) -> Rows:
        table = outputs[0][0]
        sure, _ = unit_scores(table[:, 4:5])
        scores, _ = unit_scores(table[:, 5:])
        return Rows(corners(table[:, :4] * self.scale), sure * scores)


def recognise(file: Described, probe: Sequence[np.ndarray]) -> YOLOWithObjectness | None:
    """The decoder of this file, or None where it is of another family."""
    if len(probe) != 1 or probe[0].ndim != 3 or probe[0].shape[0] != 1 or probe[0].shape[2] < 6:
        return None
    found = grid.find(file.size, probe[0].shape[1], REPEATS)
    if found is None:
        return None
    scale, values = box_scale(probe[0][0, :, :2], file.size)
    return YOLOWithObjectness(
        family=FAMILY,
        decided_by=f"the output's shape {list(probe[0].shape)}, three rows per cell; boxes are {values}, by a"
        " probe image",
        classes=probe[0].shape[2] - 5,
        rule=RULE,
        settings=SETTINGS,
        levels=found.levels,
        cells=found.cells,
        scale=scale,
    )
