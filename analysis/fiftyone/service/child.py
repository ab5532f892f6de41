"""A job in a process of its own: one JSON object a line on standard output, errors as plain sentences.

Both ends are here. The job calls `serve`; a page or command calls `run_job`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.fiftyone.service import environment as around
from analysis.fiftyone.service.failures import plain_reason
from detector import errors
from detector.errors import BoxscopeError, UnavailableError

CANCEL_PATIENCE = 20.0  # seconds for a job to end at its next batch; then it is killed, which loses nothing


def serve(
    job: Callable[[Callable[[str, Mapping[str, Any]], None], Callable[[], bool]], Mapping[str, Any]],
) -> int:
    """Run a job in this process: `job(say, should_stop)` returns its report.

    Whatever FiftyOne prints goes to standard error, so that standard output holds JSON lines alone. SIGTERM
    and SIGINT make `should_stop` true.
    """
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    stopping = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stopping.set())

    def say(event: str, content: Mapping[str, Any]) -> None:
        output.write(json.dumps({"event": event, **content}) + "\n")
        output.flush()

    try:
        say("done", {"report": job(say, stopping.is_set)})
    except BoxscopeError as error:
        say(
            "error",
            {"kind": type(error).__name__, "message": error.message, "path": error.path, "line": error.line},
        )
        return 1
    except Exception as error:
        import traceback

        traceback.print_exc()  # to the log; the reader gets one sentence
        say("error", {"kind": "UnavailableError", "message": plain_reason(error), "path": None, "line": None})
        return 1
    return 0


def run_job(
    module: str,
    arguments: Sequence[str],
    *,
    uri: str,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> dict[str, Any]:
    """Run `python -m module arguments` with our FiftyOne's environment and return its report.

    Raises:
        BoxscopeError: what the job raised, of the same kind.
        UnavailableError: the job ended without an error message (killed, no memory).
    """
    log = around.home() / "logs" / f"{module.rpartition('.')[2]}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as errors_to:
        child = subprocess.Popen(
            [around.python(), "-m", module, *arguments],
            env=around.child_environment(around.with_timeout(uri)),
            cwd=around.ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors_to,
            text=True,
        )
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    last: dict[str, Any] = {}
    asked = None
    try:
        while True:
            try:
                line = lines.get(timeout=0.1)
            except queue.Empty:
                line = ""
            if line is None:
                break
            if line:
                with contextlib.suppress(ValueError):
                    last = json.loads(line)
                    if on_event is not None and last["event"] not in ("done", "error"):
                        on_event(last)
            if should_stop is not None and asked is None and should_stop():
                child.terminate()
                asked = time.monotonic()
            if asked is not None and time.monotonic() - asked > CANCEL_PATIENCE:
                child.kill()
        code = child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise
    if last.get("event") == "done":
        return last["report"]
    if last.get("event") == "error":
        kind = getattr(errors, last["kind"], UnavailableError)
        raise kind(last["message"], path=last.get("path"), line=last.get("line"))
    raise UnavailableError(
        f"The FiftyOne process ended unexpectedly (exit code {code}); what was written stays, try again."
        f" Details: {log}."
    )
