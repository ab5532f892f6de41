"""The annotation files of Stanford Cars: rows and class names from MATLAB files or from Kaggle's tables."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detector.data.dataset import Problem
from detector.errors import DataError, UnavailableError, reason_of

TRAIN_MAT, TEST_MAT, LABELLED_TEST_MAT = (
    "cars_train_annos.mat",
    "cars_test_annos.mat",
    "cars_test_annos_withlabels.mat",
)
ALL_MAT, META_MAT = "cars_annos.mat", "cars_meta.mat"
MATS = (TRAIN_MAT, TEST_MAT, LABELLED_TEST_MAT, ALL_MAT)
TABLES = ("anno_train.csv", "anno_test.csv")


@dataclass
class Row:
    """One line of an annotation file, as it stands; class 0 where it states none."""

    split: str
    file: str
    box: tuple[float, float, float, float]
    class_number: int
    stated: tuple[str, int | None]


def read_mats(folder: Path, problems: list[Problem]) -> tuple[list[Row], list[str]]:
    names: list[str] = []
    rows: list[Row] = []
    if (folder / ALL_MAT).is_file() and not (folder / TRAIN_MAT).is_file():
        content = _load_mat(folder / ALL_MAT)
        names = _names_of(content, folder / ALL_MAT)
        rows = _mat_rows(content, folder / ALL_MAT, None)
    else:
        if (folder / META_MAT).is_file():
            names = _names_of(_load_mat(folder / META_MAT), folder / META_MAT)
        test = LABELLED_TEST_MAT if (folder / LABELLED_TEST_MAT).is_file() else TEST_MAT
        for file, split in ((folder / TRAIN_MAT, "train"), (folder / test, "test")):
            if file.is_file():
                rows += _mat_rows(_load_mat(file), file, split)
    if not names:
        top = max((row.class_number for row in rows), default=0)
        names = [f"class {k}" for k in range(1, top + 1)]
        problems.append(
            Problem(
                "no class names",
                f"expected {META_MAT} with the class names, it is not there; classes are numbered 1 to"
                f" {top}.",
                str(folder),
            )
        )
    bare = [row for row in rows if not row.class_number]
    if bare:
        problems.append(
            Problem(
                "no annotation",
                f"it states boxes and no classes; its {len(bare)} pictures count as unlabelled."
                f" {LABELLED_TEST_MAT} has the classes.",
                bare[0].stated[0],
            )
        )
    return rows, names


def _load_mat(file: Path) -> dict[str, Any]:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise UnavailableError(
            "SciPy reads Stanford Cars' .mat files and is not installed; run `pip install scipy`.", path=file
        ) from None
    try:
        return loadmat(file, squeeze_me=True)
    except OSError as error:
        raise DataError(
            f"expected a MATLAB file, it cannot be read: {reason_of(error)}.", path=file
        ) from None
    # scipy raises ValueError, MatReadError, NotImplementedError, zlib.error, ... on damaged files
    except Exception as error:
        raise DataError(
            "expected a MATLAB 5 file, its content is damaged or of another version"
            f" ({str(error).splitlines()[0] if str(error) else type(error).__name__}).",
            path=file,
        ) from None


def _names_of(content: dict[str, Any], file: Path) -> list[str]:
    if "class_names" not in content:
        raise DataError("expected the variable class_names, it is not in the file.", path=file)
    return [" ".join(str(name).split()) for name in np.atleast_1d(content["class_names"])]


def _mat_rows(content: dict[str, Any], file: Path, split: str | None) -> list[Row]:
    table = np.atleast_1d(content.get("annotations", np.zeros(0)))
    fields = table.dtype.names or ()
    name = next((n for n in ("fname", "relative_im_path") if n in fields), None)
    if name is None or not {"bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"} <= set(fields):
        raise DataError(
            "expected the variable annotations with bbox_x1, bbox_y1, bbox_x2, bbox_y2 and fname, got"
            f" {', '.join(fields) or 'none'}.",
            path=file,
        )
    rows = []
    for entry in table:
        box = tuple(_number(entry[f]) for f in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2"))
        own = split or ("test" if "test" in fields and _number(entry["test"]) == 1 else "train")
        number = _number(entry["class"]) if "class" in fields else 0.0
        rows.append(
            Row(own, str(entry[name]), box, int(number) if math.isfinite(number) else 0, (str(file), None))
        )
    return rows


def read_tables(folder: Path, problems: list[Problem]) -> tuple[list[Row], list[str]]:
    names = [
        " ".join(",".join(line).split())
        for line in _csv_lines(folder / "names.csv")
        if any(cell.strip() for cell in line)
    ]
    rows: list[Row] = []
    for table in TABLES:
        if not (folder / table).is_file():
            continue
        split = table[len("anno_") : -len(".csv")]
        for number, cells in enumerate(_csv_lines(folder / table), 1):
            if not any(cell.strip() for cell in cells):
                continue
            values = [_number(cell) for cell in cells[1:6]]
            if len(values) < 4 or not all(math.isfinite(v) for v in values):
                if number > 1:  # a first line without numbers is a header
                    problems.append(
                        Problem(
                            "malformed line",
                            f"expected a file name, x1, y1, x2, y2 and a class number, got {cells[:6]}; the"
                            " line is left out.",
                            str(folder / table),
                            number,
                            None,
                            True,
                        )
                    )
                continue
            rows.append(
                Row(
                    split,
                    cells[0].strip(),
                    tuple(values[:4]),
                    int(values[4]) if len(values) > 4 else 0,
                    (str(folder / table), number),
                )
            )
    return rows, names


def _csv_lines(file: Path) -> list[list[str]]:
    try:
        with open(file, encoding="utf-8-sig", errors="replace", newline="") as text:
            return list(csv.reader(text))
    except (OSError, csv.Error) as error:
        raise DataError(f"expected a CSV, it cannot be read ({error}).", path=file) from None


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
