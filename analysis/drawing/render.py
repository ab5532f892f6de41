"""Boxes onto arrays, for thumbnails, crops and exports: the language of `style`, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from analysis.drawing.fonts import font_file
from analysis.drawing.labels import place_labels
from analysis.drawing.scene import Mark, build_scene
from analysis.drawing.style import Stroke
from analysis.matching.operating_point import Threshold
from detector.core import Annotations, ClassMap, Detections
from detector.errors import InputError

FONT = cv2.FONT_HERSHEY_SIMPLEX
_PLAIN = str.maketrans({"✓": "+", "✗": "x", "○": "o", "•": "."})
"""OpenCV's font knows ASCII only."""


def render_detections(
    image: np.ndarray,
    detections: Detections,
    threshold: Threshold = 0.5,
    classes: Iterable[str | int] | str | int | None = None,
    annotations: Annotations | None = None,
    class_map: ClassMap | None = None,
    iou: float = 0.5,
    *,
    side: int | None = None,
    labels: bool = True,
    show_below: bool = False,
    caption: bool = False,
) -> np.ndarray:
    """The image with its boxes drawn in, RGB uint8 [h, w, 3]; the image given is not changed.

    Args:
        image, detections, threshold, classes, annotations, class_map, iou, show_below: as
            `plots.plot_detections`; the image may be smaller than `detections.image_size` (a thumbnail),
            boxes are scaled to it.
        side: shrink the longer side to this many pixels; None keeps the size.
        labels: whether boxes are named.
        caption: add the operating point in small type beneath.

    Raises:
        InputError: the image is not RGB uint8, or a choice is unknown.
    """
    marks, point = build_scene(detections, threshold, classes, annotations, class_map, iou, show_below)
    out = draw_marks(image, marks, detections.image_size, side=side, labels=labels)
    words = str(point) if annotations is not None else str(point).split(" · ")[0]
    return add_caption(out, words) if caption else out


def draw_marks(
    image: np.ndarray,
    marks: list[Mark],
    image_size: tuple[int, int],
    *,
    side: int | None = None,
    labels: bool = True,
) -> np.ndarray:
    """Marks given in pixels of an image of `image_size` (W, H), drawn onto `image` (that size or smaller).

    Raises:
        InputError: the image is not RGB uint8.
    """
    canvas = _canvas(image, side)
    height, width = canvas.shape[:2]
    scale = np.array([width / image_size[0], height / image_size[1]] * 2)
    boxes = np.array([m.xyxy for m in marks], float).reshape(-1, 4) * scale
    weight = max(1, round(max(width, height) / 500))
    for mark, box in reversed(list(zip(marks, boxes))):
        _box(canvas, box, mark.stroke, weight)
        _corner_mark(canvas, box, mark.stroke, weight)
    if labels:
        _labels(canvas, marks, boxes)
    return canvas


def _canvas(image: np.ndarray, side: int | None) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(
            f"render: expected RGB uint8 [height, width, 3], got {image.dtype} {list(image.shape)}."
        )
    height, width = image.shape[:2]
    if side is not None and max(height, width) > side:
        scale = side / max(height, width)
        return cv2.resize(
            image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
        )
    return image.copy()


def _box(canvas: np.ndarray, box: np.ndarray, stroke: Stroke, weight: int) -> None:
    height, width = canvas.shape[:2]
    thickness = max(1, round(stroke.width * weight * (1.0 if max(width, height) < 900 else 0.7)))
    halo = 2 if stroke.alpha >= 1 and max(width, height) >= 320 else 0
    x1, y1, x2, y2 = (int(round(float(v))) for v in box)
    # A line on the border is drawn inside it, or half of it would be lost.
    inset = thickness // 2
    x1, y1 = max(x1, inset), max(y1, inset)
    x2, y2 = max(min(x2, width - 1 - inset), x1), max(min(y2, height - 1 - inset), y1)
    target = canvas if stroke.alpha >= 1 else canvas.copy()
    for colour, extra in (((255, 255, 255), halo), (stroke.rgb, 0)) if halo else ((stroke.rgb, 0),):
        for a, b in (((x1, y1), (x2, y1)), ((x2, y1), (x2, y2)), ((x2, y2), (x1, y2)), ((x1, y2), (x1, y1))):
            for start, end in _pieces(a, b, stroke, thickness):
                cv2.line(target, start, end, colour, thickness + extra, cv2.LINE_8)
    if target is not canvas:
        cv2.addWeighted(target, stroke.alpha, canvas, 1 - stroke.alpha, 0, dst=canvas)


