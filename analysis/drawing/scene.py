"""What there is to draw over one image: boxes with their strokes and labels, most important first.

Both ways of drawing (matplotlib in `plots`, arrays in `render`) draw this, so they cannot differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from analysis.drawing.style import STROKES, Stroke, detection_stroke, label_text, object_stroke
from analysis.matching.counts import verdicts
from analysis.matching.match import match
from analysis.matching.operating_point import OperatingPoint, Threshold, class_thresholds
from analysis.queries import class_ids_of
from analysis.runs.classes import UnifiedClasses, one_label_space
from detector.core import Annotations, ClassMap, Detections
from detector.errors import InputError


@dataclass(frozen=True)
class Mark:
    """One box to draw.

    Args:
        xyxy: four numbers in pixels of the upright image.
        stroke: how its line looks.
        label: its text; "" for none.
        side: "prediction" or "truth".
        verdict: the word behind the stroke.
        index: its row in the Detections or Annotations.
    """

    xyxy: tuple[float, float, float, float]
    stroke: Stroke
    label: str
    side: str
    verdict: str
    index: int


_ORDER = {
    "missed": 0,
    "wrong": 1,
    "correct": 2,
    "unjudged": 2,
    "duplicate": 3,
    "ignored": 4,
    "truth": 5,
    "found": 6,
    "below": 7,
}


def build_scene(
    detections: Detections,
    threshold: Threshold = 0.5,
    classes: Iterable[str | int] | str | int | None = None,
    annotations: Annotations | None = None,
    class_map: ClassMap | None = None,
    iou: float = 0.5,
    show_below: bool = False,
) -> tuple[list[Mark], OperatingPoint]:
    """The boxes of one image with their verdicts, and the operating point they hold at.

    Matching uses every box; `classes` only narrows what is drawn, so a filter never changes a verdict.

    Args:
        threshold: one number, or one per class.
        classes: names (these need `class_map`) or ids; None means all.
        annotations: ground truth; without it predictions are drawn unjudged.
        class_map: the classes of boxes that do not say their own; without any a class is shown by its id.
        show_below: whether predictions under the threshold are drawn, thin and half transparent.

    Raises:
        InputError: a class is unknown, names come without a class map, or a number is out of range.
    """
    space = one_label_space([detections], [annotations], class_map)
    detections, class_map = space.detections[0], space.class_map
    if space.unified is not None:
        threshold, classes = _in_space(threshold, classes, space.unified)
    highest = max(
        detections.class_ids.max(initial=-1),
        -1 if annotations is None else annotations.class_ids.max(initial=-1),
    )
    k = max(
        int(highest) + 1,
        len(class_map) if class_map is not None else 0,
        0 if np.ndim(threshold) == 0 else len(np.atleast_1d(threshold)),
    )
    thresholds = class_thresholds(threshold, k)
    wanted = _wanted(classes, class_map, k)
    names = [
        class_map.names[c] if class_map is not None and c < len(class_map) else f"class {c}" for c in range(k)
    ]
    kept = detections.scores >= thresholds[detections.class_ids]
    if annotations is None:
        judged = np.where(kept, "unjudged", "below")
        found = np.zeros(0, str)
    else:
        m = match(detections, annotations, iou=iou)
        judged, found = verdicts(m, thresholds[: m.num_classes])
    marks = []
    for i in np.flatnonzero((kept | show_below) & wanted[detections.class_ids]).tolist():
        stroke = detection_stroke(str(judged[i]))
        text = (
            label_text(names[detections.class_ids[i]], float(detections.scores[i]), stroke.mark)
            if kept[i]
            else ""
        )
        marks.append(Mark(tuple(detections.xyxy[i].tolist()), stroke, text, "prediction", str(judged[i]), i))
    if annotations is not None:
        for i in np.flatnonzero(wanted[annotations.class_ids]).tolist():
            stroke = object_stroke(str(found[i]))
            text = (
                label_text(names[annotations.class_ids[i]], mark=stroke.mark) if found[i] == "missed" else ""
            )
            marks.append(Mark(tuple(annotations.xyxy[i].tolist()), stroke, text, "truth", str(found[i]), i))
    marks.sort(key=lambda mark: _ORDER.get(mark.verdict, 5))
    point = threshold if np.ndim(threshold) == 0 else tuple(thresholds.tolist())
    return marks, OperatingPoint(point, iou)


def _in_space(
    threshold: Threshold, classes: Iterable[str | int] | str | int | None, unified: UnifiedClasses
) -> tuple[Threshold, Iterable[str | int] | str | int | None]:
    """Thresholds and class names that were said in the detector's classes, in the joined ones."""
    if np.ndim(threshold) and len(np.atleast_1d(threshold)) == len(unified.from_detector):
        joined = np.full(len(unified.class_map), 0.5, np.float32)
        joined[unified.from_detector] = threshold
        threshold = joined
    if classes is not None:
        chosen = [classes] if isinstance(classes, (str, int, np.integer)) else list(classes)
        named = {link.detector: link.class_id for link in unified.links}
        known = unified.class_map
        classes = [c if not isinstance(c, str) or c in known else named.get(c, c) for c in chosen]
    return threshold, classes


def _wanted(classes, class_map: ClassMap | None, k: int) -> np.ndarray:
    wanted = np.ones(k, bool)
    if classes is None:
        return wanted
    if isinstance(classes, (str, int, np.integer)):
        classes = [classes]
    classes = list(classes)
    if class_map is None and any(isinstance(c, str) for c in classes):
        raise InputError(
            "classes: names need class_map=, so that they can be distinguished from ids; pass the detector's"
            " info.class_map."
        )
    ids = class_ids_of(class_map, classes) if class_map is not None else [int(c) for c in classes]
    if min(ids, default=0) < 0:
        raise InputError(f"classes: expected ids of 0 and more, got {min(ids)}.")
    wanted[:] = False
    wanted[[c for c in ids if c < k]] = True
    return wanted


def legend(marks: list[Mark]) -> list[Stroke]:
    """The strokes that occur, in the order of `STROKES`."""
    present = {mark.stroke.word for mark in marks}
    return [stroke for stroke in STROKES.values() if stroke.word in present]
