"""How far a run is, told to the caller and to other processes.

The process that detects keeps `RUN/progress.json` fresh; any other may `watch` it, or put the marker file
`RUN/cancel` there (`request_cancel`), which stops the run after the current batch and leaves it resumable.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow.parquet as pq

from analysis.runs import files
from analysis.runs.manifest import read_manifest
from detector.errors import RunError
from detector.locks import is_locked
from detector.paths import write_atomically

PROGRESS, CANCEL = "progress.json", "cancel"


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Args:
        done: images that are through, failed ones and `reused` ones among them.
        total: images in all.
        failed: images that could not be read.
        rate: images per second over the last half minute; 0 where none was done yet.
        seconds_left: at that rate; None where it is unknown.
        reused: images that were done before this process began.
        state: "running", "done", "cancelled", "failed", or "interrupted" (the process is gone).
        error: why it failed.
    """

    done: int
    total: int
    failed: int = 0
    rate: float = 0.0
    seconds_left: float | None = None
    reused: int = 0
    state: str = "running"
    error: str = ""

    @property
    def fraction(self) -> float:
        """0..1; 1 for a run without images."""
        return self.done / self.total if self.total else 1.0


class ProgressMeter:
    """Counts, and tells the caller and the file, each at most every `every` seconds."""

    WINDOW = 30.0

    def __init__(
        self,
        folder: Path,
        total: int,
        reused: int,
        failed: int,
        tell: Callable[[Progress], object] | None,
        every: float = 0.25,
    ):
        self.folder, self.total, self.reused, self.tell, self.every = folder, total, reused, tell, every
        self.done, self.failed = reused, failed
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), reused)])
        self._told = -every

    def add(self, done: int, failed: int) -> None:
        self.done += done
        self.failed += failed
        now = time.monotonic()
        self._marks.append((now, self.done))
        while len(self._marks) > 2 and now - self._marks[0][0] > self.WINDOW:
            self._marks.popleft()
        if now - self._told >= self.every:
            self.report("running")

    def report(self, state: str, error: str = "") -> Progress:
        self._told = time.monotonic()
        since, before = self._marks[0]
        elapsed = self._told - since
        rate = (self.done - before) / elapsed if elapsed > 0 else 0.0
        left = (self.total - self.done) / rate if rate > 0 else None
        progress = Progress(
            self.done,
            self.total,
            self.failed,
            rate,
            left if state == "running" else None,
            self.reused,
            state,
            error,
        )
        write_atomically(self.folder / PROGRESS, json.dumps(asdict(progress)).encode())
        if self.tell is not None:
            self.tell(progress)
        return progress


def watch(folder: str | Path) -> Progress:
    """How far the run in this folder is, whichever process writes it.

    Where the writing process is gone, only what it had stored counts as done, and the state is "interrupted".

    Raises:
        RunError: there is no run in the folder.
    """
    folder = Path(folder)
    locked = is_locked(folder)  # looked at first: a run writes its end before it lets go
    manifest = read_manifest(folder)
    total = manifest.dataset.count
    if manifest.state != "running":
        c = manifest.counts
        return Progress(
            c.done,
            total,
            c.failed,
            manifest.timing.images_per_second,
            None,
            c.done,
            manifest.state,
            manifest.error,
        )
    if not locked and not is_locked(folder):  # it may have begun between the two looks
        stored = sum(
            pq.read_metadata(files.part_path(folder, "images", *part)).num_rows
            for part in files.finished_parts(folder)
        )
        return Progress(min(stored, total), total, state="interrupted")
    try:
        return Progress(**json.loads((folder / PROGRESS).read_bytes()))
    except FileNotFoundError:
        return Progress(0, total)
    except (ValueError, TypeError) as error:
        raise RunError(
            f"The progress file is broken ({error}); delete it, the run itself is not touched.",
            path=folder / PROGRESS,
        ) from error


def request_cancel(folder: str | Path) -> None:
    """Ask the process that writes this run to stop after the current batch; nothing where none does.

    Raises:
        RunError: there is no run in the folder.
    """
    read_manifest(folder)
    if is_locked(folder):
        write_atomically(Path(folder) / CANCEL, b"")
