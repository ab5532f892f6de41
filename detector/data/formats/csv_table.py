"""The TensorFlow tutorials' CSV: filename, width, height, class, xmin, ymin, xmax, ymax, one object a line.

These tables are made from VOC XML number by number (xml_to_csv.py), so they are read with VOC's rule: pixels
count from 1, and xmin..xmax name the first and the last one.
"""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path

import numpy as np

from detector.core import FLAGS, ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import Listing, split_of, subfolders, walk_pictures
from detector.data.formats.box_checks import Place
from detector.data.formats.class_names import look_alikes
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.voc import ONE_BASED
from detector.data.formats.writing import write_csv
from detector.errors import DataError, reason_of

__all__ = ["csv_draft", "find_csv", "read_csv", "write_csv"]

_ALIASES = {
    "file": ("filename", "file", "filepath", "image", "imagename", "imagepath", "imageid", "path", "img"),
    "class": ("class", "classname", "label", "labelname", "name", "category", "celltype", "object", "type"),
    "xmin": ("xmin", "x1", "left"),
    "ymin": ("ymin", "y1", "top"),
    "xmax": ("xmax", "x2", "right"),
    "ymax": ("ymax", "y2", "bottom"),
    "width": ("width", "imagewidth", "imgwidth"),
    "height": ("height", "imageheight", "imgheight"),
    "crowd": ("crowd", "iscrowd"),
    "difficult": ("difficult",),
    "truncated": ("truncated",),
    "occluded": ("occluded",),
    "split": ("split", "subset"),
}
_NEEDED = ("file", "class", "xmin", "ymin", "xmax", "ymax")


