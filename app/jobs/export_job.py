"""The process of one export that a page asked for: `python -m app.jobs.export_job FOLDER`. See `app.jobs.exports`."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from app.jobs.exports import LOCK, Export, own_pictures, read, write_export
from app.jobs.process import sentence
from detector.errors import BoxscopeError
from detector.locks import WorkerLock


def write(export: Export) -> Path:
    """Do what was asked; returns the file or folder."""
    training, stem = Path(export.training), Path(export.training).name

    if export.form == "saved_model":
        return write_export(str(training), export.folder / stem, to="saved_model")[0]
    precision, _, raw = export.form.partition("-")
    return write_export(
        str(training),
        export.folder / f"{stem}-{export.form}.tflite",
        to="tflite",
        precision=precision,
        form="raw" if raw else "detections",
        images=partial(own_pictures, training) if precision == "int8" else None,
    )[0]


def main() -> int:
    export = read(Path(sys.argv[1]))
    if export is None:
        print(f"there is no export {sys.argv[1]}", file=sys.stderr)
        return 1
    lock = WorkerLock(export.folder, LOCK)
    try:
        export = export.save(stage="writing")
        export.save(stage="done", file=str(write(export)))
    except BoxscopeError as error:
        export.save(stage="failed", error=error.message)
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        export.save(stage="failed", error=sentence(error, "The export", export.folder))
        raise
    finally:
        lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
