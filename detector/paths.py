"""Where Boxscope keeps what it makes: one data directory, named by $BOXSCOPE_HOME."""

from __future__ import annotations

import os
import threading
from pathlib import Path


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
    finally:
        temporary.unlink(missing_ok=True)
