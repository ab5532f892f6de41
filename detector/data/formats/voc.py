"""Pascal VOC: a VOCdevkit, one of its years, `images/` + `annotations/*.xml`, or XML beside the pictures.

VOC counts pixels from 1 and names the first and the last pixel of a box (VOC2012 development kit, 5). So the
pixels xmin..xmax cover the edges xmin-1 to xmax in our frame, and a box over a whole picture of 500 pixels,
1..500 there, is 0..500 here.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, Problem
from detector.data.files import Listing, folders_below, is_picture, only_folder, split_of
from detector.data.formats.box_checks import Place
from detector.data.formats.class_names import look_alikes
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.voc_xml import VocFile, read_voc_xml
from detector.data.formats.writing import write_voc
from detector.errors import DataError

__all__ = ["ONE_BASED", "find_voc", "read_voc", "voc_draft", "write_voc"]

ONE_BASED = (-1.0, -1.0)
"""Shift of x1 and y1 from VOC's inclusive 1-based pixels to edges."""

_FLAG = re.compile(r"\s+-?[01]$")
"""What follows a name in class-wise lists ("000005 -1"); names themselves may hold blanks."""
_ROOT = re.compile(rb"<annotation[\s>/]")
"""VOC's outermost element; CVAT's is <annotations>."""
_TRUE = {"1", "true", "yes"}
_IMAGE_FOLDERS = ("JPEGImages", "images", "image", "imgs", "img", "data")
_XML_FOLDERS = ("Annotations", "annotation", "xmls", "xml", "labels")


