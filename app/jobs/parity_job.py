"""Causes of what one run loses against another, asked of both detectors in a process of its own: `python -m
app.jobs.parity_job FOLDER`.

PARITY/<key>/job.json     the runs, the operating point, the stage, how many images are done, the error
PARITY/<key>/causes.json  one entry a lost object, in the pairing's order
PARITY/<key>/lock-parity  held by the living process;  log.txt  what it printed
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.jobs import process
from detector.errors import BoxscopeError
from detector.locks import WorkerLock
from detector.paths import data_dir, write_atomically

if TYPE_CHECKING:
    from analysis.parity.causes import Cause
    from analysis.parity.pairs import Pairing

LOCK = "parity"


@dataclass(frozen=True)
class Asked:
    """One question to both detectors.

    Args:
        run_a, run_b: folders of the runs; cuts_a, cuts_b: thresholds, one a class; iou: of a pair.
        stage: "starting", "loading the detectors", "asking", "done" or "failed"; notes: what could not be
            asked.
    """

    run_a: str
    run_b: str
    cuts_a: tuple[float, ...]
    cuts_b: tuple[float, ...]
    iou: float
    folder: str
    stage: str = "starting"
    done: int = 0
    total: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""
    started: float = 0.0

    @property
    def over(self) -> bool:
        return self.stage in ("done", "failed")

    def save(self, **changes: Any) -> Asked:
        asked = replace(self, **changes)
        write_atomically(Path(asked.folder) / "job.json", json.dumps(asdict(asked)).encode())
        return asked


def place(p: Pairing) -> Path:
    """Where the answer for this pairing lies: another run, threshold or IoU is another place."""
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


def ask(p: Pairing) -> Asked:
    """Start asking; both runs must lie in folders."""
    folder = place(p)
    asked = Asked(
        str(p.a.path),
        str(p.b.path),
        tuple(map(float, p.cuts_a)),
        tuple(map(float, p.cuts_b)),
        p.iou,
        str(folder),
        started=time.time(),
    ).save()
    process.spawn("app.jobs.parity_job", str(folder), folder)
    return asked


def read(folder: Path) -> Asked | None:
    """How the question of this folder stands; None where it was not asked. A process gone without a word has
    failed.
    """
    asked = _stored(folder)
    if asked is None or asked.over or process.alive(folder, asked.started):
        return asked
    asked = _stored(folder) or asked  # it may have ended between the two looks
    return (
        asked
        if asked.over
        else replace(
            asked,
            stage="failed",
            error="The process ended without a word (out of memory, or the machine was restarted).",
        )
    )


def _stored(folder: Path) -> Asked | None:
    try:
        values = json.loads((folder / "job.json").read_bytes())
        return Asked(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})
    except (OSError, ValueError, TypeError):
        return None


def answers(folder: Path) -> list[Cause] | None:
    """The causes found, or None where there are none yet."""
    from analysis.parity.causes import Cause

    try:
        return [Cause(**entry) for entry in json.loads((folder / "causes.json").read_bytes())]
    except (OSError, ValueError, TypeError):
        return None


def work(asked: Asked) -> None:
    """Load both detectors and explain every lost object."""
    from analysis.parity.causes import explain_lost
    from analysis.parity.pairs import pair_runs
    from app.jobs.parity_sides import stored_side

    asked = asked.save(stage="loading the detectors")
    a, b = (stored_side(Path(run), True) for run in (asked.run_a, asked.run_b))
    asked = asked.save(stage="asking", notes=tuple(s.why_not for s in (a, b) if s.why_not))
    p = pair_runs(a.run, b.run, list(asked.cuts_a), threshold_b=list(asked.cuts_b), iou=asked.iou)
    causes = explain_lost(
        p, a.detector, b.detector, progress=lambda done, total: asked.save(done=done, total=total)
    )
    write_atomically(Path(asked.folder) / "causes.json", json.dumps([asdict(c) for c in causes]).encode())
    asked.save(stage="done")


def main() -> int:
    folder = Path(sys.argv[1])
    asked = _stored(folder)
    if asked is None:
        print(f"there is no question in {folder}", file=sys.stderr)
        return 1
    lock = WorkerLock(folder, LOCK)
    try:
        work(asked)
    except BoxscopeError as error:
        asked.save(stage="failed", error=error.message)
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        asked.save(stage="failed", error=process.sentence(error, "Asking the detectors", folder))
        raise
    finally:
        lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
