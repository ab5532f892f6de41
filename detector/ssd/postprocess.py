"""From an SSD's box codes and class logits to detections and candidates. The rule itself is
`detector.nms`.
"""

from __future__ import annotations

import math

import numpy as np

from detector.boxes import denormalise, yxyx_to_xyxy
from detector.core import Candidates, Detections
from detector.nms import PostprocessSettings, Trace, detections, explain, replay, select
from detector.ssd.coder import BoxCoder

__all__ = [
    "PostprocessSettings",
    "Trace",
    "candidates",
    "detections",
    "explain",
    "postprocess",
    "replay",
    "sigmoid",
    "to_detections",
]


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits to scores in 0..1, float32."""
    with np.errstate(over="ignore"):
        return np.float32(1) / (np.float32(1) + np.exp(-np.asarray(logits, np.float32)))


def _below(score: float) -> float:
    """A logit safely under the one whose sigmoid is `score`."""
    if score <= 0:
        return -math.inf
    return math.inf if score >= 1 else math.log(score) - math.log1p(-score) - 1e-3


def postprocess(
    codes: np.ndarray,
    logits: np.ndarray,
    anchors: np.ndarray,
    settings: PostprocessSettings,
    coder: BoxCoder | None = None,
    *,
    every: bool = False,
) -> Trace:
    """One image's network outputs to its detections, exactly as the reference does it.

    Args:
        codes: float32 [A, 4] (ty, tx, th, tw).
        logits: float32 [A, K + 1], column 0 the background, which is ignored.
        anchors: float32 [A, 4] normalised yxyx.
        settings: thresholds and caps.
        coder: box scales, the zoo's by default.
        every: also trace what was suppressed, by whom, and what fell to a cap.

    Returns:
        Kept rows best first, boxes normalised yxyx and **not yet clipped** (`to_detections` clips).
    """
    coder = coder or BoxCoder()
    return select(
        logits,
        lambda rows: coder.decode(codes[rows], anchors[rows]),
        settings,
        skip=1,
        score_of=sigmoid,
        value_of=_below,
        every=every,
    )


def to_detections(trace: Trace, image_size: tuple[int, int], classes: np.ndarray | None = None) -> Detections:
    """Kept rows as Detections in pixels of the original image.

    Args:
        image_size: (W, H).
        classes: int [outputs], the class id of each output or -1 for an output without a name; those rows are
            left out here, after they took their places under the caps. None: outputs are class ids.
    """
    rows = trace.kept()
    ids = trace.class_ids[rows] if classes is None else classes[trace.class_ids[rows]]
    rows, ids = rows[ids >= 0], ids[ids >= 0]
    xyxy = denormalise(yxyx_to_xyxy(np.clip(trace.boxes[rows], 0, 1)), image_size)
    return Detections(xyxy, trace.scores[rows], ids, image_size, trace.anchor_ids[rows])


def candidates(
    codes: np.ndarray,
    logits: np.ndarray,
    anchors: np.ndarray,
    levels: np.ndarray,
    image_size: tuple[int, int],
    coder: BoxCoder | None = None,
    outputs: np.ndarray | None = None,
) -> Candidates:
    """Everything the network said about one image, before NMS.

    Args:
        outputs: int [K], the network output (0-based, background not counted) of each class id. None: all.
    """
    raw = logits[:, 1:] if outputs is None else logits[:, 1 + np.asarray(outputs)]
    decoded = (coder or BoxCoder()).decode(codes, anchors)

    def pixels(yxyx: np.ndarray) -> np.ndarray:
        return denormalise(yxyx_to_xyxy(yxyx), image_size)

    return Candidates(pixels(decoded), sigmoid(raw), image_size, pixels(anchors), levels, raw)
