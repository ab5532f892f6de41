"""Where a YOLO data set's images, labels and names lie: data.yaml, darknet's obj.data, list files, folders.

Darknet: https://github.com/AlexeyAB/darknet, "How to train"; CVAT's "YOLO 1.1" writes `data/` before each
path. Both files name paths of the machine they were written on. The part of such a path that exists here is
used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from detector.data.dataset import Problem
from detector.data.files import Listing, folders_below, is_picture, only_folder, split_of, walk_pictures
from detector.errors import DataError, reason_of

YAML_NAMES = ("data.yaml", "dataset.yaml", "data.yml", "dataset.yml")
CLASS_LISTS = ("classes.txt", "obj.names", "labels.txt", "_darknet.labels")
_SPLIT_KEYS = (("train", "train"), ("val", "val"), ("valid", "val"), ("test", "test"))


def find_settings(path: Path) -> Path | None:
    """The data.yaml of a folder, else its one darknet .data file; the file itself where `path` is one."""
    if path.is_file():
        return path
    yaml_file = next((path / name for name in YAML_NAMES if (path / name).is_file()), None)
    if yaml_file is not None:
        return yaml_file
    named = [path / name for name in sorted(os.listdir(path)) if name.endswith(".data")]
    darknet = [file for file in named if file.is_file() and _darknet(file)]
    return darknet[0] if len(darknet) == 1 else None


def read_settings(file: Path) -> dict[str, Any]:
    """The keys of a data.yaml, or of darknet's "key = value" lines; all values are texts, empty ones left
    out.

    Raises:
        DataError: it cannot be read, is malformed, or names neither images nor classes.
    """
    if file.suffix.lower() == ".data":
        settings: Any = _darknet(file)
    else:
        try:
            # Plain texts: classes may be called no, 007 or 1.0.
            settings = yaml.load(file.read_text(encoding="utf-8-sig"), yaml.BaseLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else None
            raise DataError(
                "expected YOLO's data.yaml, the YAML is malformed.", path=file, line=line
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"expected YOLO's data.yaml, it cannot be read ({reason_of(error)}).", path=file
            ) from None
    if isinstance(settings, dict):
        settings = {
            key: value for key, value in settings.items() if value not in ("", "~", "null", "Null", "NULL")
        }
    if not isinstance(settings, dict) or not {"train", "val", "test", "valid", "names"} & set(settings):
        kind = "obj.data" if file.suffix.lower() == ".data" else "data.yaml"
        raise DataError(f"expected YOLO's {kind} with train, val and names.", path=file)
    return settings


def _darknet(file: Path) -> dict[str, Any]:
    """key -> value of "key = value" lines; {} where no line names images or classes."""
    try:
        with open(file, "rb") as opened:
            text = opened.read(1 << 16).decode("utf-8-sig", "replace")
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and line.strip()[:1] != "#")
    settings: dict[str, Any] = {key.strip(): value.strip() for key, value in pairs}
    return settings if {"train", "valid", "names"} & set(settings) else {}


def class_list(root: Path) -> Path | None:
    """The file with one class a line: in the folder, in labels/, or in a folder below."""
    folders = (root, root / "labels", *list(folders_below(root, 1))[1:])
    return next((file for name in CLASS_LISTS for f in folders if (file := f / name).is_file()), None)


def label_texts(root: Path, depth: int = 3) -> Iterator[str]:
    """The .txt files below a folder that hold boxes: no class list, and all words numbers."""
    for folder in folders_below(root, depth):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if name.lower().endswith(".txt") and name not in CLASS_LISTS and fits(folder / name):
                yield str(folder / name)


def fits(file: Path) -> bool:
    """Whether the first lines of a text hold a class number and four numbers or more; True of an empty
    one.
    """
    try:
        with open(file, encoding="utf-8-sig", errors="replace") as text:
            lines = [words for _ in range(3) if (words := text.readline().split())]
    except OSError:
        return False
    return all(len(words) >= 5 and words[0].isdigit() for words in lines)


@dataclass(frozen=True)
class YoloPaths:
    """The paths of one data set: its settings file's keys, and the folder they count from."""

    settings: dict[str, Any]
    root: Path
    file: Path | None

    @property
    def base(self) -> Path:
        """The folder that train and val count from: the yaml's `path`, where that exists here."""
        told = self.settings.get("path")
        found = resolve(told, [self.root]) if isinstance(told, str) and told else None
        return found if found is not None and found.is_dir() else self.root

    def entries(self) -> Iterator[tuple[str, str, str]]:
        """(key, split, path as written) of every image folder and list file."""
        for key, split in _SPLIT_KEYS:
            told = self.settings.get(key) or []
            for entry in [told] if isinstance(told, str) else told:
                yield key, split, str(entry)

    def place(self, entry: str) -> Path | None:
        return resolve(entry, [self.base, self.root])

    def looked_in(self, entry: str) -> str:
        """The places where a missing entry was looked for, for messages."""
        told = str(self.settings.get("path") or "")
        plain = _plain(entry)
        places = [self.base / plain, self.root / plain]
        if told and self.base == self.root:
            places.insert(0, self.root / _plain(told) / plain)
        return " and ".join(dict.fromkeys(os.path.abspath(place) for place in places))

    def pictures(self, problems: list[Problem]) -> list[tuple[str, str | None]]:
        """(absolute file, split) of every image, each once; entries that are not there become problems."""
        found: dict[str, str | None] = {}
        named: dict[Path, set[str]] = {}
        for _, split, entry in self.entries():
            if (place := self.place(entry)) is not None:
                named.setdefault(place, set()).add(split)
        for key, split, entry in self.entries():
            place = self.place(entry)
            if place is None:
                what = (
                    f"{key} names {entry!r}, which is not there (looked for {self.looked_in(entry)}); this"
                    " split is left out."
                )
                problems.append(
                    Problem("missing image folder", what, str(self.file), None, None, left_out=True)
                )
            elif place.is_dir():
                # Ultralytics wants a val, so a set without one names another folder again; its own name then
                # decides.
                own = split_of(place.name)
                for name in walk_pictures(place):
                    found.setdefault(str(place / name), own if own in named[place] else split)
            else:
                for picture in self._listed(place):
                    found.setdefault(picture, split)
        if found or self.settings.get("train") or self.settings.get("val"):
            return list(found.items())
        for name in walk_pictures(self.root):
            parts = name.split("/")[:-1]
            found[str(self.root / name)] = next((s for p in reversed(parts) if (s := split_of(p))), None)
        return list(found.items())

    def _listed(self, file: Path) -> Iterator[str]:
        """The images that a list names: as written, by the part of the path that is here, or by base name."""
        listing, below = Listing(), None
        bases = list(dict.fromkeys((self.base, file.parent, self.root)))
        for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            written = line.strip()
            if not written:
                continue
            candidates = [path for path in _candidates(written, bases) if is_picture(path.name)]
            there = next((path for path in candidates if listing.has(path)), None)
            if there is None:
                below = _by_base_name(self.root) if below is None else below
                same = below.get(_plain(written).rsplit("/", 1)[-1], [])
                there = same[0] if len(same) == 1 else None
            if there is None:  # an export without its images: the place beside its labels
                there = next((path for path in candidates if listing.names(path.parent)), None)
            yield os.path.abspath(there or self.base / _plain(written))

    def nothing_found(self, path: Path) -> DataError:
        """The error of a data set without an image: what was named, where it was looked for, what to do."""
        missing = [(key, entry) for key, _, entry in self.entries() if self.place(entry) is None]
        if self.file is not None and missing:
            below = f" below path {self.settings['path']!r}" if self.settings.get("path") else ""
            said = "; ".join(
                f"{key} {entry!r}{below} is not there (looked for {self.looked_in(entry)})"
                for key, entry in missing
            )
            return DataError(
                f"expected the images it names: {said}; correct it, or name their folder with images= (on the"
                " command line: --images FOLDER).",
                path=self.file,
            )
        labels = sum(1 for _ in label_texts(self.root))
        if labels:
            return DataError(
                f"expected images, found {labels} label files and no image; name the images' folder with"
                " images= (on the command line: --images FOLDER).",
                path=path,
            )
        return DataError(
            "expected images with YOLO labels (data.yaml with train and val, or images/ and labels/), there"
            " is none.",
            path=path,
        )


