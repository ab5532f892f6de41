"""The two sides of `boxscope parity`: detectors run here on a data set, or stored runs with the detectors
that made them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.files.run_list import is_run, read_run
from app.model.spec import spec_of
from detector.core import Detections
from detector.errors import BoxscopeError, InputError

if TYPE_CHECKING:
    from analysis.runs.store import Run
    from detector.core import Detector
    from detector.data.dataset import Dataset

BATCH = 8


@dataclass
class Side:
    """A run, and the detector that made it, or why it cannot be had."""

    run: Run
    detector: Detector | None
    why_not: str = ""


def load_side(model: str, dataset: Dataset, options: dict[str, Any]) -> Detector:
    """A detector as it is to be judged: a SavedModel runs as a black box, Boxscope's own networks in Keras.

    Otherwise an exported file could be compared with a network rebuilt from it, or one LiteRT build with
    another.
    """
    from detector import load_detector
    from detector.opening import recognise

    path = Path(model).expanduser()
    if path.exists() and "white_box" not in options and recognise(path) == "saved_model":
        options = {**options, "white_box": False}
    if "runtime" in options:
        return load_detector(model, dataset=dataset, **options)
    detector = load_detector(model, dataset=dataset, **options)
    if detector.info.kind == "keras_ssd":  # loading is cheap: the network is built on the first picture
        return load_detector(model, dataset=dataset, runtime="keras", **options)
    return detector


def detect_side(
    model: str,
    dataset: Dataset,
    options: dict[str, Any],
    floor: float,
    progress: Callable[[str, int, int], object],
) -> Side:
    """Run a detector over a data set, in memory. An unreadable picture is a failed image of the run.

    Raises:
        BoxscopeError: the detector cannot be loaded or run.
    """
    from analysis.runs.in_memory import run_from_detections
    from detector.errors import ImageError

    detector = load_side(model, dataset, options)
    found: list[Detections | None] = [None] * len(dataset)
    for start in range(0, len(dataset), BATCH):
        rows, pictures = [], []
        for i in range(start, min(start + BATCH, len(dataset))):
            try:
                pictures.append(dataset.load_image(i))
            except ImageError:  # not done: it takes no part, and is counted as left out
                continue
            rows.append(i)
        for i, detections in zip(rows, detector.detect(pictures)):
            found[i] = detections
        progress(detector.info.name, min(start + BATCH, len(dataset)), len(dataset))
    return Side(run_from_detections(dataset, found, detector.info, floor=floor), detector)


def stored_side(name: Path, ask: bool) -> Side:
    """A stored run and, to ask for causes, the detector its manifest names, if it still is the one that made
    it.
    """
    run = read_run(name)
    if not ask:
        return Side(run, None)
    spec = spec_of(run.manifest)
    if spec is None:
        return Side(run, None, f"{run.name}: its detector cannot be loaded again, results came from a file")
    from detector import load_dataset, load_detector

    try:
        options = dict(spec["options"]) | ({"dataset": load_dataset(spec["data"])} if spec["data"] else {})
        detector = load_detector(spec["model"], **options)
    except BoxscopeError as error:
        return Side(run, None, f"{run.name}: {error.message}")
    if detector.info.weights_hash != run.manifest.detector.weights_hash:
        return Side(
            run, None, f"{run.name}: the detector at {run.manifest.detector.source} has changed since"
        )
    return Side(run, detector)


def both_runs(a: str, b: str) -> bool:
    """Whether these are two stored runs.

    Raises:
        InputError: one is a run and the other is not.
    """
    kinds = [is_run(Path(x)) for x in (a, b)]
    if kinds[0] != kinds[1]:
        run, other = (a, b) if kinds[0] else (b, a)
        raise InputError(f"expected two detectors or two stored runs, {run} is a run and {other} is not.")
    return kinds[0]
