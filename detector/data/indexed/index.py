"""An index: a bucket or folder listed once into a Parquet file, which is a data set from then on.

    write_index("s3://bucket/pictures", "pictures.parquet")
    load_dataset("pictures.parquet")

One row a picture: `sample` (its path below the source, the sample id), `size` (bytes), `modified`
(nanoseconds since 1970, UTC) and `fingerprint` (64 bits over the three, which change when the picture is
replaced). What was listed and the fingerprint of the whole stand in the file's metadata. Rows are written as
they are listed, and read when they are asked for, so that neither side holds the list.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable, Problem
from detector.data.files import is_picture
from detector.data.formats.folder import printable
from detector.data.indexed.columns import ParquetTexts, Prefixed, Same
from detector.data.remote import file_system, is_remote
from detector.errors import DataError, InputError

SCHEMA = pa.schema(
    [
        pa.field("sample", pa.string(), False),
        pa.field("size", pa.int64(), False),
        pa.field("modified", pa.int64(), False),
        pa.field("fingerprint", pa.uint64(), False),
    ]
)
KEY = b"boxscope.index"
VERSION = 1
GROUP = 65_536
"""Rows written, and read, at a time."""
PROBLEMS = 1000
"""Problems kept with the index; more are only counted."""


class Entry(NamedTuple):
    """One picture: its path below the source, its bytes, when it was last written (nanoseconds)."""

    sample: str
    size: int
    modified: int


def list_pictures(source: str, refuse: Callable[[str], object] = lambda name: None) -> Iterator[Entry]:
    """The pictures of a folder or bucket and below it, folder by folder, sorted; hidden names are left out.

    One folder's entries are held at a time. `refuse` is called with what may not be read, or has a name that
    is not UTF-8.

    Raises:
        DataError: the source is not there, or cannot be listed.
    """
    if is_remote(source):
        yield from _list_store(source)
        return
    root = os.path.abspath(source)
    if not os.path.isdir(root):
        raise DataError("expected a folder to list, there is none.", path=source)
    yield from _list_folder(root, "", set(), refuse)


def _list_folder(
    folder: str, prefix: str, seen: set[str], refuse: Callable[[str], object]
) -> Iterator[Entry]:
    real = os.path.realpath(folder)
    if real in seen:  # a circle of links ends here
        return
    seen.add(real)
    try:
        with os.scandir(folder) as listed:
            entries = sorted(listed, key=lambda e: e.name)
    except OSError:
        refuse(folder)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            entry.name.encode()
        except UnicodeEncodeError:
            refuse(entry.path)
            continue
        try:
            if entry.is_dir():
                yield from _list_folder(entry.path, f"{prefix}{entry.name}/", seen, refuse)
            elif is_picture(entry.name) and entry.is_file():
                stat = entry.stat()
                yield Entry(prefix + entry.name, stat.st_size, stat.st_mtime_ns)
        except OSError:
            refuse(entry.path)


def _list_store(source: str) -> Iterator[Entry]:
    store, root = file_system(source)
    yield from list_file_system(store, root, source)


def list_file_system(store, root: str, source: str) -> Iterator[Entry]:
    """The same of any pyarrow file system, from the folder `root` in it; `source` is for messages."""
    from pyarrow import fs

    def below(folder: str) -> Iterator[Entry]:
        try:
            found = store.get_file_info(fs.FileSelector(folder, recursive=False))
        except OSError as error:
            raise DataError(
                f"it cannot be listed ({str(error).strip().splitlines()[0][:200]}).", path=source
            ) from None
        for info in sorted(found, key=lambda i: i.path):
            name = info.path[len(root) :].lstrip("/")
            if info.base_name.startswith("."):
                continue
            if info.type == fs.FileType.Directory:
                yield from below(info.path)
            elif info.type == fs.FileType.File and is_picture(info.base_name):
                yield Entry(name, int(info.size or 0), int(info.mtime_ns or 0))

    yield from below(root)


def write_index(
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    progress: Callable[[int], object] | None = None,
    entries: Iterator[Entry] | None = None,
) -> Path:
    """List a folder, s3:// or gs:// address into an index file, seen whole or not at all.

    Args:
        source: what is listed; a local folder is stored as its absolute path.
        out: the file, which must end in .parquet.
        progress: called with the number of pictures so far, once per row group.
        entries: the listing, where it was made elsewhere.

    Raises:
        InputError: the file's ending is another, or something else is there already.
        DataError: the source cannot be listed, or holds no picture.
    """
    out, text = Path(out), os.fspath(source)
    if out.suffix != ".parquet":
        raise InputError(f"expected a file name that ends in .parquet for the index, got {out.name!r}.")
    if out.exists() and not is_index(out):
        raise InputError(
            f"{out}: expected a new file or an index to renew, this is something else; choose another name."
        )
    root = text.rstrip("/") if is_remote(text) else os.path.abspath(text)
    refused: list[str] = []
    dropped = 0

    def refuse(name: str) -> None:
        nonlocal dropped
        dropped += 1
        if len(refused) < PROBLEMS:
            refused.append(printable(name))

    listing = list_pictures(text, refuse) if entries is None else entries
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        count, size = _write(listing, temporary, progress)
        if not count:
            raise DataError("expected pictures, there is none.", path=text)
        about = {
            "version": VERSION,
            "root": root,
            "count": count,
            "bytes": size,
            "fingerprint": _fingerprint(temporary),
            "refused": refused,
            "refused_count": dropped,
        }
        _add_metadata(temporary, about)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return out


def _write(listing: Iterator[Entry], path: Path, progress: Callable[[int], object] | None) -> tuple[int, int]:
    count = size = 0
    held: list[Entry] = []

    def write(writer: pq.ParquetWriter) -> None:
        nonlocal count, size, held
        names, sizes, times = zip(*held)
        prints = [_print(*entry) for entry in held]
        writer.write_table(
            pa.table([names, sizes, times, pa.array(prints, pa.uint64())], schema=SCHEMA),
            row_group_size=GROUP,
        )
        count, size, held = count + len(held), size + sum(sizes), []
        if progress is not None:
            progress(count)

    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        for entry in listing:
            held.append(entry)
            if len(held) == GROUP:
                write(writer)
        if held:
            write(writer)
    return count, size


def _print(sample: str, size: int, modified: int) -> int:
    return int.from_bytes(
        hashlib.blake2b(f"{sample}\0{size}\0{modified}".encode(), digest_size=8).digest(), "big"
    )


def _fingerprint(path: Path) -> str:
    """What `Dataset.fingerprint` says of the same pictures listed from a folder: it depends on names and
    sizes alone.
    """
    dirs: str | None = None
    for names, _ in _rows(path):
        for name in names:
            folder = os.path.dirname(name)
            dirs = folder if dirs is None else _common(dirs, folder)
    digest, count = hashlib.sha256(), 0
    for names, sizes in _rows(path):
        for name, size in zip(names, sizes):
            digest.update(f"{name}\0{name[len(dirs) + 1 :] if dirs else name}\0{size}\n".encode())
        count += len(names)
    for first in range(0, count, GROUP):
        digest.update(bytes(min(GROUP, count - first)))  # nothing is labelled
    return digest.hexdigest()


def _common(a: str, b: str) -> str:
    return a if a == b else os.path.commonpath([a, b]) if a and b else ""


def _rows(path: Path) -> Iterator[tuple[list[str], list[int]]]:
    with pq.ParquetFile(path) as file:
        for g in range(file.num_row_groups):
            group = file.read_row_group(g, columns=["sample", "size"], use_threads=False)
            yield group.column(0).to_pylist(), group.column(1).to_pylist()


def _add_metadata(path: Path, about: dict) -> None:
    """Copy the rows under a schema that carries what is known only after the last of them."""
    final = path.with_name(path.name + "2")
    schema = SCHEMA.with_metadata({KEY: json.dumps(about).encode()})
    try:
        with pq.ParquetFile(path) as file, pq.ParquetWriter(final, schema, compression="zstd") as writer:
            for g in range(file.num_row_groups):
                writer.write_table(
                    file.read_row_group(g, use_threads=False).cast(schema), row_group_size=GROUP
                )
        with open(final, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(final, path)
    finally:
        final.unlink(missing_ok=True)


def is_index(path: str | os.PathLike) -> bool:
    """Whether a file is an index that `write_index` wrote."""
    path = Path(path)
    if path.suffix != ".parquet" or not path.is_file():
        return False
    try:
        return KEY in (pq.read_metadata(path).metadata or {})
    except (OSError, pa.ArrowException):
        return False


class IndexedDataset(Dataset):
    """A data set of pictures without labels whose list stays in its index file.

    Names are read a few row groups at a time; sizes in pixels are unknown until a picture is decoded.

    Raises:
        DataError: the file is no index, or a newer Boxscope wrote it.
    """

    def __init__(self, path: str | os.PathLike):
        if not is_index(path):
            raise DataError("expected an index; `boxscope index FOLDER` writes one.", path=path)
        about = json.loads(pq.read_metadata(path).metadata[KEY])
        if about["version"] > VERSION:
            raise DataError(
                f"a newer Boxscope wrote this index (version {about['version']}, this one reads up to"
                f" {VERSION}).",
                path=path,
            )
        self.about = about
        n = about["count"]
        self.name, self.format, self.source = Path(path).stem, "index", str(Path(path).absolute())
        self.class_map = ClassMap(())
        self.sample_ids = ParquetTexts(path, "sample")
        self.files = Prefixed(about["root"].rstrip("/") + "/", self.sample_ids)
        self.sizes = np.broadcast_to(np.zeros(2, np.int32), (n, 2))
        self.labelled = np.broadcast_to(np.zeros((), bool), n)
        self.objects = ObjectTable.empty()
        self.offsets = np.broadcast_to(np.zeros((), np.int64), n + 1)
        self.splits = Same(None, n)
        self.problems = tuple(
            Problem(
                "unreadable folder or name",
                "it may not be read or its name is not UTF-8; it is left out.",
                name,
                None,
                None,
                True,
            )
            for name in about["refused"]
        )
        if (more := about["refused_count"] - len(about["refused"])) > 0:
            text = f"{more} more names were left out because they may not be read or are not UTF-8."
            self.problems += (Problem("unreadable folder or name", text, about["root"], left_out=True),)
        self._loader = None
        self.fingerprint = about["fingerprint"]

    def __contains__(self, sample_id: object) -> bool:
        return self.sample_ids.find(str(sample_id)) is not None

    def position(self, sample_id: str) -> int:
        i = self.sample_ids.find(str(sample_id))
        if i is None:
            raise InputError(
                f"{self.name} has no sample {sample_id!r}; it holds {len(self)}, the first is"
                f" {self.sample_ids[0]!r}."
            )
        return i

    def subset(self, which, name: str | None = None) -> Dataset:
        """As `Dataset.subset`; what is picked comes into memory."""
        which = np.asarray(which if isinstance(which, np.ndarray) else list(which))
        if which.dtype.kind in "US":
            rows = np.array([self.position(s) for s in which], np.int64)
        else:
            rows = np.flatnonzero(which) if which.dtype == bool else which.astype(np.int64)
        rows = np.unique(rows)
        ids = self.sample_ids.take(rows)
        return Dataset(
            name=name or self.name,
            format=self.format,
            source=self.source,
            class_map=self.class_map,
            sample_ids=ids,
            files=[self.files.prefix + i for i in ids],
            problems=self.problems,
        )
