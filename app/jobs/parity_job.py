"""Causes of what one run loses against another, asked of both detectors in a process of its own.

PARITY/<key>/job.json     the runs, the operating point, and how the job stands
PARITY/<key>/causes.json  the result: one entry per lost object, in the pairing's order
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from app.jobs.job import ProcessJob
from app.jobs.parity_sides import stored_side
from detector.paths import data_dir, write_atomically

if TYPE_CHECKING:
    from analysis.parity.causes import Cause
    from analysis.parity.pairs import Pairing


@dataclass(frozen=True, kw_only=True)
class ParityJob(ProcessJob):
    """One question to both detectors.

    Args:
        run_a, run_b: folders of the runs.
        cuts_a, cuts_b: thresholds, one per class.
        iou: least IoU of a pair.
        notes: what could not be asked.
    """

    WHAT: ClassVar = "Running the detectors"
    LOCK: ClassVar = "parity"

    run_a: str
    run_b: str
    cuts_a: tuple[float, ...]
    cuts_b: tuple[float, ...]
    iou: float
    notes: tuple[str, ...] = ()

    def work(self) -> None:
        """Load both detectors and explain every lost object."""
        from analysis.parity.causes import explain_lost
        from analysis.parity.pairs import pair_runs

        job = self.save(stage="loading the detectors")
        a, b = (stored_side(Path(run), True) for run in (job.run_a, job.run_b))
        job = job.save(stage="running", notes=tuple(s.why_not for s in (a, b) if s.why_not))
        p = pair_runs(a.run, b.run, list(job.cuts_a), threshold_b=list(job.cuts_b), iou=job.iou)
        causes = explain_lost(
            p, a.detector, b.detector, progress=lambda done, total: job.save(done=done, total=total)
        )
        write_atomically(job.folder / "causes.json", json.dumps([asdict(c) for c in causes]).encode())
        job.save(stage="done")


def folder_of(p: Pairing) -> Path:
    """Where the answer for this pairing lies: another run, threshold or IoU is another folder."""
    parts = (
        p.a.version,
        p.b.version,
        str(p.a.path),
        str(p.b.path),
        p.cuts_a.tolist(),
        p.cuts_b.tolist(),
        p.iou,
    )
    return data_dir("parity") / hashlib.sha256(repr(parts).encode()).hexdigest()[:20]


def ask(p: Pairing) -> ParityJob:
    """Start asking; both runs must lie in folders."""
    return ParityJob(
        folder=folder_of(p),
        run_a=str(p.a.path),
        run_b=str(p.b.path),
        cuts_a=tuple(map(float, p.cuts_a)),
        cuts_b=tuple(map(float, p.cuts_b)),
        iou=p.iou,
    ).start()


def answers(folder: Path) -> list[Cause] | None:
    """The causes found, or None where there are none yet."""
    from analysis.parity.causes import Cause

    try:
        return [Cause(**entry) for entry in json.loads((folder / "causes.json").read_bytes())]
    except (OSError, ValueError, TypeError):
        return None
