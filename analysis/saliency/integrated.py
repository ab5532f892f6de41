"""Integrated gradients for one target: each pixel's share of the difference to a picture that shows nothing.

Sundararajan et al., ICML 2017. The map sums to logit(picture) - logit(nothing), up to the error that is
measured and shown.
"""

from __future__ import annotations

import time

import cv2
import numpy as np

from analysis.saliency.heatmap import HeatMap
from analysis.saliency.layer_cam import _anchored
from analysis.saliency.targets import Target
from analysis.saliency.views import BATCH, OpenView

COMPLETE = 0.05
"""Relative error from which on the number of steps is doubled."""
LEAST_SHARE = 0.05
"""Of sides of a box: the error is relative to the difference, or to this share of the picture's side where
that is more.
"""


def integrated_gradients(
    view: OpenView,
    target: Target,
    *,
    steps: int = 16,
    most_steps: int = 64,
    smooth_px: float | None = None,
    batch: int = BATCH,
) -> HeatMap:
    """Signed evidence of each pixel, in logits; "nothing" is the picture's mean colour.

    Args:
        view: of a detector with gradients.
        steps: of the path, midpoints; doubled while the completeness error is 5 % or more, up to
            `most_steps`.
        smooth_px: sigma in input pixels of the blur the map is shown with; it keeps the sum, and 0 leaves it
            out. None takes a seventh of the object's side, at least 2: speckle finer than that is not what
            anybody reads.

    Raises:
        InputError: the target has no anchors.
    """
    started = time.perf_counter()
    target = _anchored(view, target)
    difference = view.pixels - view.fill
    ends = view.evidence(np.stack([view.pixels, np.broadcast_to(view.fill, view.pixels.shape)]), [target])[
        :, 0
    ]
    gap = float(ends[0] - ends[1])
    total, used, values, error = None, 0, None, None
    while True:
        mean = _mean_gradient(view, target, difference, steps, batch)
        used += steps
        total = difference * mean
        # Rounding alone is a large part of a gap near zero; and a box may be as large on a picture of
        # nothing, by chance.
        error = abs(float(total.sum()) - gap) / max(abs(gap), 1e-3 if target.sides is None else LEAST_SHARE)
        if error < COMPLETE or steps * 2 > most_steps:
            break
        steps *= 2
    values = total.sum(axis=-1).astype(np.float32)
    if smooth_px is None:
        smooth_px = _smoothing(view, target)
    if smooth_px:
        values = cv2.GaussianBlur(values, (0, 0), smooth_px, borderType=cv2.BORDER_REFLECT)
    view.forwards += used
    notes = (
        ()
        if error < COMPLETE
        else (
            (
                f"The path integral is off by {100 * error:.0f} % after {steps} steps: read the map as a"
                " tendency."
            ),
        )
    )
    return HeatMap(
        "integrated_gradients",
        view.threshold(values),
        view.image_size,
        "logit" if target.sides is None else "share",
        signed=True,
        target=target,
        value=float(ends[0]),
        baseline=float(ends[1]),
        completeness=error,
        forwards=used + 2,
        backwards=used,
        seconds=time.perf_counter() - started,
        params={"steps": steps, "smooth_px": round(smooth_px, 2), "hidden": "mean colour"},
        notes=notes,
    )


def _smoothing(view: OpenView, target: Target) -> float:
    if target.box is None:
        return 4.0
    x1, y1, x2, y2 = view.to_frame(target.box)[0]
    return max(2.0, float(np.sqrt(max(0.0, (x2 - x1) * (y2 - y1)))) / 7)


def _mean_gradient(
    view: OpenView, target: Target, difference: np.ndarray, steps: int, batch: int
) -> np.ndarray:
    """float64 [h, w, C], the gradient averaged over the midpoints of the path."""
    total = np.zeros(view.pixels.shape, np.float64)
    points = (np.arange(steps) + 0.5) / steps
    outputs = target.outputs(len(view.detector.info.class_map))
    for at in range(0, steps, batch):
        part = points[at : at + batch].astype(np.float32)
        inputs = view.fill + difference * part[:, None, None, None]
        total += view.detector.gradients(
            view.frame, inputs, target.anchor_ids, outputs, target.weights
        ).inputs.sum(axis=0, dtype=np.float64)
    return total / steps
