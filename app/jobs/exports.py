"""Writing a detector for other tools, for the command and for the page; on the page each form is a process of
its own.

TRAINING/exports/<form>/job.json  the form, the file written, and how the job stands
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from analysis.thresholds.files import load_thresholds
from app.jobs.job import ProcessJob
from app.jobs.trainings import recipe_file
from detector.errors import CapabilityError, ImageError, InputError

if TYPE_CHECKING:
    from detector.core import ClassMap
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
PICTURES = 100
"""How many pictures set the number ranges of int8."""


def write_export(
    model: str,
    destination: Path,
    *,
    to: str,
    precision: str = "float32",
    form: str = "detections",
    nms: str | None = None,
    thresholds: str | Path | None = None,
    images: Callable[[], Sequence[np.ndarray]] | None = None,
) -> tuple[Path, str]:
    """Load a detector and write it as a SavedModel or a .tflite; what was written, and the detector's name.

    Args:
        to: "saved_model" or "tflite"; precision, form, nms: see `detector.export.ssd_tflite.export_tflite`. A
            two-head detector has no post-processing to write: form and nms say nothing to it.
        thresholds: a file of saved thresholds that the .tflite is to carry.
        images: called for the images int8 needs.

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
        export_tflite(
            detector,
            destination,
            precision=precision,
            form=form,
            nms=nms,
            thresholds=_by_class(thresholds, detector.info.class_map),
            images=pictures,
        ),
        detector.info.name,
    )


def _by_class(thresholds: str | Path | None, class_map: ClassMap) -> dict[str, float] | None:
    if thresholds is None:
        return None
    values = load_thresholds(thresholds).thresholds(class_map)
    return {name: round(float(value), 6) for name, value in zip(class_map.names, values)}


def pick_pictures(
    dataset: Dataset, most: int = PICTURES, say: Callable[[str], None] | None = None
) -> list[np.ndarray]:
    """Images that set the number ranges, evenly spread over the data set: neighbours in a file are often
    alike.

    An image that cannot be read is left out and named.

    Args:
        most: at most this many.
        say: called with one sentence on what was taken and what was left out.

    Raises:
        InputError: the data set is empty, or none of the chosen images can be read.
    """
    if not len(dataset):
        raise InputError(f"{dataset.name}: expected pictures to set the number ranges by, found none.")
    rows = np.linspace(0, len(dataset) - 1, min(most, len(dataset))).round().astype(int)
    images, unreadable = [], []
    for i in rows:
        try:
            images.append(dataset.load_image(int(i)))
        except ImageError as error:
            unreadable.append(str(error))
    if not images:
        raise InputError(
            f"{dataset.name}: expected images to set the number ranges by, none of {len(rows)} can be read"
            f" ({unreadable[0]})."
        )
    if say is not None:
        left = f"; left out, as they cannot be read: {'; '.join(unreadable[:3])}" if unreadable else ""
        more = f" and {len(unreadable) - 3} more" if len(unreadable) > 3 else ""
        say(
            f"int8: number ranges from {len(images)} of {len(dataset):,} images of {dataset.name}{left}{more}"
        )
    return images


def own_pictures(
    training: Path, most: int = PICTURES, say: Callable[[str], None] | None = None
) -> list[np.ndarray]:
    """Pictures of a training's own training split.

    Raises:
        BoxscopeError: its recipe or its data are not there any more.
    """
    from detector.training.recipes import preview_training, read_recipe

    return pick_pictures(preview_training(read_recipe(recipe_file(training))).datasets[0], most, say)


@dataclass(frozen=True, kw_only=True)
class Export(ProcessJob):
    """A training's detector written in one form.

    Args:
        form: one of `FORMS`.
        file: the .tflite, or the folder of a SavedModel, once done.
    """

    WHAT: ClassVar = "The export"
    LOCK: ClassVar = "export"

    form: str
    file: str = ""

    @property
    def training(self) -> Path:
        return self.folder.parent.parent

    def work(self) -> None:
        """Write the file or folder."""
        job = self.save(stage="writing")
        stem = self.training.name
        if self.form == "saved_model":
            written, _ = write_export(str(self.training), self.folder / stem, to="saved_model")
        else:
            precision, _, raw = self.form.partition("-")
            written, _ = write_export(
                str(self.training),
                self.folder / f"{stem}-{self.form}.tflite",
                to="tflite",
                precision=precision,
                form="raw" if raw else "detections",
                images=partial(own_pictures, self.training) if precision == "int8" else None,
            )
        job.save(stage="done", file=str(written))


def start(training: Path, form: str) -> Export:
    """Write a training's detector in a form, in the background; an older file of that form is replaced."""
    folder = training / "exports" / form
    shutil.rmtree(folder, ignore_errors=True)
    return Export(folder=folder, form=form).start()


def exports(training: Path) -> list[Export]:
    """Those of a training, in the order of `FORMS`."""
    return [found for form in FORMS if (found := Export.read(training / "exports" / form)) is not None]
