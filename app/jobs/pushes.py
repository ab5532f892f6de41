"""Pushes to FiftyOne, each in a thread of this server, so that they outlive the tab that asked for them.

FiftyOne itself runs in processes of its own; the thread only waits for them and notes how far they are.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from analysis.fiftyone.push.options import PushOptions
from app.jobs.job import ThreadJob, ThreadJobs
from detector.paths import data_dir, write_atomically

KEPT = 20
_lock = threading.Lock()


@dataclass(frozen=True)
class PushRequest:
    """What to push, and how.

    Args:
        path: the run's folder.
        options: what to write; None only opens the App.
        dataset: the name of FiftyOne's data set, where nothing is pushed.
    """

    path: Path
    options: PushOptions | None = None
    dataset: str | None = None


class Push(ThreadJob[dict[str, Any]]):
    """One push, or one start of the App. Its result is a PushReport's fields; None where it only opened the
    App.

    Attributes:
        rate: samples per second.
        left: seconds left, None while unknown.
        url: where the App shows it, once it does.
    """

    WHAT: ClassVar = "The push"

    def __init__(self, request: PushRequest):
        super().__init__()
        self.request = request
        self.rate, self.left, self.url = 0.0, None, ""

    @property
    def seconds_left(self) -> float | None:
        return self.left

    def work(self) -> dict[str, Any] | None:
        from analysis.fiftyone_bridge import launch, push_in_process

        asked, dataset, result = self.request, self.request.dataset, None
        if asked.options is not None:
            report = push_in_process(
                asked.path,
                asked.options,
                progress=self._note,
                stage=self._name,
                should_stop=lambda: self.stop_requested,
            )
            result, dataset = report.to_dict(), report.dataset
            note_pushed(asked.path, dataset)
            if report.cancelled:
                return result
        self.words, self.result = "Starting FiftyOne's App", result
        self.url = launch(dataset, say=self._name)
        return result

    def _name(self, words: str) -> None:
        self.words = words

    def _note(self, p: Any) -> None:
        self.words = "Writing samples" if p.stage == "writing" else "Finishing: views and evaluation"
        self.done, self.total, self.rate, self.left = p.done, p.total, p.rate, p.seconds_left


_pushes: ThreadJobs[Push] = ThreadJobs(KEPT)


def of(run: str) -> Push | None:
    """The latest push of a run (its folder) in this server, if any."""
    return _pushes.of(run)


def start(request: PushRequest) -> Push:
    """Begin to push a run and open the App on it, or only to open the App; one at a time per run."""
    return _pushes.start(str(request.path), lambda: Push(request))


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
    from analysis.fiftyone_bridge import status  # FiftyOne's own code loads with the bridge

    found = status()
    return {"state": found.state, "message": found.message, "url": found.app_url or ""}
