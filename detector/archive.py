"""Model archives (.tar.gz, .tgz, .tar, .zip) unpacked safely, once, under their content's hash."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from detector.errors import ModelError
from detector.paths import data_dir

MAX_BYTES = 4 << 30  # unpacked; the largest zoo archive is about 2 GB
MAX_MEMBERS = 10_000
SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")

Progress = Callable[[int, int | None], None]
"""(bytes done, bytes in all or None where unknown)"""


def is_archive(path: str | os.PathLike) -> bool:
    return os.fspath(path).lower().endswith(SUFFIXES)


def unpack(
    archive: str | Path,
    *,
    into: Path | None = None,
    max_bytes: int = MAX_BYTES,
    max_members: int = MAX_MEMBERS,
    progress: Progress | None = None,
) -> Path:
    """Unpack an archive and return the folder with its content.

    The folder's name is the hash of the archive's bytes, so that a second call finds it, and it appears
    only when it is whole: members are written to a temporary folder beside it, which is renamed at the end.

    Args:
        into: where the folder goes; `models/` in the data directory if not given.
        max_bytes, max_members: bounds on what is unpacked.
        progress: bytes unpacked so far; the total is not known beforehand.

    Raises:
        ModelError: not an archive, damaged, over the bounds, or with a member that is a link, a device or
            lies outside the folder. Nothing is left behind then.
    """
    archive = Path(archive)
    into = data_dir("models") if into is None else into
    into.mkdir(parents=True, exist_ok=True)
    try:
        target = into / f"unpacked-{_hash(archive)[:24]}"
    except OSError as error:
        raise ModelError(f"expected an archive that can be read: {error.strerror}.", path=archive) from error
    if target.is_dir():
        return target
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=into))
    try:
        _write_all(archive, temporary, max_bytes, max_members, progress)
        temporary.chmod(0o755)
        try:
            temporary.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first, with the same bytes
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_all(
    archive: Path, folder: Path, max_bytes: int, max_members: int, progress: Progress | None
) -> None:
    done, seen = 0, set()
    try:
        for count, (name, stream) in enumerate(_members(archive), start=1):
            if count > max_members:
                raise ModelError(
                    f"the archive holds more than {max_members:,} members; a model holds a few dozen.",
                    path=archive,
                )
            place = _inside(name, archive)
            if not place.parts:
                continue
            if stream is None:
                (folder / place).mkdir(parents=True, exist_ok=True)
                continue
            if place in seen:
                raise ModelError(f"the archive holds {name!r} twice.", path=archive)
            seen.add(place)
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            with open(folder / place, "wb") as file:
                while piece := stream.read(1 << 20):
                    done += len(piece)
                    if done > max_bytes:
                        raise ModelError(
                            f"the archive unpacks to more than {max_bytes:,} bytes.", path=archive
                        )
                    file.write(piece)
                    if progress:
                        progress(done, None)
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        if getattr(error, "errno", None):  # the disk, not the archive
            raise ModelError(
                f"the archive cannot be unpacked into {folder.parent}: {os.strerror(error.errno)}.",
                path=archive,
            ) from error
        raise ModelError(
            f"the archive cannot be unpacked ({error}); it is damaged or was not fetched whole.", path=archive
        ) from error
    if not seen:
        raise ModelError("the archive is empty.", path=archive)


def _members(archive: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """(name, stream) of every file; the stream is None for a folder."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                mode = info.external_attr >> 16
                if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and stat.S_IFMT(mode):
                    raise ModelError(
                        f"the archive holds a link or device, {info.filename!r}; a model needs none.",
                        path=archive,
                    )
                if info.flag_bits & 1:
                    raise ModelError(
                        "the archive is encrypted; unpack it by hand and give the folder.", path=archive
                    )
                if info.is_dir():
                    yield info.filename, None
                else:
                    with opened.open(info) as stream:
                        yield info.filename, stream
        return
    with tarfile.open(archive, "r:*") as opened:
        for member in opened:
            if member.isdir():
                yield member.name, None
            elif member.isreg() and not member.issparse():
                yield member.name, opened.extractfile(member)
            else:
                raise ModelError(
                    f"the archive holds a link or device, {member.name!r}; a model needs none.", path=archive
                )


def _inside(name: str, archive: Path) -> PurePosixPath:
    """The member's place below the folder.

    Raises:
        ModelError: it would lie outside.
    """
    place = PurePosixPath(name)
    if (
        place.is_absolute()
        or ".." in place.parts
        or "\\" in name
        or "\0" in name
        or (place.parts and ":" in place.parts[0])
    ):
        raise ModelError(f"the archive's member {name!r} would be written outside its folder.", path=archive)
    return place