def read_voc(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """A VOC data set. Sample ids are the XML files' stems (with their folder where a stem occurs twice).

    Pictures without an XML are samples without labels. Splits come from ImageSets/Main (`trainval` only where
    neither `train` nor `val` lists anything), else from folder names. Classes are in alphabetical order.

    Raises:
        DataError: there is no VOC annotation.
    """
    return assemble(voc_draft(Path(path), images=images))


@dataclass(frozen=True)
class VocFolder:
    """One pair of folders that belong together; `sets` is ImageSets/Main or None."""

    xml: Path
    images: Path
    sets: Path | None = None


def find_voc(path: Path) -> list[VocFolder]:
    """The annotation folders of a data set: a tree with Annotations and pictures, else XML beside
    pictures.
    """
    found: list[VocFolder] = []
    for folder in folders_below(path, 2):
        xml = only_folder(folder, _XML_FOLDERS)
        if xml is None or not _has_voc(xml):
            continue
        images = only_folder(folder, _IMAGE_FOLDERS) or folder
        main = folder / "ImageSets" / "Main"
        found.append(VocFolder(xml, images, main if main.is_dir() else None))
    if found:
        return found
    return [VocFolder(folder, _pictures_of(folder)) for folder in folders_below(path, 2) if _has_voc(folder)]


def _pictures_of(xml: Path) -> Path:
    """The folder itself where pictures lie beside the XML, else a sibling with a usual name."""
    if any(is_picture(name) for name in _names(xml)):
        return xml
    return only_folder(xml.parent, _IMAGE_FOLDERS) or xml


def _has_voc(folder: Path) -> bool:
    """Whether one of the first few XML files there speaks of an annotation, or is too broken to speak of
    anything.
    """
    names = sorted(n for n in _names(folder) if n.lower().endswith(".xml") and not n.startswith("."))
    for name in names[:20]:
        try:
            with open(folder / name, "rb") as file:
                if _ROOT.search(file.read(2048)):
                    return True
        except OSError:
            continue
    return False


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


class _Columns:
    def __init__(self) -> None:
        self.sample_ids: list[str] = []
        self.files: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.labelled: list[bool] = []
        self.splits: list[str | None] = []
        self.stated: list[tuple[str, int | None]] = []
        self.rows: list[int] = []
        self.boxes: list[tuple[float, ...]] = []
        self.names: list[str] = []
        self.lines: list[int] = []
        self.flags: list[tuple[bool, bool, bool]] = []
        self.taken: set[str] = set()
        self.problems: list[Problem] = []


def voc_draft(path: Path, *, images: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    if path.is_file():
        folders = [VocFolder(path.parent, _pictures_of(path.parent))]
    else:
        folders = find_voc(path)
    if not folders:
        raise DataError(
            "expected Pascal VOC (Annotations/*.xml with JPEGImages or images, or XML beside pictures), there"
            " is none.",
            path=path,
        )
    if images is not None:
        folders = [VocFolder(f.xml, Path(os.path.abspath(images)), f.sets) for f in folders]
    columns = _Columns()
    for folder in folders:
        _read_folder(folder, columns, path, only=path.name if path.is_file() else None)
    names = sorted(set(columns.names))
    columns.problems += look_alikes(names, str(path))
    index = {name: k for k, name in enumerate(names)}
    truncated, difficult, occluded = np.array(columns.flags, bool).reshape(-1, 3).T
    lines, rows = columns.lines, columns.rows

    def place(k: int) -> Place:
        return Place(
            f"object {columns.names[k]!r}", columns.stated[rows[k]][0], lines[k], columns.sample_ids[rows[k]]
        )

    return Draft(
        name=path.stem if path.is_file() else path.name,
        format="voc",
        source=str(path),
        class_map=ClassMap(tuple(names)),
        sample_ids=columns.sample_ids,
        files=columns.files,
        sizes=np.array(columns.sizes).reshape(-1, 2),
        labelled=np.array(columns.labelled, bool),
        splits=columns.splits,
        rows=np.array(rows, np.int64),
        xyxy=np.array(columns.boxes, np.float64).reshape(-1, 4),
        class_ids=np.array([index[n] for n in columns.names], np.int64),
        place=place,
        flags={"truncated": truncated, "difficult": difficult, "occluded": occluded},
        shift=ONE_BASED,
        numbers=("xmin, ymin, xmax, ymax", "pixels"),
        problems=columns.problems,
        annotation_file=lambda i: columns.stated[i],
    )


def _read_folder(folder: VocFolder, columns: _Columns, root: Path, only: str | None) -> None:
    listing = Listing()
    pictures = listing.by_stem(folder.images)
    xmls = (
        [only]
        if only
        else sorted(n for n in _names(folder.xml) if n.lower().endswith(".xml") and not n.startswith("."))
    )
    sets = _image_sets(folder, {*pictures, *(name[:-4] for name in xmls)}, columns.problems)
    by_folder = (
        (split_of(folder.images.name) or split_of(folder.xml.parent.name)) if folder.sets is None else None
    )
    used: set[str] = set()
    listed: set[str] = set()
    for name in xmls:
        stem, xml = name[:-4], str(folder.xml / name)
        sample_id = _sample_id(stem, folder, columns, root)
        parsed, empty = VocFile(), None
        try:
            parsed = read_voc_xml(xml)
        except DataError as error:
            empty = Problem(
                "unreadable annotation",
                f"{error.message.rstrip('.')}; its picture counts as unlabelled.",
                xml,
                error.line,
                sample_id,
                True,
            )
            columns.problems.append(empty)
        picture = _picture(stem, parsed, pictures, listing, folder, xml, sample_id, columns.problems)
        used.add(picture)
        listed.add(stem)
        row = len(columns.sample_ids)
        columns.sample_ids.append(sample_id)
        columns.files.append(str(folder.images / picture))
        columns.sizes.append((_integer(parsed.values.get("width")), _integer(parsed.values.get("height"))))
        columns.labelled.append(empty is None)
        columns.splits.append(sets.get(stem, by_folder))
        columns.stated.append((xml, parsed.lines.get("width")))
        _add_objects(parsed, row, xml, sample_id, columns)
    if only:
        return
    for stem, name in pictures.items():
        if name in used:
            continue
        listed.add(stem)
        columns.sample_ids.append(_sample_id(stem, folder, columns, root))
        columns.files.append(str(folder.images / name))
        columns.sizes.append((0, 0))
        columns.labelled.append(False)
        columns.splits.append(sets.get(stem, by_folder))
        columns.stated.append((str(folder.images / name), None))
        columns.problems.append(
            Problem(
                "no annotation",
                "the picture has no XML file; it counts as unlabelled.",
                str(folder.images / name),
                None,
                columns.sample_ids[-1],
            )
        )
    columns.problems += [
        Problem(
            "missing image",
            f"the image set names {stem!r}, which has neither a picture nor an XML file.",
            str(folder.sets),
            None,
            None,
            True,
        )
        for stem in sets
        if stem not in listed
    ]


def _sample_id(stem: str, folder: VocFolder, columns: _Columns, root: Path) -> str:
    sample_id = stem
    if sample_id in columns.taken:
        base = folder.images if folder.images == folder.xml else folder.xml.parent
        inner = os.path.relpath(base, root).replace(os.sep, "/")
        sample_id = f"{inner}/{stem}" if inner != "." else stem
        while sample_id in columns.taken:
            sample_id += "+"
        columns.problems.append(
            Problem(
                "duplicate id",
                f"a second annotation is named {stem!r}; its sample id is {sample_id!r}.",
                str(folder.xml),
                None,
                sample_id,
            )
        )
    columns.taken.add(sample_id)
    return sample_id


def _picture(
    stem: str,
    parsed: VocFile,
    pictures: dict[str, str],
    listing: Listing,
    folder: VocFolder,
    xml: str,
    sample_id: str,
    problems: list[Problem],
) -> str:
    """The file name of the picture an XML belongs to: its own stem's before the one it names."""
    named = os.path.basename(parsed.values.get("filename", "").replace("\\", "/"))
    line = parsed.lines.get("filename")
    own = pictures.get(stem)
    if own is not None:
        if named and named != own and named != stem:
            problems.append(
                Problem(
                    "names another file",
                    f"<filename> says {named!r}, the XML's own name belongs to {own!r}, which is used.",
                    xml,
                    line,
                    sample_id,
                )
            )
        return own
    if named:
        there = (
            named
            if listing.has(folder.images / named) and is_picture(named)
            else pictures.get(os.path.splitext(named)[0])
        )
        if there is not None:
            problems.append(
                Problem(
                    "names another file",
                    f"no picture is named like the XML; <filename> says {named!r}, and {there!r} is used.",
                    xml,
                    line,
                    sample_id,
                )
            )
            return there
    return named if named and os.path.splitext(named)[0] == stem else f"{stem}.jpg"


def _add_objects(parsed: VocFile, row: int, xml: str, sample_id: str, columns: _Columns) -> None:
    for item in parsed.objects:
        values = item.values
        raw = values.get("name", "")
        if not raw:
            columns.problems.append(
                Problem(
                    "unknown class",
                    "an object has no <name>; it is left out.",
                    xml,
                    item.line,
                    sample_id,
                    True,
                )
            )
            continue
        columns.rows.append(row)
        columns.names.append(" ".join(raw.split()))
        columns.lines.append(item.line)
        columns.boxes.append(tuple(_number(values.get(tag)) for tag in ("xmin", "ymin", "xmax", "ymax")))
        columns.flags.append(
            tuple(values.get(tag, "").lower() in _TRUE for tag in ("truncated", "difficult", "occluded"))
        )


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _integer(text: str | None) -> int:
    value = _number(text)
    return int(value) if math.isfinite(value) and 0 < value < 1e9 else 0


def _image_sets(folder: VocFolder, known: set[str], problems: list[Problem]) -> dict[str, str]:
    """Stem -> split from ImageSets/Main/{train,val,test,trainval}.txt; the class-wise lists are not read."""
    splits: dict[str, str] = {}
    if folder.sets is None:
        return splits
    for split in ("train", "val", "test", "trainval"):
        file = folder.sets / f"{split}.txt"
        if not file.is_file() or (split == "trainval" and {"train", "val"} & set(splits.values())):
            continue
        for line, name in _lines(file):
            if name not in known:
                name = _FLAG.sub("", name)
            stem = os.path.splitext(name)[0] if is_picture(name) else name
            if splits.setdefault(stem, split) != split:
                problems.append(
                    Problem(
                        "in two splits",
                        f"{stem!r} is listed in {splits[stem]} and in {split}; it counts as {splits[stem]}.",
                        str(file),
                        line,
                        stem,
                    )
                )
    return splits


def _lines(file: Path) -> Iterable[tuple[int, str]]:
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield number, line.strip()
