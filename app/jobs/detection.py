"""Detection jobs: each a process of its own that outlives the tab, and a folder that says how it stands.

JOBS/<id>/job.json    what was asked, the stage, the run's folder, the error
JOBS/<id>/lock-job    held by the living process
JOBS/<id>/cancel      the wish to stop
JOBS/<id>/log.txt     what the process printed
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis.runs.progress import Progress, request_cancel, watch
from app.jobs import process
from detector.errors import BoxscopeError
from detector.paths import data_dir, write_atomically


@dataclass(frozen=True)
class Job:
    """One detection that was asked for.

    Args:
        model, data, options, floor, limit, split, ids: as `app.jobs.detect_job` takes them.
        stage: "starting", "reading the pictures", "loading the detector", "fetching the detector",
            "detecting", "done", "cancelled" or "failed".
        run: the run's folder, once known; fetched: (bytes done, bytes in all or None) of a download.
    """

    id: str
    title: str
    model: str
    data: str
    options: dict[str, Any] = field(default_factory=dict)
    floor: float = 0.01
    limit: int | None = None
    split: str | None = None
    ids: list[str] | None = None
    stage: str = "starting"
    run: str | None = None
    fetched: tuple[int, int | None] | None = None
    error: str = ""
    started: float = 0.0

    @property
    def folder(self) -> Path:
        return data_dir("jobs") / self.id

    @property
    def over(self) -> bool:
        return self.stage in ("done", "cancelled", "failed")

    def progress(self) -> Progress | None:
        """Of the run, once it is detecting."""
        if self.run is None or self.stage == "starting":
            return None
        try:
            return watch(self.run)
        except BoxscopeError:
            return None

    def save(self, **changes: Any) -> Job:
        job = replace(self, **changes)
        write_atomically(job.folder / "job.json", json.dumps(asdict(job)).encode())
        return job


def start(
    title: str,
    model: str,
    data: str,
    *,
    options: dict[str, Any] | None = None,
    floor: float = 0.01,
    limit: int | None = None,
    split: str | None = None,
    ids: list[str] | None = None,
) -> Job:
    """Start a detection in the background. Its id begins with the time to the microsecond: jobs sort by
    it.
    """
    name = f"{datetime.now():%Y%m%d-%H%M%S-%f}-{secrets.token_hex(3)}"
    job = Job(name, title, model, data, options or {}, floor, limit, split, ids, started=time.time()).save()
    process.spawn("app.jobs.detect_job", job.id, job.folder)
    return job


def read(job_id: str) -> Job | None:
    """The job as it stands; one whose process is gone without a word counts as failed."""
    folder = data_dir("jobs") / job_id
    try:
        stored = json.loads((folder / "job.json").read_bytes())
        job = Job(**stored | {"fetched": tuple(stored["fetched"]) if stored.get("fetched") else None})
    except (OSError, ValueError, TypeError):
        return None
    if job.over or process.alive(folder, job.started):
        return job
    again = json.loads((folder / "job.json").read_bytes())
    if again["stage"] in ("done", "cancelled", "failed"):  # it ended between the two looks
        return replace(job, stage=again["stage"], run=again["run"], error=again["error"])
    kept = " What was done is kept: start it again to go on." if job.run else ""
    return replace(
        job,
        stage="failed",
        error=f"The process ended without a word (out of memory, or the machine was restarted).{kept}",
    )


def jobs(most: int = 20) -> list[Job]:
    """The newest jobs first."""
    found = sorted((p.name for p in data_dir("jobs").iterdir() if p.is_dir()), reverse=True)[:most]
    return [job for name in found if (job := read(name)) is not None]


def cancel(job: Job) -> None:
    """Ask a job to stop: after the batch in hand while it detects, at once before. What is done is kept."""
    (job.folder / "cancel").touch()
    if job.run is not None:
        try:
            request_cancel(job.run)
            return
        except BoxscopeError:
            pass
    if process.terminate(job.folder, "job"):
        job.save(stage="cancelled")
