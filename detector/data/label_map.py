"""Class lists as TensorFlow's tools write them: label_map.pbtxt and labelmap.txt."""

from __future__ import annotations

import os
import re
from pathlib import Path

from detector.core import ClassMap
from detector.errors import DataError, reason_of

_TOKEN = re.compile(
    r"""(?P<skip>[\s,;]+|\#[^\n]*)|(?P<brace>[{}])|(?P<colon>:)|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<word>[^\s{}:,;"'\#]+)"""
)


_PBTXT = re.compile(r"^\s*item\b\s*:?\s*\{", re.M)


def read_label_map(path: str | os.PathLike) -> ClassMap:
    """The classes of a label_map.pbtxt (by content) or a labelmap.txt.

    A pbtxt's ids become external ids, classes in ascending order of them; `display_name` wins over `name`. An
    item with id 0 named "background" is no class, as in the OD API (label_map_util.py). A text file names one
    class a line, external ids from 0 in order of the lines ("???" lines, TFLite's placeholders, are left out
    but counted); "3 car" and "3: car" state the id.

    Raises:
        DataError: the file is missing, empty or malformed, an id or a name occurs twice; with its line.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError("expected a label map in UTF-8, it holds other bytes.", path=path) from None
    except OSError as error:
        raise DataError(f"expected a label map, it cannot be read: {reason_of(error)}.", path=path) from None
    rows = pbtxt_items(text, path) if _PBTXT.search(text) else _lines(text, path)
    if not rows:
        raise DataError("expected a label map with at least one class, it is empty.", path=path)
    rows = [row for row in rows if row[0] != 0 or row[1].lower() != "background" or not _PBTXT.search(text)]
    if not rows:
        raise DataError("expected a label map with a class besides the background.", path=path)
    ids: dict[int, int] = {}
    names: dict[str, int] = {}
    for number, name, line in rows:
        if number in ids:
            raise DataError(
                f"expected distinct ids, {number} stands on line {ids[number]} too.", path=path, line=line
            )
        if name in names:
            raise DataError(
                f"expected distinct names, {name!r} stands on line {names[name]} too.", path=path, line=line
            )
        ids[number], names[name] = line, line
    rows.sort()
    return ClassMap(tuple(r[1] for r in rows), tuple(r[0] for r in rows))


def label_map_aliases(path: str | os.PathLike) -> dict[str, str]:
    """`name` -> `display_name` of a label_map.pbtxt's items that have both and differ; {} of any other list.

    Data sets use either: Open Images' label maps have "/m/01yrx" as name of "Cat".

    Raises:
        DataError: as `read_label_map`.
    """
    read_label_map(path)
    text = Path(path).read_text(encoding="utf-8-sig")
    if not _PBTXT.search(text):
        return {}
    found = [
        (item.get("name", "").strip(), item.get("display_name", "").strip()) for item, _ in _items(text, path)
    ]
    return {name: shown for name, shown in found if name and shown and name != shown}


def write_label_map(class_map: ClassMap, path: str | os.PathLike) -> None:
    """A label_map.pbtxt with ids from 1 in the order of the classes (the outside ids, where all are above
    0).
    """
    items = []
    for number, name in zip(label_map_ids(class_map), class_map.names):
        escaped = name.replace("\\", "\\\\").replace("'", "\\'")
        items.append(f"item {{\n  id: {number}\n  name: '{escaped}'\n}}\n")
    Path(path).write_text("".join(items), encoding="utf-8")


def label_map_ids(class_map: ClassMap) -> tuple[int, ...]:
    """The ids of a label map, which start at 1: the outside ids where all are above 0, else 1, 2, 3 ..."""
    return (
        class_map.external_ids
        if min(class_map.external_ids, default=1) > 0
        else tuple(range(1, len(class_map) + 1))
    )


def find_label_map(folder: str | os.PathLike) -> Path | None:
    """A label map in a folder: label_map.pbtxt, one that is named like it, or the only .pbtxt there; else
    None.
    """
    try:
        names = sorted(
            name for name in os.listdir(folder) if name.endswith(".pbtxt") and not name.startswith(".")
        )
    except OSError:
        return None
    usual = [n for n in names if n == "label_map.pbtxt"] or [
        n for n in names if "labelmap" in n.replace("_", "").replace("-", "").lower()
    ]
    chosen = usual[:1] or (names if len(names) == 1 else [])
    return Path(folder) / chosen[0] if chosen else None


def pbtxt_items(text: str, path: str | os.PathLike) -> list[tuple[int, str, int]]:
    """(id, name, line) of each item of a StringIntLabelMap, in order; [] of an empty text. `display_name`
    wins over `name`.

    Raises:
        DataError: malformed text, an item without an id or a name, or with two of them; with its line.
    """
    return [_item(item, path, started) for item, started in _items(text, path)]


def _items(text: str, path: str | os.PathLike) -> list[tuple[dict[str, str], int]]:
    """(field -> value, line) of each item."""
    rows: list[tuple[dict[str, str], int]] = []
    item: dict[str, str] | None = None
    depth, key, last, started, at = 0, "", "", 0, 0

    def line(position: int) -> int:
        return text.count("\n", 0, position) + 1

    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise DataError(
                f"expected a label map, cannot read {text[at : at + 20]!r}.", path=path, line=line(at)
            )
        kind, token, here = match.lastgroup, match.group(), at
        at = match.end()
        if kind in ("skip", "colon"):
            continue
        if token == "{":
            depth += 1
            if depth == 1:
                item, started = {}, line(here)
            key = last = ""
        elif token == "}":
            depth -= 1
            if depth == 0 and item is not None:
                rows.append((item, started))
                item = None
            if depth < 0:
                raise DataError("expected an item before this closing brace.", path=path, line=line(here))
        elif depth == 1 and item is not None:
            if not key and kind == "text" and last:  # 'a' 'b' is one text in two parts
                item[last] += _unquote(token)
            elif not key:
                key, last = token, ""
            elif key in item:
                raise DataError(
                    f"expected one {key} in an item, this is the second; each class has an item of its own.",
                    path=path,
                    line=line(here),
                )
            else:
                item[key] = _unquote(token) if kind == "text" else token
                key, last = "", key if kind == "text" else ""
    if depth:
        raise DataError("expected a closing brace, the file ends inside an item.", path=path, line=started)
    return rows


_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_CONTROL = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _unquote(token: str) -> str:
    """A quoted text without its quotes and escapes: octal and hex ones are bytes of UTF-8, as protobuf writes
    them.
    """
    out, at, inner = bytearray(), 0, token[1:-1]
    for match in _ESCAPE.finditer(inner):
        out += inner[at : match.start()].encode()
        octal, hexadecimal, short, long, letter = match.groups()
        if octal or hexadecimal:
            out.append((int(octal, 8) if octal else int(hexadecimal, 16)) & 255)
        elif short or long:
            out += chr(min(int(short or long, 16), 0x10FFFF)).encode("utf-8", "replace")
        else:
            out += _CONTROL.get(letter, letter).encode()
        at = match.end()
    return (out + inner[at:].encode()).decode("utf-8", "replace")


def _whole(text: str) -> int:
    """A whole number as protobuf's text form writes it: decimal, 0x1f, or octal 017."""
    base = 16 if text.lower().startswith("0x") else 8 if re.fullmatch(r"0[0-7]+", text) else 10
    return int(text, base)


