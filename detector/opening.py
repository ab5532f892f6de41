"""What lies at a path, and the detector in it. Importing this imports no network library.

A kind of detector is known by `recognise` and loaded by its own adapter, which brings its libraries itself.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.archive import Progress, is_archive, unpack
from detector.core import ClassMap, Detector
from detector.errors import ConfigError, InputError, ModelError
from detector.models import refusals

if TYPE_CHECKING:
    from detector.data.dataset import Dataset


@dataclass(frozen=True)
class Request:
    classes: ClassMap | None
    labels: str | Path | Sequence[str] | None
    dataset: Dataset | None
    progress: Progress | None
    white_box: bool
    options: dict[str, Any]
    source: str | None = None
    name: str | None = None

    def common(self) -> dict[str, Any]:
        return {
            "classes": self.classes,
            "labels": self.labels,
            "name": self.name,
            "source": self.source,
            **self.options,
        }


def recognise(path: Path) -> str:
    """What lies at a path: "saved_model", "zoo", "trained", "sliding_window", "two_head", "archive",
    "tflite", "onnx", "results".

    Raises:
        ModelError: nothing Boxscope can read; the message says what it is and what would work.
    """
    if path.is_dir():
        from detector.sliding.stored import is_sliding_window

        if is_sliding_window(path):
            return "sliding_window"
        from detector.two_head.stored import is_two_head

        if is_two_head(path):
            return "two_head"
        if (path / "pipeline.config").is_file() and list((path / "checkpoint").glob("ckpt-*.index")):
            return "zoo"
        if (path / "detector.json").is_file() and any(
            (path / name).is_file() for name in ("weights.npz", "recipe.yaml")
        ):
            return "trained"
        if (path / "saved_model.pb").is_file() or (path / "saved_model" / "saved_model.pb").is_file():
            return "saved_model"
        if len(list(path.glob("*.tflite"))) == 1:
            return "tflite"
        inside = sorted(p.name for p in path.iterdir())
        raise ModelError(
            "expected a SavedModel (saved_model.pb), a zoo folder (pipeline.config and checkpoint/), a"
            " training's folder with weights (weights.npz) or one .tflite, found"
            f" {', '.join(inside[:8]) or 'an empty folder'}.",
            path=path,
        )
    suffix = path.suffix.lower()
    why = refusals.reason(path)
    if why is None and is_archive(path):
        return "archive"
    if why is None and suffix in (".tflite", ".lite"):
        return "tflite"
    if why is None and suffix == ".onnx":
        return "onnx"
    if suffix == ".json":
        return "results"
    if path.name == "saved_model.pb":
        raise ModelError(f"this is a part of a SavedModel; give its folder, {path.parent}.", path=path)
    what = why or "of no kind Boxscope knows"
    raise ModelError(
        "expected a SavedModel folder, a zoo archive, a .tflite, an .onnx or a results .json; this is"
        f" {what}.",
        path=path,
    )


RUNNING = {"runtime", "num_threads", "threads", "verify"}
"""Options that say how a detector runs, not what it answers."""


def remember(detector: Detector, request: Request) -> Detector:
    """The same detector, whose `info.loaded_with` holds what it was asked for besides its source.

    Kept are `labels`, `classes` (its names and external ids), `white_box` where it is off, and the options of
    the adapter but for `RUNNING`, as values that JSON knows; what it does not know is left out, and the hash
    of the weights then tells that a detector opened again is another.
    """
    asked: dict[str, Any] = {k: v for k, v in request.options.items() if k not in RUNNING}
    if request.labels is not None:
        is_file = isinstance(request.labels, Path) or (
            isinstance(request.labels, str) and request.labels != "coco"
        )
        asked["labels"] = (
            Path(request.labels).absolute() if is_file else request.labels
        )  # for whoever opens it, wherever they stand
    if request.classes is not None:
        asked["classes"] = {
            "names": list(request.classes.names),
            "external_ids": list(request.classes.external_ids),
        }
    if not request.white_box:
        asked["white_box"] = False
    kept = {k: plain for k, v in asked.items() if (plain := _plain(v)) is not None}
    if kept:
        detector.info = dataclasses.replace(detector.info, loaded_with=kept)
    return detector


def _plain(value: Any) -> Any:
    """The value as JSON gives it back, None where JSON does not know it."""
    value = str(value) if isinstance(value, Path) else value
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return None


def load_path(path: Path, request: Request) -> Detector:
    """The detector at a path, whatever it is."""
    return remember(_load_path(path, request), request)


def _load_path(path: Path, request: Request) -> Detector:
    path = _only_folder(path)
    kind = recognise(path)
    if kind == "archive":
        request = dataclasses.replace(
            request, source=request.source or str(path), name=request.name or stem(path)
        )
        return _load_path(unpack(path), request)
    if kind == "trained":
        from detector.models.trained_ssd import load_trained

        return make(load_trained, path, **request.common())
    if kind == "sliding_window":
        from detector.models.sliding_window import load_sliding_window

        return make(load_sliding_window, path, **request.common())
    if kind == "two_head":
        from detector.models.two_head import load_two_head

        return make(load_two_head, path, **request.common())
    if kind == "tflite":
        from detector.models.file_detectors import open_tflite

        file = path if path.is_file() else next(path.glob("*.tflite"))
        return make(open_tflite, file, **request.common())
    if kind == "onnx":
        from detector.models.file_detectors import open_onnx

        return make(open_onnx, path, **request.common())
    if kind == "results":
        from detector.models.predictions import PredictionsDetector

        if request.dataset is None:
            raise InputError(
                f"{path}: a results file says nothing about its images; give the data set it was made on as"
                " well (dataset=..., or --data)."
            )
        return make(PredictionsDetector, path, dataset=request.dataset, name=request.name, **request.options)
    return _load_zoo(path, request) if kind == "zoo" else _load_saved_model(path, request)


def _load_zoo(folder: Path, request: Request) -> Detector:
    """Boxscope's own network with the checkpoint's weights; the SavedModel beside it where that cannot be."""
    has_saved_model = (folder / "saved_model" / "saved_model.pb").is_file()
    if not request.white_box and has_saved_model:
        return _load_saved_model(folder, request)
    try:
        from detector.models.restored_ssd import load_zoo
    except ModuleNotFoundError as error:
        if error.name != "detector.models.restored_ssd":
            raise ModelError(f"Restoring a checkpoint needs TensorFlow and Keras: {error}.") from error
        why: Exception = error
    else:
        try:
            return make(load_zoo, folder, **_drop_empty(request.common()))
        except (ConfigError, ModelError) as error:
            why = error
    if not has_saved_model:
        raise why
    detector = _load_saved_model(folder, dataclasses.replace(request, white_box=False))
    return with_note(detector, f"It runs as a black box, because its checkpoint could not be restored: {why}")


def _load_saved_model(folder: Path, request: Request) -> Detector:
    from detector.models.file_detectors import open_saved_model

    if not (folder / "saved_model.pb").is_file():
        folder = folder / "saved_model"
    note = ""
    if request.white_box:
        found, note = _try_white_box(folder, request)
        if found is not None:
            return found
    detector = make(open_saved_model, folder, **request.common())
    black_box = "family" not in detector.info.settings  # a decoded one is none of the zoo's SSDs
    return with_note(detector, note) if note and black_box else detector


def _try_white_box(folder: Path, request: Request) -> tuple[Detector | None, str]:
    """Boxscope's own network with this SavedModel's weights, or None and why not."""
    try:
        from detector.models import restored_ssd
    except ImportError as error:
        return None, f"It runs as a black box, because Keras cannot be imported ({error})."
    options = _drop_empty(request.common())
    only_black = set(request.options) - set(inspect.signature(restored_ssd.try_from_saved_model).parameters)
    if only_black:
        return (
            None,
            (
                f"It runs as a black box, because {sorted(only_black)[0]!r} is an option of the SavedModel"
                " adapter."
            ),
        )
    found = restored_ssd.try_from_saved_model(folder, **options)
    return found, "" if found is not None else restored_ssd.why_not_open(folder)


def _only_folder(path: Path) -> Path:
    """The folder itself, or the one folder that is all it holds (an archive's top level)."""
    for _ in range(3):
        if not path.is_dir():
            return path
        inside = [p for p in path.iterdir() if not p.name.startswith((".", "__MACOSX"))]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name == "saved_model":
            return path
        path = inside[0]
    return path


def stem(path: Path) -> str:
    name = path.name
    for suffix in (".tar.gz", ".tgz", ".tar", ".zip"):
        name = name.removesuffix(suffix)
    return name


def _drop_empty(arguments: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if value is not None}


def make(kind: Any, *arguments: Any, **options: Any) -> Any:
    """Call it; an option it does not know becomes an InputError that names those it does."""
    parameters = inspect.signature(kind).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        options = {
            k: v for k, v in options.items() if k in parameters or k not in ("name", "source")
        }  # ours, not the user's
        unknown = [key for key in options if key not in parameters]
        if unknown:
            known = [k for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY]
            raise InputError(
                f"This kind of detector has no option {unknown[0]!r}; it takes {', '.join(known)}."
            )
    return kind(*arguments, **options)


def with_note(detector: Detector, note: str) -> Detector:
    note = note if note.endswith(".") else f"{note}."
    detector.info = dataclasses.replace(detector.info, notes=(note, *detector.info.notes))
    return detector
