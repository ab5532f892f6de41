"""RunWriter: the one way rows get into a stored run.

Several workers may write one run at a time, each under its own name. A worker buffers images and writes them
as a pair of parts, detections first, so that a kill at any point costs at most the part in the making.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.runs import files
from analysis.runs.classes import UnifiedClasses, unify
from analysis.runs.manifest import (
    MANIFEST,
    Counts,
    Manifest,
    State,
    Timing,
    describe,
    now,
    read_manifest,
    write_manifest,
)
from detector.core import Detections, DetectorInfo
from detector.data.dataset import Dataset
from detector.errors import InputError, RunError
from detector.locks import WorkerLock


def create_run(
    folder: str | Path, dataset: Dataset, info: DetectorInfo, *, floor: float, name: str | None = None
) -> Manifest:
    """Make a run directory with everything but results; the manifest is written last.

    Raises:
        RunError: the folder already holds a run, or other files.
        InputError: the floor leaves 0..1.
    """
    folder = Path(folder)
    if (folder / MANIFEST).exists():
        raise RunError(
            "There is a run here already; open it, resume it, or choose another folder.", path=folder
        )
    require_run_folder(folder)
    manifest = describe(dataset, info, unify(dataset.class_map, info.class_map), floor=floor, name=name)
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    files.write_samples(folder / "samples.parquet", dataset)
    files.write_truth(folder / "truth.parquet", dataset.objects)
    files.write_problems(folder / "problems.parquet", dataset.problems)
    write_manifest(folder, manifest)
    return manifest


def require_run_folder(folder: Path) -> None:
    """Raise a RunError where a folder that is no run holds files that no run would have left there."""
    ours = re.compile(
        r"samples\.parquet|truth\.parquet|problems\.parquet|parts|lock-.*|progress\.json|cancel|\..*\.part"
    )
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RunError("Expected a folder for the run, this is a file; choose another.", path=folder)
    if other := next((p.name for p in sorted(folder.iterdir()) if not ours.fullmatch(p.name)), None):
        raise RunError(
            f"Expected an empty folder for the run, found {other!r} in it; choose another.", path=folder
        )


@dataclass(frozen=True, eq=False)
class FoundColumns:
    """What became of n images with d detections, as columns.

    Args:
        rows: int32 [n], positions in the run; sizes: int32 [n, 2] (W, H), zeros where failed; errors: n
            messages or None.
        counts: int32 [n], detections of each image, which follow one another in the other columns:
        xyxy: float32 [d, 4]; scores: float32 [d], best first within an image; class_ids, anchor_ids: int32
            [d].
        decode, inference: seconds it took.
    """

    rows: np.ndarray
    sizes: np.ndarray
    errors: Sequence[str | None]
    counts: np.ndarray
    xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    anchor_ids: np.ndarray
    decode: float = 0.0
    inference: float = 0.0


class RunWriter:
    """Adds finished images to a run directory made by `create_run`.

    Args:
        folder: the run directory.
        worker: the name in this writer's part files: letters, digits, "_" and ".".
        part_images, part_detections: a part is closed when it holds this many images or detections,
        part_seconds: or when its first image is this old, looked at whenever an image is added.

    Attributes:
        done: bool [N], images that are done, by any worker, when the writer was opened, and those it wrote
            since.
        failed: how many of them could not be read.
        seconds: time spent writing.

    Raises:
        RunError: no run is there, or a living process writes it under this worker name.
    """

    def __init__(
        self,
        folder: str | Path,
        worker: str = "local",
        *,
        part_images: int = 1024,
        part_seconds: float = 10.0,
        part_detections: int = 200_000,
    ):
        if not re.fullmatch(r"[A-Za-z0-9_.]+", worker):
            raise InputError(f"worker: expected letters, digits, '_' and '.', got {worker!r}.")
        self.folder, self.worker = Path(folder), worker
        self.part_images, self.part_seconds, self.part_detections = part_images, part_seconds, part_detections
        self.manifest = read_manifest(self.folder)
        self._lock = WorkerLock(self.folder, worker)
        try:
            self.seconds = 0.0
            self._start_part()
            remove_leftovers(self.folder, worker)
            mine = [number for name, number in files.list_parts(self.folder) if name == worker]
            self._number = max(mine, default=-1) + 1
            self.done = np.zeros(self.manifest.dataset.count, bool)
            self.failed = self._look()[0]
        except BaseException:
            self._lock.release()
            raise

    def _look(self) -> tuple[int, int]:
        """Mark what all workers have stored as done; how many images failed, how many detections there
        are.
        """
        rows, failed, detections = [np.zeros(0, np.int32)], [np.zeros(0, bool)], [np.zeros(0, np.int32)]
        for part in files.finished_parts(self.folder):
            table = files.read_table(files.part_path(self.folder, "images", *part), files.IMAGES)
            rows.append(files.numbers(table, "row"))
            failed.append(table.column("error").is_valid().to_numpy())
            detections.append(files.numbers(table, "detections"))
        # As in open_run, the first of two workers that did the same image counts.
        seen, first = np.unique(np.concatenate(rows), return_index=True)
        self.done[seen] = True
        return int(np.concatenate(failed)[first].sum()), int(np.concatenate(detections)[first].sum())

    def begin(self) -> None:
        """Mark the run as being written, and clear away half-written files; for the one process that leads
        it.
        """
        half = re.compile(r"\.(manifest|progress)\.json\..*\.part")
        for path in self.folder.iterdir():
            if half.fullmatch(path.name):
                path.unlink(missing_ok=True)
        self._set(state="running", error="", finished=None)

    def _set(self, **changes: object) -> None:
        self.manifest = read_manifest(self.folder).model_copy(update=changes)
        write_manifest(self.folder, self.manifest)

    def _start_part(self) -> None:
        self._images: list[tuple[int, int, int, int, str | None]] = []
        self._found: list[tuple[int, Detections]] = []
        self._held = 0
        self._since = time.monotonic()

    def add(self, row: int, detections: Detections) -> None:
        """One image's detections, class ids already those of the run's unified map; scores below the floor
        are left out.

        Raises:
            InputError: the image is done already, is not in the run, or a class id is not in the map.
        """
        self._check(row)
        detections = above_floor(detections, self.manifest.floor)
        if len(detections) and detections.class_ids.max() >= len(self.manifest.classes.names):
            raise InputError(
                f"Image {row}: class id {detections.class_ids.max()} is not in the run's class map."
            )
        width, height = detections.image_size
        self._push((row, width, height, len(detections), None))
        if len(detections):
            self._found.append((row, detections))
            self._held += len(detections)
        self._close_part_if_due()

    def add_failed(self, row: int, message: str) -> None:
        """An image that cannot be read; it counts as done, with the reason."""
        self._check(row)
        self._push((row, 0, 0, 0, str(message).encode("utf-8", "backslashreplace").decode()))
        self._close_part_if_due()

    def add_columns(self, found: FoundColumns) -> None:
        """Many images at once, class ids already those of the run's unified map, as one part of their own.

        Raises:
            InputError: an image is done already or not in the run, counts do not add up, or a score is below
                the floor.
        """
        if len(np.unique(found.rows)) != len(found.rows):
            raise InputError("add_columns: expected each image once.")
        for row in found.rows[
            (found.rows < 0)
            | (found.rows >= len(self.done))
            | self.done[np.clip(found.rows, 0, len(self.done) - 1)]
        ][:1].tolist():
            self._check(row)
        if int(found.counts.sum()) != len(found.scores) or not len(found.scores) == len(found.xyxy) == len(
            found.class_ids
        ) == len(found.anchor_ids):
            raise InputError(
                f"add_columns: expected {int(found.counts.sum())} detections, got {len(found.scores)}."
            )
        if len(found.scores) and (
            found.class_ids.max() >= len(self.manifest.classes.names) or found.class_ids.min() < 0
        ):
            raise InputError("add_columns: a class id is not in the run's class map.")
        if len(found.scores) and found.scores.min() < np.float32(self.manifest.floor):
            raise InputError(f"add_columns: a score is below the run's floor of {self.manifest.floor:g}.")
        self.flush()
        if not len(found.rows):
            return
        start = time.perf_counter()
        detections = dict(zip(files.BOX, found.xyxy.T)) | {
            "row": np.repeat(found.rows, found.counts),
            "score": found.scores,
            "class_id": found.class_ids,
            "anchor_id": found.anchor_ids,
        }
        images = {
            "row": found.rows,
            "width": found.sizes[:, 0],
            "height": found.sizes[:, 1],
            "detections": found.counts,
            "error": found.errors,
        }
        self._write_pair(detections, images)
        self.done[found.rows] = True
        self.seconds += time.perf_counter() - start

    def _write_pair(self, detections: dict[str, object], images: dict[str, object]) -> None:
        files.write_table(
            files.part_path(self.folder, "detections", self.worker, self._number),
            detections,
            files.DETECTIONS,
        )
        files.write_table(
            files.part_path(self.folder, "images", self.worker, self._number), images, files.IMAGES
        )
        self._number += 1

    def _check(self, row: int) -> None:
        if not 0 <= row < len(self.done):
            raise InputError(f"Image {row} is not in the run; it has {len(self.done)}.")
        if self.done[row]:
            raise InputError(f"Image {row} is done already.")

    def _push(self, image: tuple[int, int, int, int, str | None]) -> None:
        if not self._images:
            self._since = time.monotonic()
        self._images.append(image)
        self.done[image[0]] = True

    def _close_part_if_due(self) -> None:
        full = len(self._images) >= self.part_images or self._held >= self.part_detections
        if full or time.monotonic() - self._since >= self.part_seconds:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered as one pair of parts; nothing where nothing is."""
        if not self._images:
            return
        start = time.perf_counter()
        found = [d for _, d in self._found]
        box = np.concatenate([d.xyxy for d in found]) if found else np.zeros((0, 4), np.float32)

        def column(values: list[np.ndarray], dtype: type) -> np.ndarray:
            return np.concatenate(values).astype(dtype) if values else np.zeros(0, dtype)

        detections = dict(zip(files.BOX, box.T)) | {
            "row": column([np.full(len(d), row) for row, d in self._found], np.int32),
            "score": column([d.scores for d in found], np.float32),
            "class_id": column([d.class_ids for d in found], np.int32),
            "anchor_id": column(
                [np.full(len(d), -1) if d.anchor_ids is None else d.anchor_ids for d in found], np.int32
            ),
        }
        self._write_pair(detections, dict(zip(files.IMAGES.names, zip(*self._images))))
        self._start_part()
        self.seconds += time.perf_counter() - start

    def finish(self, state: State, *, timing: Timing | None = None, error: str = "") -> Manifest:
        """Write the rest and the manifest's end; for the one process that leads the run.

        The state "done" is for a run without an open image.

        Raises:
            RunError: the state is "done" and images are open.
        """
        self.flush()
        self.failed, detections = self._look()
        done = int(self.done.sum())
        if state == "done" and done < len(self.done):
            raise RunError(
                f"{len(self.done) - done} of {len(self.done)} images are not done; detect again to resume.",
                path=self.folder,
            )
        self._set(
            state=state,
            error=error,
            finished=now(),
            counts=Counts(done=done, failed=self.failed, detections=detections),
            timing=self.manifest.timing.plus(timing or Timing()),
        )
        return self.manifest

    def close(self) -> None:
        """Write the rest and release the lock; the manifest stays as it is."""
        try:
            self.flush()
        finally:
            self._lock.release()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.close()


