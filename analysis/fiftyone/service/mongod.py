"""Our mongod: start it, wait for it, and say in one sentence why it did not come up."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analysis.fiftyone.service import processes
from analysis.fiftyone.service.environment import with_timeout
from detector.errors import UnavailableError
from detector.paths import write_atomically

MARK = "boxscope.json"  # beside the database's own files: which mongod wrote them
MIN_FREE_BYTES = 200 * 2**20  # mongod stops accepting writes, then itself, when the disk is full
PATIENCE = 90.0  # seconds until it answers; measured: 0.5 s on a new folder
CACHE_GB = 1.0  # its default is half the memory; a browsing database needs less
EXIT_REASONS = {48: "port", 62: "version"}  # mongod's documented exit codes; 100 is any uncaught exception


def command(program: Path, folder: Path, log: Path, port: int) -> list[str]:
    return [
        str(program),
        "--dbpath",
        str(folder),
        "--port",
        str(port),
        "--bind_ip",
        "127.0.0.1",
        "--nounixsocket",
        "--logpath",
        str(log),
        "--wiredTigerCacheSizeGB",
        str(CACHE_GB),
        # Without these an empty database takes 300 MB and keeps writing diagnostics about itself.
        "--wiredTigerEngineConfigString",
        "log=(file_max=16MB,prealloc=false)",
        "--setParameter",
        "diagnosticDataCollectionEnabled=false",
    ]


def start(
    program: Path, folder: Path, log: Path, *, env: Mapping[str, str], patience: float = PATIENCE
) -> dict[str, Any]:
    """Start mongod on a free port of this machine and return its record when it answers.

    Returns:
        {"pid", "began", "port", "uri", "folder", "version"}.

    Raises:
        UnavailableError: with the reason.
    """
    version = program_version(program)
    _prepare(folder, version)
    log.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(3):  # the port may be taken between finding it and using it
        port = processes.free_port()
        log.write_bytes(b"")
        output = log.with_suffix(".out")
        output.write_bytes(b"")
        child = processes.start(command(program, folder, log, port), env=env, log=output, cwd=folder)
        record = {
            "pid": child.pid,
            "began": processes.start_time(child.pid),
            "port": port,
            "folder": str(folder),
            "uri": f"mongodb://127.0.0.1:{port}/",
            "version": version,
        }
        end = time.monotonic() + patience
        while time.monotonic() < end:
            code = child.poll()
            if code is not None:
                if EXIT_REASONS.get(code) == "port" and attempt < 2:
                    break
                raise UnavailableError(why_it_stopped(code, folder, log, output))
            if processes.answers(port, 0.5):
                if version:
                    write_atomically(folder / MARK, json.dumps({"mongod": version}).encode())
                return record
            time.sleep(0.05)
        else:
            processes.stop(record)
            raise UnavailableError(f"FiftyOne's database did not answer within {patience:.0f} s; see {log}.")
    raise UnavailableError("FiftyOne's database found its port taken three times; try again.")


def program_version(program: Path) -> str:
    """ "6.0.5"; "" where it does not say.

    Raises:
        UnavailableError: it cannot run on this machine.
    """
    try:
        answer = subprocess.run([str(program), "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"mongod cannot be run on this machine ({error}).", path=program) from None
    if answer.returncode:
        raise UnavailableError(_cannot_run(answer.returncode, answer.stderr), path=program)
    first = answer.stdout.partition("\n")[0]
    return first.rpartition("v")[2].strip() if "version" in first else ""


def why_it_stopped(code: int, folder: Path, log: Path, output: Path) -> str:
    """One sentence from mongod's exit code and its log."""
    text = "\n".join(p.read_text(errors="replace") for p in (log, output) if p.exists())
    kind = EXIT_REASONS.get(code)
    if "DBPathInUse" in text:
        return (
            f"The database folder {folder} is in use by another mongod; stop that one, or set BOXSCOPE_HOME"
            " to another folder."
        )
    if "No space left on device" in text:
        return f"The disk that holds {folder} is full; free some space and start FiftyOne again."
    if "ermission denied" in text or "Read-only file system" in text:
        return (
            f"The database folder {folder} cannot be written; allow it, or set BOXSCOPE_HOME to another"
            " folder."
        )
    if kind == "port" or "Address already in use" in text:
        return "The port chosen for FiftyOne's database was taken by another program; try again."
    other = (
        "featureCompatibilityVersion",
        "unsupported WiredTiger file version",
        "UPGRADE PROBLEM",
        "Version incompatibility",
    )
    if kind == "version" or any(mark in text for mark in other):
        return _other_version(folder)
    if "Unable to read the storage engine metadata" in text or "WiredTiger error" in text or "WT_" in text:
        return (
            f"The database folder {folder} is damaged or of another version of MongoDB; move it away (it"
            " holds what was pushed, your tags in FiftyOne included) and push again."
        )
    if code < 0 or code in (126, 127, 132, 134):
        return _cannot_run(code, text)
    return (
        f"FiftyOne's database stopped with exit code {code}: {_last_error(log) or 'it gave no reason'}; see"
        f" {log}."
    )


