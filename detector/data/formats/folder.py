"""A plain folder of pictures, or a single one: samples without labels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import folders_below, walk_pictures
from detector.data.formats.box_checks import Place
from detector.data.formats.draft import Draft, assemble
from detector.errors import DataError


def read_folder(path: str | Path) -> Dataset:
    """All pictures in and below a folder, or one picture file. Sample ids are relative paths, nothing is
    labelled.

    Raises:
        DataError: there is no picture.
    """
    return assemble(folder_draft(Path(path)))


def printable(name: str) -> str:
    """The name with bytes that are no UTF-8 shown as escapes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


_ANNOTATION_ENDINGS = (
    ".json",
    ".xml",
    ".csv",
    ".tsv",
    ".txt",
    ".yaml",
    ".yml",
    ".record",
    ".tfrecord",
    ".mat",
    ".pbtxt",
)
_SAMPLES_NAMED = 20


def _unread(root: Path) -> list[Problem]:
    """A problem for each annotation-like file down to two folders below, at most `_SAMPLES_NAMED` by name."""
    files = [
        file
        for folder in folders_below(root, 2)
        if os.access(folder, os.R_OK | os.X_OK)
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in _ANNOTATION_ENDINGS
        and not file.name.lower().startswith((".", "readme", "license", "requirements"))
        and file.is_file()
    ]
    problems = [
        Problem(
            "annotation file not read",
            f"it looks like {_looks_like(file)}; the images are read as unlabelled; convert it to"
            " COCO, VOC, YOLO or CSV to have its objects.",
            str(file),
            left_out=True,
        )
        for file in files[:_SAMPLES_NAMED]
    ]
    if len(files) > _SAMPLES_NAMED:
        more = len(files) - _SAMPLES_NAMED
        problems.append(
            Problem(
                "annotation file not read", f"{more} more such files were not read.", str(root), left_out=True
            )
        )
    return problems


def _looks_like(file: Path) -> str:
    """What an annotation-like file seems to be, by its first 4 KiB."""
    try:
        with open(file, "rb") as opened:
            head = opened.read(4096)
    except OSError:
        return "an annotation file that cannot be read"
    for mark, name in (
        (b"<annotations", "CVAT XML"),
        (b'"shapes"', "LabelMe JSON"),
        (b'"coordinates"', "CreateML JSON"),
        (b'"shape_attributes"', "VIA JSON"),
        (b"region_shape_attributes", "a VIA CSV"),
        (b"rectanglelabels", "Label Studio JSON"),
        (b"LabelName", "an Open Images CSV"),
    ):
        if mark in head:
            return name
    return f"an annotation file ({file.suffix.lower()}) of no layout known here"


def folder_draft(path: Path) -> Draft:
    path = Path(os.path.abspath(path))
    refused: list[str] = []
    if path.is_file():
        names, root = [path.name], path.parent
    else:
        names, root = walk_pictures(path, refused=refused), path
    if not names:
        raise DataError("expected pictures in this folder, there is none.", path=path)
    return Draft(
        name=path.stem if path.is_file() else path.name,
        format="folder",
        source=str(path),
        class_map=ClassMap(()),
        sample_ids=names,
        files=[str(root / name) for name in names],
        sizes=np.zeros((len(names), 2)),
        labelled=np.zeros(len(names), bool),
        splits=[None] * len(names),
        rows=np.zeros(0, np.int64),
        xyxy=np.zeros((0, 4)),
        class_ids=np.zeros(0, np.int64),
        place=lambda k: Place("object"),
        problems=[
            Problem(
                "unreadable folder or name",
                "it may not be read or its name is not UTF-8; it is left out.",
                printable(name),
                None,
                None,
                True,
            )
            for name in refused
        ]
        + ([] if path.is_file() else _unread(path)),
    )
