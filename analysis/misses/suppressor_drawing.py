"""The suppressor graph of an image as SVG text: kept boxes, the boxes each of them ended, the objects that
come and go.
"""

from __future__ import annotations

import html

import numpy as np

from analysis.drawing.style import BLUE, GREY, STROKES, detection_stroke
from analysis.misses.suppressors import Moved
from analysis.runs.store import Run
from detector import boxes

LABELS = 3, 12
"""Lines that carry their IoU, around one object and in a whole image; more would cover each other."""


def suppressor_svg(
    run: Run, i: int, moved: Moved, *, picture: str = "", chosen: int | None = None, width: int = 560
) -> str:
    """Kept boxes solid blue, suppressed ones thin grey, a line from each to the box that ended it, with their
    IoU.

    Args:
        run: a Run; i: the image's position; moved: the image at the NMS IoU to show.
        picture: address of the picture, laid under the boxes at half strength; "" for none.
        chosen: a row of the truth table; only the edges on and around that object are drawn and carry a
            number.
        width: pixels across on screen, which decides the size of letters and lines.

    An image without edges gives the kept boxes alone.
    """
    size, g = tuple(int(v) for v in run.sizes[i]), moved.graph
    edges = np.arange(len(g))
    x, y, w, h = 0.0, 0.0, float(size[0]), float(size[1])
    if chosen is not None:
        near = boxes.iou(g.box, run.truth.xyxy[chosen])[:, 0]
        edges = np.argsort(-near, kind="stable")[: int((near > 0.1).sum())]
        x, y, w, h = _around(run.truth.xyxy[chosen], g.by_box[edges], size)
    unit = w / width  # image pixels a screen pixel
    parts = [
        f'<svg viewBox="{x:.1f} {y:.1f} {w:.1f} {h:.1f}" width="100%" role="img" aria-label="Who suppressed'
        ' whom" style="max-height:420px">'
    ]
    if picture:
        parts.append(
            f'<image href="{html.escape(picture, quote=True)}" x="0" y="0" width="{size[0]}"'
            f' height="{size[1]}" preserveAspectRatio="none" opacity="0.55"/>'
        )

    def box(b: np.ndarray, colour: str, stroke: float, dash: str = "", title: str = "") -> None:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(
            f'<rect x="{b[0]:.1f}" y="{b[1]:.1f}" width="{b[2] - b[0]:.1f}" height="{b[3] - b[1]:.1f}"'
            f' fill="transparent" stroke="{colour}"'
            f' stroke-width="{stroke * unit:.2f}"{dashes}><title>{html.escape(title)}</title></rect>'
        )

    names = run.class_map.names
    for e in edges.tolist():
        box(
            g.box[e],
            GREY,
            1.2,
            f"{4 * unit:.2f} {3 * unit:.2f}",
            f"{names[g.class_id[e]]} {g.score[e]:.2f}, suppressed",
        )
    for b, score, c in zip(moved.kept.xyxy, moved.kept.scores, moved.kept.class_ids):
        box(b, BLUE, 2, title=f"{names[c]} {score:.2f}, kept")
    marked = {int(j): detection_stroke("correct").colour for j in moved.back} | {
        int(j): STROKES["missed"].colour for j in moved.gone
    }
    if chosen is not None:
        marked.setdefault(chosen, STROKES["missed"].colour)
    for j, colour in sorted(marked.items()):
        word = "comes back" if j in moved.back else "is lost" if j in moved.gone else "the missed object"
        box(
            run.truth.xyxy[j],
            colour,
            2.5,
            f"{6 * unit:.2f} {4 * unit:.2f}",
            f"{names[run.truth.class_ids[j]]}: {word}",
        )
    numbered = LABELS[0] if chosen is not None else LABELS[1]
    for n, e in reversed(list(enumerate(edges.tolist()))):  # the nearest last, on top
        parts.append(
            _edge(
                g.box[e],
                g.by_box[e],
                float(g.iou[e]),
                unit,
                line=(n if chosen is not None else 0) if n < numbered else None,
            )
        )
    return "".join(parts) + "</svg>"


def _edge(box: np.ndarray, by: np.ndarray, iou: float, unit: float, *, line: int | None) -> str:
    """`line`: which line of text its number stands on above the suppressed box's centre; None for no
    number.
    """
    (ax, ay), (bx, by_) = _centre(box), _centre(by)
    path = (
        f'<line x1="{ax:.1f}" y1="{ay:.1f}" x2="{bx:.1f}" y2="{by_:.1f}" stroke="{BLUE}"'
        f' stroke-width="{1.5 * unit:.2f}"/>'
    )
    dots = (
        f'<circle cx="{ax:.1f}" cy="{ay:.1f}" r="{2.5 * unit:.2f}" fill="{GREY}"/><circle cx="{bx:.1f}"'
        f' cy="{by_:.1f}" r="{3.5 * unit:.2f}" fill="{BLUE}"/>'
    )
    if line is None:
        return path + dots
    size = 12 * unit
    text = (
        f'<text x="{ax + 4 * unit:.1f}" y="{ay - 4 * unit - 1.15 * size * line:.1f}" font-size="{size:.2f}"'
        f' fill="#111" stroke="#fff" stroke-width="{3 * unit:.2f}" paint-order="stroke">{iou:.2f}</text>'
    )
    return path + dots + text


def _centre(b: np.ndarray) -> tuple[float, float]:
    return float(b[0] + b[2]) / 2, float(b[1] + b[3]) / 2


def _around(box: np.ndarray, others: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """A window that holds the object and the boxes around it, with a margin, inside the picture: x, y, width,
    height.
    """
    every = np.concatenate([np.asarray(box, np.float64)[None], np.asarray(others, np.float64).reshape(-1, 4)])
    low, high = every[:, :2].min(axis=0), every[:, 2:].max(axis=0)
    margin = np.maximum(0.35 * (high - low), 16)
    low, high = np.maximum(low - margin, 0), np.minimum(high + margin, size)
    return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])
