"""A plain folder of pictures, or a single one: samples without labels."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import walk_pictures
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
        ],
    )
