"""Stanford Cars (Krause et al., 2013): 196 makes, models and years, one car a picture, in the layouts people
have.

- devkit: `cars_train/`, `cars_test/` and the devkit's `cars_train_annos.mat`, `cars_test_annos.mat` (without
  classes)
  or `cars_test_annos_withlabels.mat`, `cars_meta.mat`.
- the later single archive: `car_ims/` and `cars_annos.mat`.
- Kaggle's "by classes folder": `train/` and `test/` with a folder a class, `anno_train.csv`, `anno_test.csv`
  (file,
  x1, y1, x2, y2, class from 1; no header) and `names.csv`.

Boxes are MATLAB's: pixels from 1, the last one included. Measured on the devkit: the least x1 and y1 are 1,
hundreds of times, and never 0.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import folders_below, walk_pictures
from detector.data.formats.box_checks import Place
from detector.data.formats.class_names import look_alikes
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.stanford_cars_notes import (
    ALL_MAT,
    MATS,
    META_MAT,
    TABLES,
    TRAIN_MAT,
    Row,
    read_mats,
    read_tables,
)
from detector.data.formats.voc import ONE_BASED
from detector.data.images import read_header
from detector.errors import DataError, ImageError


@dataclass(frozen=True)
class Layout:
    """Where the files of one copy lie: `notes` holds the annotation files, `root` is searched for the
    pictures.
    """

    kind: str
    root: Path
    notes: Path


@dataclass
class _Found:
    """Pictures on disk by split: name -> path relative to the split's folder; None where there is no
    folder.
    """

    folder: dict[str, Path | None] = field(default_factory=dict)
    by_name: dict[str, dict[str, list[str]]] = field(default_factory=dict)


def find_stanford_cars(path: Path) -> Layout | None:
    """The layout in a folder (or of a .mat file or the devkit folder itself); None where it is not Stanford
    Cars.
    """
    if path.is_file():
        return Layout("devkit", path.parent.parent, path.parent) if path.name in (*MATS, META_MAT) else None
    for folder in folders_below(path, 2):
        if _holds(folder, MATS):
            return Layout("devkit", path if folder != path else _above_devkit(path), folder)
        if _holds(folder, ("names.csv",)) and _holds(folder, TABLES):
            return Layout("kaggle", folder, folder)
    return None


def _holds(folder: Path, names: Iterable[str]) -> bool:
    return any(os.path.isfile(os.path.join(folder, name)) for name in names)


def _above_devkit(folder: Path) -> Path:
    return (
        folder
        if any((folder / name).is_dir() for name in ("cars_train", "cars_test", "car_ims"))
        else folder.parent
    )


def read_stanford_cars(path: str | Path, *, images: str | Path | None = None, boxes: str = "keep") -> Dataset:
    """The data set with its official splits `train` and `test`; sample ids are "train/00001.jpg" in every
    layout.

    Pictures that are not there are left out and named. A picture whose box does not fit it because it was cut
    out along the box already ("already cropped") counts as unlabelled. Test pictures without a class (the
    devkit's `cars_test_annos.mat`) are unlabelled too.

    Args:
        path: the folder, its devkit folder, or one of the .mat files.
        images: the folder that holds the pictures' folders, where it is another one.
        boxes: "keep", or "ignore" for the classes alone: the whole picture stands in for every box.

    Raises:
        DataError: it is none of the layouts, or its files are malformed.
        UnavailableError: SciPy, which reads .mat files, is not installed.
    """
    draft = stanford_cars_draft(Path(path), images=images, boxes=boxes)
    draft.whole_frame = boxes == "ignore"
    return assemble(draft)


def stanford_cars_draft(path: Path, *, images: str | Path | None = None, boxes: str = "keep") -> Draft:
    path = Path(os.path.abspath(path))
    layout = find_stanford_cars(path)
    if layout is None:
        raise DataError(
            f"expected Stanford Cars: {TRAIN_MAT} with cars_train/, {ALL_MAT} with car_ims/, or"
            " anno_train.csv and names.csv with a folder a class.",
            path=path,
        )
    problems: list[Problem] = []
    rows, names = (read_tables if layout.kind == "kaggle" else read_mats)(layout.notes, problems)
    root = Path(os.path.abspath(images)) if images is not None else layout.root
    found = _find_pictures(layout, root, rows, problems)
    draft = _empty_draft(path, names, problems)
    sizes, labelled, boxed, classes, stated = [], [], [], [], []
    taken: set[str] = set()
    for row in rows:
        if found.folder[row.split] is None:
            continue
        sample_id = f"{row.split}/{os.path.basename(row.file)}"
        if sample_id in taken:
            problems.append(
                Problem(
                    "duplicate id",
                    f"{row.file} is listed twice; this entry is left out.",
                    *row.stated,
                    None,
                    True,
                )
            )
            continue
        taken.add(sample_id)
        file = _picture(row, names, found, sample_id, problems)
        if file is None:
            continue
        size, fits = _fit(row, file, sample_id, boxes, problems)
        known = 1 <= row.class_number <= len(names)
        if row.class_number and not known:
            problems.append(
                Problem(
                    "unknown class",
                    f"class {row.class_number} of {row.file} has no name, there are {len(names)} (1 to"
                    f" {len(names)}); the picture counts as unlabelled.",
                    *row.stated,
                    sample_id,
                    True,
                )
            )
        kept = known and (fits or boxes == "ignore")
        if kept:
            boxed.append((len(draft.sample_ids), row.box))
            classes.append(row.class_number - 1)
        draft.sample_ids.append(sample_id)
        draft.files.append(file)
        draft.splits.append(row.split)
        sizes.append(size)
        labelled.append(kept)
        stated.append(row.stated)
    draft.sizes, draft.labelled = np.array(sizes, np.int64).reshape(-1, 2), np.array(labelled, bool)
    draft.rows = np.array([i for i, _ in boxed], np.int64)
    draft.xyxy = np.array([box for _, box in boxed], np.float64).reshape(-1, 4)
    draft.class_ids = np.array(classes, np.int64)
    draft.annotation_file = lambda i: stated[i]
    draft.place = lambda k: Place(
        f"{names[classes[k]]!r}", *stated[boxed[k][0]], draft.sample_ids[boxed[k][0]]
    )
    if not draft.sample_ids:
        problems.append(
            Problem(
                "missing image folder",
                f"none of its {len(rows)} pictures was found (looked in {root}); name their folder with"
                " images= (on the command line: --images FOLDER).",
                str(path),
            )
        )
    return draft


def _empty_draft(path: Path, names: list[str], problems: list[Problem]) -> Draft:
    problems += look_alikes(names, str(path))
    try:
        class_map = ClassMap(tuple(names), tuple(range(1, len(names) + 1)))
    except ValueError as error:
        raise DataError(f"expected distinct class names, {error}", path=path) from None
    return Draft(
        name=path.stem if path.is_file() else path.name,
        format="stanford_cars",
        source=str(path),
        class_map=class_map,
        sample_ids=[],
        files=[],
        sizes=np.zeros((0, 2)),
        labelled=np.zeros(0, bool),
        splits=[],
        rows=np.zeros(0, np.int64),
        xyxy=np.zeros((0, 4)),
        class_ids=np.zeros(0, np.int64),
        place=lambda k: Place("the car"),
        shift=ONE_BASED,
        numbers=("x1, y1, x2, y2", "pixels"),
        problems=problems,
    )


def _picture(
    row: Row, names: list[str], found: _Found, sample_id: str, problems: list[Problem]
) -> str | None:
    """Where the picture of a line lies; None, with a problem, where it is not there."""
    folder, places = found.folder[row.split], found.by_name[row.split].get(os.path.basename(row.file), [])
    if not places:
        problems.append(
            Problem(
                "missing image",
                f"expected the picture {row.file} in {folder}, there is no such file; it is left out.",
                *row.stated,
                None,
                True,
            )
        )
        return None
    name = names[row.class_number - 1] if 1 <= row.class_number <= len(names) else ""
    own = [p for p in places if _plain(os.path.dirname(p)) == _plain(name)]
    best = (own or places)[0]
    if name and not own and os.path.dirname(best):
        problems.append(
            Problem(
                "names another file",
                f"{row.file} is of class {name!r} and lies in the folder {os.path.dirname(best)!r}; the"
                " annotation's class is used.",
                *row.stated,
                sample_id,
            )
        )
    return os.path.join(folder or "", best)


def _plain(name: str) -> str:
    """Letters and digits alone: a folder cannot be named like the class "Ram C/V Cargo Van Minivan 2012"."""
    return "".join(c for c in name.lower() if c.isalnum())


def _fit(
    row: Row, file: str, sample_id: str, boxes: str, problems: list[Problem]
) -> tuple[tuple[int, int], bool]:
    """(stored size of the picture, (0, 0) where unreadable; False where the box lies wholly outside it)."""
    try:
        size = read_header(file).stored_size  # MATLAB knows no EXIF: boxes relate to the stored pixels
    except ImageError:
        return (0, 0), True
    x1, y1, x2, y2 = row.box
    if not all(math.isfinite(v) for v in row.box):
        return size, False
    cropped = abs(x2 - x1 - size[0]) <= 1 and abs(y2 - y1 - size[1]) <= 1  # `assemble` names these
    said = "[" + ", ".join(f"{v:g}" for v in row.box) + "]"
    if not cropped and (x1 > size[0] or y1 > size[1]):
        if boxes != "ignore":
            problems.append(
                Problem(
                    "box outside",
                    f"expected a box in the picture of {size[0]}x{size[1]}, got {said}, wholly outside; it"
                    " counts as unlabelled.",
                    *row.stated,
                    sample_id,
                    True,
                )
            )
        return size, False
    return size, True


def _find_pictures(layout: Layout, root: Path, rows: list[Row], problems: list[Problem]) -> _Found:
    found = _Found()
    by_split: dict[str, list[str]] = {}
    for row in rows:
        by_split.setdefault(row.split, []).append(row.file)
    for split, files in by_split.items():
        if layout.kind == "kaggle":
            bases = [root / "car_data" / "car_data", root / "car_data", root]
            names = [split]
        else:
            bases = [root, root.parent]
            names = [f"cars_{split}", "car_ims"] if not files[0].startswith("car_ims/") else ["car_ims"]
        folders = [base / name / inner for base in bases for name in names for inner in (name, "")]
        folder = next((f for f in folders if f.is_dir()), None)
        found.folder[split], found.by_name[split] = folder, {}
        if folder is None:
            problems.append(
                Problem(
                    "missing image folder",
                    f"the folder {names[0]} with its {len(files)} pictures is not there; they are left out.",
                    str(root),
                    None,
                    None,
                    True,
                )
            )
            continue
        listed = (
            {os.path.basename(f) for files in by_split.values() for f in files}
            if names == ["car_ims"]
            else {os.path.basename(f) for f in files}
        )
        for name in walk_pictures(folder):
            found.by_name[split].setdefault(os.path.basename(name), []).append(name)
            if os.path.basename(name) not in listed:
                problems.append(
                    Problem(
                        "unlisted image",
                        "the picture is in no annotation file; it is left out.",
                        str(folder / name),
                        None,
                        None,
                        True,
                    )
                )
    return found
