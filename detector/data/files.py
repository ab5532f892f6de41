"""Folders listed once, pictures found in them, and paths kept inside allowed roots."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from detector.data.images import IMAGE_SUFFIXES
from detector.errors import DataError

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "trainval": "trainval",
}


def is_picture(name: str) -> bool:
    """Whether a file name ends like a picture's; hidden files (._x.jpg of macOS) are not pictures."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def walk_pictures(root: Path, *, recursive: bool = True, refused: list[str] | None = None) -> list[str]:
    """Paths of all pictures below `root`, relative to it with forward slashes, sorted; hidden folders are
    left out.

    A folder reached twice through links is listed once, so that a circle of links ends. Folders that may not
    be read, and files whose names are not UTF-8 (no table or page could name them), are added to `refused`.
    """
    found: list[str] = []
    unusable: list[str] = [] if refused is None else refused
    seen: set[str] = set()

    def walk(folder: str, prefix: str) -> None:
        real = os.path.realpath(folder)
        if real in seen:
            return
        seen.add(real)
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda e: e.name)
        except OSError:
            unusable.append(folder)
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if not _is_text(entry.name):
                unusable.append(entry.path)
            elif recursive and entry.is_dir():
                walk(entry.path, f"{prefix}{entry.name}/")
            elif is_picture(entry.name) and entry.is_file():
                found.append(prefix + entry.name)

    walk(os.fspath(root), "")
    return found


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 come from the system as lone surrogates
        return False
    return True


class Listing:
    """Answers "is there such a file?" from one scandir a folder: 118,000 questions take a fraction of a
    second.
    """

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    def names(self, folder: str | os.PathLike) -> set[str]:
        """File and folder names in a folder; empty where it is none."""
        folder = os.fspath(folder)
        if folder not in self._names:
            try:
                self._names[folder] = set(os.listdir(folder or "."))
            except OSError:
                self._names[folder] = set()
        return self._names[folder]

    def has(self, path: str | os.PathLike) -> bool:
        folder, name = os.path.split(os.fspath(path))
        return name in self.names(folder)

    def by_stem(self, folder: str | os.PathLike) -> dict[str, str]:
        """Stem -> name of every picture in a folder; the first in sorted order where a stem occurs twice."""
        stems: dict[str, str] = {}
        for name in sorted(self.names(folder)):
            if is_picture(name):
                stems.setdefault(os.path.splitext(name)[0], name)
        return stems


def split_of(name: str) -> str | None:
    """The split a file or folder name speaks of ("instances_val2017.json" -> "val"), None where it names
    none.
    """
    for word in re.split(r"[^a-z]+", Path(name).name.split(".json")[0].lower()):
        if word in _SPLITS:
            return _SPLITS[word]
    return None


def only_folder(root: Path, names: Iterable[str]) -> Path | None:
    """The first of these sub-folders that exists, in any case of letters."""
    try:
        there = {entry.name.lower(): entry.name for entry in os.scandir(root) if entry.is_dir()}
    except OSError:
        return None
    for name in names:
        if name.lower() in there:
            return root / there[name.lower()]
    return None


def folders_below(root: Path, depth: int) -> Iterator[Path]:
    """`root` and its sub-folders down to `depth`, nearest first, sorted; hidden ones left out."""
    level = [root]
    for step in range(depth + 1):
        yield from level
        if step < depth:
            below: list[Path] = []
            for folder in level:
                try:
                    with os.scandir(folder) as listed:
                        inner = [e.path for e in listed if not e.name.startswith(".") and e.is_dir()]
                except OSError:
                    continue
                below += [Path(path) for path in sorted(inner)]
            level = below


def subfolders(root: Path) -> list[Path]:
    """The folders in `root`, sorted; hidden ones left out."""
    return [folder for folder in folders_below(root, 1) if folder != root]


def inside(path: str | os.PathLike, roots: Iterable[str | os.PathLike]) -> Path:
    """The path with links and ".." resolved, if it lies in (or is) one of the roots.

    Raises:
        DataError: it leaves every root; the message names the roots.
    """
    roots = [Path(root).expanduser().resolve() for root in roots]
    try:
        real = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"expected a path, this one cannot be resolved ({error}).", path=str(path)) from None
    if any(real == root or root in real.parents for root in roots):
        return real
    allowed = ", ".join(str(root) for root in roots) or "none"
    raise DataError(
        f"expected a path inside the folders this server was started with ({allowed}); restart it with this"
        " folder to allow it.",
        path=str(path),
    )
