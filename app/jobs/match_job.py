"""The matching of a run too large for memory, made in a process of its own.

CACHE/<key>/job.json   the run and the IoU, and how the job stands
CACHE/<key>/<column>.npy   the result: each column of the matching and of its counting
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from analysis.matching.counts import indices_of, with_indices
from analysis.matching.match import match_run
from analysis.matching.matches import Matches
from analysis.runs.streamed import open_streamed
from app.jobs.job import ProcessJob

COLUMNS = tuple(
    name
    for name in Matches.__dataclass_fields__
    if name not in ("iou", "class_aware", "difficult", "num_classes")
)


def save(matches: Matches, folder: Path) -> None:
    """The columns of a matching and of its counting, each a file; the first is there when all are."""
    columns = {f"index_{name}": values for name, values in indices_of(matches).items()}
    columns |= {name: getattr(matches, name) for name in reversed(COLUMNS)}
    for name, values in columns.items():
        temporary = folder / f".{name}.part.npy"
        np.save(temporary, values)
        temporary.replace(folder / f"{name}.npy")


def load(folder: Path, iou: float, num_classes: int) -> Matches:
    """What `save` kept; the columns of counting stay on disk until they are looked at."""

    def column(name: str) -> np.ndarray:
        return np.load(folder / f"{name}.npy", mmap_mode="r")

    made = Matches(
        iou=iou,
        class_aware=True,
        difficult="count",
        num_classes=num_classes,
        **{name: column(name) for name in COLUMNS},
    )
    return with_indices(
        made, {path.stem.removeprefix("index_"): column(path.stem) for path in folder.glob("index_*.npy")}
    )


def is_ready(folder: Path) -> bool:
    """Whether the matching of this folder is complete."""
    return (folder / f"{COLUMNS[0]}.npy").is_file()


@dataclass(frozen=True, kw_only=True)
class MatchJob(ProcessJob):
    """The matching of one run at one IoU.

    Args:
        run: the run's folder.
        iou: least IoU of a match.
    """

    WHAT: ClassVar = "The matching"
    LOCK: ClassVar = "match"

    run: str
    iou: float

    def work(self) -> None:
        """Match every window and keep the columns."""
        run = open_streamed(self.run)
        found = match_run(
            run,
            self.iou,
            progress=lambda done, total: self.save(stage="matching", done=done, total=total),
        )
        save(found, self.folder)
        self.save(stage="done", done=len(run), total=len(run))
