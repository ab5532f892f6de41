"""Models of TF Hub and Kaggle by their handle, fetched by `tensorflow_hub.resolve` in a process of its own.

tensorflow-hub imports TensorFlow (about 10 s), reports no progress and waits for ever on a silent server.
So it runs in a child process, and this side watches the folder that it fills: while it fetches HANDLE into
`$TFHUB_CACHE_DIR/<sha1 of HANDLE>`, the unpacked files grow in `<sha1>.<id>.tmp`, and `<sha1>.lock` names the
process that fetches ("host.pid.id", tensorflow-hub 0.16.1, `resolver.py`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from detector.paths import ROOT

RESOLVER = "detector.hub_process"
START_TIMEOUT = 300.0  # seconds to import TensorFlow and tensorflow-hub; about 10 on an idle machine
POLL = 0.2  # seconds between two looks at the folder


class HubError(Exception):
    """Why a handle could not be resolved, as the end of a sentence."""


def resolve(
    handle: str,
    place: Path,
    *,
    progress: Callable[[int, int | None], None] | None = None,
    stall: float,
    max_bytes: int,
) -> None:
    """Fetch a handle into `place`; whole, or not at all.

    Args:
        handle: without query and closing slash, as tensorflow-hub hashes it.
        place: the folder that tensorflow-hub will make: `<cache>/<sha1 of the handle>`.
        progress: called with (unpacked bytes so far, None); the server's answer is not known here.
        stall: seconds without a further byte after which the fetch is given up.
        max_bytes: of the unpacked files.

    Raises:
        HubError: tensorflow-hub is not installed, refused, was silent, or brought no SavedModel.
    """
    for package in ("tensorflow", "tensorflow_hub"):
        if importlib.util.find_spec(package) is None:
            raise HubError(f"{package} is not installed (pip install 'boxscope[tensorflow]')")
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not (place / "saved_model.pb").is_file():
        shutil.rmtree(
            place
        )  # left empty or incomplete by something else; tensorflow-hub would take it for whole
    _remove_dead_lock(place)
    with tempfile.TemporaryDirectory(prefix=".resolving-", dir=place.parent) as scratch:
        child = _start(handle, place, Path(scratch))
        try:
            _watch(child, place, Path(scratch), progress, stall, max_bytes)
        finally:
            _end(child, place)
        _raise_reason(child, Path(scratch))
    if not (place / "saved_model.pb").is_file():
        shutil.rmtree(place, ignore_errors=True)
        raise HubError("the archive that came holds no saved_model.pb")


def _start(handle: str, place: Path, scratch: Path) -> subprocess.Popen:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {
        **os.environ,
        "PYTHONPATH": path,
        "TFHUB_CACHE_DIR": str(place.parent),
        "TFHUB_MODEL_LOAD_FORMAT": "COMPRESSED",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    with open(scratch / "log.txt", "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", RESOLVER, handle, str(scratch)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
        )


def _watch(
    child: subprocess.Popen,
    place: Path,
    scratch: Path,
    progress: Callable[[int, int | None], None] | None,
    stall: float,
    max_bytes: int,
) -> None:
    """Return when the child has ended; raise when nothing comes, or too much."""
    size, changed, patience = 0, time.monotonic(), START_TIMEOUT
    while child.poll() is None:
        time.sleep(POLL)
        if patience != stall and (scratch / "imported").exists():
            changed, patience = time.monotonic(), stall
        now = _fetched_bytes(place)
        if now > max_bytes:
            raise HubError(f"it is more than the bound of {max_bytes:,} bytes")
        if now > size:
            size, changed = now, time.monotonic()
            if progress is not None:
                progress(size, None)
        elif time.monotonic() - changed > patience:
            raise HubError(f"no answer within {patience:g} seconds")
    final = _bytes_below(place)
    if final > max_bytes:
        shutil.rmtree(place)
        raise HubError(f"it is more than the bound of {max_bytes:,} bytes")
    if final and progress is not None:
        progress(final, None)


def _end(child: subprocess.Popen, place: Path) -> None:
    """End a child that still runs, and remove what it had begun."""
    if child.poll() is None:
        child.kill()
    child.wait()
    _remove_dead_lock(place)


def _raise_reason(child: subprocess.Popen, scratch: Path) -> None:
    with contextlib.suppress(OSError, ValueError):
        raise HubError(json.loads((scratch / "reason.json").read_text())["reason"])
    if child.returncode:
        last = (scratch / "log.txt").read_text(errors="replace").strip().rpartition("\n")[2]
        raise HubError(f"tensorflow-hub ended with code {child.returncode}: {last or 'it printed nothing'}")


def _remove_dead_lock(place: Path) -> None:
    """Remove the lock, and the files, of a process of this machine that is no more.

    tensorflow-hub itself would wait ten minutes before it takes such a lock for abandoned.
    """
    lock = Path(f"{place}.lock")
    try:
        host, pid, task = lock.read_text().rsplit(".", 2)
    except (OSError, ValueError):
        return
    if host != socket.gethostname() or _is_alive(int(pid)):
        return
    lock.unlink(missing_ok=True)
    shutil.rmtree(f"{place}.{task}.tmp", ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # of another user
    return True


def _fetched_bytes(place: Path) -> int:
    return sum(_bytes_below(folder) for folder in place.parent.glob(f"{place.name}.*.tmp"))


def _bytes_below(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(OSError):  # moved to its place meanwhile
            total += file.stat().st_size if file.is_file() else 0
    return total
