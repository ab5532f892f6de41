"""Names, paths and addresses to detectors. Importing this imports no network library."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from detector.archive import Progress, is_archive, unpack
from detector.config import Config, load_config
from detector.core import ClassMap, Detector
from detector.errors import ConfigError, DownloadError, InputError, ModelError
from detector.models import refusals
from detector.paths import CONFIGS, DEMO_DETECTOR, data_dir

if TYPE_CHECKING:
    from detector.data.dataset import Dataset

BUILT_IN = CONFIGS / "catalogue.yaml"


class EntryConfig(Config):
    """One detector of a catalogue file; `name` stands outside, as its key."""

    title: str
    description: str = ""
    sources: tuple[str, ...] = ()
    builtin: Literal["demo"] | None = None
    recipe: str | None = None
    labels: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_one_origin(self) -> EntryConfig:
        if sum(map(bool, (self.sources, self.builtin, self.recipe))) != 1:
            raise ValueError("expected one of sources, builtin and recipe")
        return self


class CatalogueConfig(Config):
    detectors: dict[str, EntryConfig]


@dataclass(frozen=True)
class Entry:
    """A named detector. `sources` are URLs or absolute paths, in the order they are tried.

    One with a `recipe` (the path of its YAML) is made by its user: `boxscope train RECIPE` puts it where its
    source says.
    """

    name: str
    title: str
    description: str
    sources: tuple[str, ...]
    builtin: str | None
    labels: str | None
    options: dict[str, Any]
    defined_in: str
    recipe: str | None = None

    @property
    def source(self) -> str:
        return self.sources[0] if self.sources else f"built in ({self.builtin})"

    @property
    def on_this_machine(self) -> bool:
        """Whether it can be loaded without a network."""
        return bool(self.builtin) or any(_local(source) is not None for source in self.sources)

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "source": self.source, "on_this_machine": self.on_this_machine}


def list_catalogue() -> list[Entry]:
    """Every named detector: the built-in ones, the best of each sweep, then the user's; later ones replace
    those of the same name.

    Raises:
        ConfigError: a catalogue file is not valid, with its line.
    """
    files = [BUILT_IN, data_dir() / "sweeps.yaml", data_dir() / "catalogue.yaml"]
    extra = os.environ.get("BOXSCOPE_CATALOGUE")
    if extra:
        if not Path(extra).is_file():
            raise ConfigError("$BOXSCOPE_CATALOGUE names this file, which does not exist.", path=extra)
        files.append(Path(extra))
    entries: dict[str, Entry] = {}
    for file in files:
        # Without its own catalogue Boxscope is not wholly installed: an error, not an empty list.
        if file == BUILT_IN or file.is_file():
            for name, entry in load_config(file, CatalogueConfig).detectors.items():
                entries[name] = _entry(name, entry, file)
    return list(entries.values())


def load_detector(
    name: str | os.PathLike,
    *,
    classes: ClassMap | None = None,
    labels: str | Path | Sequence[str] | None = None,
    dataset: Dataset | None = None,
    progress: Progress | None = None,
    white_box: bool = True,
    **options: Any,
) -> Detector:
    """A detector by name, path or address.

    - a name of the catalogue (`list_catalogue`), "demo" among them
    - a TF Hub or Kaggle handle, or the address of an archive or a .tflite file
    - a SavedModel folder, a zoo folder (pipeline.config and checkpoint/), an archive of either, a .tflite
      or an .onnx file
    - the folder of a training (`boxscope train`): its best weights so far
    - the folder of a sliding-window or a two-head detector
    - a COCO results .json, which needs `dataset`
    - "fake:PATH", the simulated detector on the data set at PATH

    Args:
        classes: the class map, where the model brings none or the wrong one.
        labels: a label map's path, or the names in order.
        dataset: for a results file: the images it is about. "fake:" answers for it if it is given.
        progress: (bytes done, bytes in all or None) while something is fetched.
        white_box: restore the three zoo networks into Boxscope's own, open inside; False keeps the black box.
        options: of the adapter, e.g. num_threads of a .tflite.

    Raises:
        InputError: no such name, file or option. ModelError, DownloadError: see the adapters.
    """
    request = _Request(classes, labels, dataset, progress, white_box, options)
    text = os.fspath(name)
    if text.startswith("fake:"):
        return _load_fake(text[len("fake:") :], request)
    if "://" in text:
        return _from_source(text, request)
    entries = {entry.name: entry for entry in list_catalogue()}
    if text in entries:
        return _load_entry(entries[text], request)
    path = Path(text).expanduser()
    if path.exists():
        return load_path(
            path.absolute(), request
        )  # a run names its detector for whoever opens it, wherever they stand
    near = difflib.get_close_matches(text, entries, n=3, cutoff=0.4)
    if path.suffix or os.sep in text:
        raise InputError(
            f"expected a detector at {text}, there is no such file or folder. Known by name:"
            f" {', '.join(near or entries)}."
        )
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(entries)}."
    raise InputError(f"No detector is named {text!r}, and no file is; {hint} A path or an address works too.")


@dataclass(frozen=True)
class _Request:
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
        f"expected a SavedModel folder, a zoo archive, a .tflite, an .onnx or a results .json; this is {what}.",
        path=path,
    )


def load_path(path: Path, request: _Request) -> Detector:
    """The detector at a path, whatever it is."""
    path = _only_folder(path)
    kind = recognise(path)
    if kind == "archive":
        request = dataclasses.replace(
            request, source=request.source or str(path), name=request.name or _stem(path)
        )
        return load_path(unpack(path), request)
    if kind == "trained":
        from detector.models.trained_ssd import load_trained

        return _make(load_trained, path, **request.common())
    if kind == "sliding_window":
        from detector.models.sliding_window import load_sliding_window

        return _make(load_sliding_window, path, **request.common())
    if kind == "two_head":
        from detector.models.two_head import load_two_head

        return _make(load_two_head, path, **request.common())
    if kind == "tflite":
        from detector.models.file_detectors import open_tflite

        file = path if path.is_file() else next(path.glob("*.tflite"))
        return _make(open_tflite, file, **request.common())
    if kind == "onnx":
        from detector.models.file_detectors import open_onnx

        return _make(open_onnx, path, **request.common())
    if kind == "results":
        from detector.models.predictions import PredictionsDetector

        if request.dataset is None:
            raise InputError(
                f"{path}: a results file says nothing about its images; give the data set it was made on as"
                " well (dataset=..., or --data)."
            )
        return _make(PredictionsDetector, path, dataset=request.dataset, name=request.name, **request.options)
    return _load_zoo(path, request) if kind == "zoo" else _load_saved_model(path, request)


def _load_zoo(folder: Path, request: _Request) -> Detector:
    """Boxscope's own network with the checkpoint's weights; the SavedModel beside it where that cannot be."""
    has_saved_model = (folder / "saved_model" / "saved_model.pb").is_file()
    if not request.white_box and has_saved_model:
        return _load_saved_model(folder, request)
    try:
        from detector.models.keras_ssd import load_zoo
    except ModuleNotFoundError as error:
        if error.name != "detector.models.keras_ssd":
            raise ModelError(f"Restoring a checkpoint needs TensorFlow and Keras: {error}.") from error
        why: Exception = error
    else:
        try:
            return _make(load_zoo, folder, **_drop_empty(request.common()))
        except (ConfigError, ModelError) as error:
            why = error
    if not has_saved_model:
        raise why
    detector = _load_saved_model(folder, dataclasses.replace(request, white_box=False))
    return _with_note(
        detector, f"It runs as a black box, because its checkpoint could not be restored: {why}"
    )


def _load_saved_model(folder: Path, request: _Request) -> Detector:
    from detector.models.saved_model import SavedModelDetector

    if not (folder / "saved_model.pb").is_file():
        folder = folder / "saved_model"
    note = ""
    if request.white_box:
        found, note = _try_white_box(folder, request)
        if found is not None:
            return found
    detector = _make(SavedModelDetector, folder, **request.common())
    return _with_note(detector, note) if note else detector


def _try_white_box(folder: Path, request: _Request) -> tuple[Detector | None, str]:
    """Boxscope's own network with this SavedModel's weights, or None and why not."""
    try:
        from detector.models import keras_ssd
    except ImportError as error:
        return None, f"It runs as a black box, because Keras cannot be imported ({error})."
    options = _drop_empty(request.common())
    only_black = set(request.options) - set(inspect.signature(keras_ssd.try_from_saved_model).parameters)
    if only_black:
        return (
            None,
            (
                f"It runs as a black box, because {sorted(only_black)[0]!r} is an option of the SavedModel"
                " adapter."
            ),
        )
    found = keras_ssd.try_from_saved_model(folder, **options)
    return found, "" if found is not None else keras_ssd.why_not_open(folder)


def _load_fake(path: str, request: _Request) -> Detector:
    from detector.data import load_dataset
    from detector.models.fake import FakeDetector

    dataset = load_dataset(path) if path else request.dataset
    if dataset is None:
        raise InputError("expected the data set whose truth is to be shown with mistakes: fake:PATH.")
    return _make(FakeDetector, dataset, **request.options)


def _load_entry(entry: Entry, request: _Request) -> Detector:
    request = dataclasses.replace(
        request,
        name=entry.title,
        options={**entry.options, **request.options},
        labels=(
            request.labels
            if request.labels is not None or request.classes is not None or entry.labels == "coco"
            else entry.labels
        ),
    )
    if entry.labels == "coco" and request.labels is None and request.classes is None:
        from detector.labels import coco_class_map

        request = dataclasses.replace(request, classes=coco_class_map())
    if entry.builtin == "demo":
        return _load_demo(request)
    local = [source for source in entry.sources if _local(source) is not None]
    if entry.recipe and not local:
        raise ModelError(
            f"{entry.title} is made on your machine from your own data, and has not been yet: boxscope train"
            f" {entry.recipe} --data PATH puts it in {entry.source}."
        )
    failures: list[DownloadError] = []
    for source in local or entry.sources:
        try:
            return _from_source(source, request)
        except DownloadError as error:
            failures.append(error)
    from detector.download import failure

    raise failure(entry.title, [error.reason or error.message for error in failures], local or entry.sources)


def _load_demo(request: _Request) -> Detector:
    from detector.models.trained_ssd import load_trained

    return _make(load_trained, DEMO_DETECTOR, **{**request.common(), "source": "demo"})


def _from_source(source: str, request: _Request) -> Detector:
    if "://" not in source:
        path = Path(source)
        if not path.exists():
            raise ModelError(
                f"the catalogue's {request.name!r} names this file, which does not exist.", path=path
            )
        return load_path(path, dataclasses.replace(request, source=source))
    from detector.download import fetch

    return load_path(
        fetch(source, progress=request.progress),
        dataclasses.replace(request, source=source, name=request.name or _stem_of_url(source)),
    )


def _local(source: str) -> Path | None:
    if "://" not in source:
        return Path(source) if Path(source).exists() else None
    from detector.download import cached

    return cached(source)


def _entry(name: str, entry: EntryConfig, file: Path) -> Entry:
    def placed(text: str) -> str:
        return text if "://" in text else str((file.parent / Path(text).expanduser()).resolve())

    labels = entry.labels if entry.labels in (None, "coco") else placed(entry.labels)
    recipe = placed(entry.recipe) if entry.recipe else None
    # Where `boxscope train` puts the result of this recipe when it is not told otherwise.
    sources = (str(data_dir("models") / Path(recipe).stem),) if recipe else tuple(map(placed, entry.sources))
    return Entry(
        name,
        entry.title,
        entry.description,
        sources,
        entry.builtin,
        labels,
        dict(entry.options),
        str(file),
        recipe,
    )


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


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".tar.gz", ".tgz", ".tar", ".zip"):
        name = name.removesuffix(suffix)
    return name


def _stem_of_url(url: str) -> str:
    parts = [p for p in url.split("?")[0].rstrip("/").split("/")[3:] if p not in ("models", "tensorflow")]
    return (
        _stem(Path(parts[-1])) if is_archive(url) or url.endswith(".tflite") else " ".join(parts[:-1]) or url
    )


def _drop_empty(arguments: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in arguments.items() if value is not None}


def _make(kind: Any, *arguments: Any, **options: Any) -> Any:
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


def _with_note(detector: Detector, note: str) -> Detector:
    note = note if note.endswith(".") else f"{note}."
    detector.info = dataclasses.replace(detector.info, notes=(note, *detector.info.notes))
    return detector
