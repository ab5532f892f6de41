"""One protocol for background work: how it is started, followed, cancelled, resumed, and how it ends.

A `ProcessJob` works in a process of its own that outlives the tab and the server. Everything about it lies in
one folder, so that any server sees how it stands:

FOLDER/<FILE>        what was asked, the stage, how far it is, the error
FOLDER/lock-<LOCK>   held by the living process
FOLDER/<STOP>        a request to stop
FOLDER/log.txt       what the process printed

A `ThreadJob` works in a thread of this server; it outlives the tab, not the server. A kind of work is a
subclass that says what to do (`work`) and what its result is.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

from app.jobs import process
from detector.errors import BoxscopeError
from detector.locks import WorkerLock
from detector.paths import write_atomically

KILLED = (
    "The process ended without an error message; it may have run out of memory, or the machine was restarted."
)
Result = TypeVar("Result")


class Job:
    """What pages ask of any background work.

    Attributes:
        stage: what it is at, in words; one of `ENDS` once it is over.
        done, total: images, steps or samples; total 0 while unknown.
        error: why it failed, one sentence; "" otherwise.
        started: Unix time at which it was asked for; 0 where that is not known.
    """

    ENDS: ClassVar = ("done", "cancelled", "failed")
    stage: str
    done: int
    total: int
    error: str
    started: float

    @property
    def over(self) -> bool:
        return self.stage in self.ENDS

    @property
    def fraction(self) -> float:
        """0..1; 0 while the total is unknown."""
        return min(1.0, self.done / self.total) if self.total else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the rate so far; None before anything is done."""
        if not self.done or not self.total:
            return None
        return (time.time() - self.started) / self.done * (self.total - self.done)

    def cancel(self) -> None:
        """Ask it to stop; what is done is kept where the kind of work can go on from it."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ProcessJob(Job):
    """A snapshot of work in a process of its own; the fields but the folder are what `FILE` stores.

    A kind of work sets `WHAT` ("The export", which begins the sentence of a fault) and `LOCK`, and defines
    `work`.
    """

    WHAT: ClassVar[str]
    LOCK: ClassVar[str]
    FILE: ClassVar = "job.json"
    STOP: ClassVar = "cancel"

    folder: Path
    stage: str = "starting"
    done: int = 0
    total: int = 0
    error: str = ""
    started: float = 0.0

    # ---- on the side of pages

    def start(self) -> Self:
        """Store what is asked for and start the process, anew or from where an earlier one stopped."""
        (self.folder / self.STOP).unlink(missing_ok=True)
        job = self.save(stage="starting", error="", started=time.time())
        process.spawn(self.target(), self.folder)
        return job

    @classmethod
    def target(cls) -> str:
        """What `app.jobs.work` runs: "app.jobs.exports:Export"."""
        return f"{cls.__module__}:{cls.__qualname__}"

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """How the job of this folder stands, whichever process runs it; None where there is none. One whose
        process ended without an error message has failed.
        """
        job = cls.stored(folder)
        if job is None or job.over or job.alive:
            return job
        job = cls.stored(folder) or job  # it may have ended between the two looks
        return job if job.over else replace(job, stage="failed", error=job.killed)

    @classmethod
    def stored(cls, folder: Path) -> Self | None:
        """The job as its file has it; None where there is no file, or not one of this kind."""
        names = {field.name for field in fields(cls)} - {"folder"}
        try:
            values = json.loads((folder / cls.FILE).read_bytes())
            known = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in names}
            return cls(folder=folder, **known)
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    @property
    def alive(self) -> bool:
        """Whether a process works on it, whoever started that."""
        return process.alive(self.folder, self.started)

    @property
    def killed(self) -> str:
        """The error of a job whose process is gone."""
        return KILLED

    def cancel(self) -> None:
        """Ask the process to stop after the current step."""
        (self.folder / self.STOP).touch()

    def terminate(self) -> bool:
        """End the process now; False where that is not possible."""
        return process.terminate(self.folder, self.LOCK)

    @property
    def stop_requested(self) -> bool:
        return (self.folder / self.STOP).exists()

    def save(self, **changes: Any) -> Self:
        """Store the job with these changes, and return it so."""
        job = replace(self, **changes)
        values = asdict(job)
        del values["folder"]
        write_atomically(self.folder / self.FILE, json.dumps(values).encode())
        return job

    # ---- on the side of the process

    def work(self) -> None:
        """Do it, saving how far it is; the last save says how it ended."""
        raise NotImplementedError

    def execute(self) -> int:
        """Do the work under the folder's lock; every error becomes the job's one sentence. The exit
        status.
        """
        try:
            lock = WorkerLock(self.folder, self.LOCK)
        except BoxscopeError:
            return 1  # another process is at it
        try:
            self.work()
        except BoxscopeError as error:
            (self.stored(self.folder) or self).save(stage="failed", error=error.message)
            print(error, file=sys.stderr)
            return 1
        except Exception as error:
            (self.stored(self.folder) or self).save(
                stage="failed", error=process.sentence(error, self.WHAT, self.folder)
            )
            raise
        finally:
            lock.release()
        return 0


def run_target(target: str, folder: Path) -> int:
    """What `python -m app.jobs.work TARGET FOLDER` does; its exit status."""
    module, _, name = target.partition(":")
    kind: type[ProcessJob] = getattr(importlib.import_module(module), name)
    job = kind.stored(folder)
    if job is None:
        print(f"there is no job in {folder}", file=sys.stderr)
        return 1
    return job.execute()


class Cancelled(Exception):
    """Raised by `ThreadJob.step` once somebody asked the job to stop."""


class ThreadJob(Job, Generic[Result]):
    """Work in a thread of this server. Written by its thread, read by pages.

    Args:
        total: of images or samples, where it is known already.

    Attributes:
        result: what `work` returned, once it is done.
        words: what it is at, for a page.
    """

    WHAT: ClassVar[str]

    def __init__(self, total: int = 0):
        self.stage, self.words, self.error = "running", "Starting", ""
        self.done, self.total, self.started = 0, total, time.time()
        self.result: Result | None = None
        self._stop = threading.Event()

    def start(self) -> Self:
        threading.Thread(target=self._run, daemon=True, name=type(self).__name__).start()
        return self

    def cancel(self) -> None:
        self._stop.set()

    @property
    def stop_requested(self) -> bool:
        return self._stop.is_set()

    def step(self, done: int, total: int | None = None) -> None:
        """Say how far it is.

        Raises:
            Cancelled: somebody asked it to stop.
        """
        self.done, self.total = done, self.total if total is None else total
        if self._stop.is_set():
            raise Cancelled

    def work(self) -> Result:
        raise NotImplementedError

    def _run(self) -> None:
        try:
            self.result = self.work()
            self.stage = "done"
        except Cancelled:
            self.stage = "cancelled"
        except BoxscopeError as error:
            self.error, self.stage = error.message, "failed"
        except Exception as error:
            logging.getLogger("boxscope").exception("%s failed", self.WHAT)
            self.error = f"{self.WHAT} failed ({type(error).__name__}); the terminal shows more."
            self.stage = "failed"


Thread = TypeVar("Thread", bound=ThreadJob)


class ThreadJobs(Generic[Thread]):
    """The jobs of one kind in this server by key: one at a time per key, the newest `kept` of them."""

    def __init__(self, kept: int):
        self._kept, self._lock = kept, threading.Lock()
        self._jobs: OrderedDict[Hashable, Thread] = OrderedDict()

    def of(self, key: Hashable) -> Thread | None:
        """The newest job of a key, if there is any."""
        return self._jobs.get(key)

    def start(self, key: Hashable, make: Callable[[], Thread], *, again: bool = True) -> Thread:
        """The job of this key where it is under way, or a new one.

        Args:
            again: whether one that is done is done again.
        """
        with self._lock:
            current = self._jobs.get(key)
            if current is not None and (not current.over or (current.stage == "done" and not again)):
                return current
            job = self._keep(key, make())
        return job.start()

    def keep(self, key: Hashable, job: Thread) -> Thread:
        """Keep a job that was done elsewhere."""
        with self._lock:
            return self._keep(key, job)

    def _keep(self, key: Hashable, job: Thread) -> Thread:
        self._jobs[key] = job
        self._jobs.move_to_end(key)
        while len(self._jobs) > self._kept:
            self._jobs.popitem(last=False)[1].cancel()
        return job

    def clear(self) -> None:
        """Cancel and forget all of them."""
        with self._lock:
            while self._jobs:
                self._jobs.popitem()[1].cancel()
