"""Which folders the server may read: its own data directory and those it was started with.

    streamlit run app -- --root ~/pictures --root ~/models
    BOXSCOPE_ROOTS=~/pictures:~/models streamlit run app

Every path that comes from a page passes `allowed`. Uploads are bounded and land in the data directory.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from detector.data.files import inside
from detector.data.members import find_member
from detector.errors import DataError, InputError
from detector.paths import data_dir, write_atomically

if TYPE_CHECKING:
    from detector.data.dataset import Dataset

MAX_UPLOAD_FILES = 500
MAX_UPLOAD_BYTES = 512 * 1024 * 1024
"""For one upload as a whole; a single file is bounded by `server.maxUploadSize` in
app/.streamlit/config.toml.
"""


def roots(arguments: Sequence[str] | None = None) -> list[Path]:
    """The folders pages may read, resolved, without repeats; the data directory first.

    Args:
        arguments: the server's own (after `--`); those of this process where None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    named = [words[i + 1] for i, word in enumerate(words[:-1]) if word == "--root"]
    named += [word.split("=", 1)[1] for word in words if word.startswith("--root=")]
    named += [part for part in os.environ.get("BOXSCOPE_ROOTS", "").split(os.pathsep) if part]
    found = [data_dir().resolve(), *(Path(part).expanduser().resolve() for part in named)]
    return list(dict.fromkeys(found))


def allowed(text: str | os.PathLike) -> Path:
    """The file or folder a user names, if the server may read it. A relative path is looked for in each root.

    Raises:
        InputError: it lies outside the roots (links are followed before this is decided), or is not there.
            Both read the same, so that a page cannot be used to find out what exists elsewhere.
    """
    text = os.fspath(text).strip().strip('"')
    if not text or "\0" in text:
        raise InputError("Expected a path, got none; type one inside the folders this server may read.")
    places = roots()
    path = Path(text).expanduser()
    for candidate in [path] if path.is_absolute() else [root / path for root in places]:
        try:
            real = inside(candidate, places)
        except DataError:
            continue
        if real.exists():
            return real
    raise InputError(
        f"{text} is not there, or lies outside the folders this server may read"
        f" ({', '.join(map(str, places))}); start it with `streamlit run app -- --root FOLDER` to add one."
    )


class Upload(Protocol):
    """What Streamlit's file uploader hands over."""

    name: str
    size: int

    def getvalue(self) -> bytes: ...


def safe_name(name: str) -> PurePosixPath:
    """An uploaded file's relative path without anything that could leave a folder or hide: "../a/.b c.jpg"
    gives "a/b c.jpg".
    """
    parts = [re.sub(r"[^\w .()+,=@-]", "_", part).strip(" .") for part in name.replace("\\", "/").split("/")]
    parts = [part[-120:] for part in parts if part]
    return PurePosixPath(*parts[-8:]) if parts else PurePosixPath("file")


def keep_uploads(files: Sequence[Upload], kind: str = "uploads") -> Path:
    """Store uploaded files in a folder of their own under the data directory and return it; the same files,
    the same folder.

    Raises:
        InputError: none, too many, or too large together.
    """
    if not files:
        raise InputError("Expected at least one file, got none.")
    total = sum(file.size for file in files)
    if len(files) > MAX_UPLOAD_FILES or total > MAX_UPLOAD_BYTES:
        raise InputError(
            f"Expected at most {MAX_UPLOAD_FILES} files of {MAX_UPLOAD_BYTES >> 20} MB together, got"
            f" {len(files)} of {total / 2**20:.0f} MB; for more, start the server with `--root FOLDER` and"
            " name the folder instead."
        )
    digest = hashlib.sha256()
    contents = []
    for file in sorted(files, key=lambda f: f.name):
        content = file.getvalue()
        digest.update(f"{file.name}\0{len(content)}\0".encode() + hashlib.sha256(content).digest())
        contents.append((safe_name(file.name), content))
    stem = re.sub(r"[^\w-]+", "-", contents[0][0].stem)[:16].strip("-") or "file"
    more = f"-and-{len(contents) - 1}-more" if len(contents) > 1 else ""
    folder = data_dir(kind) / f"{stem}{more}-{digest.hexdigest()[:8]}"
    taken: set[str] = set()
    for name, content in contents:
        while str(name).casefold() in taken:
            name = name.with_name(f"{name.stem}_{name.suffix}")
        taken.add(str(name).casefold())
        target = folder / name
        if not (target.exists() and target.stat().st_size == len(content)):
            write_atomically(target, content)
    return folder


def inside_roots(dataset: Dataset) -> None:
    """Refuse a data set whose annotation file names pictures outside the server's roots.

    Folders are looked at once each; links are followed.

    Raises:
        DataError: naming the first such picture.
    """
    places = roots()
    seen: set[str] = set()
    for file in dataset.files:
        member = find_member(file)
        folder = os.path.dirname(file) if member is None else member.container
        if file and folder not in seen:
            inside(file if member is None else member.container, places)
            seen.add(folder)
