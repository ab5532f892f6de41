"""Tiny ImageNet (Stanford CS231N): 64x64 pictures, one class and one box each.

`train/<wnid>/images/*.JPEG` with `<wnid>_boxes.txt` (file, x1, y1, x2, y2 by tabs), `val/images/*.JPEG` with
`val_annotations.txt` (file, wnid, x1, y1, x2, y2), `test/images/*.JPEG` without labels; `wnids.txt` orders
the classes, `words.txt` names them. Pixels count from 0, the last one included: a box over the whole frame
ends at 63.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import is_picture
from detector.data.formats.box_checks import Place
from detector.data.formats.draft import Draft, assemble
from detector.errors import DataError, reason_of


def find_tiny_imagenet(path: Path) -> Path | None:
    """The folder with `wnids.txt` and `train/` (this one or one below); None where it is not there."""
    folders = [path, *sorted(p for p in path.glob("tiny-imagenet*") if p.is_dir())] if path.is_dir() else []
    return next(
        (
            f
            for f in folders
            if (f / "wnids.txt").is_file() and ((f / "train").is_dir() or (f / "val").is_dir())
        ),
        None,
    )


def read_tiny_imagenet(path: str | Path) -> Dataset:
    """The data set with splits `train`, `val` and `test`; sample ids are paths such as
    "train/n02814533_0.JPEG".

    Classes stand in the order of wnids.txt under the first of their names in words.txt ("beach wagon"); where
    two share it, the wnid follows in brackets.

    Raises:
        DataError: it is not Tiny ImageNet, or a list cannot be read.
    """
    return assemble(tiny_imagenet_draft(Path(path)))


def tiny_imagenet_draft(path: Path) -> Draft:
    path = Path(os.path.abspath(path))
    root = find_tiny_imagenet(path)
    if root is None:
        raise DataError(
            "expected Tiny ImageNet: wnids.txt with train/<wnid>/images and <wnid>_boxes.txt, or with"
            " val/val_annotations.txt.",
            path=path,
        )
    wnids = [line.strip() for _, line in _lines(root / "wnids.txt")]
    index = {wnid: k for k, wnid in enumerate(wnids)}
    reading = _Reading()
    for wnid in wnids:
        if (root / "train" / wnid).is_dir():
            reading.part(root / "train" / wnid, f"{wnid}_boxes.txt", "train", index, wnid)
    for folder in sorted(p for p in (root / "train").glob("*") if p.is_dir() and p.name not in index):
        reading.problems.append(
            Problem(
                "unknown class",
                "wnids.txt does not list this folder; its pictures are left out.",
                str(folder),
                None,
                None,
                True,
            )
        )
    if (root / "val").is_dir():
        reading.part(root / "val", "val_annotations.txt", "val", index, None)
    if (root / "test" / "images").is_dir():
        reading.unlabelled(root / "test" / "images")
    names = _names(root, wnids, reading.problems)
    rows, places, ids = reading.rows, reading.places, reading.sample_ids
    return Draft(
        name=path.name,
        format="tiny_imagenet",
        source=str(path),
        class_map=ClassMap(tuple(names)),
        sample_ids=ids,
        files=reading.files,
        sizes=np.zeros((len(ids), 2)),
        labelled=np.array(reading.labelled, bool),
        splits=reading.splits,
        rows=np.array(rows, np.int64),
        xyxy=np.array(reading.boxes, np.float64).reshape(-1, 4) + (0, 0, 1, 1),
        class_ids=np.array(reading.classes, np.int64),
        place=lambda k: Place(f"the object {names[reading.classes[k]]!r}", *places[k], ids[rows[k]]),
        numbers=("x1, y1, x2 + 1, y2 + 1", "pixels"),
        problems=reading.problems,
        annotation_file=lambda i: reading.stated[i],
    )


class _Reading:
    def __init__(self) -> None:
        self.sample_ids: list[str] = []
        self.files: list[str] = []
        self.labelled: list[bool] = []
        self.splits: list[str | None] = []
        self.stated: list[tuple[str, int | None]] = []
        self.rows: list[int] = []
        self.boxes: list[list[float]] = []
        self.classes: list[int] = []
        self.places: list[tuple[str, int]] = []
        self.problems: list[Problem] = []

    def add(self, file: Path, split: str, stated: tuple[str, int | None], labelled: bool) -> int:
        self.sample_ids.append(f"{split}/{file.name}")
        self.files.append(str(file))
        self.splits.append(split)
        self.stated.append(stated)
        self.labelled.append(labelled)
        return len(self.files) - 1

    def part(self, folder: Path, table: str, split: str, index: dict[str, int], wnid: str | None) -> None:
        """One folder with `images/` and its table; of class `wnid`, or of the class each line names."""
        images, where = folder / "images", str(folder / table)
        there = {n for n in os.listdir(images) if is_picture(n)} if images.is_dir() else set()
        listed: set[str] = set()
        for number, line in _lines(folder / table) if (folder / table).is_file() else []:
            cells = line.split("\t") if "\t" in line else line.split()
            name, own = cells[0], wnid or (cells[1] if len(cells) > 1 else "")
            try:
                box = [float(c) for c in cells[(1 if wnid else 2) :][:4]]
            except ValueError:
                box = []
            if len(box) != 4 or name in listed:
                why = (
                    "the file is listed already"
                    if name in listed
                    else "expected a file name and four numbers"
                )
                self.problems.append(
                    Problem(
                        "malformed line",
                        f"{why}, got {line[:60]!r}; the line is left out.",
                        where,
                        number,
                        None,
                        True,
                    )
                )
                continue
            listed.add(name)
            row = self.add(images / name, split, (where, number), own in index)
            if own not in index:
                self.problems.append(
                    Problem(
                        "unknown class",
                        f"wnids.txt does not list {own!r}; the picture counts as unlabelled.",
                        where,
                        number,
                        self.sample_ids[row],
                        True,
                    )
                )
                continue
            self.rows.append(row)
            self.boxes.append(box)
            self.classes.append(index[own])
            self.places.append((where, number))
        for name in sorted(there - listed):
            row = self.add(images / name, split, (str(images / name), None), False)
            self.problems.append(
                Problem(
                    "no annotation",
                    f"{table} does not list the picture; it counts as unlabelled.",
                    str(images / name),
                    None,
                    self.sample_ids[row],
                )
            )

    def unlabelled(self, images: Path) -> None:
        for name in sorted(n for n in os.listdir(images) if is_picture(n)):
            self.add(images / name, "test", (str(images / name), None), False)


def _names(root: Path, wnids: list[str], problems: list[Problem]) -> list[str]:
    words: dict[str, str] = {}
    if (root / "words.txt").is_file():
        wanted = set(wnids)
        for _, line in _lines(root / "words.txt"):
            wnid, _, text = line.partition("\t")
            if wnid in wanted:
                words[wnid] = text.split(",")[0].strip()
    missing = [w for w in wnids if not words.get(w)]
    if missing:
        problems.append(
            Problem(
                "no class names",
                f"words.txt names {len(wnids) - len(missing)} of {len(wnids)} classes; the others go by their"
                " wnid.",
                str(root / "words.txt"),
            )
        )
    names = [words.get(w) or w for w in wnids]
    return [name if names.count(name) == 1 else f"{name} ({wnid})" for name, wnid in zip(names, wnids)]


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        text = file.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"expected a text file, it cannot be read: {reason_of(error)}.", path=file) from None
    return [(number, line.rstrip("\r\n")) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
