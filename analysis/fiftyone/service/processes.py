"""Processes that outlive the one that started them: start, recognise, end; and the file that remembers
them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detector.errors import UnavailableError
from detector.paths import write_atomically


def start_time(pid: int) -> str | None:
    """When the kernel says a process began, as an opaque mark; None where it is gone or a zombie.

    A pid is used again one day; pid and start time together name one process for good (Linux: /proc;
    elsewhere `ps`).
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
        line = answer.stdout.strip()
        return None if not line or line.startswith("Z") else line.split(None, 1)[1]
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def is_running(record: Mapping[str, Any] | None) -> bool:
    """Whether the process of a state record still is that process."""
    if not record or not isinstance(record.get("pid"), int):
        return False
    began = start_time(record["pid"])
    return began is not None and began == record.get("began")


def start(command: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path) -> subprocess.Popen:
    """Start a process in its own session, so that closing a terminal or a tab leaves it running.

    Raises:
        UnavailableError: the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        try:
            return subprocess.Popen(
                list(command),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise UnavailableError(
                f"{Path(command[0]).name} could not be started: {error.strerror}.", path=command[0]
            ) from None


def stop(record: Mapping[str, Any] | None, *, patience: float = 15.0) -> bool:
    """End the process of a record: first asked, then killed. True where one was running."""
    if not is_running(record):
        return False
    pid = record["pid"]
    for sign, wait in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)
        end = time.monotonic() + wait
        while time.monotonic() < end:
            with contextlib.suppress(ChildProcessError, OSError):
                os.waitpid(pid, os.WNOHANG)
            if not is_running(record):
                return True
            time.sleep(0.05)
    return not is_running(record)


def free_port(preferred: int | None = None) -> int:
    """A free TCP port on localhost; the preferred one where it is free."""
    if preferred and port_is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def claimed_port(preferred: int) -> Iterator[int]:
    """A free port that no other Boxscope process, of any data directory, is about to use; the preferred one
    if it can be.

    A server listens only seconds after its start; until then the claim, a lock on a file, speaks for it.
    """
    for port in (preferred, free_port(), free_port()):
        with open(Path(tempfile.gettempdir(), f"boxscope-{os.getuid()}-port-{port}.lock"), "a") as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            if port_is_free(port):
                yield port
                return
    raise UnavailableError("No free port was found on this machine for FiftyOne's App; try again.")


def port_is_free(port: int) -> bool:
    """Whether a server could listen here; connections of an ended one that linger do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(port: int, timeout: float = 1.0) -> bool:
    """Whether something accepts connections at this port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=timeout).close()
    except OSError:
        return False
    return True


class StateFile:
    """What runs, by name: {"database": {pid, began, port, ...}, "app": {...}}; written whole or not at
    all.
    """

    def __init__(self, path: Path):
        self.path = path

    def read(self) -> dict[str, Any]:
        """The records; an absent or unreadable file is an empty one (its processes are then unknown to
        us).
        """
        try:
            content = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def put(self, name: str, record: Mapping[str, Any] | None) -> None:
        content = self.read()
        content.pop(name, None)
        if record is not None:
            content[name] = dict(record)
        write_atomically(self.path, json.dumps(content, indent=2).encode())

    @contextlib.contextmanager
    def lock(self, what: str = "start", wait: float = 120.0) -> Iterator[None]:
        """Hold a lock among processes; the kernel frees it when its holder dies.

        Raises:
            UnavailableError: another process kept it longer than `wait` seconds.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path.with_name(f"{what}.lock"), "a") as handle:
            end = time.monotonic() + wait
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    if time.monotonic() >= end:
                        raise UnavailableError(
                            f"Another Boxscope process is busy with FiftyOne ({what}) since {wait:.0f} s;"
                            " wait for it or stop it."
                        ) from None
                    time.sleep(0.05)
            yield
