"""YOLO without objectness, not yet suppressed: Ultralytics v8, v9, 11, 12 as exported by default.

One output [1, 4 + K, A] (or its transpose [1, A, 4 + K]): centre x, centre y, width, height, then K class
scores already through their sigmoid. A row per cell of the strides 8, 16, 32. LiteRT exports give shares of
the input, ONNX and SavedModel exports pixels; the values of a probe image say which.
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
    may_have,
    unit_scores,
)
from detector.nms import PostprocessSettings

FAMILY = "YOLO v8/11, raw"
SETTINGS = PostprocessSettings(0.005, 0.7, 300, 300)
"""IoU and cap of the exporter's own validation; the score threshold is Boxscope's for raw outputs."""
RULE = InputRule("letterbox")


@dataclass(frozen=True, kw_only=True)
class YOLO(DecoderFacts):
    """Args: channels_first: whether the table comes as [1, 4 + K, A]; scale: float32 [4], to pixels."""

    channels_first: bool
    scale: np.ndarray

    def rows(self, outputs: Sequence[np.ndarray]) -> Rows:
        table = outputs[0][0].T if self.channels_first else outputs[0][0]
        scores, logits = unit_scores(np.ascontiguousarray(table[:, 4:]))
        return Rows(corners(table[:, :4] * self.scale), scores, logits)


def recognise(file: Described, probe: Sequence[np.ndarray]) -> YOLO | None:
    """The decoder of this file, or None where it is of another family."""
    if len(probe) != 1 or probe[0].ndim != 3 or probe[0].shape[0] != 1:
        return None
    _, a, b = probe[0].shape
    for channels_first, rows, width in ((True, b, a), (False, a, b)):
        found = grid.find(file.size, rows)
        if found is None or width < 5:
            continue
        table = probe[0][0].T if channels_first else probe[0][0]
        if not channels_first and not may_have(file, width - 4):
            return None  # with objectness: YOLOX has the same shape, see yolox.py
        if (table[:, 2:4] < -0.05).any():
            return None  # sizes not yet decoded
        scale, values = box_scale(table[:, :2], file.size)
        return YOLO(
            family=FAMILY,
            decided_by=f"the output's shape {list(probe[0].shape)}"
            + (" and the file's metadata" if file.said else "")
            + f"; boxes are {values}, by a probe image",
            classes=width - 4,
            rule=RULE,
            settings=SETTINGS,
            levels=found.levels,
            cells=found.cells,
            channels_first=channels_first,
            scale=scale,
        )
    return None
