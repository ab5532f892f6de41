"""Figures of a report as text that stands in the page itself: vector drawings, and pictures as JPEG."""

from __future__ import annotations

import base64
import html
import io
import os
import re
from typing import TYPE_CHECKING, Any

from analysis.drawing.render import render_detections
from analysis.matching.operating_point import Threshold
from analysis.runs.store import Run
from detector.errors import BoxscopeError, ImageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 720
"""Longer side of an embedded picture, in pixels."""


def vector(ax: Axes, words: str) -> str:
    """The figure of an Axes as inline SVG, named for readers who do not see it."""
    out = io.StringIO()
    ax.figure.savefig(out, format="svg", metadata={"Date": None})
    drawing = out.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    # Names inside several drawings of one page must differ: clip paths point to them.
    tag = re.sub(r"\W+", "-", words.lower())[:24]
    drawing = re.sub(r'id="([^"]+)"', rf'id="{tag}-\1"', drawing)
    drawing = re.sub(r'(href="#|url\(#)', rf"\g<1>{tag}-", drawing)
    return f'<figure role="img" aria-label="{html.escape(words)}">{drawing}</figure>'


def picture(run: Run, i: int, threshold: Threshold, iou: float) -> str:
    """Image i with its boxes, its name and operating point beneath; where it cannot be read, the reason."""
    name = html.escape(os.path.basename(run.files[i]) or run.sample_ids[i])
    try:
        drawn = render_detections(
            run.load_image(i),
            run.detections_of(i),
            threshold,
            annotations=run.annotations(i),
            class_map=run.class_map,
            iou=iou,
            side=SIDE,
            caption=True,
        )
        return (
            f'<figure class="picture"><img alt="{name}"'
            f' src="data:image/jpeg;base64,{_jpeg(drawn)}"><figcaption>{name}</figcaption></figure>'
        )
    except BoxscopeError as error:
        return (
            '<figure class="picture"><p'
            f' class="broken">{html.escape(error.message)}</p><figcaption>{name}</figcaption></figure>'
        )


def _jpeg(rgb: Any) -> str:
    import cv2

    ok, data = cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    if not ok:
        raise ImageError("A picture could not be made into a JPEG.")
    return base64.b64encode(data.tobytes()).decode()
