"""Detection in the background: a process that outlives the tab; its result is a run.

JOBS/<id>/job.json    what was asked, the run's folder, and how the job stands
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from analysis.runs.progress import Progress, request_cancel, watch
from app.files.sources import open_data
from app.jobs.job import KILLED, ProcessJob
from detector.errors import BoxscopeError, InputError
from detector.paths import data_dir

STEP = 0.5  # seconds between two writes while a detector is fetched


@dataclass(frozen=True, kw_only=True)
class Detection(ProcessJob):
    """One detection that was asked for.

    Args:
        title: how pages call it.
        model, options: as `detector.load_detector` takes them.
        data: a path, or "demo".
        floor: the lowest score that is kept.
        limit: at most this many images; None for all.
        split, ids: of the data set, None for all.
        run: the run's folder, once known.
        fetched: (bytes done, bytes in all or None) of a download.
    """

    WHAT: ClassVar = "The detector"
    LOCK: ClassVar = "job"

    title: str
    model: str
    data: str
    options: dict[str, Any] = field(default_factory=dict)
    floor: float = 0.01
    limit: int | None = None
    split: str | None = None
    ids: tuple[str, ...] | None = None
    run: str | None = None
    fetched: tuple[int, int | None] | None = None

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def killed(self) -> str:
        return f"{KILLED} What was done is kept: start it again to go on." if self.run else KILLED

    def progress(self) -> Progress | None:
        """Of the run, once it is detecting."""
        if self.run is None or self.stage == "starting":
            return None
        try:
            return watch(self.run)
        except BoxscopeError:
            return None

    def cancel(self) -> None:
        """After the current batch while it detects, at once before. What is done is kept."""
        super().cancel()
        if self.run is not None:
            try:
                request_cancel(self.run)
                return
            except BoxscopeError:
                pass
        if self.terminate():
            self.save(stage="cancelled")

    def work(self) -> None:
        """Open the data, load the detector and run it."""
        from analysis.runs.detect import default_folder, detect_run, find_same_run
        from detector import load_detector
        from detector.models.replicas import load_side_by_side

        job = self.save(stage="reading the images")
        dataset = open_data(job.data)
        if job.split is not None:
            dataset = dataset.split(job.split)
        if job.ids is not None:
            dataset = dataset.subset(list(job.ids))
        if job.limit is not None:
            dataset = dataset.subset(range(min(job.limit, len(dataset))))
        if not len(dataset):
            raise InputError("There is no image to run on: expected at least one.")
        job = job.save(stage="loading the detector")
        written = 0.0

        def fetching(done: int, total: int | None) -> None:
            nonlocal written
            if time.monotonic() - written > STEP:
                written = time.monotonic()
                job.save(stage="fetching the detector", fetched=(done, total))

        detectors = load_side_by_side(
            partial(load_detector, job.model, dataset=dataset, progress=fetching, **job.options)
        )
        if job.stop_requested:
            job.save(stage="cancelled")
            return
        info, root = detectors[0].info, data_dir("runs")
        out = find_same_run(root, dataset.fingerprint, info.weights_hash, job.floor) or default_folder(
            root, dataset, info, job.floor
        )
        job = job.save(stage="detecting", run=str(out))
        made = detect_run(detectors, dataset, out, floor=job.floor, should_stop=lambda: job.stop_requested)
        job.save(stage="done" if made.manifest.state == "done" else "cancelled")


def start(title: str, model: str, data: str, **rest: Any) -> Detection:
    """Start a detection in the background. Its id begins with the time to the microsecond: jobs sort by
    it.

    Args:
        rest: further fields of `Detection`: options, floor, limit, split, ids.
    """
    name = f"{datetime.now():%Y%m%d-%H%M%S-%f}-{secrets.token_hex(3)}"
    folder = data_dir("jobs") / name
    return Detection(folder=folder, title=title, model=model, data=data, **rest).start()


def read(job_id: str) -> Detection | None:
    """The job of this id as it stands."""
    return Detection.read(data_dir("jobs") / job_id)


def jobs(most: int = 20) -> list[Detection]:
    """The newest jobs first."""
    found = sorted((p.name for p in data_dir("jobs").iterdir() if p.is_dir()), reverse=True)[:most]
    return [job for name in found if (job := read(name)) is not None]
