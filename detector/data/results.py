"""COCO results files (detections as json) as columns, exactly as written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import DataError

LISTS = ("annotations", "predictions", "detections")


@dataclass(frozen=True, eq=False)
class Results:
    """D detections in file order.

    image_ids, category_ids: D ids as written; xywh: float64 [D, 4] as written; scores: float64 [D];
    file_names: image id -> file name, and categories: id -> name, where the file lists them, else empty.
    """

    path: str
    image_ids: list
    category_ids: list
    xywh: np.ndarray
    scores: np.ndarray
    file_names: dict[Any, str] = field(default_factory=dict)
    categories: dict[Any, str] = field(default_factory=dict)


def read_results(source: str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Results:
    """A list of {image_id, category_id, bbox, score}, or a dict with one under "annotations", "predictions"
    or "detections".

    Args:
        source: the file, or what it holds, parsed.

    Raises:
        DataError: not json, another layout, or an entry without its ids, four box numbers and score.
    """
    data, path = (
        (_read(source), str(source))
        if isinstance(source, (str, Path))
        else (source, "the detections handed over")
    )
    files: dict[Any, str] = {}
    categories: dict[Any, str] = {}
    entries = data
    if isinstance(data, Mapping):
        entries = next((data[key] for key in LISTS if isinstance(data.get(key), list)), None)
        files = {
            i["id"]: str(i["file_name"]) for i in data.get("images") or () if "id" in i and "file_name" in i
        }
        categories = {
            c["id"]: str(c["name"]) for c in data.get("categories") or () if "id" in c and "name" in c
        }
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        keys = (
            f"keys {', '.join(map(str, list(data)[:6]))}"
            if isinstance(data, Mapping)
            else f"a {type(data).__name__}"
        )
        raise DataError(
            f"expected a COCO results file, a list of image_id, category_id, bbox and score; found {keys}.",
            path=path,
        )
    if (
        entries
        and isinstance(entries[0], Mapping)
        and "score" not in entries[0]
        and "category_id" in entries[0]
    ):
        raise DataError(
            "expected detections with a score; this looks like ground truth (open it as a data set).",
            path=path,
        )
    for i, entry in enumerate(entries):
        if not isinstance(entry, Mapping) or not all(
            key in entry for key in ("image_id", "category_id", "bbox", "score")
        ):
            raise DataError(
                f"expected image_id, category_id, bbox and score in every entry, entry {i} is"
                f" {str(entry)[:80]}.",
                path=path,
            )
    xywh = _numbers([e["bbox"] for e in entries], 4, "bbox", path)
    scores = _numbers([e["score"] for e in entries], None, "score", path)
    return Results(
        str(path),
        [e["image_id"] for e in entries],
        [e["category_id"] for e in entries],
        xywh,
        scores,
        files,
        categories,
    )


def _read(path: str | Path) -> Any:
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file)
    except json.JSONDecodeError as error:
        raise DataError(f"expected a COCO results json: {error.msg}.", path=path, line=error.lineno) from None
    except FileNotFoundError:
        raise DataError("there is no such results file.", path=path) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the results file cannot be read: {error}.", path=path) from None


def _numbers(values: Sequence, width: int | None, key: str, path: str | Path) -> np.ndarray:
    shape = (len(values), width) if width else (len(values),)
    try:
        numbers = (
            np.array(values, np.float64).reshape(shape) if not len(values) else np.array(values, np.float64)
        )
        if numbers.shape == shape and np.isfinite(numbers).all():
            return numbers
    except (TypeError, ValueError):
        pass
    for i, value in enumerate(values):
        try:
            one = np.array(value, np.float64)
            fits = one.shape == shape[1:] and bool(np.isfinite(one).all())
        except (TypeError, ValueError):
            fits = False
        if not fits:
            want = f"{width} finite numbers" if width else "a finite number"
            raise DataError(
                f"expected {want} as {key} of every detection, entry {i} has {value!r}.", path=path
            )
    raise DataError(f"expected numbers as {key} of every detection.", path=path)