def _item(item: dict[str, str], path, line: int) -> tuple[int, str, int]:
    name = item.get("display_name") or item.get("name", "")
    try:
        number = _whole(item.get("id", ""))
    except ValueError:
        raise DataError(
            f"expected a whole number as id of an item, got {item.get('id')!r}.", path=path, line=line
        ) from None
    if not name.strip():
        raise DataError(f"expected a name for item {number}.", path=path, line=line)
    return number, name.strip(), line


def _lines(text: str, path) -> list[tuple[int, str, int]]:
    lines = [(k, " ".join(raw.split())) for k, raw in enumerate(text.splitlines(), 1)]
    lines = [(k, name) for k, name in lines if name]
    numbered = [re.match(r"(\d+)\s*[:,]?\s+(\D.*)", name) for _, name in lines]
    ids = [int(m.group(1)) for m in numbered if m]
    marked = any(re.match(r"\d+\s*[:,]", name) for _, name in lines)
    counted = ids[:1] in ([0], [1]) and ids == sorted(set(ids))
    distinct = len({m.group(2) for m in numbered if m}) == len(lines)
    if lines and all(numbered) and (marked or (counted and distinct)):
        return [(int(m.group(1)), m.group(2).strip(), k) for m, (k, _) in zip(numbered, lines)]
    return [(position, name, k) for position, (k, name) in enumerate(lines) if name != "???"]
