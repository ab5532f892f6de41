"""The manifest of a stored run: what was run on what, under which settings, and how it ended."""

from __future__ import annotations

import datetime
import hashlib
import json
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analysis.runs.classes import ClassLink, UnifiedClasses
from detector.core import ClassMap, DetectorInfo
from detector.data.dataset import Dataset
from detector.errors import InputError, RunError
from detector.paths import write_atomically
from detector.version import VERSION

SCHEMA = 1
MANIFEST = "manifest.json"
PACKAGES = (
    "numpy",
    "pyarrow",
    "opencv-python-headless",
    "pillow",
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "tensorflow-hub",
)

State = Literal["running", "done", "cancelled", "failed"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class DetectorRecord(_Record):
    """The detector, as its `DetectorInfo` described it. Runs of versions before it have no `loaded_with`."""

    name: str
    kind: str
    weights_hash: str
    simulated: bool
    class_names: tuple[str, ...]
    input_size: tuple[int, int] | None = None
    capabilities: tuple[str, ...] = ()
    source: str = ""
    settings: dict[str, Any] = {}
    notes: tuple[str, ...] = ()
    loaded_with: dict[str, Any] = {}


class DatasetRecord(_Record):
    """The data set; `count` images, `labelled` of them with known objects."""

    name: str
    format: str
    source: str
    fingerprint: str
    count: int
    labelled: int
    objects: int


class LinkRecord(_Record):
    """One class of the detector: see `analysis.runs.classes.ClassLink`."""

    detector: str
    dataset: str | None
    class_id: int
    how: Literal["same", "spelling", "alias", "new"]


class ClassRecord(_Record):
    """The unified class map and the way into it."""

    names: tuple[str, ...]
    external_ids: tuple[int, ...]
    dataset_classes: int
    links: tuple[LinkRecord, ...]


class Timing(_Record):
    """Where the time went. Seconds; `decode` sums over threads, so the three may exceed `wall`."""

    wall: float = 0.0
    decode: float = 0.0
    inference: float = 0.0
    write: float = 0.0
    images: int = 0

    @property
    def images_per_second(self) -> float:
        return self.images / self.wall if self.wall else 0.0

    @property
    def shares(self) -> dict[str, float]:
        """Decode, inference and write as parts of their sum, each 0..1."""
        total = self.decode + self.inference + self.write
        return {
            name: getattr(self, name) / total if total else 0.0 for name in ("decode", "inference", "write")
        }

    def plus(self, other: Timing) -> Timing:
        return Timing(**{name: getattr(self, name) + getattr(other, name) for name in Timing.model_fields})


class Counts(_Record):
    """Images looked at, images of them that could not be read, detections stored."""

    done: int = 0
    failed: int = 0
    detections: int = 0


class Manifest(_Record):
    """What a run is. In the file, `schema_version` is written as "schema"."""

    schema_version: int = Field(SCHEMA, alias="schema")
    name: str
    state: State
    identity: str
    detector: DetectorRecord
    dataset: DatasetRecord
    classes: ClassRecord
    floor: float
    floor_note: str = ""
    created: str
    finished: str | None = None
    error: str = ""
    versions: dict[str, str] = {}
    timing: Timing = Timing()
    counts: Counts = Counts()

    @property
    def class_map(self) -> ClassMap:
        return ClassMap(self.classes.names, self.classes.external_ids)


def run_identity(fingerprint: str, weights_hash: str, floor: float) -> str:
    """12 hex digits: the same data set, detector and score floor give the same run."""
    return hashlib.sha256(f"{fingerprint}\0{weights_hash}\0{float(floor)!r}".encode()).hexdigest()[:12]


def package_versions() -> dict[str, str]:
    """The installed versions of what decides a run's answers; importing none of it."""
    found = {"python": ".".join(map(str, sys.version_info[:3])), "boxscope": VERSION}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def now() -> str:
    """The time in UTC, to the second, ISO 8601."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def describe(
    dataset: Dataset, info: DetectorInfo, classes: UnifiedClasses, *, floor: float, name: str | None = None
) -> Manifest:
    """The manifest of a run that is about to begin.

    Raises:
        InputError: the floor leaves 0..1.
    """
    if not 0 <= floor <= 1:
        raise InputError(f"floor: expected a score in 0..1, got {floor!r}.")
    return Manifest(
        name=name or f"{dataset.name} with {info.name}",
        state="running",
        identity=run_identity(dataset.fingerprint, info.weights_hash, floor),
        detector=DetectorRecord(
            name=_text(info.name),
            kind=info.kind,
            weights_hash=info.weights_hash,
            simulated=info.simulated,
            class_names=info.class_map.names,
            input_size=info.input_size,
            capabilities=tuple(sorted(info.capabilities)),
            source=_text(info.source),
            settings=json.loads(json.dumps(dict(info.settings), default=str)),
            notes=tuple(info.notes),
            loaded_with=json.loads(json.dumps(dict(info.loaded_with), default=str)),
        ),
        dataset=DatasetRecord(
            name=_text(dataset.name),
            format=dataset.format,
            source=_text(dataset.source),
            fingerprint=dataset.fingerprint,
            count=len(dataset),
            labelled=int(dataset.labelled.sum()),
            objects=len(dataset.objects),
        ),
        classes=ClassRecord(
            names=classes.class_map.names,
            external_ids=classes.class_map.external_ids,
            dataset_classes=len(dataset.class_map),
            links=tuple(_link(link) for link in classes.links),
        ),
        floor=floor,
        floor_note=_floor_note(info, floor),
        created=now(),
        versions=package_versions(),
    )


def _link(link: ClassLink) -> LinkRecord:
    return LinkRecord(detector=link.detector, dataset=link.dataset, class_id=link.class_id, how=link.how)


def _text(value: object) -> str:
    # A path that is not UTF-8 carries lone surrogates, which JSON files of other tools refuse.
    return str(value).encode("utf-8", "backslashreplace").decode()


def _floor_note(info: DetectorInfo, floor: float) -> str:
    keys = ("score_threshold", "score_floor", "min_score", "floor", "threshold")
    own = next(
        (float(info.settings[k]) for k in keys if isinstance(info.settings.get(k), (int, float))), None
    )
    if own is not None and own > floor:
        return (
            f"The detector itself cuts at {own:g}, so nothing below that is here although the floor is"
            f" {floor:g}."
        )
    if own is None and "low_scores" not in info.capabilities:
        return (
            f"The detector may cut above the floor of {floor:g}: it does not say that it returns low scores."
        )
    return ""


def write_manifest(folder: Path, manifest: Manifest) -> None:
    content = json.dumps(manifest.model_dump(by_alias=True), indent=1, ensure_ascii=False)
    write_atomically(folder / MANIFEST, content.encode("utf-8", "backslashreplace"))


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a run's folder.

    Raises:
        RunError: there is none, it is broken, or a newer Boxscope wrote it.
    """
    path = Path(folder) / MANIFEST
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise RunError(
            "This is not a stored run: expected a manifest.json in it; `boxscope detect` makes one.",
            path=folder,
        ) from None
    except OSError as error:
        raise RunError(f"The manifest cannot be read ({error.strerror or error}).", path=path) from error
    except ValueError as error:
        raise RunError(
            f"The manifest is broken ({error}); delete the folder and run the detection again.", path=path
        ) from error
    version = content.get("schema") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise RunError("The manifest names no schema version; this is not a run of Boxscope.", path=path)
    if version > SCHEMA:
        raise RunError(
            f"A newer Boxscope wrote this run (schema {version}, this one reads up to {SCHEMA}); update"
            " Boxscope to open it.",
            path=path,
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunError(
            f"The manifest is broken at {where!r} ({first['msg']}); delete the folder and run the detection"
            " again.",
            path=path,
        ) from error
