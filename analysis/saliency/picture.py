"""A heat map over its image, with the object it is about; what the page shows and `boxscope explain`
writes.
"""

from __future__ import annotations

import cv2
import numpy as np

from analysis.drawing.render import add_caption, draw_marks
from analysis.drawing.scene import Mark
from analysis.drawing.style import STROKES
from analysis.saliency.colour import confidence_rgba, evidence_rgba, evidence_scale, over
from analysis.saliency.heatmap import HeatMap
from analysis.saliency.targets import SIDES

AROUND = 3.0
"""Sides of the part of the image that is shown, in units of the object's: what D-RISE masks."""


def part_of(
    image_size: tuple[int, int],
    box: np.ndarray | None,
    around: float = AROUND,
    least: int = 64,
    tallest: float = 1.2,
) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the part of an image to show around a box; the whole image without one.

    Args:
        around: its sides in units of the box's; least: pixels a side at least.
        tallest: height over width at most, where the image is wide enough: more of what lies beside a tall
            box.
    """
    width, height = image_size
    if box is None:
        return 0, 0, width, height
    x1, y1, x2, y2 = (float(v) for v in box)
    half_w, half_h = max((x2 - x1) * around, least) / 2, max((y2 - y1) * around, least) / 2
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    tall = min(height, cy + half_h) - max(0, cy - half_h)
    if half_w < tall / tallest / 2:
        half_w = tall / tallest / 2
        # Moved into the image, so that what is cut off at one side is shown at the other; the box stays
        # within.
        cx = min(max(cx, half_w), width - half_w) if 2 * half_w < width else width / 2
    left, top = int(np.clip(cx - half_w, 0, width - 1)), int(np.clip(cy - half_h, 0, height - 1))
    return (
        left,
        top,
        max(left + 1, min(width, int(np.ceil(cx + half_w)))),
        max(top + 1, min(height, int(np.ceil(cy + half_h)))),
    )


def heat_picture(
    image: np.ndarray,
    heat: HeatMap,
    *,
    opacity: float = 0.75,
    part: tuple[int, int, int, int] | None = None,
    width: int | None = None,
    box: np.ndarray | None = None,
    verdict: str = "unjudged",
    threshold: float | None = None,
    caption: str = "",
) -> np.ndarray:
    """RGB uint8: the image, the map over it, the object's box.

    Args:
        image: RGB uint8 [H, W, 3] of the map's `image_size`.
        opacity: of the strongest evidence. A map on the way is drawn as faint as it is unreliable.
        part: of the image, pixels; None is all of it. width: enlarge or shrink it to this; None keeps it.
        box: to draw; None takes the target's. verdict: one of `analysis.drawing.style.STROKES`, decides the
            line.
        threshold: of a confidence map: drawn as a contour.
        caption: a line beneath, in small type.
    """
    target_box = heat.target.box if heat.target is not None else None
    box = target_box if box is None else np.asarray(box, np.float64)
    x1, y1, x2, y2 = part or (0, 0, image.shape[1], image.shape[0])
    values = heat.full()[y1:y2, x1:x2]
    scale = evidence_scale(heat.values)
    seen = np.ascontiguousarray(image[y1:y2, x1:x2])
    if width is not None and width != x2 - x1:
        size = (width, max(1, round((y2 - y1) * width / (x2 - x1))))
        grow = cv2.INTER_CUBIC if width > x2 - x1 else cv2.INTER_AREA
        seen, values = (
            cv2.resize(seen, size, interpolation=grow),
            cv2.resize(values, size, interpolation=cv2.INTER_LINEAR),
        )
    if heat.unit == "confidence":
        layer = confidence_rgba(np.clip(values, 0, 1), threshold, alpha=opacity)
    else:
        if heat.reliability is not None and not heat.done:
            opacity *= max(0.25, heat.reliability)
        layer = evidence_rgba(values, scale=scale, alpha=opacity)
    out = over(seen, layer)
    if box is not None:
        zoom = out.shape[1] / (x2 - x1)
        placed = (np.asarray(box) - np.array([x1, y1, x1, y1])) * zoom
        out = draw_marks(
            out,
            [Mark(tuple(placed.tolist()), STROKES[verdict], "", "truth", verdict, 0)],
            (out.shape[1], out.shape[0]),
            labels=False,
        )
    return add_caption(out, caption) if caption else out


def reading(heat: HeatMap, name: str = "it", rival: str = "") -> str:
    """How to read the colours of an evidence map, in one sentence.

    Args:
        name: of the class asked about; rival: the class it is held against, "" without one.
    """
    if heat.target is not None and heat.target.sides is not None:
        what = "the box" if len(heat.target.sides) > 1 else f"its {SIDES[int(heat.target.sides[0])]} side"
        return (
            f"Orange holds {what} out, purple draws it in."
            if heat.signed
            else f"Orange holds {what} out; this method shows nothing of what draws it in."
        )
    if rival:
        return f"Orange speaks for {name} rather than {rival}, purple for {rival}."
    return (
        "Orange speaks for it, purple against."
        if heat.signed
        else "Orange speaks for it; this method shows nothing against."
    )


def figures(heat: HeatMap) -> str:
    """What stands beside the map: evidence, how sure, what it cost."""
    words = []
    kind = "score" if heat.unit.startswith("score") else "logit"
    if heat.value is not None and (heat.target is None or heat.target.sides is None):
        words.append(
            f"{kind} {heat.value:.2f}"
            + (
                f" (with nothing shown {heat.baseline:.2f})"
                if heat.method == "integrated_gradients" and heat.baseline is not None
                else ""
            )
        )
    if heat.reliability is not None:
        words.append(
            f"reliability {heat.reliability:.2f} after {heat.params.get('masks', 0)} masks, seed {heat.seed}"
        )
    if heat.completeness is not None:
        words.append(
            f"completeness error {100 * heat.completeness:.1f} % in {heat.params.get('steps', 0)} steps"
        )
    cost = f"{heat.forwards} forward" + (f" and {heat.backwards} backward" if heat.backwards else "")
    words.append(f"{cost} pass{'es' if heat.forwards + heat.backwards != 1 else ''}, {heat.seconds:.1f} s")
    return " · ".join(words)
