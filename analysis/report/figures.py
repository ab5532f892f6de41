"""Figures of a report as text that stands in the page itself: vector drawings, and pictures as JPEG."""

from __future__ import annotations

import io
import os
import re
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from analysis.drawing.fonts import literal_text
from analysis.drawing.render import render_detections
from analysis.matching.operating_point import Threshold
from analysis.report import html as page
from analysis.runs.store import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 720
"""Longer side of an embedded picture, in pixels."""


def vector(ax: Axes, words: str) -> Markup:
    """The figure of an Axes as inline SVG, named for readers who do not see it."""
    out = io.StringIO()
    with literal_text():
        ax.figure.savefig(out, format="svg", metadata={"Date": None})
    drawing = out.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    # Names inside several drawings of one page must differ: clip paths point to them.
    tag = re.sub(r"\W+", "-", words.lower())[:24]
    drawing = re.sub(r'id="([^"]+)"', rf'id="{tag}-\1"', drawing)
    drawing = re.sub(r'(href="#|url\(#)', rf"\g<1>{tag}-", drawing)
    return page.drawing(drawing, words)


def picture(run: Run, i: int, threshold: Threshold, iou: float) -> Markup:
    """Image i with its boxes, its name and operating point beneath; where it cannot be read, the reason."""

    def drawn() -> np.ndarray:
        return render_detections(
            run.load_image(i),
            run.detections_of(i),
            threshold,
            annotations=run.annotations(i),
            class_map=run.class_map,
            iou=iou,
            side=SIDE,
            caption=True,
        )

    return page.picture(os.path.basename(run.files[i]) or run.sample_ids[i], drawn, quality=82)
