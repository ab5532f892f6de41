"""One Pascal VOC XML file to plain values with their lines; entities and oversized files are refused."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax import SAXException
from xml.sax.handler import ContentHandler

from detector.errors import DataError, reason_of

MAX_XML_BYTES = 20_000_000
"""Largest annotation file that is parsed; a VOC file of a thousand objects has 0.3 MB."""


@dataclass
class VocObject:
    """One `<object>`: texts by tag as they stand ("name", "difficult", "xmin", ...), and the line it starts
    on.
    """

    line: int
    values: dict[str, str] = field(default_factory=dict)


@dataclass
class VocFile:
    """One annotation file: texts of `<filename>`, `<size>/<width>` ... by tag with their lines, and its
    objects.
    """

    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    objects: list[VocObject] = field(default_factory=list)


class _Reader(ContentHandler):
    # What is read, by path below the root element. Parts of an object (<part><bndbox>) lie deeper and stay
    # out.
    _TOP = frozenset({("filename",), ("size", "width"), ("size", "height"), ("folder",)})
    _OBJECT = frozenset(
        {("object", tag) for tag in ("name", "difficult", "truncated", "occluded")}
        | {("object", "bndbox", tag) for tag in ("xmin", "ymin", "xmax", "ymax")}
    )

    def __init__(self) -> None:
        self.result = VocFile()
        self.root = ""
        self._path: list[str] = []
        self._text: list[str] = []
        self._line = 0

    def setDocumentLocator(self, locator) -> None:
        self._locator = locator

    def startElement(self, name, attrs) -> None:
        if not self._path:
            self.root = name
        self._path.append(name)
        self._text.clear()
        self._line = self._locator.getLineNumber()
        if self._path[1:] == ["object"]:
            self.result.objects.append(VocObject(self._line))

    def characters(self, content) -> None:
        self._text.append(content)

    def endElement(self, name) -> None:
        inner = tuple(self._path[1:])
        if inner in self._OBJECT:
            self.result.objects[-1].values[name] = "".join(self._text).strip()
        elif inner in self._TOP:
            self.result.values[name] = "".join(self._text).strip()
            self.result.lines[name] = self._line
        self._path.pop()
        self._text.clear()


def read_voc_xml(path: str | os.PathLike) -> VocFile:
    """Parse one file.

    Raises:
        DataError: it is missing, empty, malformed, no VOC annotation, too large, or declares entities.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.sax import parseString

    try:
        size = os.path.getsize(path)
        if size > MAX_XML_BYTES:
            raise DataError(
                f"expected a VOC annotation of at most {MAX_XML_BYTES:,} bytes, this file has {size:,}.",
                path=path,
            )
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"expected a VOC annotation, it cannot be read: {reason_of(error)}.", path=path
        ) from None
    if not data.strip():
        raise DataError("expected a VOC annotation, the file is empty.", path=path)
    reader = _Reader()
    try:
        parseString(data, reader)
    except DefusedXmlException:
        raise DataError(
            "expected a plain VOC annotation, it declares XML entities or external references, which are"
            " refused.",
            path=path,
        ) from None
    except SAXException as error:
        line = error.getLineNumber() if hasattr(error, "getLineNumber") else None
        raise DataError(
            f"expected a VOC annotation, the XML is malformed ({error.getMessage()}).", path=path, line=line
        ) from None
    except (ValueError, LookupError) as error:
        raise DataError(
            f"expected a VOC annotation, the XML cannot be decoded ({error}).", path=path
        ) from None
    if reader.root != "annotation":
        raise DataError(
            f"expected <annotation> as the outermost element, found <{reader.root}>.", path=path, line=1
        )
    return reader.result
