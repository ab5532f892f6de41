"""Create ML's JSON: a list of {"image", "annotations": [{"label", "coordinates": {x, y, width, height}}]}.

Format: https://developer.apple.com/documentation/createml/building-an-object-detector-data-source. x and y
are the box's centre, in pixels.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from detector.data.dataset import Dataset
from detector.data.files import folders_below, split_of
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.image_list import ImageList
from detector.errors import DataError, reason_of

_HEAD = 1 << 16


def read_createml(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """A Create ML JSON, or a folder with such files in it or in the folders in it (train/, valid/).

    Sample ids are the images' names, after the folder's name in folders of splits. An image with an empty
    list is known to hold nothing. Classes are in alphabetical order.

    Raises:
        DataError: there is none, or it is malformed.
    """
    return assemble(createml_draft(Path(path), images=images))


def is_createml(file: Path) -> bool:
    try:
        with open(file, "rb") as opened:
            head = opened.read(_HEAD).lstrip(b"\xef\xbb\xbf \r\n\t")
    except OSError:
        return False
    return head[:1] == b"[" and b'"annotation' in head and (b'"image"' in head or b'"imagefilename"' in head)


def find_createml(path: Path) -> list[Path]:
    """The Create ML files of a folder, else of the folders in it; the file itself."""
    if path.is_file():
        return [path] if is_createml(path) else []
    found: list[Path] = []
    for folder in folders_below(path, 1):
        if found and found[0].parent == path:
            break
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        jsons = (folder / name for name in names if name.lower().endswith(".json") and name[:1] != ".")
        found += [file for file in jsons if is_createml(file)]
    return found


def createml_draft(path: Path, *, images: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    files = find_createml(path)
    if not files:
        raise DataError(
            "expected Create ML's JSON (a list of image and annotations), there is none.", path=path
        )
    gathered = ImageList("createml", path, images)
    for file in files:
        folder = "" if path.is_file() or file.parent == path else file.parent.name
        split = split_of(file.stem) or split_of(folder)
        for entry in _entries(file):
            if not isinstance(entry, dict):
                raise DataError(f"expected an object per image, got {str(entry)[:40]!r}.", path=file)
            name = str(entry.get("image") or entry.get("imagefilename") or "")
            if not name:
                raise DataError(f"expected a name of the image, got {str(entry)[:60]!r}.", path=file)
            row = gathered.add_image(f"{folder}/{name}" if split_of(folder) else name, file, split=split)
            listed = entry.get("annotations", entry.get("annotation")) or []
            for one in listed if isinstance(listed, list) else [listed]:
                stated = one if isinstance(one, dict) else {}
                gathered.add_object(
                    row, str(stated.get("label") or ""), _box(stated.get("coordinates")), file
                )
    gathered.add_unlisted()
    return gathered.draft()


def _entries(file: Path) -> list[Any]:
    try:
        document = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(
            f"expected Create ML's JSON, it cannot be read: {reason_of(error)}.", path=file
        ) from None
    except json.JSONDecodeError as error:
        raise DataError("expected Create ML's JSON, it is malformed.", path=file, line=error.lineno) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"expected Create ML's JSON, it cannot be decoded ({error}).", path=file) from None
    if not isinstance(document, list):
        raise DataError("expected Create ML's list of images.", path=file)
    return document


def _box(coordinates: Any) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(coordinates[key]) for key in ("x", "y", "width", "height"))
    except (KeyError, TypeError, ValueError):
        return (math.nan,) * 4
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
