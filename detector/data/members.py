"""Pictures inside a larger file, by an address that stands where a path would:
"train.record#1834+93211/000005.jpg".

The container, the first byte, the number of bytes, and a name; the name is what people see and what tells the
kind. Nothing is unpacked: a picture is read from its place when it is asked for, by any number of threads.
"""

from __future__ import annotations

import io
import os
import re
from typing import NamedTuple

_ADDRESS = re.compile(r"(?s)(.+)#(\d{1,18})\+(\d{1,18})/([^/]*)")


class Member(NamedTuple):
    """Where a picture lies: bytes offset .. offset + length of the file `container`."""

    container: str
    offset: int
    length: int
    name: str


def address(container: str | os.PathLike, offset: int, length: int, name: str) -> str:
    """The address of a member; slashes in its name become "_", as the name is one component of a path."""
    return f"{os.fspath(container)}#{offset}+{length}/{name.replace('/', '_')}"


def find_member(path: str | os.PathLike) -> Member | None:
    """The parts of an address; None for any other path."""
    match = _ADDRESS.fullmatch(os.fspath(path)) if "#" in os.fspath(path) else None
    return Member(match[1], int(match[2]), int(match[3]), match[4]) if match else None


def read_member(member: Member) -> bytes:
    """Its bytes.

    Raises:
        FileNotFoundError: the container is gone. OSError: it cannot be read, or ends before the member does.
    """
    with open(member.container, "rb") as file:
        file.seek(member.offset)
        data = file.read(member.length)
    if len(data) != member.length:
        raise OSError(
            None, f"{member.container} ends before the picture does; it was changed since it was opened"
        )
    return data


def open_member(member: Member) -> io.BufferedReader:
    """It as a file of its own, for reading; only what is asked for is read.

    Raises:
        As `read_member`.
    """
    return io.BufferedReader(_Window(member))


class _Window(io.RawIOBase):
    def __init__(self, member: Member):
        self._file = open(member.container, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        self._start, self._length, self._at = member.offset, member.length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:
        wanted = min(len(buffer), max(0, self._length - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
