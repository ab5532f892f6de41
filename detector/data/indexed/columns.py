"""Columns of text that stay in their Parquet file: millions of names that are looked at a few at a time."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from detector.errors import DataError

T = TypeVar("T")
KEPT = 4
"""Row groups of one column kept in memory."""


class ParquetTexts(Sequence[str | None]):
    """A column of strings (or of bytes that are no UTF-8) as a sequence; only a few row groups are in memory
    at a time.

    Safe to use from several threads; travels to other processes as its path.

    Raises:
        DataError: the file cannot be read, or has no such column.
    """

    def __init__(self, path: str | Path, column: str):
        self.path, self.column = str(path), column
        self._lock = threading.Lock()
        self._groups: OrderedDict[int, pa.Array] = OrderedDict()
        try:
            self._metadata = pq.read_metadata(self.path)
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"expected a Parquet file, it cannot be read ({str(error).splitlines()[0][:120]}).", path=path
            ) from None
        names = self._metadata.schema.to_arrow_schema().names
        if column not in names:
            raise DataError(f"expected a column {column!r}, it has {', '.join(names)}.", path=path)
        counts = [self._metadata.row_group(g).num_rows for g in range(self._metadata.num_row_groups)]
        self._starts = [0, *np.cumsum(counts).tolist()]

    def __getstate__(self) -> tuple[str, str]:
        return self.path, self.column

    def __setstate__(self, state: tuple[str, str]) -> None:
        self.__init__(*state)

    def __len__(self) -> int:
        return self._starts[-1]

    def _group(self, g: int) -> pa.Array:
        with self._lock:
            if g in self._groups:
                self._groups.move_to_end(g)
                return self._groups[g]
            with pq.ParquetFile(self.path, metadata=self._metadata) as file:
                column = file.read_row_group(g, columns=[self.column], use_threads=False).column(0)
            self._groups[g] = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
            while len(self._groups) > KEPT:
                self._groups.popitem(last=False)
            return self._groups[g]

    @overload
    def __getitem__(self, key: int) -> str | None: ...
    @overload
    def __getitem__(self, key: slice) -> list[str | None]: ...
    def __getitem__(self, key):
        if isinstance(key, slice):
            return self.take(np.arange(*key.indices(len(self))))
        i = range(len(self))[key]
        g = bisect_right(self._starts, i) - 1
        return _text(self._group(g)[i - self._starts[g]].as_py())

    def __iter__(self) -> Iterator[str | None]:
        for g in range(len(self._starts) - 1):
            yield from map(_text, self._group(g).to_pylist())

    def take(self, rows: np.ndarray) -> list[str | None]:
        """The texts at these positions, int [n], in their order."""
        rows = np.asarray(rows, np.int64)
        out: list[str | None] = [None] * len(rows)
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        for g in np.unique(groups).tolist():
            at = np.flatnonzero(groups == g)
            values = self._group(g).take(pa.array(rows[at] - self._starts[g])).to_pylist()
            for k, value in zip(at.tolist(), values):
                out[k] = _text(value)
        return out

    def find(self, text: str) -> int | None:
        """The first position of a text, found by looking through the column; None where it is not there."""
        for g in range(len(self._starts) - 1):
            group = self._group(g)
            wanted = text.encode("utf-8", "surrogateescape") if pa.types.is_binary(group.type) else text
            found = pc.index(group, pa.scalar(wanted, group.type)).as_py()
            if found >= 0:
                return self._starts[g] + found
        return None

    def distinct(self) -> set[str]:
        """The different texts of the column, for columns of few."""
        return {
            _text(v)
            for g in range(len(self._starts) - 1)
            for v in pc.unique(self._group(g)).to_pylist()
            if v is not None
        }


def _text(value: str | bytes | None) -> str | None:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


class Prefixed(Sequence[str]):
    """Texts with the same beginning before each of them."""

    def __init__(self, prefix: str, texts: Sequence[str]):
        self.prefix, self.texts = prefix, texts

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, key):
        found = self.texts[key]
        return [self.prefix + text for text in found] if isinstance(key, slice) else self.prefix + found

    def __iter__(self) -> Iterator[str]:
        return (self.prefix + text for text in self.texts)

    def take(self, rows: np.ndarray) -> list[str]:
        return [self.prefix + text for text in self.texts.take(rows)]


class Same(Sequence[T]):
    """The same value n times, without the memory."""

    def __init__(self, value: T, count: int):
        self.value, self.count = value, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, key):
        picked = range(self.count)[key]
        return [self.value] * len(picked) if isinstance(key, slice) else self.value

    def __iter__(self) -> Iterator[T]:
        return (self.value for _ in range(self.count))


def take(texts: Sequence[T], rows: np.ndarray) -> list[T]:
    """The texts at these positions, of a list or of a column that stays in its file."""
    if hasattr(texts, "take"):
        return texts.take(rows)
    return [texts[i] for i in np.asarray(rows).tolist()]
