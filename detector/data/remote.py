"""Pictures in an object store: addresses such as s3://bucket/key and gs://bucket/key, read through pyarrow.

Who may read is settled as the store's own tools have it: environment variables, profiles, the machine's role.
AWS_ENDPOINT_URL (or AWS_ENDPOINT_URL_S3) names another S3-compatible server, AWS_NO_SIGN_REQUEST=YES reads a
public bucket.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from detector.errors import DataError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

SCHEMES = ("s3", "gs")


def is_remote(path: str | os.PathLike) -> bool:
    """Whether this is an address in an object store, and no local path."""
    scheme, found, _ = os.fspath(path).partition("://")
    return bool(found) and scheme in SCHEMES


def file_system(address: str) -> tuple[FileSystem, str]:
    """The pyarrow file system of an address, and the path in it ("bucket/key").

    Raises:
        DataError: the address names no bucket, or the store's client cannot be set up.
    """
    scheme, _, rest = address.partition("://")
    path = rest.strip("/")
    if scheme not in SCHEMES or not path:
        raise DataError(f"expected an address such as s3://bucket/folder, got {address!r}.")
    settings = tuple(
        os.environ.get(name, "")
        for name in (
            "AWS_ENDPOINT_URL_S3",
            "AWS_ENDPOINT_URL",
            "AWS_NO_SIGN_REQUEST",
            "STORAGE_EMULATOR_HOST",
        )
    )
    # A client's threads and connections do not survive a fork, so each process makes its own.
    return _client(scheme, path.partition("/")[0], settings, os.getpid()), path


@lru_cache(maxsize=16)
def _client(scheme: str, bucket: str, settings: tuple[str, ...], pid: int) -> FileSystem:
    from pyarrow import fs

    endpoint = settings[0] or settings[1]
    try:
        if scheme == "gs":
            return fs.GcsFileSystem()
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if endpoint:
            address = {"endpoint_override": endpoint, "region": region or "us-east-1"}
        else:
            address = {"region": region or fs.resolve_s3_region(bucket)}
        return fs.S3FileSystem(
            anonymous=settings[2].upper() in ("YES", "TRUE", "1"),
            connect_timeout=10,
            request_timeout=60,
            **address,
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"the store cannot be reached ({_first_line(error)}).", path=f"{scheme}://{bucket}"
        ) from None


def read_bytes(address: str) -> bytes:
    """One object, whole.

    Raises:
        FileNotFoundError: there is none. OSError: it cannot be read. DataError: as `file_system`.
    """
    store, path = file_system(address)
    with store.open_input_stream(path) as stream:
        return stream.read()


def open_file(address: str):
    """One object as a file that can be searched; reads only the ranges asked for.

    Raises:
        As `read_bytes`.
    """
    store, path = file_system(address)
    return store.open_input_file(path)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
