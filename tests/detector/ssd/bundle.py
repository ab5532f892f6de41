"""Writes small TensorFlow checkpoints, with Snappy-compressed index blocks if asked, so that reading has a
second side.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from detector.crc32c import masked_crc32c

_DTYPES = {"float32": 1, "int32": 3, "int64": 9}


def write_bundle(prefix: Path, tensors: Mapping[str, np.ndarray | bytes], *, snappy: bool = False) -> Path:
    """`PREFIX.index` and `PREFIX.data-00000-of-00001`; bytes become a string entry."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    data, rows = bytearray(), [(b"", b"\x08\x01\x1a\x02\x08\x01")]
    for key in sorted(tensors):
        value = tensors[key]
        raw = value if isinstance(value, bytes) else np.asarray(value).tobytes()
        dims = () if isinstance(value, bytes) else np.shape(value)
        number = 7 if isinstance(value, bytes) else _DTYPES[str(np.asarray(value).dtype)]
        shape = b"".join(_field(2, _field(1, size)) for size in dims)
        message = (
            _field(1, number) + (_field(2, shape) if shape else b"") + (_field(4, len(data)) if data else b"")
        )
        message += _field(5, len(raw)) + b"\x35" + struct.pack("<I", masked_crc32c(raw))
        rows.append((key.encode(), message))
        data += raw
    Path(f"{prefix}.data-00000-of-00001").write_bytes(bytes(data))
    Path(f"{prefix}.index").write_bytes(_table(rows, snappy))
    return prefix


def _table(rows: list[tuple[bytes, bytes]], snappy: bool) -> bytes:
    out, handles = bytearray(), []
    for start in range(0, len(rows), 3):  # several blocks, so that the index of blocks is walked
        part = rows[start : start + 3]
        handles.append((part[-1][0] + b"~", _varint(len(out)) + _varint(_add(out, _block(part), snappy))))
    meta = _varint(len(out)) + _varint(_add(out, _block([]), False))
    index = _varint(len(out)) + _varint(_add(out, _block(handles), False))
    return bytes(out) + (meta + index).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


def _add(out: bytearray, block: bytes, snappy: bool) -> int:
    stored = bytes(_compress(block)) if snappy else block
    kind = b"\x01" if snappy else b"\x00"
    out += stored + kind + struct.pack("<I", masked_crc32c(stored + kind))
    return len(stored)


def _block(rows: list[tuple[bytes, bytes]]) -> bytes:
    out, last = bytearray(), b""
    for key, value in rows:
        shared = next((i for i, (a, b) in enumerate(zip(key, last)) if a != b), min(len(key), len(last)))
        out += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        last = key
    return bytes(out) + struct.pack("<II", 0, 1)


def _compress(data: bytes) -> bytes:
    """Greedy Snappy with real back-references, so that a decoder is put to work."""
    out, at, literal = bytearray(_varint(len(data))), 0, bytearray()

    def flush() -> None:
        for start in range(0, len(literal), 60):
            piece = literal[start : start + 60]
            out.append((len(piece) - 1) << 2)
            out.extend(piece)
        literal.clear()

    while at < len(data):
        found = data.rfind(data[at : at + 4], max(0, at - 2000), at + 3) if at + 4 <= len(data) else -1
        if 0 <= found < at:
            length = 4
            while length < 11 and at + length < len(data) and data[found + length] == data[at + length]:
                length += 1
            flush()
            offset = at - found
            out.extend([(offset >> 8) << 5 | (length - 4) << 2 | 1, offset & 0xFF])
            at += length
        else:
            literal.append(data[at])
            at += 1
    flush()
    return bytes(out)


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
