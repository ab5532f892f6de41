"""Exact autopsies of a whole run: the detector's candidates of every judged image, asked in a thread of this
server.

Started once for an operating point; every page then takes causes and prices from it. It outlives the tab, not
the server.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from analysis.misses.run import Autopsy, autopsy
from app.frame.state import Shared, key_of, threshold_key
from app.jobs.job import ThreadJob, ThreadJobs
from app.model.process import RemoteDetector
from detector.core import Candidates
from detector.errors import ModelError

KEPT = 4


class ExactAutopsy(ThreadJob[Autopsy]):
    """The autopsy of a run with the candidates of every judged image.

    Args:
        s: what is on screen: run, thresholds, IoU.
        spec: the run's detector.
    """

    WHAT: ClassVar = "Running the detector"

    def __init__(self, s: Shared, spec: dict[str, Any]):
        super().__init__(total=int(s.matches.judged.sum()))
        self.run, self.matches = s.run, s.matches
        self.thresholds, self.iou = s.thresholds, s.iou
        self.weights_hash, self.spec = s.manifest.detector.weights_hash, spec

    def work(self) -> Autopsy:
        detector = RemoteDetector(self.spec)
        if detector.info.weights_hash != self.weights_hash:
            raise ModelError(
                "The detector at the run's source has changed since, so its candidates are not this run's."
            )

        def candidates(i: int) -> Candidates:
            self.step(self.done)
            found = detector.candidates([self.run.load_image(i)])[0]
            self.step(self.done + 1)
            return found

        return autopsy(
            self.run,
            self.thresholds,
            self.iou,
            matches=self.matches,
            candidates=candidates,
            images=np.flatnonzero(self.matches.judged).tolist(),
        )


_jobs: ThreadJobs[ExactAutopsy] = ThreadJobs(KEPT)


def of(s: Shared) -> ExactAutopsy | None:
    """The one for what is on screen (run, thresholds, IoU), if it was started."""
    return _jobs.of((key_of(s), threshold_key(s)))


def result(s: Shared) -> Autopsy | None:
    """Its autopsy, once it is there."""
    job = of(s)
    return None if job is None else job.result


def start(s: Shared, spec: dict[str, Any]) -> ExactAutopsy:
    """Begin, unless it is under way or done."""
    return _jobs.start((key_of(s), threshold_key(s)), lambda: ExactAutopsy(s, spec), again=False)