def _pieces(
    a: tuple[int, int], b: tuple[int, int], stroke: Stroke, thickness: int
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The line from a to b, or its dashes."""
    if not stroke.dash:
        return [(a, b)]
    on, off = (max(2, round(v * thickness)) for v in stroke.dash)  # in line widths, as in matplotlib
    length = float(np.hypot(b[0] - a[0], b[1] - a[1]))
    if length == 0:
        return [(a, b)]
    step = np.array([b[0] - a[0], b[1] - a[1]]) / length
    out = []
    for start in np.arange(0, length, on + off):
        ends = np.round(np.array(a) + step * start), np.round(np.array(a) + step * min(start + on, length))
        out.append(tuple((int(p[0]), int(p[1])) for p in ends))
    return out


def _corner_mark(canvas: np.ndarray, box: np.ndarray, stroke: Stroke, weight: int) -> None:
    """The verdict's mark in the upper left corner, where the box has room for one."""
    size = 4 * weight + 2
    x, y = float(box[0]) + size + weight, float(box[1]) + size + weight
    if not stroke.mark or box[2] - box[0] < 5 * size or box[3] - box[1] < 5 * size:
        return
    centre = int(round(x)), int(round(y))
    half = size // 2 + 1

    def lines(*points: tuple[int, int]) -> None:
        path = np.array([(centre[0] + px, centre[1] + py) for px, py in points], np.int32)
        for colour, extra in (((255, 255, 255), 2), (stroke.rgb, 0)):
            cv2.polylines(canvas, [path], False, colour, weight + extra, cv2.LINE_AA)

    if stroke.mark == "✓":
        lines((-half, 0), (-half // 3, half), (half, -half))
    elif stroke.mark == "✗":
        lines((-half, -half), (half, half))
        lines((-half, half), (half, -half))
    else:
        hollow = stroke.mark == "○"
        cv2.circle(
            canvas,
            centre,
            half + (0 if hollow else -1),
            (255, 255, 255),
            weight + 2 if hollow else -1,
            cv2.LINE_AA,
        )
        cv2.circle(
            canvas,
            centre,
            half if hollow else max(half - 2, 1),
            stroke.rgb,
            weight if hollow else -1,
            cv2.LINE_AA,
        )


def _labels(canvas: np.ndarray, marks: list[Mark], boxes: np.ndarray) -> None:
    height, width = canvas.shape[:2]
    scale = float(np.clip(max(width, height) / 1300, 0.35, 1.6))
    thickness = max(1, round(scale * 1.3))
    order = sorted(range(len(marks)), key=lambda i: not marks[i].label)
    texts = [marks[i].label.translate(_PLAIN) for i in order]
    sizes = []
    for text in texts:
        w, h = _text_size(text, scale, thickness)
        sizes.append((w + 4.0, h + 2.0) if text else (width + 1.0, 0.0))
    for placed in place_labels(boxes[order], sizes, (width, height), margin=1):
        stroke = marks[order[placed.index]].stroke
        x1, y1, x2, y2 = (int(round(v)) for v in placed.xyxy)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), stroke.rgb, -1)
        ink = (17, 17, 17) if stroke.ink != "#FFFFFF" else (255, 255, 255)
        _put_text(canvas, texts[placed.index], (x1 + 2, y1 + 1), scale, ink, thickness)


def _text_size(text: str, scale: float, thickness: int) -> tuple[float, float]:
    """(width, height) of a label in pixels."""
    if text.isascii():
        (w, h), base = cv2.getTextSize(text, FONT, scale, thickness)
        return w, h + base
    left, _, right, bottom = _font(text, scale).getbbox(text)
    return right - left, bottom


def _put_text(
    canvas: np.ndarray,
    text: str,
    at: tuple[int, int],
    scale: float,
    ink: tuple[int, int, int],
    thickness: int,
) -> None:
    """Write a label with its upper left corner at a place; letters that OpenCV's font lacks in a font that
    has them.
    """
    x, y = at
    if text.isascii():
        (_, h), _ = cv2.getTextSize(text, FONT, scale, thickness)
        cv2.putText(canvas, text, (x, y + h + 1), FONT, scale, ink, thickness, cv2.LINE_AA)
        return
    image = Image.fromarray(canvas)
    ImageDraw.Draw(image).text((x, y), text, fill=ink, font=_font(text, scale))
    canvas[:] = np.asarray(image)


def _font(text: str, scale: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_file(text), max(8, round(30 * scale)))


def add_caption(image: np.ndarray, text: str) -> np.ndarray:
    """The picture with a white strip beneath that carries `text` in small type, in as many lines as it
    takes.
    """
    text = text.replace("≥", ">=").replace("·", "|").encode("ascii", "replace").decode()
    width, scale = image.shape[1], 0.4
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and cv2.getTextSize(longer, FONT, scale, 1)[0][0] <= width - 8:
            lines[-1] = longer
        else:
            lines.append(word)
    (_, h), base = cv2.getTextSize(text, FONT, scale, 1)
    strip = np.full((len(lines) * (h + base + 3) + 4, width, 3), 255, np.uint8)
    for n, line in enumerate(lines):
        cv2.putText(
            strip, line, (4, (n + 1) * (h + base + 3) - base), FONT, scale, (85, 85, 85), 1, cv2.LINE_AA
        )
    return np.concatenate([image, strip])


def crop(
    image: np.ndarray, xyxy: np.ndarray, *, around: float = 0.4, side: int = 160
) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    """The image around a box, for the pages' crops.

    Args:
        image: RGB uint8 [H, W, 3]; xyxy: the box in its pixels; around: margin as a share of the box's
            sides (at least 8 pixels); side: length of the longer side of the result.

    Returns:
        (crop uint8 [h, w, 3], the box in the crop's pixels). A box of no area gives its surroundings.
    """
    height, width = image.shape[:2]
    x1, y1, x2, y2 = (float(v) for v in xyxy)
    pad = max(8.0, around * max(x2 - x1, y2 - y1))
    left, top = int(max(0, x1 - pad)), int(max(0, y1 - pad))
    right, bottom = int(min(width, np.ceil(x2 + pad))), int(min(height, np.ceil(y2 + pad)))
    right, bottom = max(right, left + 1), max(bottom, top + 1)
    piece = image[top:bottom, left:right]
    scale = side / max(piece.shape[:2])
    size = max(1, round(piece.shape[1] * scale)), max(1, round(piece.shape[0] * scale))
    piece = cv2.resize(piece, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    sx, sy = size[0] / (right - left), size[1] / (bottom - top)
    return piece, ((x1 - left) * sx, (y1 - top) * sy, (x2 - left) * sx, (y2 - top) * sy)
