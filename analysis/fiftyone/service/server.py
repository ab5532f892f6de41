"""Our FiftyOne: one mongod and one App, each a process of its own, found again by any Boxscope process.

A state file under the data directory holds their pids and ports, so that a second process uses what the first
started. $FIFTYONE_DATABASE_URI makes us use that database instead and start none.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.fiftyone.service import environment as around
from analysis.fiftyone.service import mongod, plugin, processes
from analysis.fiftyone.service.links import DEFAULT_APP_PORT, app_link
from detector.errors import UnavailableError

Say = Callable[[str], None]
APP_PATIENCE = 180.0  # seconds; a cold disk took 40 s to import FiftyOne here


@dataclass(frozen=True)
class Connection:
    """What runs, in one line for a page.

    Args:
        state: "off", "database" (no App yet), "ready", or "unavailable".
        message: one sentence.
        uri: of the database, where one answers; app_port, app_url: where the App answers.
        foreign: the database is the user's own.
        version: of FiftyOne.
    """

    state: str
    message: str
    uri: str | None = None
    app_port: int | None = None
    app_url: str | None = None
    foreign: bool = False
    version: str | None = None


def state_file() -> processes.StateFile:
    return processes.StateFile(around.home() / "state.json")


def status() -> Connection:
    """What runs now; starts nothing, imports no FiftyOne and never raises."""
    version = around.fiftyone_version()
    if version is None:
        return Connection("unavailable", f"FiftyOne is not installed; {around.INSTALL_HINT}.")
    state, foreign = state_file().read(), around.foreign_uri()
    if foreign is None:
        try:
            around.find_mongod()
        except UnavailableError as error:
            return Connection("unavailable", str(error), version=version)
    database, app = state.get("database"), state.get("app")
    up = processes.is_running(database) and processes.answers(database["port"])
    uri = foreign or (database["uri"] if up else None)
    app_up = processes.is_running(app) and app.get("uri") == uri and _app_version(app["port"]) is not None
    if app_up:
        url = app_link(app["port"])
        what = "your database" if foreign else "its own database"
        return Connection(
            "ready",
            f"FiftyOne {version} is running at {url} with {what}.",
            uri,
            app["port"],
            url,
            bool(foreign),
            version,
        )
    if uri:
        where = (
            "Your FiftyOne database is set"
            if foreign
            else f"FiftyOne's database is running on port {database['port']}"
        )
        return Connection(
            "database", f"{where}; the App is not started.", uri, foreign=bool(foreign), version=version
        )
    if database and not processes.is_running(database):  # an end that was asked for leaves no record
        return Connection(
            "off",
            "FiftyOne's database has died; start FiftyOne again, what was written is still there.",
            version=version,
        )
    return Connection("off", f"FiftyOne {version} is installed and not running.", version=version)


def start_database(say: Say | None = None) -> str:
    """The address of a database that answers: the user's, the one already running, or a new one.

    Raises:
        UnavailableError: with the reason; FiftyOne or mongod is missing, the disk is full, the folder is in
            use or of another version, the user's database does not answer.
    """
    around.need_fiftyone()
    foreign = around.foreign_uri()
    if foreign:
        mongod.check_answers(foreign, whose="the database named by FIFTYONE_DATABASE_URI")
        return foreign
    program = around.find_mongod()
    state = state_file()
    with state.lock():
        record = state.read().get("database")
        if processes.is_running(record):
            if _wait_for_port(record["port"], 20.0):
                return record["uri"]
            raise UnavailableError(
                f"FiftyOne's database (process {record['pid']}) runs but does not answer on port"
                f" {record['port']}; stop FiftyOne and start it again."
            )
        state.put("database", None)
        if say:
            say("Starting FiftyOne's database")
        record = mongod.start(
            program, around.home() / "database", around.home() / "logs" / "mongod.log", env=dict(os.environ)
        )
        state.put("database", record)
        return record["uri"]


def start_app(
    *, port: int | None = None, say: Say | None = None, patience: float = APP_PATIENCE
) -> Connection:
    """FiftyOne's App on 127.0.0.1, started if it is not running; returns when it answers.

    Args:
        port: the port it must have; without one, 5151 where it is free, else any.
        say: told what is being waited for.
        patience: seconds to wait for it.

    Raises:
        UnavailableError: the database or the App cannot start; the port is taken.
    """
    uri = start_database(say)
    state = state_file()
    with state.lock("app", wait=patience), contextlib.ExitStack() as claims:
        record = state.read().get("app")
        if processes.is_running(record):
            if record.get("uri") == uri and port in (None, record["port"]) and _app_version(record["port"]):
                return status()
            processes.stop(record)  # another database, another port, or it hangs
        state.put("app", None)
        if port is not None and not processes.port_is_free(port):
            raise UnavailableError(
                f"Port {port} is taken by another program, so FiftyOne's App cannot use it; free it or choose"
                " another port."
            )
        chosen = port or claims.enter_context(processes.claimed_port(DEFAULT_APP_PORT))
        log = around.home() / "logs" / "app.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        plugin.install()
        if say:
            say("Starting FiftyOne's App")
        child = processes.start(
            [around.python(), "-m", "analysis.fiftyone.service.app_process", "--port", str(chosen)],
            env=around.child_environment(around.with_timeout(uri)),
            log=log,
            cwd=around.ROOT,
        )
        record = {"pid": child.pid, "began": processes.start_time(child.pid), "port": chosen, "uri": uri}
        state.put("app", record)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if child.poll() is not None:
                state.put("app", None)
                raise UnavailableError(f"FiftyOne's App stopped while starting: {_last_words(log)}")
            if _app_version(chosen):
                return status()
            time.sleep(0.25)
        processes.stop(record)
        state.put("app", None)
        raise UnavailableError(f"FiftyOne's App did not answer within {patience:.0f} s; see {log}.")


def stop(*, database: bool = True) -> bool:
    """End the App, and our database unless told otherwise. True where something was running.

    A database of the user's is left alone.
    """
    state = state_file()
    with state.lock():
        records = state.read()
        ended = processes.stop(records.get("app"))
        state.put("app", None)
        if database:
            ended = processes.stop(records.get("database"), patience=30.0) or ended
            state.put("database", None)
    return ended


def _wait_for_port(port: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not processes.answers(port):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _app_version(port: int, timeout: float = 2.0) -> str | None:
    """The version of the FiftyOne App at this port; None where none answers. Past any proxy: it is this
    machine.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/fiftyone", timeout=timeout) as answer:
            content: Any = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return content.get("version") if isinstance(content, dict) else None


def _last_words(log: Path) -> str:
    """The last line of a log that says something, for a one-sentence reason."""
    try:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1][:300] if lines else f"it said nothing; see {log}."
