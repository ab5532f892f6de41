"""Detections made inside the file: [1, n, 6], x1, y1, x2, y2, score, class per row, unused rows zero.

Ultralytics exports with nms=True, YOLOv10 and YOLO26. Corners are pixels of the input or shares of it; a
probe image says which. Such a file hides its candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.models.decoders.input_rule import InputRule
from detector.models.decoders.interface import DecoderFacts, Described, Rows, box_scale
from detector.nms import PostprocessSettings

FAMILY = "YOLO, suppressed inside the file"
NOTE = (
    "The file suppresses overlapping boxes itself, so it shows no candidates: misses are explained from its"
    " stored detections only. Export it without NMS (nms=False, end2end=False) to have them."
)
RULE = InputRule("letterbox")
MOST_CLASSES = 10_000


@dataclass(frozen=True, kw_only=True)
class EndToEnd(DecoderFacts):
    """Args: scale: float32 [4], to pixels of the input."""

    scale: np.ndarray

    def rows(self, outputs: Sequence[np.ndarray]) -> Rows:
        table = outputs[0][0]
        ids = np.rint(table[:, 5]).astype(np.int64)
        scores = np.zeros((len(table), self.classes), np.float32)
        real = (ids >= 0) & (ids < self.classes)
        scores[np.flatnonzero(real), ids[real]] = np.clip(table[real, 4], 0, 1)
        return Rows((table[:, :4] * self.scale).astype(np.float32), scores)


def recognise(file: Described, probe: Sequence[np.ndarray]) -> EndToEnd | None:
    """The decoder of this file, or None where it is of another family."""
    if len(probe) != 1 or probe[0].ndim != 3 or probe[0].shape[0] != 1 or probe[0].shape[2] != 6:
        return None
    table = probe[0][0]
    used = table[table[:, 4] > 0]
    whole = np.abs(used[:, 5] - np.rint(used[:, 5])).max(initial=0) < 0.01
    if not whole or used[:, 4].max(initial=0) > 1.001 or used[:, 5].max(initial=0) > MOST_CLASSES:
        return None
    scale, values = box_scale(used[:, :4], file.size)
    if not len(used) and file.container == "onnx":
        scale, values = np.ones(4, np.float32), "taken for pixels of the input"
    names = file.said.get("names") or (file.labels.names if file.labels else ())
    classes = len(names) or 80
    return EndToEnd(
        family=FAMILY,
        unit="box",
        decided_by=f"the output's shape {list(probe[0].shape)}"
        + (" and the file's metadata" if file.said else "")
        + f"; corners are {values}, by a probe image",
        classes=classes,
        rule=RULE,
        settings=PostprocessSettings(0.0, 1.0, max(1, len(table)), max(1, len(table))),
        scale=scale,
        notes=(NOTE,),
    )
