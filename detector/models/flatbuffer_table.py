"""Flatbuffer tables read by field number, for schemas that ship no Python code here."""

from __future__ import annotations

from typing import Any

import flatbuffers
import flatbuffers.table
from flatbuffers import number_types


class Table:
    """A table at a position of a buffer; absent fields give the type's empty value."""

    def __init__(self, buffer: bytearray, position: int):
        self._table = flatbuffers.table.Table(buffer, position)

    def _at(self, number: int) -> int:
        return self._table.Offset(4 + 2 * number)

    def _number(self, number: int, kind: Any, empty: Any) -> Any:
        offset = self._at(number)
        return self._table.Get(kind, offset + self._table.Pos) if offset else empty

    def byte(self, number: int) -> int:
        return int(self._number(number, number_types.Uint8Flags, 0))

    def float(self, number: int) -> float:
        return float(self._number(number, number_types.Float32Flags, 0.0))

    def text(self, number: int) -> str:
        offset = self._at(number)
        return self._table.String(offset + self._table.Pos).decode("utf-8", "replace") if offset else ""

    def union(self, number: int) -> Table | None:
        """A table within, or the table of a union."""
        offset = self._at(number)
        return self._sub(self._table.Indirect(offset + self._table.Pos)) if offset else None

    def tables(self, number: int) -> list[Table]:
        offset = self._at(number)
        if not offset:
            return []
        start = self._table.Vector(offset)
        return [self._sub(self._table.Indirect(start + 4 * i)) for i in range(self._table.VectorLen(offset))]

    def floats(self, number: int) -> tuple[float, ...]:
        offset = self._at(number)
        if not offset:
            return ()
        start = self._table.Vector(offset)
        return tuple(
            float(self._table.Get(number_types.Float32Flags, start + 4 * i))
            for i in range(self._table.VectorLen(offset))
        )

    def bytes(self, number: int) -> bytes:
        offset = self._at(number)
        if not offset:
            return b""
        start = self._table.Vector(offset)
        return bytes(self._table.Bytes[start : start + self._table.VectorLen(offset)])

    def _sub(self, position: int) -> Table:
        return Table(self._table.Bytes, position)


def root_table(content: bytes) -> Table:
    """The root of a buffer."""
    buffer = bytearray(content)
    return Table(buffer, flatbuffers.encode.Get(flatbuffers.packer.uoffset, buffer, 0))
