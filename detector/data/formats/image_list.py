"""Images and objects as an annotation file lists them, gathered into a Draft: shared by the smaller
formats.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from detector.core import FLAGS, ClassMap
from detector.data.dataset import Problem
from detector.data.files import Listing, walk_pictures
from detector.data.formats.box_checks import Place
from detector.data.formats.class_names import look_alikes
from detector.data.formats.draft import Draft

_USUAL = ("", "images", "image", "data", "JPEGImages")


class ImageList:
    """Samples and objects of one data set, in the order they are added.

    Args:
        format: the format's name; path: the data set's folder or file, absolute.
        images: the folder of the images, where it was named; else the usual places are searched.
    """

    def __init__(self, format: str, path: Path, images: str | os.PathLike | None) -> None:
        self._format, self._path = format, path
        self._images = None if images is None else Path(os.path.abspath(images))
        self._root = path.parent if path.is_file() else path
        self._listing = Listing()
        self._below: dict[str, list[str]] | None = None
        self._taken: set[str] = set()
        self._ids: list[str] = []
        self._files: list[str] = []
        self._sizes: list[tuple[float, float]] = []
        self._splits: list[str | None] = []
        self._stated: list[tuple[str, int | None]] = []
        self._labelled: list[bool] = []
        self._rows: list[int] = []
        self._names: list[str] = []
        self._boxes: list[tuple[float, ...]] = []
        self._places: list[tuple[str, int | None]] = []
        self._flags: dict[str, list[bool]] = {flag: [] for flag in FLAGS}
        self.problems: list[Problem] = []

    def add_image(
        self,
        name: str,
        file: Path,
        line: int | None = None,
        *,
        size: tuple[float, float] = (0, 0),
        split: str | None = None,
        group: str = "",
        stated: Path | None = None,
        labelled: bool = True,
    ) -> int:
        """A sample, and its position. Its id is the name, after `group` where another image has it already.

        Args:
            name: the image's path as written; of another machine's path the base name counts.
            file, line: what states it. size: (W, H) in pixels, 0 where unknown.
            group: a folder (a subset) in which it may lie.
            stated: the file that states it, where `file` only tells the folder in which to look.
        """
        plain = name.replace("\\", "/")
        if plain[:1] == "/" or plain[1:2] == ":" or plain.startswith("../"):
            plain = plain.rsplit("/", 1)[-1]
        sample_id = plain
        if sample_id in self._taken:
            sample_id = f"{group or file.stem}/{plain}"
            while sample_id in self._taken:
                sample_id += "+"
            what = f"a second image is named {plain!r}; its sample id is {sample_id!r}."
            self.problems.append(Problem("duplicate id", what, str(file), line, sample_id))
        self._taken.add(sample_id)
        self._ids.append(sample_id)
        self._files.append(self._locate(plain, file.parent, group))
        self._sizes.append(size)
        self._splits.append(split)
        self._stated.append((str(stated or file), line))
        self._labelled.append(labelled)
        return len(self._ids) - 1

    def add_object(
        self, row: int, label: str, box: Iterable[float], file: Path, line: int | None = None, **flags: bool
    ) -> None:
        """An object of the sample at `row`: x1, y1, x2, y2 as the format counts them, NaN where
        unreadable.
        """
        name = " ".join(label.split())
        if not name:
            what = "an object has no class; it is left out."
            self.problems.append(
                Problem("unknown class", what, str(file), line, self.sample_id(row), left_out=True)
            )
            return
        self._rows.append(row)
        self._names.append(name)
        self._boxes.append(tuple(box))
        self._places.append((str(file), line))
        for flag, values in self._flags.items():
            values.append(bool(flags.get(flag)))

    def leave_out(self, row: int, what: str, file: Path, line: int | None = None) -> None:
        """Name a shape that gives no box."""
        said = f"{what} gives no box; it is left out."
        self.problems.append(Problem("not a box", said, str(file), line, self.sample_id(row), left_out=True))

    def sample_id(self, row: int) -> str:
        return self._ids[row]

    def add_unlisted(self) -> None:
        """The images below the data set that nothing lists, as unlabelled samples, each named."""
        if self._path.is_file() and self._images is None:
            return
        base = self._images or self._root
        taken = {os.path.abspath(file) for file in self._files}
        for name in walk_pictures(base):
            if os.path.abspath(base / name) not in taken:
                row = self.add_image(name, base / name, labelled=False)
                self._files[row] = str(base / name)
                what = "no annotation lists the image; it counts as unlabelled."
                self.problems.append(
                    Problem("no annotation", what, str(base / name), None, self.sample_id(row))
                )

    def draft(self, classes: Iterable[str] = (), *, fractions: bool = False) -> Draft:
        """What was gathered; `classes` come first, in their order, then those seen, in alphabetical order."""
        names = list(dict.fromkeys([*classes, *sorted(set(self._names))]))
        index = {name: k for k, name in enumerate(names)}
        ids, rows = self._ids, self._rows
        return Draft(
            name=self._path.stem if self._path.is_file() else self._path.name,
            format=self._format,
            source=str(self._path),
            class_map=ClassMap(tuple(names)),
            sample_ids=ids,
            files=self._files,
            sizes=np.array(self._sizes).reshape(-1, 2),
            labelled=np.array(self._labelled, bool),
            splits=self._splits,
            rows=np.array(rows, np.int64),
            xyxy=np.array(self._boxes, np.float64).reshape(-1, 4),
            class_ids=np.array([index[name] for name in self._names], np.int64),
            place=lambda k: Place(f"object {self._names[k]!r}", *self._places[k], ids[rows[k]]),
            flags={flag: np.array(values, bool) for flag, values in self._flags.items()},
            fractions=fractions,
            problems=self.problems + look_alikes(names, str(self._path)),
            annotation_file=lambda i: self._stated[i],
        )

    def _locate(self, name: str, folder: Path, group: str) -> str:
        """Where the image lies: in the usual folders, else below the data set by a base name that occurs
        once.
        """
        bases = [self._images] if self._images else list(dict.fromkeys((folder, folder.parent, self._root)))
        inner = [*([f"{group}/{name}"] if group else []), name]
        tried = [base / usual / one for one in inner for base in bases for usual in _USUAL]
        there = next((path for path in tried if self._listing.has(path)), None)
        if there is not None:
            return str(there)
        if self._below is None:
            self._below = {}
            base = self._images or self._root
            for found in walk_pictures(base):
                self._below.setdefault(os.path.basename(found), []).append(str(base / found))
        same = self._below.get(os.path.basename(name), [])
        return same[0] if len(same) == 1 else str(tried[0])
