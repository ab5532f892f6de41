"""Processes of their own that outlive the tab: how they are started, whether they live, how they are ended.

Each works in one folder: it holds `lock-<name>` there while it lives, and what it prints goes to `log.txt`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from app.files.roots import roots
from detector.locks import is_locked
from detector.paths import ROOT

STARTING = 5.0  # seconds in which a process of another server may be without its lock
_children: dict[str, subprocess.Popen] = {}


def spawn(target: str, folder: Path) -> None:
    """Run `python -m app.jobs.work TARGET FOLDER` on its own; the folder is where it works."""
    environment = os.environ | {
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "BOXSCOPE_ROOTS": os.pathsep.join(map(str, roots()[1:])),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "log.txt", "ab") as log:
        _children[str(folder)] = subprocess.Popen(
            [sys.executable, "-m", "app.jobs.work", target, str(folder)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C at the server, or a closed tab, does not end it
        )


def alive(folder: Path, started: float) -> bool:
    """Whether the process that works in this folder lives, whoever started it.

    Args:
        started: Unix time at which it was started; it holds no lock in its first second.
    """
    child = _children.get(str(folder))
    if child is not None and child.poll() is None:
        return True
    return is_locked(folder) or (child is None and time.time() - started < STARTING)


def terminate(folder: Path, name: str) -> bool:
    """End the process that holds `lock-<name>` in this folder; False where none can be."""
    child = _children.get(str(folder))
    if child is not None and child.poll() is None:
        child.terminate()
    elif is_locked(folder):
        try:
            os.kill(int((folder / f"lock-{name}").read_bytes()), signal.SIGTERM)
        except (ValueError, OSError):
            return False
    return True


def log_tail(folder: Path, characters: int = 3000) -> str:
    """The end of what the process printed."""
    log = folder / "log.txt"
    return log.read_text(errors="replace")[-characters:] if log.exists() else "no log"


def sentence(error: Exception, what: str, folder: Path) -> str:
    """An error that is a fault of ours, for a page: "The training failed (ValueError: ...); its log is
    ...".
    """
    first = str(error).splitlines()[0] if str(error) else ""
    return f"{what} failed ({type(error).__name__}: {first}); its log is {folder / 'log.txt'}."
