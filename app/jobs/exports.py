"""Writing a detector for other tools, for the command and for the page; on the page each form is a process of
its own.

TRAINING/exports/<form>/job.json     the form, the stage, the file written, the error
TRAINING/exports/<form>/lock-export  held by the living process;  log.txt  what it printed
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.jobs import process
from detector.errors import CapabilityError, InputError
from detector.paths import write_atomically

if TYPE_CHECKING:
    from detector.data.dataset import Dataset

FORMS = {
    "saved_model": "SavedModel",
    "float32": "TFLite float32",
    "float16": "TFLite float16",
    "dynamic": "TFLite dynamic range",
    "int8": "TFLite int8",
    "float32-raw": "TFLite float32, every anchor",
    "float16-raw": "TFLite float16, every anchor",
    "dynamic-raw": "TFLite dynamic range, every anchor",
    "int8-raw": "TFLite int8, every anchor",
}
LOCK = "export"
PICTURES = 100
"""How many pictures set the number ranges of int8."""


def write_export(
    model: str,
    destination: Path,
    *,
    to: str,
    precision: str = "float32",
    form: str = "detections",
    nms: str = "fast",
    images: Callable[[], Sequence[np.ndarray]] | None = None,
) -> tuple[Path, str]:
    """Load a detector and write it as a SavedModel or a .tflite; what was written, and the detector's name.

    Args:
        to: "saved_model" or "tflite"; precision, form, nms: see `detector.export.ssd_tflite.export_tflite`. A
            two-head detector has no post-processing to write: form and nms say nothing to it.
        images: called for the pictures int8 needs.

    Raises:
        CapabilityError: it is none of Boxscope's own SSD or two-head networks. Whatever the exporters raise.
    """
    from detector import load_detector

    detector = load_detector(model)
    if detector.info.kind == "two_head":
        from detector.export import two_head as export

        if to == "saved_model":
            return export.export_saved_model(detector, destination), detector.info.name
        shown = None if images is None else images()
        return (
            export.export_tflite(detector, destination, precision=precision, images=shown),
            detector.info.name,
        )
    if detector.info.kind != "keras_ssd":
        raise CapabilityError(
            f"{model}: expected one of Boxscope's own SSD or two-head networks, which it can write anew; this"
            f" is a {detector.info.kind} and stays as it is."
        )
    if to == "saved_model":
        from detector.export.ssd_saved_model import export_saved_model

        return export_saved_model(detector, destination), detector.info.name
    from detector.export.ssd_tflite import export_tflite

    pictures = None if images is None else images()
    return (
        export_tflite(detector, destination, precision=precision, form=form, nms=nms, images=pictures),
        detector.info.name,
    )


def pick_pictures(dataset: Dataset, most: int = PICTURES) -> list[np.ndarray]:
    """Pictures that set the number ranges, evenly spread over the data set: neighbours in a file are often
    alike.

    Raises:
        InputError: the data set is empty.
    """
    if not len(dataset):
        raise InputError(f"{dataset.name}: expected pictures to set the number ranges by, found none.")
    rows = np.linspace(0, len(dataset) - 1, min(most, len(dataset))).round().astype(int)
    return [dataset.load_image(int(i)) for i in rows]


def own_pictures(training: Path, most: int = PICTURES) -> list[np.ndarray]:
    """Pictures of a training's own training split.

    Raises:
        BoxscopeError: its recipe or its data are not there any more.
    """
    from app.jobs.trainings import recipe_file
    from detector.training.recipes import preview_training, read_recipe

    return pick_pictures(preview_training(read_recipe(recipe_file(training))).datasets[0], most)


@dataclass(frozen=True)
class Export:
    """One form that was asked for.

    Args:
        stage: "starting", "writing", "done" or "failed".
        file: the .tflite, or the folder of a SavedModel, once done.
    """

    training: str
    form: str
    stage: str = "starting"
    file: str = ""
    error: str = ""
    started: float = 0.0

    @property
    def folder(self) -> Path:
        return Path(self.training) / "exports" / self.form

    @property
    def over(self) -> bool:
        return self.stage in ("done", "failed")

    def save(self, **changes: str) -> Export:
        export = replace(self, **changes)
        write_atomically(export.folder / "job.json", json.dumps(asdict(export)).encode())
        return export


def start(training: Path, form: str) -> Export:
    """Write a training's detector in a form, in the background; an older file of that form is replaced."""
    export = Export(str(training), form, started=time.time())
    shutil.rmtree(export.folder, ignore_errors=True)
    export = export.save()
    process.spawn("app.jobs.export_job", str(export.folder), export.folder)
    return export


def exports(training: Path) -> list[Export]:
    """Those of a training, in the order of `FORMS`."""
    return [found for form in FORMS if (found := read(training / "exports" / form)) is not None]


def read(folder: Path) -> Export | None:
    """The export of this folder as it stands; one whose process is gone without a word counts as failed."""
    try:
        lives_at = json.loads((folder / "job.json").read_bytes())["started"]
        lives = process.alive(folder, lives_at)
        export = Export(**json.loads((folder / "job.json").read_bytes()))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    export = replace(export, training=str(folder.parent.parent))  # the training's folder may have been moved
    if export.over or lives:
        return export
    return replace(
        export,
        stage="failed",
        error="The process ended without a word (out of memory, or the machine was restarted).",
    )