def check_answers(uri: str, *, whose: str, seconds: float = 5.0) -> str:
    """The version of the MongoDB at an address.

    Raises:
        UnavailableError: it does not answer, or the address is wrong.
    """
    import pymongo
    from pymongo.errors import PyMongoError

    try:
        with pymongo.MongoClient(with_timeout(uri, seconds)) as client:
            return client.server_info()["version"]
    except PyMongoError as error:
        reason = " ".join(str(error).split())[:160]
        raise UnavailableError(
            f"FiftyOne cannot reach {whose} ({_without_password(uri)}): {reason}."
        ) from None


def _without_password(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://***@{rest.rpartition('@')[2]}" if "@" in rest else uri


def _prepare(folder: Path, version: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".boxscope-probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UnavailableError(
            f"The database folder {folder} cannot be written ({error.strerror}); set BOXSCOPE_HOME to another"
            " folder."
        ) from None
    free = shutil.disk_usage(folder).free
    if free < MIN_FREE_BYTES:
        raise UnavailableError(
            f"The disk that holds {folder} has {free / 2**20:.0f} MB left and FiftyOne's database needs"
            f" {MIN_FREE_BYTES / 2**20:.0f}; free some space."
        )
    try:
        wrote = json.loads((folder / MARK).read_text()).get("mongod", "")
    except (OSError, ValueError, AttributeError):
        return
    if _major(wrote) and _major(version) and _major(wrote) > _major(version):
        raise UnavailableError(_other_version(folder, f"MongoDB {wrote}", f"{version}"))


def _major(version: str) -> int:
    head = version.split(".")[0]
    return int(head) if head.isdigit() else 0


def _other_version(folder: Path, wrote: str = "another version of MongoDB", have: str = "") -> str:
    ours = f", not by the {have} that is installed" if have else ""
    return (
        f"The database folder {folder} was written by {wrote}{ours}; install that version again, or move the"
        " folder away (it holds what was pushed, your tags in FiftyOne included) and push again."
    )


def _cannot_run(code: int, text: str) -> str:
    library = next((line for line in text.splitlines() if "error while loading shared libraries" in line), "")
    if library:
        return (
            "mongod cannot run here:"
            f" {library.partition('error while loading shared libraries: ')[2].strip()}."
        )
    if code in (-signal.SIGILL, 132):
        return (
            "mongod cannot run on this processor (MongoDB 5 and later need AVX); start a MongoDB elsewhere"
            " and set FIFTYONE_DATABASE_URI."
        )
    if code in (-signal.SIGKILL, 137):
        return "FiftyOne's database was killed while starting, perhaps for lack of memory."
    return f"mongod cannot run here (exit code {code})."


def _last_error(log: Path) -> str:
    """The last error in mongod's log, which is one JSON object a line."""
    for line in reversed(log.read_text(errors="replace").splitlines() if log.exists() else []):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("s") in ("E", "F"):
            detail = entry.get("attr", {}).get("error", "")
            return f"{entry.get('msg', '')} {detail}".strip()[:240]
    return ""
