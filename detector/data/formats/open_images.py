"""Open Images' box tables: ImageID, LabelName, XMin, XMax, YMin, YMax as fractions of the image.

Format: https://storage.googleapis.com/openimages/web/download_v7.html. Class names come from a table
`*class-descriptions*.csv` ("/m/01yrx,Cat"); IsGroupOf is read as crowd.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from pathlib import Path

from detector.data.dataset import Dataset, Problem
from detector.data.files import folders_below, is_picture, split_of, walk_pictures
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.image_list import ImageList
from detector.errors import DataError, reason_of

_COLUMNS = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
_FLAGS = {"crowd": "IsGroupOf", "occluded": "IsOccluded", "truncated": "IsTruncated"}


def read_open_images(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """A box table, or the tables of a folder and of those in it. Sample ids are the ImageIDs.

    Splits come from the tables' names. An image below the folder that no table lists is unlabelled, and
    named. A decimal comma is read as a point. Classes are in alphabetical order.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    return assemble(open_images_draft(Path(path), images=images))


def find_open_images(path: Path) -> list[Path]:
    """The box tables of a folder and of the folders in it; the file itself."""
    if path.is_file():
        return [path] if _is_table(path) else []
    return [file for file in _csv_files(path) if _is_table(file)]


def _csv_files(path: Path) -> Iterator[Path]:
    for folder in folders_below(path, 1):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        yield from (folder / name for name in names if name.lower().endswith(".csv") and name[:1] != ".")


def _is_table(file: Path) -> bool:
    try:
        with open(file, encoding="utf-8-sig", errors="replace") as text:
            header = text.readline(4096).strip().split(",")
    except OSError:
        return False
    return set(_COLUMNS) <= {name.strip().strip('"') for name in header}


def open_images_draft(path: Path, *, images: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    files = find_open_images(path)
    if not files:
        raise DataError(f"expected Open Images' table with {', '.join(_COLUMNS)}, there is none.", path=path)
    gathered = ImageList("open_images", path, images)
    root = path.parent if path.is_file() else path
    shown = _class_names(root)
    base = Path(os.path.abspath(images)) if images is not None else root
    endings = {os.path.splitext(os.path.basename(name))[0]: name for name in walk_pictures(base)}
    for file in files:
        _read(file, gathered, shown, endings)
    gathered.add_unlisted()
    return gathered.draft(fractions=True)


def _class_names(root: Path) -> dict[str, str]:
    """LabelName -> what is shown, of the tables of class descriptions."""
    names: dict[str, str] = {}
    for file in _csv_files(root):
        if "class-descriptions" in file.name:
            with open(file, encoding="utf-8-sig", errors="replace", newline="") as text:
                names.update((row[0].strip(), row[1].strip()) for row in csv.reader(text) if len(row) >= 2)
    return names


def _read(file: Path, gathered: ImageList, shown: dict[str, str], endings: dict[str, str]) -> None:
    rows: dict[str, int] = {}
    try:
        with open(file, encoding="utf-8-sig", errors="replace", newline="") as text:
            table = csv.DictReader(text, skipinitialspace=True)
            for values in table:
                line, name = table.line_num, (values["ImageID"] or "").strip()
                if not name:
                    what = "expected an ImageID, got none; the line is left out."
                    gathered.problems.append(
                        Problem("malformed line", what, str(file), line, None, left_out=True)
                    )
                    continue
                if name not in rows:
                    picture = name if is_picture(name) else os.path.basename(endings.get(name, f"{name}.jpg"))
                    rows[name] = gathered.add_image(picture, file, line, split=split_of(file.name))
                label = (values["LabelName"] or "").strip()
                box = [_number(values[key]) for key in ("XMin", "YMin", "XMax", "YMax")]
                flags = {flag: (values.get(key) or "").strip() == "1" for flag, key in _FLAGS.items()}
                gathered.add_object(rows[name], shown.get(label, label), box, file, line, **flags)
    except (OSError, csv.Error) as error:
        why = reason_of(error) if isinstance(error, OSError) else str(error)
        raise DataError(f"expected Open Images' table, it cannot be read: {why}.", path=file) from None


def _number(text: str | None) -> float:
    try:
        return float((text or "nan").replace(",", "."))
    except ValueError:
        return math.nan
