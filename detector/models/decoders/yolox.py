"""YOLOX: one row per cell, with objectness; the raw heads, or decoded inside the file.

One output [1, A, 5 + K]. Raw: a centre is (value + the cell's corner) * stride, a size exp(value) * stride
(YOLOX, arXiv:2107.08430, `decode_outputs`). Objectness and class scores are through their sigmoid in the
official exports; where values leave 0..1 they are logits. A score is objectness times class score.
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

FAMILY = "YOLOX"
SETTINGS = PostprocessSettings(0.005, 0.65, 300, 300)
"""IoU of YOLOX's own evaluation."""
RULE = InputRule("letterbox-top-left", mean=(0.0,), std=(1.0,), bgr=True)


@dataclass(frozen=True, kw_only=True)
class YOLOX(DecoderFacts):
    """Args: grid: of its rows; raw: whether the boxes are still to be decoded; scale: float32 [4], to pixels
    where they are not."""

    grid: grid.Grid
    raw: bool
    scale: np.ndarray

    def rows(self, outputs: Sequence[np.ndarray]) -> Rows:
        table = outputs[0][0]
        if self.raw:
            centre = (table[:, :2] + self.grid.corners) * self.grid.stride
            size = np.exp(np.minimum(table[:, 2:4], 20)) * self.grid.stride
            boxes = np.concatenate([centre, size], axis=1)
        else:
            boxes = table[:, :4] * self.scale
        sure, _ = unit_scores(table[:, 4:5])
        scores, _ = unit_scores(table[:, 5:])
        return Rows(corners(boxes), sure * scores)


def recognise(file: Described, probe: Sequence[np.ndarray]) -> YOLOX | None:
    """The decoder of this file, or None where it is of another family."""
    if len(probe) != 1 or probe[0].ndim != 3 or probe[0].shape[0] != 1 or probe[0].shape[2] < 6:
        return None
    found = grid.find(file.size, probe[0].shape[1])
    if found is None or not may_have(file, probe[0].shape[2] - 5):
        return None
    table = probe[0][0]
    raw = bool((table[:, 2:4] < 0).any()) or not _on_their_cells(table[:, :2], found, file.size)
    scale, values = box_scale(table[:, :2], file.size)
    return YOLOX(
        family=FAMILY + (", raw heads" if raw else ", decoded in the file"),
        decided_by=f"the output's shape {list(probe[0].shape)}, one row per cell; boxes are"
        f" {'not yet decoded' if raw else values}, by a probe image",
        classes=probe[0].shape[2] - 5,
        rule=RULE,
        settings=SETTINGS,
        levels=found.levels,
        cells=found.cells,
        grid=found,
        raw=raw,
        scale=scale,
        notes=(
            "The file does not say its colour order; BGR pixels 0..255 at the top left were taken, as YOLOX"
            " exports have them (channels='RGB' and fit='letterbox' change it).",
        ),
    )


def _on_their_cells(centres: np.ndarray, found: grid.Grid, size: tuple[int, int]) -> bool:
    """Whether centres lie near the cells of their rows: within three cells, for nine rows of ten."""
    scale, _ = box_scale(centres, size)
    cells = (centres * scale[:2]) / found.stride
    return bool((np.abs(cells - found.corners - 0.5).max(axis=1) < 3).mean() > 0.9)
