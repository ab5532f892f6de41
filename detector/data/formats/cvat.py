"""CVAT's XML for images: <annotations> with an <image> of <box>, <polygon> ... each.

Format: https://docs.cvat.ai/docs/manual/advanced/xml_format/, version 1.1. Corners are pixels counted as
edges from 0. A polygon, an ellipse and a turned box become the upright box around them.
"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from xml.sax import SAXException
from xml.sax.handler import ContentHandler

from detector.data.dataset import Dataset
from detector.data.files import folders_below, split_of
from detector.data.formats.draft import Draft, assemble
from detector.data.formats.image_list import ImageList
from detector.errors import DataError, reason_of

_ROOT = re.compile(rb"<annotations[\s>]")
_SHAPES = frozenset(("box", "polygon", "ellipse", "polyline", "points", "cuboid", "skeleton", "mask"))


def read_cvat(path: str | Path, *, images: str | Path | None = None) -> Dataset:
    """A CVAT XML, or a folder with such files in it or one below. Sample ids are the images' names.

    An <image> without shapes is known to hold nothing. Classes come in the order of the task's labels. Splits
    are the subsets, else what the file's name speaks of.

    Raises:
        DataError: there is none, it is malformed, declares entities, or holds a video's tracks.
    """
    return assemble(cvat_draft(Path(path), images=images))


def is_cvat(file: Path) -> bool:
    try:
        with open(file, "rb") as opened:
            return _ROOT.search(opened.read(2048)) is not None
    except OSError:
        return False


def find_cvat(path: Path) -> list[Path]:
    """The CVAT files of a folder, else of the folders in it; the file itself."""
    if path.is_file():
        return [path] if is_cvat(path) else []
    found: list[Path] = []
    for folder in folders_below(path, 1):
        if found and folder.parent == path:
            break
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        xmls = (folder / name for name in names if name.lower().endswith(".xml") and name[:1] != ".")
        found += [file for file in xmls if is_cvat(file)]
    return found


def cvat_draft(path: Path, *, images: str | Path | None = None) -> Draft:
    path = Path(os.path.abspath(path))
    files = find_cvat(path)
    if not files:
        raise DataError("expected CVAT's XML (<annotations> with <image>), there is none.", path=path)
    gathered = ImageList("cvat", path, images)
    classes: list[str] = []
    for file in files:
        _read(file, gathered, classes)
    gathered.add_unlisted()
    return gathered.draft(classes)


def _read(file: Path, gathered: ImageList, classes: list[str]) -> None:
    # Imported late: the parser that refuses entities is needed for XML alone.
    from defusedxml.common import DefusedXmlException
    from defusedxml.sax import parse

    try:
        with open(file, "rb") as opened:
            parse(opened, _Reader(file, gathered, classes))
    except OSError as error:
        raise DataError(f"expected CVAT's XML, it cannot be read: {reason_of(error)}.", path=file) from None
    except DefusedXmlException:
        raise DataError(
            "expected plain CVAT XML, it declares XML entities or external references, which are refused.",
            path=file,
        ) from None
    except SAXException as error:
        line = error.getLineNumber() if hasattr(error, "getLineNumber") else None
        raise DataError(
            f"expected CVAT's XML, it is malformed ({error.getMessage()}).", path=file, line=line
        ) from None


class _Reader(ContentHandler):
    def __init__(self, file: Path, gathered: ImageList, classes: list[str]) -> None:
        self._file, self._gathered, self._classes = file, gathered, classes
        self._path: list[str] = []
        self._text: list[str] = []
        self._row = -1

    def setDocumentLocator(self, locator) -> None:
        self._locator = locator

    def startElement(self, name, attrs) -> None:
        self._path.append(name)
        self._text.clear()
        line = self._locator.getLineNumber()
        if self._path[1:] == ["track"]:
            raise DataError(
                "expected CVAT's XML for images, this is a video's tracks; export it as"
                ' "CVAT for images 1.1".',
                path=self._file,
                line=line,
            )
        if self._path[1:] == ["image"]:
            subset = attrs.get("subset", "")
            self._row = self._gathered.add_image(
                attrs.get("name", ""),
                self._file,
                line,
                size=(_size(attrs.get("width")), _size(attrs.get("height"))),
                split=split_of(subset) or split_of(self._file.stem),
                group=subset,
            )
        elif self._path[1:-1] == ["image"] and name in _SHAPES:
            box = _box(name, attrs)
            if box is None:
                self._gathered.leave_out(
                    self._row, f"<{name}> of {attrs.get('label', '')!r}", self._file, line
                )
            else:
                occluded = attrs.get("occluded") == "1"
                self._gathered.add_object(
                    self._row, attrs.get("label", ""), box, self._file, line, occluded=occluded
                )

    def characters(self, content) -> None:
        self._text.append(content)

    def endElement(self, name) -> None:
        if self._path[-3:] == ["labels", "label", "name"]:
            label = " ".join("".join(self._text).split())
            if label and label not in self._classes:
                self._classes.append(label)
        self._path.pop()
        self._text.clear()


def _box(shape: str, attrs) -> tuple[float, float, float, float] | None:
    """The upright box around a shape, NaN where its numbers are no numbers; None of a shape without one."""
    if shape == "box":
        x1, y1, x2, y2 = (_number(attrs.get(key)) for key in ("xtl", "ytl", "xbr", "ybr"))
        angle = math.radians(_number(attrs.get("rotation", "0")))
        if not angle:
            return x1, y1, x2, y2
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        width, height = (x2 - x1) * cos + (y2 - y1) * sin, (x2 - x1) * sin + (y2 - y1) * cos
        cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
        return cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2
    if shape == "ellipse":
        cx, cy, rx, ry = (_number(attrs.get(key)) for key in ("cx", "cy", "rx", "ry"))
        angle = math.radians(_number(attrs.get("rotation", "0")))
        half_width = math.hypot(rx * math.cos(angle), ry * math.sin(angle))
        half_height = math.hypot(rx * math.sin(angle), ry * math.cos(angle))
        return cx - half_width, cy - half_height, cx + half_width, cy + half_height
    if shape == "polygon":
        points = [point.split(",") for point in attrs.get("points", "").split(";") if point.strip()]
        xs = [_number(point[0]) for point in points] or [math.nan]
        ys = [_number(point[-1]) for point in points] or [math.nan]
        return min(xs), min(ys), max(xs), max(ys)
    return None


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _size(text: str | None) -> float:
    value = _number(text)
    return value if 0 < value < 1e9 else 0
