"""The process that matches a run too large for memory: `python -m app.jobs.match_job FOLDER`, as `app.frame.large_runs`
asks for it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from analysis.matching.counts import indices_of, with_indices
from analysis.matching.match import match_run
from analysis.matching.matches import Matches
from analysis.runs.streamed import open_streamed
from app.jobs.process import sentence
from detector.errors import BoxscopeError
from detector.locks import WorkerLock
from detector.paths import write_atomically

COLUMNS = tuple(
    name
    for name in Matches.__dataclass_fields__
    if name not in ("iou", "class_aware", "difficult", "num_classes")
)


def tell(folder: Path, **what: object) -> None:
    write_atomically(folder / "state.json", json.dumps(what).encode())


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


def main() -> int:
    folder = Path(sys.argv[1])
    asked = json.loads((folder / "asked.json").read_bytes())
    try:
        lock = WorkerLock(folder, "match")
    except BoxscopeError:
        return 0  # another process is at it
    try:
        run = open_streamed(asked["run"])
        found = match_run(
            run, asked["iou"], progress=lambda done, total: tell(folder, done=done, total=total)
        )
        save(found, folder)
        tell(folder, done=len(run), total=len(run), ready=True)
    except Exception as error:
        tell(
            folder,
            error=str(error) if isinstance(error, BoxscopeError) else sentence(error, "The matching", folder),
        )
        raise
    finally:
        lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
