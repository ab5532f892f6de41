"""LabelMe: a JSON per image with "shapes" of points, beside the image.

Format: https://github.com/wkentaro/labelme, label_file.py and shape.py. Points are pixels counted as edges
from
0. A polygon, a circle and a mask's frame become the box around them.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from detector.data.dataset import Dataset, Problem
from detector.data.files import folders_below, split_of
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.image_list import ImageList
from detector.errors import DataError, reason_of

_HEAD = 4096
_DEPTH = 2


def read_labelme(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """A LabelMe JSON, or all of a folder and of the folders below it. Sample ids are the images' names, after
    the JSON's folder where it is not the data set's own.

    A JSON without shapes is an image known to hold nothing; an image without a JSON is unlabelled, and named.
    A JSON that cannot be read is named, its image counts as unlabelled. Classes are in alphabetical order.

    Raises:
        DataError: there is none.
    """
    return assemble(labelme_draft(Path(path), images=images))


def is_labelme(file: Path) -> bool:
    """By the first 4 KiB: "imageData" may be long and stand before everything else."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(_HEAD).lstrip(b"\xef\xbb\xbf \r\n\t")
    except OSError:
        return False
    return head[:1] == b"{" and (b'"shapes"' in head or b'"imagePath"' in head)


def find_labelme(path: Path, *, all_files: bool = False) -> list[Path]:
    """The LabelMe files of a folder and of those below it (by the first few of each folder, unless all are
    wanted); the file itself.
    """
    if path.is_file():
        return [path] if is_labelme(path) else []
    found: list[Path] = []
    for folder in folders_below(path, _DEPTH):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        jsons = [folder / name for name in names if name.lower().endswith(".json") and name[:1] != "."]
        found += [file for file in (jsons if all_files else jsons[:20]) if is_labelme(file)]
    return found


def labelme_draft(path: Path, *, images: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    files = find_labelme(path, all_files=True)
    if not files:
        raise DataError("expected LabelMe's JSON files (shapes, imagePath), there is none.", path=path)
    gathered = ImageList("labelme", path, images)
    for file in files:
        _read(file, gathered, path)
    gathered.add_unlisted()
    return gathered.draft()


def _read(file: Path, gathered: ImageList, path: Path) -> None:
    inner = "" if path.is_file() else os.path.relpath(file.parent, path).replace(os.sep, "/")
    split = next((s for part in reversed(inner.split("/")) if (s := split_of(part))), None)
    try:
        document = json.loads(file.read_bytes())
        shapes = document["shapes"]
        if not isinstance(shapes, list):
            raise TypeError
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = (
            reason_of(error) if isinstance(error, OSError) else "it is no LabelMe JSON with a list of shapes"
        )
        line = error.lineno if isinstance(error, json.JSONDecodeError) else None
        what = f"{why}; its image counts as unlabelled."
        gathered.problems.append(Problem("unreadable annotation", what, str(file), line, None, left_out=True))
        return
    name = str(document.get("imagePath") or f"{file.stem}.jpg").replace("\\", "/")
    row = gathered.add_image(
        _image_name(name, file, inner, path),
        file,
        size=(_side(document.get("imageWidth")), _side(document.get("imageHeight"))),
        split=split,
    )
    for shape in shapes:
        shape = shape if isinstance(shape, dict) else {}
        kind, label = str(shape.get("shape_type") or "polygon"), str(shape.get("label") or "")
        if kind not in ("rectangle", "polygon", "circle", "mask", "rotation", "oriented_rectangle"):
            gathered.leave_out(row, f"the {kind} {label!r}", file)
        else:
            gathered.add_object(row, label, _box(kind, shape.get("points")), file)


def _image_name(name: str, file: Path, inner: str, path: Path) -> str:
    """The image's path below the data set: as imagePath says, else its base name in the JSON's folder."""
    there = os.path.normpath(file.parent / name)
    if path.is_dir() and os.path.isfile(there) and Path(there).is_relative_to(path):
        return os.path.relpath(there, path).replace(os.sep, "/")
    return f"{inner}/{name.rsplit('/', 1)[-1]}" if inner not in ("", ".") else name


def _box(kind: str, points: Any) -> tuple[float, float, float, float]:
    """The box around the points; around the circle of a centre and a point of its edge."""
    try:
        xs, ys = ([float(point[axis]) for point in points] for axis in (0, 1))
        if kind == "circle":
            radius = math.hypot(xs[1] - xs[0], ys[1] - ys[0])
            return xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius
        return min(xs), min(ys), max(xs), max(ys)
    except (TypeError, ValueError, IndexError, KeyError):
        return (math.nan,) * 4


def _side(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and 0 < value < 1e9 else 0
