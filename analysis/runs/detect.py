"""Batch detection: a detector over a data set, stored, resumable, never done twice."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from analysis.runs.manifest import MANIFEST, Manifest, Timing, read_manifest, run_identity
from analysis.runs.pipeline import Pipeline, Result
from analysis.runs.progress import CANCEL, Progress, ProgressMeter, request_cancel, watch
from analysis.runs.store import Run, list_runs
from analysis.runs.streamed import StreamedRun, open_stored
from analysis.runs.writer import FoundColumns, RunWriter, create_run, require_run_folder
from detector.core import Detections, Detector, DetectorInfo
from detector.data.dataset import Dataset
from detector.errors import InputError, RunError
from detector.locks import WorkerLock
from detector.paths import data_dir

__all__ = ["Progress", "default_folder", "detect_run", "find_same_run", "request_cancel", "watch"]

BATCH_SIZE = 8


def detect_run(
    detector: Detector | Sequence[Detector],
    dataset: Dataset,
    out: str | Path | None = None,
    *,
    floor: float = 0.01,
    batch_size: int | None = None,
    limit: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    name: str | None = None,
    decode_threads: int | None = None,
    part_images: int = 1024,
    part_seconds: float = 10.0,
) -> Run | StreamedRun:
    """Run a detector over every image and store what it found.

    Reading, inference and writing overlap. A run that was killed or cancelled goes on where it stopped when
    it is called again with the same data set, detector and floor; one that is done is opened and not run
    again. A picture that cannot be read, or that alone makes the detector fail, is recorded with the reason.

    Args:
        detector: one, or several equal ones that work side by side (two of one thread each beat one of two).
        dataset: the images; with their objects where they are known.
        out: the run's folder; None looks for the same run under the data directory, and else makes one there.
        floor: scores below it are not stored.
        batch_size: images handed to the detector at a time; 8 where None.
        limit: only the first N images.
        progress: called in this thread with a Progress, at most four times per second and at the end.
        should_stop: asked about five times per second; True stops after the current batches.
        name: shown to people; the data set's and the detector's where None.
        decode_threads: pictures decoded at a time; None for the number of cores, at most 8.
        part_images, part_seconds: a kill costs at most this many images, or about this many seconds, of work.

    Returns:
        The run; its `manifest.state` is "done", or "cancelled" where it was stopped. One too large for memory
            comes
        as a `StreamedRun`.

    Raises:
        RunError: the folder holds another run or other files, or a living process is writing it.
        ModelError: the detector fails on everything; the run is kept as "failed" and can be resumed.
        InputError: several detectors that are not equal; a floor outside 0..1; a limit or batch size below 1.
    """
    detectors = list(detector) if isinstance(detector, Sequence) else [detector]
    info = _one_info(detectors)

    def pipeline(rows: np.ndarray, proven: bool, shown: Dataset) -> Pipeline:
        return Pipeline(
            detectors,
            shown,
            rows,
            batch_size=batch_size or BATCH_SIZE,
            decode_threads=decode_threads,
            proven=proven,
        )

    check_counts(batch_size=batch_size, limit=limit)
    return store_run(
        pipeline,
        dataset,
        info,
        out,
        floor=floor,
        limit=limit,
        progress=progress,
        should_stop=should_stop,
        name=name,
        part_images=part_images,
        part_seconds=part_seconds,
    )


def check_counts(**values: float | None) -> None:
    """Raise an InputError where a number that must be at least 1, if given, is less."""
    for what, value in values.items():
        if value is not None and value < 1:
            raise InputError(f"{what}: expected at least 1, got {value}.")


class Engine(Protocol):
    """What reads pictures and runs the detector: `analysis.runs.pipeline.Pipeline` here,
    `analysis.runs.ray.RayPool` on a cluster.
    """

    def results(self, idle: Callable[[], object]) -> Iterator[Result | FoundColumns]: ...

    def stop(self) -> None: ...


def store_run(
    engine: Callable[[np.ndarray, bool, Dataset], Engine],
    dataset: Dataset,
    info: DetectorInfo,
    out: str | Path | None,
    *,
    floor: float,
    limit: int | None = None,
    progress: Callable[[Progress], object] | None = None,
    should_stop: Callable[[], bool] | None = None,
    name: str | None = None,
    worker: str = "local",
    part_images: int = 1024,
    part_seconds: float = 10.0,
) -> Run | StreamedRun:
    """Make, resume or open the run of a data set and detector; the work itself is the engine's.

    Args:
        engine: makes one, from the positions to do, whether the detector is proven, and the data set they are
            in.
        worker: the name in the part files.

    The rest, what is returned and what is raised are `detect_run`'s.
    """
    if limit is not None and limit < len(dataset):
        dataset = dataset.subset(np.arange(limit))
    if out is None:
        root = data_dir("runs")
        out = find_same_run(root, dataset.fingerprint, info.weights_hash, floor) or default_folder(
            root, dataset, info, floor
        )
    folder = Path(out)
    if not (folder / MANIFEST).exists():
        require_run_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    # Held from the look at the folder until the writer has its own lock, so that of two processes that begin
    # the same
    # run at the same time one makes it and the other is told so.
    beginning = WorkerLock(folder, "begin", patience=5.0)
    try:
        if not (folder / MANIFEST).exists():
            create_run(folder, dataset, info, floor=floor, name=name)
        elif (finished := _same_and_done(folder, dataset, info, floor)) is not None:
            if progress is not None:
                n = len(finished)
                progress(Progress(n, n, len(finished.failed), reused=n, state="done"))
            return finished
        writer = RunWriter(folder, worker, part_images=part_images, part_seconds=part_seconds)
    finally:
        beginning.release()
    with writer:
        _detect_open_images(writer, engine, dataset, progress, should_stop)
    return open_stored(folder)


def _one_info(detectors: list[Detector]) -> DetectorInfo:
    if not detectors:
        raise InputError("detect_run: expected a detector, got an empty list.")
    first = detectors[0].info
    for other in detectors[1:]:
        if other.info.weights_hash != first.weights_hash or other.info.class_map != first.class_map:
            raise InputError(
                f"detect_run: expected equal detectors, {first.name} and {other.info.name} differ."
            )
    return first


def find_same_run(root: str | Path, fingerprint: str, weights_hash: str, floor: float) -> Path | None:
    """The folder of the run of this data set, detector and floor in a folder of runs: finished before
    unfinished, then the newest.
    """
    identity = run_identity(fingerprint, weights_hash, floor)
    same = [s for s in list_runs(root) if s.manifest is not None and s.manifest.identity == identity]
    return min(same, key=lambda s: s.state != "done").path if same else None


def default_folder(root: str | Path, dataset: Dataset, info: DetectorInfo, floor: float) -> Path:
    """`<root>/<data set>-<detector>-<8 digits of the run's identity>`."""
    identity = run_identity(dataset.fingerprint, info.weights_hash, floor)
    return Path(root) / f"{_slug(dataset.name)}-{_slug(info.name)}-{identity[:8]}"


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:40] or "unnamed"


def _same_and_done(
    folder: Path, dataset: Dataset, info: DetectorInfo, floor: float
) -> Run | StreamedRun | None:
    manifest = read_manifest(folder)
    if manifest.identity != run_identity(dataset.fingerprint, info.weights_hash, floor):
        what = _difference(manifest, dataset, info, floor)
        raise RunError(
            f"This folder holds another run ({what}); choose another folder, or delete it.", path=folder
        )
    if manifest.state != "done":
        return None
    run = open_stored(folder)
    return run if run.done.all() else None


def _difference(manifest: Manifest, dataset: Dataset, info: DetectorInfo, floor: float) -> str:
    if manifest.dataset.fingerprint != dataset.fingerprint:
        return (
            f"of the data set {manifest.dataset.name}, {manifest.dataset.count} images, which is not the"
            f" {len(dataset)} of {dataset.name}"
        )
    if manifest.detector.weights_hash != info.weights_hash:
        return (
            f"of the detector {manifest.detector.name}, whose weights or settings are not those of"
            f" {info.name}"
        )
    return f"with the floor {manifest.floor:g}, not {floor:g}"


def _detect_open_images(
    writer: RunWriter,
    engine: Callable[[np.ndarray, bool, Dataset], Engine],
    dataset: Dataset,
    tell: Callable[[Progress], object] | None,
    should_stop: Callable[[], bool] | None,
) -> None:
    cancel = writer.folder / CANCEL
    cancel.unlink(missing_ok=True)
    writer.begin()
    unified = np.array([link.class_id for link in writer.manifest.classes.links], np.int32)
    rows = np.flatnonzero(~writer.done)
    meter = ProgressMeter(writer.folder, len(dataset), len(dataset) - len(rows), writer.failed, tell)
    pipeline = engine(rows, meter.reused > writer.failed, dataset)
    start = time.perf_counter()
    decode = inference = 0.0
    stopped = False

    def look_for_stop() -> None:
        nonlocal stopped
        if not stopped and (cancel.exists() or (should_stop is not None and should_stop())):
            stopped = True
            pipeline.stop()

    def timing() -> Timing:
        return Timing(
            wall=time.perf_counter() - start,
            decode=decode,
            inference=inference,
            write=writer.seconds,
            images=meter.done - meter.reused,
        )

    try:
        meter.report("running")
        look_for_stop()
        with closing(pipeline.results(look_for_stop)) as results:
            for result in results:
                meter.add(*_write(writer, result, unified))
                decode += result.decode
                inference += result.inference
        state = "done" if writer.done.all() else "cancelled"
        writer.flush()
        writer.finish(state, timing=timing())
        meter.report(state)
    except KeyboardInterrupt:
        writer.flush()
        writer.finish("cancelled", timing=timing())
        raise
    except Exception as error:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        writer.flush()
        writer.finish("failed", timing=timing(), error=message)
        meter.report("failed", message)
        raise
    finally:
        cancel.unlink(missing_ok=True)


def _write(writer: RunWriter, result: Result | FoundColumns, unified: np.ndarray) -> tuple[int, int]:
    """Store what became of some images; how many, and how many of them failed."""
    if isinstance(result, FoundColumns):
        if len(result.class_ids):
            result = replace(result, class_ids=unified[result.class_ids])
        writer.add_columns(result)
        return len(result.rows), sum(e is not None for e in result.errors)
    for row, found in result.found.items():
        writer.add(row, _in_unified_ids(found, unified))
    for row, message in result.failed.items():
        writer.add_failed(row, message)
    return len(result.found) + len(result.failed), len(result.failed)


def _in_unified_ids(found: Detections, unified: np.ndarray) -> Detections:
    if not len(found):
        return found
    return Detections(found.xyxy, found.scores, unified[found.class_ids], found.image_size, found.anchor_ids)
