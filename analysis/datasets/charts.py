"""The charts of a data set's figures, the same in the report and on the page."""

from __future__ import annotations

from analysis.datasets.anchor_reach import INPUT_SIZES, Reach
from analysis.datasets.summary import COCO_SIZES, SIDE_EDGES, Summary
from analysis.drawing.svg import columns, heat_map

_RATIO_NAMES = ("", "1:8", "1:5", "1:3", "1:2", "2:3", "4:5", "5:4", "3:2", "2:1", "3:1", "5:1", "8:1", "")
"""Names of `dataset_summary.RATIO_EDGES`; below the first and above the last lies everything else."""


def side_chart(summary: Summary) -> str:
    """Histogram of the boxes' relative size."""
    return columns(
        [f"{100 * edge:g}" for edge in SIDE_EDGES],
        summary.sides.counts,
        f"Relative size of {summary.measured:,} boxes",
        "% of the frame's side: square root of the share of its area",
    )


def coco_chart(summary: Summary) -> str:
    """Boxes by COCO's sizes."""
    words = ("small, under 32²", "medium, under 96²", "large")
    return columns(
        words,
        [summary.sizes[size] for size in COCO_SIZES],
        "Boxes by COCO's sizes",
        "square pixels of the picture",
    )


def ratio_chart(summary: Summary) -> str:
    """Histogram of aspect ratios."""
    return columns(
        _RATIO_NAMES,
        summary.ratios.counts,
        f"Aspect ratios of {summary.measured:,} boxes",
        "width : height in pixels",
    )


def centre_chart(summary: Summary) -> str:
    """Where the boxes' centres lie."""
    return heat_map(
        summary.centres,
        f"Where the centres of {summary.measured:,} boxes lie",
        f"centres of {summary.measured:,} boxes, every picture stretched to one frame",
    )


def per_image_chart(summary: Summary, most: int = 12) -> str:
    """Labelled images by their number of objects, in at most `most` columns of equal width."""
    tally = summary.per_image
    top = max(tally, default=0)
    step = max(1, -(-(top + 1) // most))
    counts = [sum(tally.get(k, 0) for k in range(first, first + step)) for first in range(0, top + 1, step)]
    labels = [str(first) if step == 1 else f"{first}–{first + step - 1}" for first in range(0, top + 1, step)]
    return columns(labels, counts, "Objects per image", "objects per image")


def reach_chart(reach: Reach) -> str:
    """Objects by their size at the network's input."""
    counts = [part.objects for part in reach.sizes]
    shown = [
        f"{name.removesuffix(' px and more').removesuffix(' px')}{'+' if name.endswith('more') else ''} px"
        for name in INPUT_SIZES
    ]
    return columns(
        shown,
        counts,
        "Objects by size at the network's input",
        f"square root of the area at an input of {reach.anchors.input_size[0]}x{reach.anchors.input_size[1]}",
    )
