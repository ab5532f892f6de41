"""Pushes to FiftyOne, each in a thread of this server, so that they outlive the tab that asked for them.

FiftyOne itself runs in processes of its own; the thread only waits for them and notes how far they are.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detector.errors import BoxscopeError
from detector.paths import data_dir, write_atomically


@dataclass
class Push:
    """How one push, or one start of the App, stands. Written by its thread, read by pages.

    Args:
        stage: what is going on, in words.
        done, total: samples; total 0 while nothing is counted yet.
        result: a PushReport's fields once it is through; url: where the App shows it; error: one sentence.
    """

    run: str
    stage: str = "Starting"
    done: int = 0
    total: int = 0
    rate: float = 0.0
    seconds_left: float | None = None
    result: dict[str, Any] | None = None
    url: str = ""
    error: str = ""
    over: bool = False
    started: float = field(default_factory=time.time)
    _stop: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        self._stop.set()


_lock = threading.Lock()
_pushes: dict[str, Push] = {}


def of(run: str) -> Push | None:
    """The latest push of a run in this server, if any."""
    return _pushes.get(run)


def start(
    path: Path,
    *,
    threshold: float | dict[str, float],
    iou: float,
    pages: str,
    push: bool = True,
    dataset: str | None = None,
    heatmaps: bool = False,
    evidence: Path | None = None,
) -> Push:
    """Begin to push a run and open the App on it, or (push=False) only to open the App; one at a time a run.

    heatmaps, evidence: as `analysis.fiftyone_bridge.push_to_fiftyone` has them.
    """
    key = str(path)
    with _lock:
        current = _pushes.get(key)
        if current is not None and not current.over:
            return current
        state = _pushes[key] = Push(key)
    threading.Thread(
        target=_work,
        args=(state, path, threshold, iou, pages, push, dataset, heatmaps, evidence),
        daemon=True,
        name="push",
    ).start()
    return state


def note_pushed(path: Path, dataset: str) -> None:
    """Remember under which name a run lies in FiftyOne, for links from its images."""
    with _lock:
        names = _pushed_names()
        names[str(path)] = dataset
        write_atomically(data_dir("fiftyone") / "pushed.json", json.dumps(names).encode())


def _pushed_names() -> dict[str, str]:
    try:
        return dict(json.loads((data_dir("fiftyone") / "pushed.json").read_bytes()))
    except (OSError, ValueError):
        return {}


def pushed_as(path: Path) -> str | None:
    """The name of FiftyOne's data set a run was pushed to from here, or None."""
    return _pushed_names().get(str(path))


def connection() -> dict[str, str]:
    """{"state", "message", "url"}: how FiftyOne stands; asking starts nothing and imports no FiftyOne."""
    from analysis.fiftyone_bridge import status

    found = status()
    return {"state": found.state, "message": found.message, "url": found.app_url or ""}


def _work(
    state: Push,
    path: Path,
    threshold: float | dict[str, float],
    iou: float,
    pages: str,
    push: bool,
    dataset: str | None,
    heatmaps: bool,
    evidence: Path | None,
) -> None:
    def stage(words: str) -> None:
        state.stage = words

    def progress(p: Any) -> None:
        state.stage = "Writing samples" if p.stage == "writing" else "Finishing: views and evaluation"
        state.done, state.total, state.rate, state.seconds_left = p.done, p.total, p.rate, p.seconds_left

    try:
        from analysis.fiftyone_bridge import launch, push_in_process

        if push:
            report = push_in_process(
                path,
                threshold=threshold,
                iou=iou,
                pages=pages,
                heatmaps=heatmaps,
                evidence=evidence,
                progress=progress,
                stage=stage,
                should_stop=state._stop.is_set,
            )
            state.result = report.to_dict()
            dataset = report.dataset
            note_pushed(path, dataset)
            if report.cancelled:
                return
        state.stage = "Starting FiftyOne's App"
        state.url = launch(dataset, say=stage)
    except BoxscopeError as error:
        state.error = error.message
    except Exception as error:
        import logging

        logging.getLogger("boxscope").exception("a push failed")
        state.error = f"The push failed ({type(error).__name__}); the terminal shows more."
    finally:
        state.over = True
