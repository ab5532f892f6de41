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

from app.jobs import process as background
from detector.errors import BoxscopeError, RunError
from detector.locks import WorkerLock
from detector.paths import write_atomically

if TYPE_CHECKING:
    from detector.sweep.recipe import SweepRecipe
    from detector.sweep.state import SweepState, TrialState
    from detector.training.common.session import TrainProgress

LOCK, STOP, JOB = "sweep", "stop", "job.json"
CURVES = 4
"""So many of the best trials are drawn over their steps."""


def live(state: SweepState) -> bool:
    """Whether some process works on it: the page's, or commands with any number of workers."""
    return background.alive(Path(state.folder), _told(Path(state.folder)).get("started", 0.0)) or any(
        t.state == "running" for t in state.trials
    )


def error(folder: Path) -> str:
    """Why the page's process ended early; "" where it did not."""
    return _told(folder).get("error", "")


def resume(folder: Path) -> None:
    """Go on with a sweep in the background."""
    (folder / STOP).unlink(missing_ok=True)
    _tell(folder, started=time.time())
    background.spawn("app.views.train.sweep_job", str(folder), folder)


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
    """What `python -m app.views.train.sweep_job SWEEP` does; its exit status."""
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
        _tell(folder, error=background.sentence(raised, "The sweep", folder))
        raise
    finally:
        lock.release()
    return 0


# ---- for the page: plain values


def rows(state: SweepState) -> list[dict[str, Any]]:
    """The trials for a table: those that ended best first, then the others."""
    order = [*state.leaderboard, *(t for t in state.trials if t not in state.leaderboard)]
    return [
        {
            "trial": t.number,
            "state": _words(t),
            state.figure or "figure": t.value,
            "step": f"{t.step:,} of {t.steps:,}",
            "minutes": None if t.seconds is None else round(t.seconds / 60, 1),
        }
        | {
            name: (
                str(t.params.get(name, ""))
                if isinstance(t.params.get(name), (list, dict, tuple))
                else t.params.get(name)
            )
            for name in state.search
        }
        for t in order
    ]


def _words(t: TrialState) -> str:
    if t.state == "killed":
        return "cut off"
    return f"{t.state}, goes on with {t.continues}" if t.continues is not None else t.state


def curves(state: SweepState) -> dict[str, Any]:
    """The best trials' figure over their steps, as `app.viewer.panels.line_charts` takes it."""
    best = [t for t in state.leaderboard if t.curve][:CURVES] or [t for t in state.trials if t.curve][
        -CURVES:
    ]
    series = [_series(f"trial {t.number}", i, [list(p) for p in t.curve]) for i, t in enumerate(best)]
    steps = max((t.steps for t in best), default=1)
    return {
        "x": [0, max(1, steps)],
        "x_name": "step",
        "panels": (
            [_panel(f"{state.figure or 'Figure'} over the steps, the best trials", series)] if series else []
        ),
    }


def progress_of(state: SweepState) -> dict[str, Any]:
    """The figure of every ended trial, and the best so far."""
    ended = sorted(
        (t for t in state.trials if t.state in ("done", "pruned") and t.value is not None),
        key=lambda t: t.number,
    )
    best, line = float("-inf"), []
    for t in ended:
        if t.state == "done":
            best = max(best, t.value)
            line.append([t.number, best])
    parts = [
        _series("best so far", 0, line),
        _series("done", 2, [[t.number, t.value] for t in ended if t.state == "done"], scatter=True),
        _series("pruned", 4, [[t.number, t.value] for t in ended if t.state == "pruned"], scatter=True),
    ]
    shown = [s for s in parts if s["points"]]
    last = max((t.number for t in state.trials), default=1)
    return {
        "x": [0, max(1, last, state.planned - 1)],
        "x_name": "trial",
        "panels": [_panel(f"{state.figure or 'Figure'} of each trial", shown)] if shown else [],
    }


def importance_rows(shares: dict[str, float]) -> dict[str, Any]:
    """Bars of each key's share, as `app.viewer.panels.bar_rows` takes them."""
    top = max(shares.values(), default=1.0) or 1.0
    made = [
        {
            "id": name,
            "name": name,
            "note": "",
            "verdict": "found",
            "count": "",
            "bar": share / top,
            "value": f"{100 * share:.1f} %",
            "disabled": True,
        }
        for name, share in shares.items()
    ]
    return {"head": ["key", "", "", "share"], "rows": made, "foot": "", "line": None, "selected": None}


def _series(name: str, colour: int, points: list[list[float]], scatter: bool = False) -> dict[str, Any]:
    return {"name": name, "colour": colour, "points": points, "dots": True, "scatter": scatter, "best": None}


def _panel(title: str, series: list[dict[str, Any]]) -> dict[str, Any]:
    high = max((y for s in series for _, y in s["points"]), default=1.0)
    low = min((y for s in series for _, y in s["points"]), default=0.0)
    return {
        "title": title,
        "height": 190,
        "lo": 0 if low >= 0 else None,
        "hi": 1 if low >= 0 and high <= 1 else None,
        "digits": 3,
        "span": 6,
        "series": series,
    }


def _tell(folder: Path, **words: Any) -> None:
    write_atomically(folder / JOB, json.dumps(words).encode())


def _told(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / JOB).read_bytes())
    except (OSError, ValueError):
        return {}
