"""`supervision.Detections` (https://supervision.roboflow.com), both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from detector.bridges.columns import Columns, make_columns
from detector.errors import InputError, UnavailableError

NAMES = "class_name"
"""Where supervision keeps class names, among its `data`."""


def read(found: Any, image_size: tuple[int, int], class_names: Sequence[str] | None) -> Columns:
    """The rows of a `supervision.Detections`, or of anything with xyxy, confidence, class_id and data.

    Args:
        found: its masks, tracker ids and further data have no place here and are not taken over.
        image_size: (W, H) of the image, which supervision does not keep.
        class_names: K names. Where the rows bring names, these choose the class; else `class_id` counts them.

    Raises:
        InputError: no scores, no classes, or a class that `class_names` lacks.
    """
    what = "supervision"
    rows = len(found.xyxy)
    for name, why in (
        ("confidence", "boxes without scores are no detections; give them one with confidence=..."),
        ("class_id", "give each box its class with class_id=..."),
    ):
        if rows and getattr(found, name, None) is None:
            raise InputError(f"{what}: expected {name} for {rows} boxes, got None; {why}")
    if not rows:
        return make_columns(found.xyxy, [], [], image_size, what)
    names = (getattr(found, "data", None) or {}).get(NAMES)
    ids = np.asarray(found.class_id)
    if class_names is not None and names is not None:
        ids = _by_name([str(name) for name in names], class_names)
    elif class_names is not None and (ids.min() < 0 or ids.max() >= len(class_names)):
        row = int(np.argmax((ids < 0) | (ids >= len(class_names))))
        raise InputError(
            f"{what}: expected class_id 0..{len(class_names) - 1}, as class_map has {len(class_names)}"
            f" classes, row {row} is {ids[row]}."
        )
    return make_columns(found.xyxy, found.confidence, ids, image_size, what)


def _by_name(names: Sequence[str], class_names: Sequence[str]) -> np.ndarray:
    place = {name: i for i, name in enumerate(class_names)}
    unknown = sorted({name for name in names if name not in place})
    if unknown:
        raise InputError(
            f"supervision: expected the classes of class_map, {len(unknown)} are not among them:"
            f" {', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}."
        )
    return np.array([place[name] for name in names])


def write(
    xyxy: np.ndarray, scores: np.ndarray, class_ids: np.ndarray, class_names: Sequence[str] | None
) -> Any:
    """A `supervision.Detections` of copies of these columns, with names where they are known.

    Raises:
        UnavailableError: supervision is not installed.
    """
    try:
        import supervision  # for cost, and because only this needs it
    except ImportError as error:
        raise UnavailableError(
            f"to_supervision needs supervision, which cannot be imported here ({error});"
            " pip install supervision."
        ) from error
    names = None if class_names is None else np.array([class_names[i] for i in class_ids], dtype=str)
    return supervision.Detections(
        xyxy=xyxy.copy(),
        confidence=scores.copy(),
        class_id=class_ids.astype(int),
        data={} if names is None else {NAMES: names},
    )
