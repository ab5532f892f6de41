"""Maps into pixels: confidence on a fixed 0..1 scale with the threshold as a contour, evidence around a clear
zero.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from analysis.drawing.style import CONFIDENCE_MAP, EVIDENCE_MAP
from analysis.saliency.confidence import ALMOST
from detector.errors import InputError


@cache
def _palette(name: str) -> np.ndarray:
    """uint8 [256, 3], a matplotlib colour map."""
    from matplotlib import colormaps

    palette = (colormaps[name](np.arange(256))[:, :3] * 255).round().astype(np.uint8)
    palette.setflags(write=False)
    return palette


def confidence_rgba(
    confidence: np.ndarray, threshold: float | None = None, *, alpha: float = 0.65
) -> np.ndarray:
    """RGBA uint8 [h, w, 4] of a confidence map in 0..1, to lay over the image.

    What is colder than 0.02 is clear, and opacity reaches `alpha` at 0.25, so that the image stays visible
    where the model believes nothing. With a threshold, its contour is drawn in white, and a thinner, fainter
    one at a third of it ("almost detected").

    Raises:
        InputError: the map is not [h, w] or leaves 0..1.
    """
    values = np.asarray(confidence, np.float32)
    if values.ndim != 2 or (values.size and (values.min() < 0 or values.max() > 1)):
        raise InputError(
            f"confidence_rgba: expected a map [height, width] in 0..1, got {list(values.shape)}."
        )
    out = np.empty((*values.shape, 4), np.uint8)
    out[..., :3] = _palette(CONFIDENCE_MAP)[np.round(values * 255).astype(np.uint8)]
    out[..., 3] = np.round(255 * alpha * np.clip((values - 0.02) / 0.23, 0, 1))
    if threshold is not None:
        for level, thickness, opacity in ((threshold * ALMOST, 1, 150), (threshold, 2, 255)):
            for line in contours(values, level):
                cv2.polylines(out, [line], True, (255, 255, 255, opacity), thickness, cv2.LINE_8)
    return out


def evidence_scale(values: np.ndarray) -> float:
    """The value that gets the full colour: the largest but for the last half percent; 0 where there is no
    evidence.
    """
    sizes = np.abs(np.asarray(values, np.float32))
    return float(np.quantile(sizes, 0.995)) or float(sizes.max(initial=0)) if sizes.size else 0.0


def evidence_rgba(values: np.ndarray, *, scale: float | None = None, alpha: float = 0.75) -> np.ndarray:
    """RGBA uint8 [h, w, 4] of signed evidence: orange speaks for, purple against, zero is clear.

    Args:
        values: [h, w], any unit.
        scale: the value with the full colour; None takes `evidence_scale`. Evidence has no unit that would be
            the same in every picture, so the scale has to stand beside the picture.
        alpha: the greatest opacity.

    Raises:
        InputError: the map is not [h, w].
    """
    values = np.asarray(values, np.float32)
    if values.ndim != 2:
        raise InputError(f"evidence_rgba: expected a map [height, width], got {list(values.shape)}.")
    scale = evidence_scale(values) if scale is None else scale
    share = np.clip(values / scale, -1, 1) if scale > 0 else np.zeros_like(values)
    out = np.empty((*values.shape, 4), np.uint8)
    # The palette runs from brown over orange and white to purple; its ends are too dark to be told from
    # shadows.
    place = np.where(share >= 0, 0.16 + 0.2 * (1 - share), 0.84 - 0.2 * (1 + share))
    out[..., :3] = _palette(EVIDENCE_MAP)[np.round(place * 255).astype(np.uint8)]
    out[..., 3] = np.round(255 * alpha * np.clip(np.abs(share) * 1.6, 0, 1))
    return out


def over(image: np.ndarray, rgba: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3]: the image with a layer of the same size laid over it; the image given is not
    changed.
    """
    opacity = rgba[..., 3:].astype(np.float32) / 255
    return np.round(image * (1 - opacity) + rgba[..., :3] * opacity).astype(np.uint8)


def contours(confidence: np.ndarray, level: float) -> list[np.ndarray]:
    """Outlines of the regions at or above `level`, int32 [n, 1, 2] (x, y) each; [] where nothing reaches
    it.
    """
    mask = (np.asarray(confidence) >= level).astype(np.uint8)
    lines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    return list(lines)