def remove_leftovers(folder: Path, worker: str) -> list[str]:
    """Delete what a killed writer of this name left: half-written files and detections without their images
    part.

    Returns:
        The names of the files deleted.
    """
    gone = []
    for (name, number), kinds in files.list_parts(folder).items():
        if name == worker and "images" not in kinds:
            gone.append(files.part_path(folder, "detections", name, number))
    half = re.compile(rf"\.(?:detections|images)-{re.escape(worker)}-\d+\.parquet\..*\.part")
    gone += [p for p in (folder / "parts").glob(".*.part") if half.fullmatch(p.name)]
    for path in gone:
        path.unlink(missing_ok=True)
    return [path.name for path in gone]


def to_unified(detections: Detections, classes: UnifiedClasses) -> Detections:
    """The same detections with the unified map's class ids."""
    if not len(detections):
        return detections
    return Detections(
        detections.xyxy,
        detections.scores,
        classes.from_detector[detections.class_ids],
        detections.image_size,
        detections.anchor_ids,
    )


def above_floor(detections: Detections, floor: float) -> Detections:
    """The detections that score the floor or more, compared in float32, so that a score written as 0.01
    passes 0.01.
    """
    keep = detections.scores >= np.float32(floor)
    return detections if keep.all() else detections[keep]
