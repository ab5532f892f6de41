"""Names, paths and addresses to detectors. Importing this imports no network library."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from detector.archive import Progress, is_archive
from detector.config import Config, load_config
from detector.core import ClassMap, Detector
from detector.errors import BoxscopeError, ConfigError, DownloadError, InputError, ModelError
from detector.opening import Request, load_path, make, remember, stem
from detector.paths import CONFIGS, DEMO_DETECTOR, data_dir

if TYPE_CHECKING:
    from detector.data.dataset import Dataset

BUILT_IN = CONFIGS / "catalogue.yaml"
ENTRY_POINTS = "boxscope.detectors"
"""The group in which an installed package names its detectors: NAME = package.module:factory."""


class EntryConfig(Config):
    """One detector of a catalogue file; `name` stands outside, as its key."""

    title: str
    description: str = ""
    sources: tuple[str, ...] = ()
    builtin: Literal["demo"] | None = None
    recipe: str | None = None
    python: str | None = None
    labels: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_one_origin(self) -> EntryConfig:
        if sum(map(bool, (self.sources, self.builtin, self.recipe, self.python))) != 1:
            raise ValueError("expected one of sources, builtin, recipe and python")
        return self


class CatalogueConfig(Config):
    detectors: dict[str, EntryConfig]


@dataclass(frozen=True)
class Entry:
    """A named detector. `sources` are URLs or absolute paths, in the order they are tried.

    One with a `recipe` (the path of its YAML) is made by its user: `boxscope train RECIPE` puts it where its
    source says. One with `python` ("package.module:factory") is what that factory returns.
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
    python: str | None = None

    @property
    def source(self) -> str:
        if self.python:
            return f"python: {self.python}"
        return self.sources[0] if self.sources else f"built in ({self.builtin})"

    @property
    def on_this_machine(self) -> bool:
        """Whether it can be loaded without a network."""
        return bool(self.builtin or self.python) or any(_local(source) is not None for source in self.sources)

    def to_dict(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "source": self.source, "on_this_machine": self.on_this_machine}


def list_catalogue() -> list[Entry]:
    """Every named detector: those of installed packages (entry points in the group `boxscope.detectors`), the
    built-in ones, the best of each sweep, then the user's; later ones replace those of the same name.

    Raises:
        ConfigError: a catalogue file is not valid, with its line.
    """
    files = [BUILT_IN, data_dir() / "sweeps.yaml", data_dir() / "catalogue.yaml"]
    extra = os.environ.get("BOXSCOPE_CATALOGUE")
    if extra:
        if not Path(extra).is_file():
            raise ConfigError("$BOXSCOPE_CATALOGUE names this file, which does not exist.", path=extra)
        files.append(Path(extra))
    entries = {entry.name: entry for entry in _installed()}
    for file in files:
        # Without its own catalogue Boxscope is not wholly installed: an error, not an empty list.
        if file == BUILT_IN or file.is_file():
            for name, entry in load_config(file, CatalogueConfig).detectors.items():
                entries[name] = _entry(name, entry, file)
    return list(entries.values())


def _installed() -> list[Entry]:
    """The detectors that installed packages offer, nothing imported yet."""
    return [
        Entry(p.name, p.name, f"From {p.value.split(':')[0]}.", (), None, None, {}, p.value, None, p.value)
        for p in entry_points(group=ENTRY_POINTS)
    ]


def load_detector(
    name: str | os.PathLike,
    *,
    classes: ClassMap | Mapping[str, Sequence[Any]] | None = None,
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
        classes: the class map, where the model brings none or the wrong one; also as its names and
            external_ids, as a run keeps it.
        labels: a label map's path, or the names in order.
        dataset: for a results file: the images it is about. "fake:" answers for it if it is given.
        progress: (bytes done, bytes in all or None) while something is fetched.
        white_box: restore the three zoo networks into Boxscope's own, open inside; False keeps the black box.
        options: of the adapter, e.g. num_threads of a .tflite.

    Raises:
        InputError: no such name, file or option. ModelError, DownloadError: see the adapters.
    """
    if isinstance(classes, Mapping):
        classes = ClassMap(tuple(classes["names"]), tuple(classes["external_ids"]))
    request = Request(classes, labels, dataset, progress, white_box, options)
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


def _load_fake(path: str, request: Request) -> Detector:
    from detector.data import load_dataset
    from detector.models.fake import FakeDetector

    dataset = load_dataset(path) if path else request.dataset
    if dataset is None:
        raise InputError("expected the data set whose truth is to be shown with mistakes: fake:PATH.")
    return make(FakeDetector, dataset, **request.options)


def _load_entry(entry: Entry, request: Request) -> Detector:
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
    if entry.python:
        return _load_python(entry, request)
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


def _load_python(entry: Entry, request: Request) -> Detector:
    """What a factory returns: called with the options, and with classes, labels and name where it takes them.

    Raises:
        ModelError: it cannot be imported, fails, or returns no `Detector`.
    """
    module, _, attribute = entry.python.partition(":")
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"expected `python:` to name package.module:factory, {entry.python!r} cannot be imported:"
            f" {error}.",
            path=entry.defined_in,
        ) from error
    known = inspect.signature(factory).parameters
    offered = {k: v for k, v in request.common().items() if v is not None}
    ours = {
        k: v for k, v in offered.items() if k in known or k not in ("classes", "labels", "name", "source")
    }
    try:
        detector = factory(**ours)
    except BoxscopeError:
        raise
    except Exception as error:  # code of somebody else
        raise ModelError(f"{entry.python} failed: {type(error).__name__}: {error}.") from error
    if not isinstance(detector, Detector):
        raise ModelError(
            f"expected {entry.python} to return a detector (info, detect and candidates; detector.core), it"
            f" returned a {type(detector).__name__}."
        )
    detector.info = dataclasses.replace(detector.info, source=entry.name)
    return remember(detector, request)


def _load_demo(request: Request) -> Detector:
    from detector.models.trained_ssd import load_trained

    detector = make(load_trained, DEMO_DETECTOR, **{**request.common(), "source": "demo"})
    return remember(detector, request)


def _from_source(source: str, request: Request) -> Detector:
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
        entry.python,
    )


def _stem_of_url(url: str) -> str:
    parts = [p for p in url.split("?")[0].rstrip("/").split("/")[3:] if p not in ("models", "tensorflow")]
    return (
        stem(Path(parts[-1])) if is_archive(url) or url.endswith(".tflite") else " ".join(parts[:-1]) or url
    )
