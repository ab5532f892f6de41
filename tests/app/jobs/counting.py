"""A kind of background work for tests: it counts, goes on from where it stopped, and fails as told."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

from app.jobs.job import ProcessJob
from detector.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Counting(ProcessJob):
    """Counts to `total`, one every `pause` seconds; `fail` is "", "expected" or "fault"."""

    WHAT: ClassVar = "The counting"
    LOCK: ClassVar = "count"

    pause: float = 0.01
    fail: str = ""

    def work(self) -> None:
        job = self.save(stage="counting")
        if job.fail == "expected":
            raise InputError("expected a number, got none.")
        if job.fail == "fault":
            raise ValueError("shapes differ\nat layer 3")
        while job.done < job.total:
            if job.stop_requested:
                job.save(stage="cancelled")
                return
            time.sleep(job.pause)
            job = job.save(done=job.done + 1)
        job.save(stage="done")
