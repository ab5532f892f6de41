"""MediaPipe Model Maker and EfficientDet-Lite: box encodings and scores, with the anchors in the file's own
metadata.

Two outputs, encodings [1, A, 4] (y, x, height, width) and scores [1, A, K]. The anchors and the options of
decoding stand in the DETECTOR_METADATA entry (mediapipe/tasks/metadata/object_detector_metadata_schema.fbs):
centre and size per anchor as shares of the input, a scale per coordinate, whether sizes are exponents and
scores logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.models.decoders.input_rule import InputRule
from detector.models.decoders.interface import DecoderFacts, Described, Rows, corners, sigmoid
from detector.models.flatbuffer_table import Table, root_table
from detector.nms import PostprocessSettings

FAMILY = "SSD with anchors in its metadata (MediaPipe Model Maker, EfficientDet-Lite)"
SETTINGS = PostprocessSettings(0.005, 0.3, 100, 100)
"""IoU of MediaPipe's object detector (min_suppression_threshold); it suppresses across classes."""


@dataclass(frozen=True)
class DecodingOptions:
    """Args: anchors: float32 [A, 4], centre x, centre y, width, height, shares of the input.
    scales: what x, y, w and h are divided by; exponents: whether sizes are; logits: whether scores are."""

    anchors: np.ndarray
    scales: tuple[float, float, float, float]
    exponents: bool
    logits: bool


@dataclass(frozen=True, kw_only=True)
class SSDWithAnchors(DecoderFacts):
    """Args: options: as its metadata state them; boxes_at, scores_at: places of the two outputs;
    own: float32 [A, 4], anchors in pixels of the input, centre and size."""

    options: DecodingOptions
    own: np.ndarray
    boxes_at: int
    scores_at: int

    def rows(self, outputs: Sequence[np.ndarray]) -> Rows:
        own, o = self.own, self.options
        t = outputs[self.boxes_at][0][:, [1, 0, 3, 2]]  # encodings are y, x, height, width
        centre = t[:, :2] / np.float32(o.scales[:2]) * own[:, 2:] + own[:, :2]
        size = t[:, 2:] / np.float32(o.scales[2:])
        size = (np.exp(np.minimum(size, 20)) if o.exponents else size) * own[:, 2:]
        values = outputs[self.scores_at][0]
        scores = sigmoid(values) if o.logits else np.clip(values, 0, 1)
        return Rows(
            corners(np.concatenate([centre, size], axis=1)),
            scores,
            values if o.logits else None,
        )


def read_options(content: bytes) -> DecodingOptions:
    """The options of a DETECTOR_METADATA entry; field numbers as in its schema."""
    root = root_table(content)
    fixed = root.union(1).union(0)
    anchors = np.array([[a.float(n) for n in range(4)] for a in fixed.tables(0)], np.float32)
    decoding: Table | None = root.union(2)
    if decoding is None:
        return DecodingOptions(anchors.reshape(-1, 4), (1.0, 1.0, 1.0, 1.0), True, False)
    scales = tuple(decoding.float(n) or 1.0 for n in (6, 7, 8, 9))
    return DecodingOptions(anchors.reshape(-1, 4), scales, bool(decoding.byte(10)), bool(decoding.byte(11)))


def recognise(file: Described, probe: Sequence[np.ndarray]) -> SSDWithAnchors | None:
    """The decoder of this file, or None where it carries no anchors."""
    if file.detector_options is None or len(probe) != 2 or any(p.ndim != 3 for p in probe):
        return None
    options = read_options(file.detector_options)
    boxes = [k for k, p in enumerate(probe) if p.shape[2] == 4 and p.shape[1] == len(options.anchors)]
    if len(boxes) == 2:  # four classes: scores lie in 0..1, encodings do not
        boxes = [k for k in boxes if probe[k].min() < 0] or boxes[:1]
    if len(boxes) != 1:
        return None
    scores_at = 1 - boxes[0]
    width = probe[scores_at].shape[2]
    ids = file.labels.external_ids if file.labels else ()
    background = int(bool(ids) and max(ids) == width - 1)
    own = options.anchors * np.float32([*file.size, *file.size])
    mean, std = (file.mean, file.std) if file.mean and file.std else ((127.5,), (127.5,))
    notes = ()
    if file.calibrated:
        notes = (
            "Its metadata hold a score calibration, which is not applied: scores are the network's own.",
        )
    return SSDWithAnchors(
        family=FAMILY,
        unit="anchor",
        decided_by=f"DETECTOR_METADATA in the file's metadata, with {len(own):,} anchors",
        classes=width - background,
        background=background,
        rule=InputRule("stretch", tuple(mean), tuple(std)),
        settings=SETTINGS,
        class_agnostic=True,
        anchors=corners(own),
        levels=_levels(own),
        options=options,
        own=own,
        boxes_at=boxes[0],
        scores_at=scores_at,
        notes=notes,
    )


def _levels(own: np.ndarray) -> np.ndarray:
    """int32 [A]: a level begins where the centres start again at the top left."""
    y, x = own[:, 1], own[:, 0]
    again = np.concatenate([[False], (y[1:] < y[:-1]) & (x[1:] < x[:-1])])
    return np.cumsum(again).astype(np.int32)
