"""Detectors in one separate process: loaded once, shared by all sessions, started anew if it dies.

    process = model_process()
    process.detect({"model": "ssd_mobilenet_v2"}, [rgb])      -> [Detections]
    process.candidates(spec, [rgb])                           -> [Candidates]

The page's process never imports TensorFlow: Streamlit collects garbage after every rerun, which with
TensorFlow's objects about costs half a second each time.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import cache
from multiprocessing.connection import Connection, Listener
from typing import Any

import numpy as np

from detector import errors
from detector.core import Candidates, Detections, DetectorInfo
from detector.paths import ROOT

START_SECONDS = 60.0

Spec = dict[str, Any]


class ModelProcess:
    """One worker process and the one queue in front of it: a lock, so that requests are answered in turn."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen | None = None
        self._connection: Connection | None = None
        atexit.register(self.stop)

    @property
    def pid(self) -> int | None:
        """The worker's process id, or None where none runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def info(self, spec: Spec) -> DetectorInfo:
        """Load the detector if need be and describe it.

        Raises:
            BoxscopeError: what loading raised in the worker.
            ModelError: the worker died.
        """
        return DetectorInfo(**self._ask("info", spec))

    def loaded(self, spec: Spec) -> bool:
        """Whether this detector could answer at once; never starts a process, and does not wait for a busy
        one.
        """
        if self.pid is None or not self._turn.acquire(blocking=False):
            return False
        try:
            return bool(self._exchange("loaded", spec, None))
        except errors.BoxscopeError:
            return False
        finally:
            self._turn.release()

    def detect(self, spec: Spec, images: Sequence[np.ndarray]) -> list[Detections]:
        return [Detections(**columns) for columns in self._ask("detect", spec, list(images))]

    def candidates(self, spec: Spec, images: Sequence[np.ndarray]) -> list[Candidates]:
        return [Candidates(**columns) for columns in self._ask("candidates", spec, list(images))]

    def evidence(self, spec: Spec, request: dict[str, Any]) -> Any:
        """One step of a heat map; see `app.model.heat_map_job.HeatMapJobs.step`."""
        return self._ask("evidence", spec, request)

    def stop(self) -> None:
        """End the worker; the next request starts a new one."""
        process, connection, self._process, self._connection = self._process, self._connection, None, None
        if connection is not None:
            connection.close()
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()

    def _ask(self, operation: str, spec: Spec, images: list | None = None) -> Any:
        with self._turn:
            return self._exchange(operation, spec, images)

    def _exchange(self, operation: str, spec: Spec, images: list | None) -> Any:
        if self.pid is None:
            self._start()
        try:
            self._connection.send((operation, spec, images))
            while not self._connection.poll(0.25):
                if self._process.poll() is not None:
                    raise EOFError
            kind, value = self._connection.recv()
        except (EOFError, OSError) as error:
            code = self._process.wait(5) if self._process else None
            self.stop()
            why = (
                "it was killed, most often because of a lack of memory"
                if code in (-9, 137)
                else f"exit code {code}"
            )
            raise errors.ModelError(
                f"The detector's process ended in the middle of its work ({why}); try again, it starts anew."
            ) from error
        if kind == "error":
            name, message, path, line = value
            raise getattr(errors, name, errors.ModelError)(message, path=path, line=line)
        if kind == "fault":
            raise errors.ModelError(f"The detector failed: {value}.")
        return value

    def _start(self) -> None:
        self.stop()
        key = secrets.token_bytes(32)
        with Listener(authkey=key) as listener:
            environment = os.environ | {
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
            }
            environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.model.worker", _address(listener)],
                stdin=subprocess.PIPE,
                cwd=ROOT,
                env=environment,
            )
            with contextlib.suppress(BrokenPipeError):  # it ended at once; the wait below says so
                self._process.stdin.write(key)
                self._process.stdin.close()
            accepted: list[Connection] = []
            waiter = threading.Thread(target=lambda: accepted.append(listener.accept()), daemon=True)
            waiter.start()
            deadline = time.monotonic() + START_SECONDS
            while waiter.is_alive() and self._process.poll() is None and time.monotonic() < deadline:
                waiter.join(0.05)
        if not accepted:
            self.stop()
            raise errors.ModelError(
                f"The detector's process did not start (waited up to {START_SECONDS:.0f} s); the terminal"
                " says why."
            )
        self._connection = accepted[0]


class RemoteDetector:
    """A detector that lives in the model process, as `detector.core.Detector` has it."""

    def __init__(self, spec: Spec):
        self._process, self._spec = model_process(), spec
        self.info = self._process.info(spec)

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        return self._process.detect(self._spec, images)

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        return self._process.candidates(self._spec, images)


def _address(listener: Listener) -> str:
    address = listener.address
    if not isinstance(address, str):
        raise errors.UnavailableError(
            f"Expected a local socket or pipe for the detector's process, got {address!r}."
        )
    return address


@cache
def model_process() -> ModelProcess:
    """The one of this server."""
    return ModelProcess()
