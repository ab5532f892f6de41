"""The process of one detection job: `python -m app.jobs.detect_job JOB`. Reads and writes the job's folder."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

from app.files.sources import open_data
from app.jobs.detection import Job, read
from app.jobs.process import sentence
from detector.errors import BoxscopeError, InputError
from detector.locks import WorkerLock


def run_job(job: Job) -> Job:
    """Do what the job asks and return how it ended; every error becomes its one sentence."""
    from analysis.runs.detect import default_folder, detect_run, find_same_run
    from detector import load_detector
    from detector.models.replicas import load_side_by_side
    from detector.paths import data_dir

    def wished_to_stop() -> bool:
        return (job.folder / "cancel").exists()

    job = job.save(stage="reading the pictures")
    dataset = open_data(job.data)
    if job.split is not None:
        dataset = dataset.split(job.split)
    if job.ids is not None:
        dataset = dataset.subset(job.ids)
    if job.limit is not None:
        dataset = dataset.subset(range(min(job.limit, len(dataset))))
    if not len(dataset):
        raise InputError("There is no picture to run on: expected at least one.")
    job = job.save(stage="loading the detector")
    told = 0.0

    def fetching(done: int, total: int | None) -> None:
        nonlocal told
        if time.monotonic() - told > 0.5:
            told = time.monotonic()
            job.save(stage="fetching the detector", fetched=(done, total))

    detectors = load_side_by_side(
        partial(load_detector, job.model, dataset=dataset, progress=fetching, **job.options)
    )
    detector = detectors[0]
    if wished_to_stop():
        return job.save(stage="cancelled")
    root = data_dir("runs")
    out = find_same_run(root, dataset.fingerprint, detector.info.weights_hash, job.floor) or default_folder(
        root, dataset, detector.info, job.floor
    )
    job = job.save(stage="detecting", run=str(out))
    run = detect_run(detectors, dataset, out, floor=job.floor, should_stop=wished_to_stop)
    return job.save(stage="done" if run.manifest.state == "done" else "cancelled")


def main() -> int:
    job = read(sys.argv[1])
    if job is None:
        print(f"there is no job {sys.argv[1]}", file=sys.stderr)
        return 1
    lock = WorkerLock(Path(job.folder), "job")
    try:
        job = run_job(job)
    except BoxscopeError as error:
        (read(job.id) or job).save(stage="failed", error=error.message)
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        (read(job.id) or job).save(stage="failed", error=sentence(error, "The detector", job.folder))
        raise
    finally:
        lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
