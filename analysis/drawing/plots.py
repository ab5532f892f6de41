"""Figures: boxes over an image with their verdicts."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from analysis.drawing.fonts import families
from analysis.drawing.labels import place_labels
from analysis.drawing.scene import Mark, build_scene, legend
from analysis.drawing.style import Stroke
from analysis.matching.operating_point import Threshold
from detector.core import Annotations, ClassMap, Detections
from detector.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL_POINTS = 7.5
SMALL_POINTS = 6.5


def plot_detections(
    image: np.ndarray,
    detections: Detections,
    threshold: Threshold = 0.5,
    classes: Iterable[str | int] | str | int | None = None,
    annotations: Annotations | None = None,
    ax: Axes | None = None,
    class_map: ClassMap | None = None,
    iou: float = 0.5,
    *,
    show_below: bool = False,
) -> Axes:
    """Draw an image with its boxes: predictions solid, ground truth dashed, verdicts by colour and mark.

    With `annotations`, predictions are matched with them (COCO's rule at `iou`): correct green with a tick,
    wrong vermilion with a cross, duplicate or ignored grey with a dot, missed objects purple and dashed with
    an open circle, found objects a thin green dashed line. Without, predictions are blue.

    Args:
        image: RGB uint8 [H, W, 3] (or grey [H, W]); never changed.
        detections: their boxes in this image's pixels; may be empty.
        threshold: confidence threshold, one number or one per class; lower boxes are not drawn.
        classes: names or ids to draw; None draws all. Verdicts do not depend on it.
        annotations: the image's ground truth.
        ax: where to draw; without it a new figure of the image's proportions.
        class_map: names of the classes of boxes that do not say their own (those of `detect` and of a Dataset
            do); without any, classes are numbers. Detections and annotations of different lists of classes
            are matched by name, with the aliases that runs use.
        show_below: also draw, thin and half transparent, what lies below the threshold.

    Returns:
        The Axes, its operating point in small type beneath. Labels never overlap one another or cover another
        object's centre; a box whose label finds no room has none.

    Raises:
        InputError: the image is no picture, or boxes belong to an image of another size.
    """
    import matplotlib.patheffects as effects
    from matplotlib.patches import Rectangle

    image = np.asarray(image)
    if image.ndim not in (2, 3) or 0 in image.shape[:2] or (image.ndim == 3 and image.shape[2] not in (3, 4)):
        raise InputError(f"plot_detections: expected an image [height, width, 3], got {list(image.shape)}.")
    height, width = image.shape[:2]
    for what, boxes in (("detections", detections), ("annotations", annotations)):
        if boxes is not None and tuple(boxes.image_size) != (width, height):
            raise InputError(
                f"plot_detections: the image is {width}x{height}, "
                f"the {what} are of an image of {boxes.image_size[0]}x{boxes.image_size[1]}."
            )
    marks, point = build_scene(detections, threshold, classes, annotations, class_map, iou, show_below)
    if ax is None:
        ax = _new_axes(width, height)
    ax.imshow(
        image,
        cmap="gray" if image.ndim == 2 else None,
        interpolation="nearest" if max(width, height) < 200 else "antialiased",
        extent=(0, width, height, 0),
    )
    ax.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(False)
    halo = [effects.Stroke(linewidth=0, foreground="white"), effects.Normal()]
    for mark in reversed(marks):  # the most important on top
        x1, y1, x2, y2 = mark.xyxy
        s = mark.stroke
        halo[0] = effects.Stroke(linewidth=s.width + 1.4, foreground="white", alpha=0.75 * s.alpha)
        ax.add_patch(
            Rectangle(
                (x1, y1),
                x2 - x1,
                y2 - y1,
                fill=False,
                edgecolor=s.colour,
                linewidth=s.width,
                linestyle=_dash(s),
                alpha=s.alpha,
                path_effects=list(halo),
                gid=f"{mark.side}:{mark.verdict}:{mark.index}",
                zorder=2,
            )
        )
    _labels(ax, marks, (width, height))
    n = sum(m.side == "prediction" and m.verdict != "below" for m in marks)
    words = "   ".join(
        [f"{n} prediction{'' if n == 1 else 's'}", *(s.key.replace(" ", "\u00a0") for s in legend(marks))]
    )
    _caption(ax, str(point) if annotations is not None else str(point).split(" · ")[0], words)
    return ax


def _caption(ax: Axes, *lines: str) -> None:
    """The operating point in small type under the picture, broken where the figure ends."""
    room = ax.figure.get_window_extent().width - ax.get_window_extent().x0
    letters = max(20, int(room / (0.56 * SMALL_POINTS * ax.figure.dpi / 72)))
    broken = [piece for line in lines for piece in textwrap.wrap(line, letters)]
    label = ax.set_xlabel("\n".join(broken), fontsize=SMALL_POINTS, color="#555555", loc="left", labelpad=3)
    label.set_parse_math(False)


def _dash(stroke: Stroke):
    return (0, stroke.dash) if stroke.dash else "solid"


def _new_axes(width: int, height: int) -> Axes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own: pyplot's would stay in memory, and is not safe in a server's threads.
    longest = 8.0
    scale = longest / max(width, height)
    figure = Figure(
        figsize=(max(width * scale, 3.2), max(height * scale, 2.0) + 0.45), dpi=110, layout="constrained"
    )
    FigureCanvasAgg(figure)
    return figure.add_subplot()


def _labels(ax: Axes, marks: list[Mark], picture: tuple[int, int]) -> None:
    """Labels measured in the axes' pixels, so that they are placed at the size they will have."""
    figure = ax.figure
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
    span = ax.get_window_extent()
    unit = picture[0] / max(span.width, 1.0)  # image pixels in one figure pixel
    em = LABEL_POINTS * figure.dpi / 72 * unit
    labelled = [m for m in marks if m.label]
    order = labelled + [m for m in marks if not m.label]
    sizes = [
        (em * (0.58 * len(m.label) + 0.5), em * 1.35) if m.label else (picture[0] + 1, 0.0) for m in order
    ]
    for placed in place_labels(np.array([m.xyxy for m in order]), sizes, picture, margin=em * 0.15):
        m = order[placed.index]
        x1, y1, x2, y2 = placed.xyxy
        ax.text(
            (x1 + x2) / 2,
            (y1 + y2) / 2,
            m.label,
            fontsize=LABEL_POINTS,
            color=m.stroke.ink,
            ha="center",
            va="center",
            zorder=3,
            fontfamily=list(families()),
            parse_math=False,
            gid=f"label:{m.side}:{m.index}",
            bbox={
                "boxstyle": "square,pad=0.12",
                "facecolor": m.stroke.colour,
                "edgecolor": "none",
                "alpha": 0.9,
            },
        )
