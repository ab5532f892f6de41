"""TensorFlow checkpoints without TensorFlow: the tensors of `ckpt-0.index` and `ckpt-0.data-00000-of-00001`.

The index is a LevelDB table (blocks of prefix-compressed keys, plain or Snappy-compressed, each with its
masked CRC-32C) whose values are `BundleEntryProto` messages; the data files hold raw little-endian tensors.
Source: tensorflow/core/protobuf/tensor_bundle.proto and leveldb's doc/table_format.md.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detector.crc32c import masked_crc32c
from detector.errors import ModelError
from detector.ssd.zoo import snappy

_MAGIC = 0xDB4775248B80FB57
# tensorflow/core/framework/types.proto; strings and bfloat16 are listed but not readable
_DTYPES = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "u1",
    5: "<i2",
    6: "i1",
    9: "<i8",
    10: "?",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}


@dataclass(frozen=True)
class Entry:
    """Where one tensor lies: numpy dtype string (None where it cannot be read here, e.g. strings), shape,
    data file number, byte offset and size, and its masked CRC-32C."""

    dtype: str | None
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    masked_crc: int


class Checkpoint:
    """A checkpoint opened by its prefix (".../ckpt-0", or the path of its `.index`).

    `entries` maps every key to its `Entry`; reading a tensor checks its CRC.

    Raises:
        ModelError: a file is missing, cut short or not a checkpoint.
    """

    def __init__(self, prefix: str | os.PathLike):
        self.prefix = Path(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", str(prefix)))
        self.index_path = Path(f"{self.prefix}.index")
        if not self.index_path.is_file():
            raise ModelError(
                f"expected a checkpoint index {self.index_path.name}, there is none.", path=self.index_path
            )
        try:
            rows = list(_table(self.index_path.read_bytes()))
            header = _message(rows[0][1]) if rows and rows[0][0] == b"" else {}
            self._shards = int(header.get(1, 1))
            self.entries = {key.decode(): _entry(value) for key, value in rows if key}
        except (ValueError, IndexError, struct.error) as error:
            raise ModelError(
                f"not a readable TensorFlow checkpoint index ({error}); fetch the file again.",
                path=self.index_path,
            ) from None

    def __contains__(self, key: str) -> bool:
        return key in self.entries

    def shard_path(self, shard: int = 0) -> Path:
        return Path(f"{self.prefix}.data-{shard:05d}-of-{self._shards:05d}")

    def read(self, key: str, *, verify: bool = True) -> np.ndarray:
        """One tensor.

        Args:
            key: as in `entries`.
            verify: compare the data with the CRC-32C in the index.

        Raises:
            ModelError: no such tensor, a string tensor, data cut short, or a CRC that does not fit; names the
                tensor.
        """
        entry = self.entries.get(key)
        if entry is None or entry.dtype is None:
            what = "no tensor" if entry is None else "no numeric tensor"
            raise ModelError(f"the checkpoint has {what} {key!r}.", path=self.index_path)
        path = self.shard_path(entry.shard)
        try:
            with open(path, "rb") as file:
                file.seek(entry.offset)
                raw = file.read(entry.size)
        except OSError as error:
            raise ModelError(
                f"the checkpoint's data file cannot be read ({error.strerror}).", path=path
            ) from None
        if len(raw) != entry.size:
            raise ModelError(
                f"tensor {key} needs {entry.size} bytes at {entry.offset}, the file ends after {len(raw)}.",
                path=path,
            )
        if verify and masked_crc32c(raw) != entry.masked_crc:
            raise ModelError(
                f"the data of tensor {key} does not fit its CRC-32C: the file is damaged, fetch it again.",
                path=path,
            )
        values = np.frombuffer(raw, entry.dtype)
        if values.size != int(np.prod(entry.shape, dtype=np.int64)):
            raise ModelError(
                f"tensor {key} has {values.size} values, its shape {list(entry.shape)} asks for others.",
                path=path,
            )
        return values.reshape(entry.shape)


def latest_checkpoint(folder: str | os.PathLike) -> Path:
    """The prefix of the newest checkpoint in a folder: what its `checkpoint` file names, else the highest
    number.

    Raises:
        ModelError: no `.index` file is there.
    """
    folder = Path(folder)
    note = folder / "checkpoint"
    if note.is_file():
        named = re.search(
            r'^model_checkpoint_path:\s*"([^"]+)"', note.read_text(errors="replace"), re.MULTILINE
        )
        if named and (folder / f"{Path(named[1]).name}.index").is_file():
            return folder / Path(named[1]).name
    found = [path.with_suffix("") for path in folder.glob("*.index")]
    if not found:
        raise ModelError("expected a TensorFlow checkpoint (ckpt-*.index), found none.", path=folder)
    return max(found, key=lambda path: (int((re.findall(r"\d+", path.name) or ["0"])[-1]), path.name))


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every key and value of a LevelDB table, in order."""
    if len(data) < 48 or struct.unpack("<Q", data[-8:])[0] != _MAGIC:
        raise ValueError("it lacks the table's closing mark")
    footer = data[-48:]
    at = 0
    for _ in range(2):
        _, at = snappy.varint(footer, at)
    offset, at = snappy.varint(footer, at)
    size, _ = snappy.varint(footer, at)
    for _, handle in _block(data, offset, size):
        offset, at = snappy.varint(handle, 0)
        size, _ = snappy.varint(handle, at)
        yield from _block(data, offset, size)


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    content, tail = data[offset : offset + size], data[offset + size : offset + size + 5]
    if len(content) != size or len(tail) != 5:
        raise ValueError("a block runs past the end of the file")
    if masked_crc32c(content + tail[:1]) != struct.unpack("<I", tail[1:])[0]:
        raise ValueError("a block does not fit its CRC-32C")
    if tail[0] not in (0, 1):
        raise ValueError(f"a block has the unknown compression {tail[0]}")
    if tail[0] == 1:
        content = snappy.decompress(content)
    end = len(content) - 4 * (1 + struct.unpack("<I", content[-4:])[0])
    at, key = 0, b""
    while at < end:
        shared, at = snappy.varint(content, at)
        fresh, at = snappy.varint(content, at)
        length, at = snappy.varint(content, at)
        key = key[:shared] + content[at : at + fresh]
        at += fresh
        yield key, content[at : at + length]
        at += length


def _message(data: bytes) -> dict[int, int | bytes]:
    """The fields of a protobuf message by number, the last one where a number repeats."""
    return dict(_fields(data))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        tag, at = snappy.varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = snappy.varint(data, at)
        elif wire == 2:
            length, at = snappy.varint(data, at)
            value, at = data[at : at + length], at + length
        elif wire in (1, 5):
            width = 8 if wire == 1 else 4
            value, at = int.from_bytes(data[at : at + width], "little"), at + width
        else:
            raise ValueError(f"a message has the unknown wire type {wire}")
        yield number, value


def _entry(data: bytes) -> Entry:
    fields = _message(data)
    shape = tuple(int(_message(dim).get(1, 0)) for number, dim in _fields(fields.get(2, b"")) if number == 2)
    return Entry(
        _DTYPES.get(fields.get(1, 0)),
        shape,
        fields.get(3, 0),
        fields.get(4, 0),
        fields.get(5, 0),
        fields.get(6, 0),
    )
