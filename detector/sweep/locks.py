"""Locks between the processes of one sweep: files that the operating system lets go of when their holder
ends.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: one process a sweep
    fcntl = None

PATIENCE = 0.5  # seconds; `is_held` may hold a lock for an instant


def hold(path: Path) -> Any:
    """The lock file, held until it is closed or the process ends. Raises BlockingIOError: another process
    holds it.
    """
    file = open(path, "a+b")  # noqa: SIM115 (held by the caller)
    deadline = time.monotonic() + PATIENCE
    while fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                file.close()
                raise BlockingIOError(str(path)) from error
            time.sleep(0.02)
    return file


def is_held(path: Path) -> bool:
    """Whether a living process holds this lock now."""
    if fcntl is None:
        return False
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock inside, after waiting for it."""
    with open(path, "a+b") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
