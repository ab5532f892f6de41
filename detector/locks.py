"""Locks between processes: files that the operating system unlocks when the process that holds them ends.

A lock that a dead process left behind is simply taken over, and a reused process id deceives nobody.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from detector.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

PATIENCE = 0.5
"""Seconds to try for a lock: `is_held` may hold it for an instant."""
PAUSE = 0.02
"""Seconds between two tries."""


class FileLock:
    """Holds a lock file, from its making until `release`.

    Args:
        path: the file; made where there is none.
        patience: seconds to try; None waits without end.

    Raises:
        BlockingIOError: another process, or another lock of this process, holds it.
    """

    def __init__(self, path: str | Path, patience: float | None = PATIENCE):
        self.path = Path(path)
        self._file = open(self.path, "a+b")  # noqa: SIM115 (held until release)
        started = time.monotonic()
        while not _acquire(self._file):
            if patience is not None and time.monotonic() - started > patience:
                self._file.close()
                raise BlockingIOError(f"{self.path}: another process holds this lock.")
            time.sleep(PAUSE)

    def release(self) -> None:
        self._file.close()


class WorkerLock(FileLock):
    """Holds `FOLDER/lock-<worker>`, with this process' id in it: one writer per worker name.

    Raises:
        RunError: a living process writes into this folder under the same worker name.
    """

    def __init__(self, folder: str | Path, worker: str, patience: float | None = PATIENCE):
        path = Path(folder) / f"lock-{worker}"
        try:
            super().__init__(path, patience)
        except BlockingIOError as error:
            raise RunError(
                f"Another process{_holder(path)} is writing this run; wait for it, or cancel it, then try"
                " again.",
                path=folder,
            ) from error
        self._file.truncate(0)
        self._file.seek(0)
        self._file.write(str(os.getpid()).encode())
        self._file.flush()


@contextmanager
def locked(path: str | Path) -> Iterator[None]:
    """Hold a lock inside, after waiting for it as long as it takes."""
    lock = FileLock(path, patience=None)
    try:
        yield
    finally:
        lock.release()


def is_held(path: str | Path) -> bool:
    """Whether a living process holds this lock now; False where there is no such file."""
    try:
        with open(path, "rb" if fcntl is not None else "r+b") as file:
            return not _acquire(file, shared=True)
    except OSError:
        return False


def is_locked(folder: str | Path) -> bool:
    """Whether a living process holds one of the folder's worker locks now."""
    return any(is_held(path) for path in Path(folder).glob("lock-*"))


def _acquire(file: IO[bytes], shared: bool = False) -> bool:
    """Take the lock without waiting; False where another holds it."""
    try:
        if fcntl is not None:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            file.seek(1 << 30)  # a byte far behind the content: msvcrt locks bytes, and others may read these
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


def _holder(path: Path) -> str:
    try:
        return f" (process {int(path.read_bytes()[:20])})"
    except (OSError, ValueError):
        return ""
