"""What the exporter of a YOLO wrote into its file: names, task, stride, image size.

As JSON (metadata.json), as a Python literal (temp_meta.txt of older files), as YAML (metadata.yaml beside a
SavedModel) or as text values by key (the properties of an ONNX model). Data only: nothing is evaluated.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from detector.core import ClassMap

MEMBERS = ("metadata.json", "temp_meta.txt", "metadata.yaml")
KEYS = ("names", "task", "stride", "imgsz")
"""An exporter's metadata hold at least two of these."""


def parse(text: str) -> dict[str, Any]:
    """The metadata in a text, empty where it holds none."""
    for read in (json.loads, ast.literal_eval, yaml.safe_load):
        try:
            found = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError, yaml.YAMLError):
            continue
        if isinstance(found, dict):
            return of_mapping(found)
    return {}


def of_mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata in a mapping whose values may be texts of Python values; empty where it is another's."""
    if sum(key in values for key in KEYS) < 2:
        return {}
    return {str(key): _value(value) for key, value in values.items()}


def class_map(said: Mapping[str, Any]) -> ClassMap | None:
    """The names of the metadata, id 1 for column 0 (`detector.labels`); None without."""
    names = said.get("names")
    if isinstance(names, Mapping):
        try:
            pairs = sorted((int(key), str(name)) for key, name in names.items())
        except ValueError:
            return None
    elif isinstance(names, (list, tuple)):
        pairs = list(enumerate(map(str, names)))
    else:
        return None
    pairs = _distinct(pairs)
    return ClassMap(tuple(n for _, n in pairs), tuple(i + 1 for i, _ in pairs)) if pairs else None


def input_size(said: Mapping[str, Any]) -> tuple[int, int] | None:
    """(W, H) of an exporter's imgsz, which is height first; None without."""
    size = said.get("imgsz")
    if isinstance(size, int):
        return size, size
    return (int(size[1]), int(size[0])) if isinstance(size, (list, tuple)) and len(size) == 2 else None


def beside(folder: Path) -> dict[str, Any]:
    """The metadata in a folder or in its assets, empty where there are none."""
    for place in (folder, folder / "assets"):
        for name in MEMBERS:
            if (place / name).is_file() and (found := parse(_text(place / name))):
                return found
    return {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _distinct(pairs: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """A name that is blank or occurs twice gets its number."""
    seen: set[str] = set()
    out = []
    for number, name in pairs:
        name = name if name.strip() and name not in seen else f"{name or 'class'} {number}"
        seen.add(name)
        out.append((number, name))
    return out


def _value(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in "{[(0123456789TFN":
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
