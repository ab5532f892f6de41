"""COCO annotation and results files as float64 columns, for figures that must equal pycocotools' to the bit.

`detector.data.formats.coco` reads the same files for looking at (float32, clipped to the image, problems
fixed). Here nothing is rounded, clipped or dropped that COCO's evaluation would count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import DataError

Source = str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class TruthColumns:
    """Annotations of N images and K categories, in file order.

    image_ids: N ids as written (int or str), distinct; sizes: int64 [N, 2] (W, H), 0 where unstated;
    category_ids, names: K; rows, classes: int64 [M], positions; xywh: float64 [M, 4] pixels;
    area: float64 [M], the box's where the file states none; crowd, difficult: bool [M].
    notes: sentences about what was left out.
    """

    path: str
    image_ids: list
    sizes: np.ndarray
    category_ids: list[int]
    names: list[str]
    rows: np.ndarray
    classes: np.ndarray
    xywh: np.ndarray
    area: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray
    notes: tuple[str, ...] = ()


def load(source: Source, what: str) -> tuple[Any, str]:
    """(what a source holds, what to call it); `what` it is to be, for messages.

    Raises:
        DataError: no such file, or not JSON.
    """
    if not isinstance(source, (str, Path)):
        return source, what
    try:
        with open(source, encoding="utf-8") as file:
            return json.load(file), str(source)
    except FileNotFoundError:
        raise DataError(f"There is no such {what} file.", path=source) from None
    except json.JSONDecodeError as error:
        raise DataError(f"Expected JSON, {error.msg}.", path=source, line=error.lineno) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The {what} file cannot be read: {error}.", path=source) from None


def _numbers(entries: Sequence[Mapping], key: str, width: int | None, path: str, what: str) -> np.ndarray:
    try:
        values = np.array([e[key] for e in entries], np.float64)
        good = (
            values.shape == ((len(entries), width) if width else (len(entries),))
            and np.isfinite(values).all()
        )
    except (KeyError, TypeError, ValueError):
        good = False
    if good or not len(entries):
        return values if len(entries) else np.zeros((0, width) if width else 0)
    for i, entry in enumerate(entries):
        try:
            value = np.array(entry[key], np.float64)
            ok = value.shape == ((width,) if width else ()) and bool(np.isfinite(value).all())
        except (KeyError, TypeError, ValueError):
            ok = False
        if not ok:
            got = entry.get(key, "nothing") if isinstance(entry, Mapping) else entry
            want = f"{width} finite numbers" if width else "a finite number"
            raise DataError(f'Expected {want} as "{key}" of every {what}, entry {i} has {got!r}.', path=path)
    raise DataError(f'Expected numbers as "{key}" of every {what}.', path=path)


def read_truth(source: Source) -> TruthColumns:
    """A COCO annotation file (or its parsed dict).

    Annotations of images or categories that the file does not list take no part, as in pycocotools; they are
    counted in the notes.

    Raises:
        DataError: not JSON, not a COCO annotation file, or an entry without its numbers.
    """
    data, path = load(source, "annotation")
    if not isinstance(data, Mapping) or not all(
        isinstance(data.get(k), list) for k in ("images", "annotations", "categories")
    ):
        raise DataError(
            'Expected a COCO annotation file with "images", "annotations" and "categories".', path=path
        )
    try:
        images = {i["id"]: (int(i.get("width") or 0), int(i.get("height") or 0)) for i in data["images"]}
        categories = {int(c["id"]): str(c.get("name", c["id"])) for c in data["categories"]}
        keys = [(a["image_id"], int(a["category_id"])) for a in data["annotations"]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"Expected an id in every image and category and both ids in every annotation: {error!r}.",
            path=path,
        ) from None
    image_at = {i: n for n, i in enumerate(images)}
    category_at = {c: k for k, c in enumerate(categories)}
    keep = [i in image_at and c in category_at for i, c in keys]
    notes = []
    if not all(keep):
        notes.append(
            f"{keep.count(False)} annotations of images or categories that the file does not list take no"
            " part."
        )
    entries = [a for a, k in zip(data["annotations"], keep) if k]
    keys = [x for x, k in zip(keys, keep) if k]
    xywh = _numbers(entries, "bbox", 4, path, "annotation")
    area = np.array([np.nan if a.get("area") is None else a["area"] for a in entries], np.float64)
    return TruthColumns(
        path,
        list(images),
        np.array(list(images.values()), np.int64).reshape(-1, 2),
        list(categories),
        list(categories.values()),
        np.array([image_at[i] for i, _ in keys], np.int64),
        np.array([category_at[c] for _, c in keys], np.int64),
        xywh,
        np.where(np.isnan(area), xywh[:, 2] * xywh[:, 3], area),
        np.array([bool(a.get("iscrowd")) for a in entries], bool),
        np.array([bool(a.get("difficult")) for a in entries], bool),
        tuple(notes),
    )
