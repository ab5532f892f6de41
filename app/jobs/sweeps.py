"""Sweeps as the page sees them: what `detector.sweep.state` stores, and the process of its own that goes on with
one.

SWEEP/lock-sweep      held by the living process (of the page, or of the command) SWEEP/stop            the
wish to stop;  SWEEP/job.json  when it was started, and why it ended early;  SWEEP/log.txt
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.jobs import process
from detector.errors import BoxscopeError, RunError
from detector.locks import WorkerLock
from detector.paths import write_atomically

if TYPE_CHECKING:
    from detector.sweep.recipe import SweepRecipe
    from detector.sweep.state import SweepState
    from detector.training.common.session import TrainProgress

LOCK, STOP, JOB = "sweep", "stop", "job.json"


def live(state: SweepState) -> bool:
    """Whether some process works on it: the page's, or commands with any number of workers."""
    return process.alive(Path(state.folder), _told(Path(state.folder)).get("started", 0.0)) or any(
        t.state == "running" for t in state.trials
    )


def error(folder: Path) -> str:
    """Why the page's process ended early; "" where it did not."""
    return _told(folder).get("error", "")


def resume(folder: Path) -> None:
    """Go on with a sweep in the background."""
    (folder / STOP).unlink(missing_ok=True)
    _tell(folder, started=time.time())
    process.spawn("app.jobs.sweep_job", str(folder), folder)


def stop(folder: Path) -> None:
    """Ask every process that works on it to stop after the step in hand; the running trials keep their
    checkpoints.
    """
    (folder / STOP).touch()


def asked_to_stop(folder: Path) -> bool:
    return (folder / STOP).exists()


def run(
    sweep: SweepRecipe,
    folder: Path,
    *,
    progress: Callable[[int, TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> SweepState:
    """Work on a sweep in this process, alone or beside others, until all trials are done or someone asks to
    stop.

    Raises:
        Whatever `detector.sweep.run.run_sweep` raises.
    """
    from detector.sweep.run import run_sweep

    return run_sweep(
        sweep,
        folder,
        progress=progress,
        should_stop=lambda: (should_stop is not None and should_stop()) or asked_to_stop(folder),
    )


def run_in_background(folder: Path) -> int:
    """What `python -m app.jobs.sweep_job SWEEP` does; its exit status."""
    from detector.sweep.recipe import load_sweep
    from detector.sweep.run import add_best_to_catalogue

    try:
        lock = WorkerLock(folder, LOCK)
    except RunError:
        return 1  # the process that holds it goes on
    try:
        _tell(folder)
        state = run(load_sweep(folder / "sweep.yaml"), folder)
        if state.best is not None:
            add_best_to_catalogue(state, folder.name)
    except BoxscopeError as raised:
        _tell(folder, error=raised.message)
        return 1
    except Exception as raised:
        _tell(folder, error=process.sentence(raised, "The sweep", folder))
        raise
    finally:
        lock.release()
    return 0


def _tell(folder: Path, **words: Any) -> None:
    write_atomically(folder / JOB, json.dumps(words).encode())


def _told(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / JOB).read_bytes())
    except (OSError, ValueError):
        return {}
