"""Scalars as TensorBoard reads them: a file of TFRecords, each an Event message.

Written by hand because it is a few lines, works on every Keras backend, and asks for no package.
Source: tensorflow/core/util/event.proto and summary.proto; record framing of TFRecord files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

from detector.crc32c import masked_crc32c


def start_record(wall_time: float = 0.0) -> bytes:
    """The record every event file begins with (Event.file_version)."""
    return _record(_event(wall_time, 0, _bytes(3, b"brain.Event:2")))


def scalars_record(line: Mapping[str, Any]) -> bytes:
    """One line of a training's history as a record: "step", "time", and its numbers by tag; b"" without
    numbers.

    Figures of an evaluation stand under "validation/", all else under "train/".
    """
    tags = {f"train/{name}": value for name, value in line.items() if name not in ("step", "time", "figures")}
    tags |= {f"validation/{name}": value for name, value in (line.get("figures") or {}).items()}
    values = b"".join(
        _bytes(1, _bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
        for tag, value in tags.items()
        if isinstance(value, (int, float))
    )
    return (
        _record(_event(float(line.get("time", 0.0)), int(line["step"]), _bytes(5, values))) if values else b""
    )


def event_file(history: Iterable[Mapping[str, Any]]) -> bytes:
    """A whole event file of these lines."""
    return start_record() + b"".join(map(scalars_record, history))


def _event(wall_time: float, step: int, what: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", wall_time) + b"\x10" + _varint(step) + what


def _bytes(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return (
        length
        + struct.pack("<I", masked_crc32c(length))
        + content
        + struct.pack("<I", masked_crc32c(content))
    )
