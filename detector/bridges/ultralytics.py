"""The result that an Ultralytics model gives for one image, read without that library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from detector.bridges.columns import Columns, array_of, make_columns
from detector.errors import InputError


def read(result: Any) -> tuple[Columns, tuple[tuple[str, int], ...]]:
    """(columns, (name, the file's number) of every class in order) of a `Results` object.

    Args:
        result: has boxes.xyxy, boxes.conf and boxes.cls (arrays or tensors), names (number -> name, or a
            list) and orig_shape (height, width). Its masks and keypoints have no place here.

    Raises:
        InputError: a result without upright boxes, or a class without a name.
    """
    what = "from_ultralytics"
    boxes = getattr(result, "boxes", None)
    if boxes is None:
        raise InputError(
            f"{what}: expected a result with boxes, this {type(result).__name__} has none (a classifier's, or"
            " rotated boxes); model(image) gives a list, take its entries."
        )
    given = result.names if isinstance(result.names, Mapping) else dict(enumerate(result.names))
    numbers = sorted(int(number) for number in given)
    names = _distinct([(str(given[number]), number) for number in numbers])
    classes = array_of(boxes.cls).reshape(-1).astype(np.int64)
    unknown = sorted(set(classes.tolist()) - set(numbers))
    if unknown:
        raise InputError(f"{what}: expected classes that names holds, class {unknown[0]} is not among them.")
    height, width = (int(v) for v in result.orig_shape[:2])
    places = np.searchsorted(np.array(numbers, np.int64), classes)
    columns = make_columns(array_of(boxes.xyxy), array_of(boxes.conf), places, (width, height), what)
    return columns, names


def _distinct(pairs: list[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """A name that is blank or occurs twice gets its number."""
    seen: set[str] = set()
    out = []
    for name, number in pairs:
        name = name if name.strip() and name not in seen else f"{name.strip() or 'class'} {number}"
        seen.add(name)
        out.append((name, number))
    return tuple(out)
