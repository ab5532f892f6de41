"""The process of one export that a page asked for: `python -m app.export_job FOLDER`. See `app.exports`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.run_lock import WorkerLock
from app.background import sentence
from app.exports import LOCK, Export, pick_pictures, read, write_export
from app.trainings import recipe_file
from detector.errors import BoxscopeError
from detector.recipe_material import material
from detector.recipes import read_recipe

if TYPE_CHECKING:
    import numpy as np


def write(export: Export) -> Path:
    """Do what was asked; returns the file or folder."""
    training, stem = Path(export.training), Path(export.training).name

    def pictures() -> list[np.ndarray]:
        """Of those it was trained on."""
        return pick_pictures(material(read_recipe(recipe_file(training))).datasets[0])

    if export.form == "saved_model":
        return write_export(str(training), export.folder / stem, to="saved_model")[0]
    precision, _, raw = export.form.partition("-")
    return write_export(
        str(training), export.folder / f"{stem}-{export.form}.tflite", to="tflite", precision=precision, form="raw" if raw else "detections",
        images=pictures if precision == "int8" else None,
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
