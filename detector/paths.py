"""Where Boxscope keeps what it makes: one data directory, named by $BOXSCOPE_HOME."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from pathlib import Path

from detector.errors import InputError, reason_of

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds `app/`, `analysis/`, `detector/` and `configs/`: a checkout, or site-packages."""

CONFIGS = ROOT / "configs"
DEMO_DETECTOR = ROOT / "detector" / "models" / "demo"
"""The training folder of the demo's detector, which comes with Boxscope."""


def data_dir(*parts: str) -> Path:
    """A folder under the data directory, made if need be.

    The data directory is $BOXSCOPE_HOME, else $XDG_DATA_HOME/boxscope, else ~/.local/share/boxscope. It holds
    `runs/`, `models/` (unpacked and downloaded networks), `cache/` (thumbnails), `evidence/` (heat
    maps made on the Image page), `demo/` and `fiftyone/`.
    """
    home = os.environ.get("BOXSCOPE_HOME")
    if home:
        base = Path(home)
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "boxscope"
    folder = base.joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_atomically(path: str | os.PathLike, content: bytes) -> None:
    """Write a file so that a reader, or a kill, sees the old content or the new one whole."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None  # not the temporary file, which nobody knows
        raise
    finally:
        temporary.unlink(missing_ok=True)


def os_sentence(error: OSError) -> str:
    """One sentence about what the operating system refused: the path where it is known, and the reason."""
    what = "A file" if error.filename is None else str(error.filename)
    return f"{what} cannot be read or written: {reason_of(error)}; choose another place, or fix this one."


def refuse_unwritable(path: str | os.PathLike, *, file: bool = False) -> None:
    """Say before long work that its result could not be written; nothing stays behind.

    Args:
        path: the folder that will be made or filled, or with `file` the file that will be written; it need
            not exist.

    Raises:
        InputError: it cannot be; the message names the path and the reason.
    """
    path = Path(os.path.abspath(path))
    try:
        if file and path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        folder = next(p for p in ((path, *path.parents) if not file else path.parents) if os.path.lexists(p))
        # Only a try tells: the rights of a folder say nothing about a read-only or a special file system.
        os.rmdir(tempfile.mkdtemp(prefix=".", dir=folder))
    except OSError as error:
        error.filename = os.fspath(path)
        raise InputError(os_sentence(error)) from None
