"""The framing of TFRecord files: length, its checksum, content, its checksum, over and over.

Source: tensorflow/core/lib/io/record_writer.h. uint64 length, masked CRC-32C of these 8 bytes, the content,
masked CRC-32C of the content, all little-endian. TensorFlow is not needed to read or write it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from detector.crc32c import masked_crc32c
from detector.data.dataset import Problem
from detector.errors import DataError, reason_of

_LARGEST = 1 << 31
"""Longest record that is read; protobuf itself ends at 2 GB."""


class Record(NamedTuple):
    """`number` counts from 1; `offset` is where its content starts in the file."""

    number: int
    offset: int
    content: bytes


def read_records(path: str | os.PathLike, problems: list[Problem]) -> Iterator[Record]:
    """Every record of a file, one at a time, with both checksums verified.

    A record whose content fails its checksum is left out and named; at a broken length or the end of a
    truncated file reading ends, and that is named too. Each goes into `problems`.

    Raises:
        DataError: the file cannot be read, or is compressed.
    """
    path = Path(path)
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed by the with below
    except OSError as error:
        raise DataError(
            f"expected a TFRecord file, it cannot be read: {reason_of(error)}.", path=path
        ) from None
    with file:
        size = os.fstat(file.fileno()).st_size
        if file.read(2) == b"\x1f\x8b":
            raise DataError(
                "expected a TFRecord file, this one is compressed with gzip; unpack it first (gunzip).",
                path=path,
            )
        file.seek(0)
        number = 0
        while (at := file.tell()) < size:
            number += 1
            head = file.read(12)
            length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else -1
            if length >= 0 and masked_crc32c(head[:8]) != struct.unpack("<I", head[8:])[0]:
                what = f"record {number} has a damaged length at byte {at}; it and all after it are left out."
                problems.append(Problem("damaged record", what, str(path), None, None, True))
                return
            content, tail = (file.read(length), file.read(4)) if 0 <= length < _LARGEST else (b"", b"")
            if length < 0 or len(content) != length or len(tail) != 4:
                what = (
                    f"the file ends inside record {number} (byte {size} of at least"
                    f" {at + 16 + max(length, 0)}); it is left out. Get the file again."
                )
                problems.append(Problem("truncated file", what, str(path), None, None, True))
                return
            if masked_crc32c(content) != struct.unpack("<I", tail)[0]:
                problems.append(
                    Problem(
                        "damaged record",
                        f"record {number} at byte {at} does not fit its checksum; it is left out.",
                        str(path),
                        None,
                        None,
                        True,
                    )
                )
                continue
            yield Record(number, at + 12, content)


def frame(content: bytes) -> bytes:
    """A record's content as it stands in the file."""
    length = struct.pack("<Q", len(content))
    return (
        length
        + struct.pack("<I", masked_crc32c(length))
        + content
        + struct.pack("<I", masked_crc32c(content))
    )