def _plain(written: str) -> str:
    """A path with forward slashes, without a drive's letter."""
    return re.sub(r"^[A-Za-z]:(?=/)", "", written.replace("\\", "/"))


def _candidates(written: str, bases: list[Path]) -> Iterator[Path]:
    """Where a path of any machine may lie here, likeliest first: as it stands, then without its first parts.

    The last part alone is tried where it is a file's name or speaks of a split, or nothing else was there.
    """
    yield from (base / written for base in bases)
    parts = [part for part in _plain(written).split("/") if part not in ("", ".", "..")]
    for k in range(len(parts)):
        alone = k == len(parts) - 1 and k > 0
        if alone and "." not in parts[k] and split_of(parts[k]) is None:
            return
        yield from (base.joinpath(*parts[k:]) for base in bases)


def resolve(written: str, bases: list[Path]) -> Path | None:
    """The file or folder that a path of any machine means here; None where no part of it exists."""
    there = next((path for path in _candidates(written, bases) if path.exists()), None)
    return None if there is None else Path(os.path.abspath(there))


def _by_base_name(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for name in walk_pictures(root):
        found.setdefault(os.path.basename(name), []).append(root / name)
    return found


class LabelFiles:
    """The label file of an image: .../labels/x.txt of .../images/x.jpg, or x.txt beside it.

    Args:
        root: the data set's folder, searched by name for images of another folder.
        images: that other folder, or None.
    """

    def __init__(self, root: Path, images: Path | None) -> None:
        self._root, self._images, self._listing = root, images, Listing()
        self._by_stem: dict[str, list[str]] | None = None

    def of(self, picture: str) -> str | None:
        folder, name = os.path.split(picture)
        text = os.path.splitext(name)[0] + ".txt"
        parts = Path(folder).parts
        for k in range(len(parts) - 1, -1, -1):
            if parts[k] == "images":
                candidate = os.path.join(*parts[:k], "labels", *parts[k + 1 :], text)
                if self._listing.has(candidate):
                    return candidate
        beside = os.path.join(folder, text)
        if self._listing.has(beside):
            return beside
        return self._by_name(picture) if self._images is not None else None

    def _by_name(self, picture: str) -> str | None:
        """The label of the same path below labels/ or the root; else the only one of this name."""
        inner = os.path.splitext(os.path.relpath(picture, self._images))[0] + ".txt"
        labels = only_folder(self._root, ["labels"]) or self._root
        for folder in (labels, self._root):
            if self._listing.has(folder / inner):
                return str(folder / inner)
        if self._by_stem is None:
            self._by_stem = {}
            for file in label_texts(self._root):
                self._by_stem.setdefault(Path(file).stem, []).append(file)
        same = self._by_stem.get(Path(picture).stem, [])
        return same[0] if len(same) == 1 else None

    def split_of(self, label: str | None) -> str | None:
        """The split that a label file's folders below the data set speak of."""
        inner = Path(os.path.relpath(label, self._root)).parts[:-1] if label else ()
        return next((s for part in reversed(inner) if (s := split_of(part))), None)
