"""One COCO instances json: known by its keys, and parsed into columns without its masks."""

from __future__ import annotations

import json
import math
import mmap
import re
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.core import FLAGS
from detector.data.dataset import Problem
from detector.data.files import only_folder, split_of
from detector.errors import DataError, reason_of

_OUTLINES = re.compile(rb'"(segmentation|counts)"\s*:\s*\[[\[\]\d\s.,eE+-]*\]')
_PLAIN_KEYS = len(("image_id", "category_id", "bbox"))  # an annotation with flags has more
_LISTS = (b'"images"', b'"annotations"', b'"categories"')
_NAN4 = (math.nan,) * 4


def find_coco(path: Path) -> list[Path]:
    """The COCO instances files of a folder: `instances_*` before others, judged by their beginning; or the
    file itself.
    """
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" and _looks_like_coco(path) else []
    found: list[Path] = []
    below = sorted(p for p in path.iterdir() if p.is_dir() and split_of(p.name))
    for folder in (only_folder(path, ["annotations", "annotation"]), path, *below):
        if folder is not None:
            fits = [p for p in sorted(folder.glob("*.json")) if _looks_like_coco(p)]
            found += [p for p in fits if p not in found]
            if found and folder.name.lower().startswith("annotation"):
                break
    instances = [p for p in found if p.name.startswith("instances")]
    return instances or found


def _looks_like_coco(path: Path) -> bool:
    """By its keys, wherever they stand: an object with images and boxes or categories (not captions, not a
    results list).
    """
    try:
        with open(path, "rb") as file:
            head = file.read(65536)
            if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return False
            file.seek(0)
            both = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            found = [both.find(word) >= 0 for word in _LISTS]
            captions = both.find(b'"caption":') >= 0 or both.find(b'"caption" :') >= 0
            both.close()
    except OSError:
        return False
    return sum(found) >= 2 and not captions


@dataclass
class CocoColumns:
    """One json in columns. Images and annotations are taken out of it while it is parsed, so that neither the
    dictionaries nor the mask outlines of 860,000 objects are ever in memory together."""

    path: Path
    split: str | None
    image_ids: list[Any] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sizes: array = field(default_factory=lambda: array("d"))
    ann_ids: list[Any] = field(default_factory=list)
    ann_images: list[Any] = field(default_factory=list)
    ann_classes: list[Any] = field(default_factory=list)
    boxes: array = field(default_factory=lambda: array("d"))
    unread: dict[int, str] = field(default_factory=dict)
    area: array = field(default_factory=lambda: array("d"))
    flagged: dict[str, list[int]] = field(default_factory=lambda: {flag: [] for flag in FLAGS})
    categories: list[Any] = field(default_factory=list)
    unusable: list[Problem] = field(default_factory=list)
    labelled: bool = True  # False for a list of test images, which has no annotations key

    def take_out(self, item: dict) -> dict | None:
        """Called by the parser for each finished object, innermost first; None drops it from the document."""
        if "image_id" in item and ("bbox" in item or "category_id" in item):
            self._annotation(item)
            return None
        if "file_name" in item or ("id" in item and "width" in item and "height" in item):
            self.image_ids.append(item.get("id"))
            self.names.append(str(item.get("file_name") or ""))
            self.sizes.extend((_number(item.get("width")), _number(item.get("height"))))
            return None
        return item

    def _annotation(self, item: dict) -> None:
        self.ann_ids.append(item.get("id"))
        self.ann_images.append(item["image_id"])
        self.ann_classes.append(item.get("category_id"))
        box = item.get("bbox")
        try:
            x, y, w, h = box
            self.boxes.extend((x, y, w, h))
        except (TypeError, ValueError):
            del self.boxes[4 * (len(self.ann_ids) - 1) :]
            try:
                x, y, w, h = (float(v) for v in box)
                self.boxes.extend((x, y, w, h))
            except (TypeError, ValueError):
                self.boxes.extend(_NAN4)
                self.unread[len(self.ann_ids) - 1] = json.dumps(box)[:80] if "bbox" in item else "no bbox"
        try:
            self.area.append(item.get("area", math.nan))
        except TypeError:
            self.area.append(_number(item.get("area"), math.nan))
        if item.get("iscrowd"):
            self.flagged["crowd"].append(len(self.ann_ids) - 1)
        if len(item) > _PLAIN_KEYS:
            more = item.get("attributes")
            for flag in ("difficult", "truncated", "occluded"):
                if item.get(flag) or (isinstance(more, dict) and more.get(flag)):
                    self.flagged[flag].append(len(self.ann_ids) - 1)


def _number(value: Any, default: float = 0.0) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return default


def parse_coco(path: Path) -> CocoColumns:
    part = CocoColumns(path, split_of(path.name) or split_of(path.parent.name))
    try:
        document = _loads(path.read_bytes(), part)
    except OSError as error:
        raise DataError(f"expected a COCO json, it cannot be read: {reason_of(error)}.", path=path) from None
    except UnicodeDecodeError:
        raise DataError("expected a COCO json in UTF-8, it holds other bytes.", path=path) from None
    except json.JSONDecodeError as error:
        raise DataError(
            f"expected a COCO json, it breaks off or is malformed ({error.msg}).",
            path=path,
            line=error.lineno,
        ) from None
    except RecursionError:
        raise DataError("expected a COCO json, it is nested too deeply.", path=path) from None
    if isinstance(document, list):
        raise DataError(
            "expected COCO instances (an object with images, annotations, categories), this is a list;"
            " detections in COCO's results format are loaded as a detector, together with their data set.",
            path=path,
        )
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        keys = ", ".join(list(document)[:6]) if isinstance(document, dict) else type(document).__name__
        raise DataError(
            f"expected COCO instances with images, annotations and categories, found {keys or 'nothing'}.",
            path=path,
        )
    part.categories = document.get("categories") or []
    part.labelled = "annotations" in document
    for what, wanted, taken in (
        ("image", "file_name, or id, width and height", len(part.names)),
        ("annotation", "image_id, category_id and bbox", len(part.ann_ids)),
    ):
        part.unusable += _left_over(document.get(f"{what}s"), what, wanted, taken, path)
    return part


def _left_over(entries: Any, what: str, wanted: str, taken: int, path: Path) -> list[Problem]:
    """A problem for each entry of a list that the parser could not take out as an image or an annotation.

    What it took out is None in the list now, and so is an entry that is null; there are more of them than
    were taken.
    """
    entries = entries if isinstance(entries, list) else []
    nulls = max(0, sum(entry is None for entry in entries) - taken)
    texts = [
        f"{json.dumps(entry)[:80]} at place {k}" for k, entry in enumerate(entries) if entry is not None
    ] + ["null"] * nulls
    return [
        Problem(
            f"malformed {what}",
            f"expected an {what} with {wanted}, got {text} in {what}s; it is left out.",
            str(path),
            left_out=True,
        )
        for text in texts
    ]


def _loads(data: bytes, part: CocoColumns) -> Any:
    """json.loads without the mask outlines, which are two thirds of a COCO file and are not needed here.

    The pattern can only match a real key: inside a string its quotes would be escaped. As the value belongs
    to an object, the last bracket before the next key or brace is its end.
    """
    start = CocoColumns(part.path, part.split)
    if len(data) < 1_000_000:
        return json.loads(data, object_hook=part.take_out)
    try:
        return json.loads(_OUTLINES.sub(b'"outline":0', data), object_hook=part.take_out)
    except json.JSONDecodeError:
        part.__dict__.update(start.__dict__)
        return json.loads(data, object_hook=part.take_out)  # for the true line of the fault
