"""One writer a worker name: a lock file that dies with the process that holds it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import IO

from detector.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def _acquire(file: IO[bytes], shared: bool = False) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        else:
            import msvcrt

            file.seek(1 << 30)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


class WorkerLock:
    """Holds `RUN/lock-<worker>` with this process' id in it.

    The operating system lets go of the lock when the process ends, however it ends, so a lock left behind by
    a dead process is simply taken over and a reused process id deceives nobody.

    Raises:
        RunError: a living process writes this run under the same worker name.
    """

    def __init__(self, folder: Path, worker: str, patience: float = 0.5):
        self.path = Path(folder) / f"lock-{worker}"
        self._file = open(self.path, "a+b")  # noqa: SIM115 (held until release)
        deadline = time.monotonic() + patience  # `is_locked` may hold it for an instant
        while not _acquire(self._file):
            if time.monotonic() > deadline:
                self._file.close()
                raise RunError(
                    f"Another process{_holder(self.path)} is writing this run; wait for it, or cancel it,"
                    " then try again.",
                    path=folder,
                )
            time.sleep(0.02)
        self._file.truncate(0)
        self._file.seek(0)
        self._file.write(str(os.getpid()).encode())
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def _holder(path: Path) -> str:
    try:
        return f" (process {int(path.read_bytes()[:20])})"
    except (OSError, ValueError):
        return ""


def is_locked(folder: str | Path) -> bool:
    """Whether some living process writes this run now."""
    for path in Path(folder).glob("lock-*"):
        try:
            with open(path, "r+b") as file:
                if not _acquire(file, shared=True):
                    return True
        except OSError:
            continue
    return False
