"""Sweeps in the background: what `detector.sweep.state` stores, and the process that goes on with one.

SWEEP/lock-sweep  held by the living process (of the page, or of the command)
SWEEP/stop        a request to stop
SWEEP/job.json    when it was started, and why it ended early
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from app.jobs.job import ProcessJob

if TYPE_CHECKING:
    from detector.sweep.recipe import SweepRecipe
    from detector.sweep.state import SweepState
    from detector.training.common.session import TrainProgress


@dataclass(frozen=True, kw_only=True)
class SweepJob(ProcessJob):
    """Work on the sweep of a folder. Its result is what `detector.sweep.state.read_sweep` reads there."""

    WHAT: ClassVar = "The sweep"
    LOCK: ClassVar = "sweep"
    STOP: ClassVar = "stop"

    def work(self) -> None:
        """Work on it until all trials are done or someone asks to stop."""
        from detector.sweep.recipe import load_sweep
        from detector.sweep.run import add_best_to_catalogue

        self.save(stage="running", started=0.0, error="")  # from here on the lock says whether it lives
        state = run(load_sweep(self.folder / "sweep.yaml"), self.folder)
        if state.best is not None:
            add_best_to_catalogue(state, self.folder.name)
        self.save(stage="done", started=0.0)


def job_of(folder: Path) -> SweepJob:
    """The job of a sweep's folder, started or not."""
    return SweepJob.stored(folder) or SweepJob(folder=folder)


def live(state: SweepState) -> bool:
    """Whether some process works on it: the page's, or commands with any number of workers."""
    return job_of(Path(state.folder)).alive or any(t.state == "running" for t in state.trials)


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

    job = SweepJob(folder=folder)
    return run_sweep(
        sweep,
        folder,
        progress=progress,
        should_stop=lambda: (should_stop is not None and should_stop()) or job.stop_requested,
    )