def read_csv(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """A CSV data set, or a folder of CSV files (train_labels.csv, test_labels.csv: each is a split).

    Column names are matched without case, blanks and "_"; "," ";" and tab separate. A line with a file name
    and nothing else is a picture known to hold nothing. Sample ids are the file names as written.

    Raises:
        DataError: no such table, or one of the needed columns is missing.
    """
    return assemble(csv_draft(Path(path), images=images))


def find_csv(path: Path) -> list[Path]:
    """The tables of a folder (or the file itself) whose header has the needed columns; where it has none,
    those of the folders in it (train/_annotations.csv, valid/_annotations.csv).

    Where some files' names speak of a split, those that do not are left aside: they hold the same again.
    """
    if path.is_file():
        return _tables([path])
    return _tables(_entries(path)) or [
        file for folder in subfolders(path) for file in _tables(_entries(folder))
    ]


def _entries(folder: Path) -> list[Path]:
    try:
        return [folder / n for n in sorted(os.listdir(folder)) if n.lower().endswith((".csv", ".tsv"))]
    except OSError:
        return []


def _tables(files: list[Path]) -> list[Path]:
    found = [p for p in files if p.suffix.lower() in (".csv", ".tsv") and not _missing(_header(p)[1])]
    splits = [p for p in found if split_of(p.name)]
    return splits or found


def _simple(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _header(file: Path) -> tuple[str, dict[str, int]]:
    """(delimiter, our column name -> position)."""
    try:
        with open(file, encoding="utf-8-sig", errors="replace", newline="") as text:
            first = text.readline()
    except OSError as error:
        raise DataError(f"expected a CSV, it cannot be read: {reason_of(error)}.", path=file) from None
    delimiter = max(",;\t", key=first.count)
    names = [_simple(n) for n in next(csv.reader([first], delimiter=delimiter), [])]
    columns = {}
    for column, aliases in _ALIASES.items():
        hit = next((names.index(a) for a in aliases if a in names), None)
        if hit is not None:
            columns[column] = hit
    return delimiter, columns


def _missing(columns: dict[str, int]) -> list[str]:
    return [c for c in _NEEDED if c not in columns]


class _Table:
    def __init__(self) -> None:
        self.row_of: dict[str, int] = {}
        self.sizes: list[tuple[int, int]] = []
        self.splits: list[str | None] = []
        self.stated: list[tuple[str, int]] = []
        self.rows: list[int] = []
        self.boxes: list[list[float]] = []
        self.names: list[str] = []
        self.places: list[tuple[str, int]] = []
        self.flags: dict[str, list[bool]] = {flag: [] for flag in FLAGS}
        self.problems: list[Problem] = []


def csv_draft(path: Path, *, images: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    files = find_csv(path)
    if not files:
        missing = _missing(_header(path)[1]) if path.is_file() else []
        needed = "filename, class, xmin, ymin, xmax, ymax"
        raise DataError(
            "expected a CSV with the columns"
            f" {needed}{'; missing: ' + ', '.join(missing) if missing else ', there is none'}.",
            path=path,
        )
    table = _Table()
    for file in files:
        folder = "" if file.parent == path or path.is_file() else file.parent.name
        own = split_of(
            folder
        )  # a folder of a split holds its images, whose names may occur in the others too
        _read_table(file, table, split_of(file.name) or own, f"{folder}/" if own else "")
    ids = list(table.row_of)
    classes = sorted(set(table.names))
    table.problems += look_alikes(classes, str(path))
    index = {name: k for k, name in enumerate(classes)}
    rows, places = table.rows, table.places
    return Draft(
        name=path.stem if path.is_file() else path.name,
        format="csv",
        source=str(path),
        class_map=ClassMap(tuple(classes)),
        sample_ids=ids,
        files=_locate(ids, path.parent if path.is_file() else path, images),
        sizes=np.array(table.sizes).reshape(-1, 2),
        labelled=np.ones(len(ids), bool),
        splits=table.splits,
        rows=np.array(rows, np.int64),
        xyxy=np.array(table.boxes, np.float64).reshape(-1, 4),
        class_ids=np.array([index[n] for n in table.names], np.int64),
        place=lambda k: Place(f"object {table.names[k]!r}", *places[k], ids[rows[k]]),
        flags={f: np.array(v, bool) for f, v in table.flags.items()},
        shift=ONE_BASED,
        numbers=("xmin, ymin, xmax, ymax", "pixels"),
        problems=table.problems,
        annotation_file=lambda i: table.stated[i],
    )


def _read_table(file: Path, table: _Table, split: str | None, prefix: str) -> None:
    delimiter, columns = _header(file)
    where = str(file)
    with open(file, encoding="utf-8-sig", errors="replace", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter)
        next(reader, None)
        end = 1
        try:
            for values in reader:
                line, end = end + 1, reader.line_num
                if any(v.strip() for v in values):
                    _read_line(values, columns, where, line, table, split, prefix)
        except csv.Error as error:
            table.problems.append(
                Problem(
                    "malformed line",
                    f"the table breaks off here ({error}).",
                    where,
                    reader.line_num,
                    None,
                    True,
                )
            )


def _read_line(
    values: list[str],
    columns: dict[str, int],
    where: str,
    line: int,
    table: _Table,
    split: str | None,
    prefix: str,
) -> None:
    def cell(name: str) -> str:
        k = columns.get(name)
        return values[k].strip() if k is not None and k < len(values) else ""

    file = cell("file").replace("\\", "/")
    if not file:
        table.problems.append(
            Problem(
                "malformed line",
                f"expected a file name, got {values[:8]}; the line is left out.",
                where,
                line,
                None,
                True,
            )
        )
        return
    if prefix:  # an absolute path of another machine says nothing of the folder here
        file = prefix + (os.path.basename(file) if file[:1] == "/" or file[1:2] == ":" else file)
    size = (_whole(cell("width")), _whole(cell("height")))
    own = cell("split").lower()
    row = table.row_of.setdefault(file, len(table.row_of))
    if row == len(table.sizes):
        table.sizes.append(size)
        table.splits.append(split_of(own) or split)
        table.stated.append((where, line))
    elif size != table.sizes[row] and 0 not in size:
        said = table.sizes[row]
        table.problems.append(
            Problem(
                "wrong size",
                f"this line says {size[0]}x{size[1]} for {file}, line {table.stated[row][1]} said"
                f" {said[0]}x{said[1]}.",
                where,
                line,
                file,
            )
        )
    corners = [cell(c) for c in ("xmin", "ymin", "xmax", "ymax")]
    name = " ".join(cell("class").split())
    if not name and not any(corners):
        return
    if not name:
        table.problems.append(
            Problem("unknown class", "the object has no class; it is left out.", where, line, file, True)
        )
        return
    table.rows.append(row)
    table.names.append(name)
    table.boxes.append([_number(c) for c in corners])
    table.places.append((where, line))
    for flag in FLAGS:
        table.flags[flag].append(cell(flag).lower() in ("1", "true", "yes"))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _whole(text: str) -> int:
    value = _number(text)
    return int(value) if math.isfinite(value) and value > 0 else 0


def _locate(names: list[str], folder: Path, images: str | Path | None) -> list[str]:
    """Absolute paths: as written, in the usual folders, else anywhere below by base name."""
    listing = Listing()
    if images is not None:
        roots = [Path(os.path.abspath(images))]
    else:
        roots = [
            base / inner
            for base in (folder, folder.parent)
            for inner in ("", "images", "JPEGImages", "train", "test")
        ]

    def hits(root: Path) -> int:
        return sum(listing.has(root / name) for name in names[:: max(1, len(names) // 20)])

    best = max(roots, key=hits)
    files = [
        str(root / name) if (root := next((r for r in (best, *roots) if listing.has(r / name)), None)) else ""
        for name in names
    ]
    if not all(files):
        base = roots[0]
        below: dict[str, str] = {}
        for name in walk_pictures(base) if base.is_dir() else []:
            below.setdefault(os.path.basename(name), str(base / name))
        files = [
            f or below.get(os.path.basename(name), "") or str(best / name) for f, name in zip(files, names)
        ]
    return files
