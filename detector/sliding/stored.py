"""A sliding-window detector as its folder stores it, on its own or as the result of a training.

detector.json     kind, class, settings, the classifier's file
classifier.keras  the patch classifier, as Keras saves it
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from detector.core import ClassMap
from detector.errors import ConfigError, InputError, ModelError, reason_of
from detector.paths import write_atomically
from detector.sliding.settings import SlidingWindowSettings

if TYPE_CHECKING:
    import keras

SCHEMA = 1
KIND = "boxscope sliding window"
CLASSIFIER = "classifier.keras"


def is_sliding_window(folder: str | os.PathLike) -> bool:
    """Whether a folder holds a sliding-window detector (its classifier may still be missing)."""
    try:
        return json.loads((Path(folder) / "detector.json").read_text()).get("kind") == KIND
    except (OSError, ValueError, AttributeError):
        return False


@dataclass(frozen=True)
class StoredDetector:
    """What a folder says of its detector."""

    name: str
    classifier: Path
    classes: ClassMap
    settings: SlidingWindowSettings
    notes: tuple[str, ...] = ()

    def load_classifier(self) -> keras.Model:
        """Raises ModelError: the file is missing or is no Keras model."""
        import keras  # noqa: PLC0415  Keras costs seconds

        if not self.classifier.is_file():
            raise ModelError(
                "expected a classifier, there is none yet: the training that makes it has not got that far.",
                path=self.classifier,
            )
        try:
            return keras.saving.load_model(self.classifier, compile=False)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ModelError(
                "expected a classifier that Keras saved:"
                f" {str(error).splitlines()[0] if str(error) else error!r}.",
                path=self.classifier,
            ) from error


def read_folder(folder: str | os.PathLike) -> StoredDetector:
    """The detector a folder describes; the classifier is not read yet.

    Raises:
        ModelError: none is there, or another version wrote it.
    """
    path = Path(folder) / "detector.json"
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"expected the folder of a sliding-window detector: {reason_of(error)}.", path=path
        ) from error
    if not isinstance(stored, dict) or stored.get("kind") != KIND or stored.get("schema") != SCHEMA:
        kind, schema = (
            (stored.get("kind"), stored.get("schema")) if isinstance(stored, dict) else (None, None)
        )
        raise ModelError(
            f"expected kind {KIND!r} and schema {SCHEMA}, got {kind!r} and {schema!r}.", path=path
        )
    try:
        classes = ClassMap(tuple(stored["classes"]))
        settings = SlidingWindowSettings(**stored["settings"])
        return StoredDetector(
            stored["name"],
            path.parent / stored["classifier"],
            classes,
            settings,
            tuple(stored.get("notes", ())),
        )
    except (KeyError, TypeError, ConfigError, InputError) as error:
        raise ModelError(
            f"expected a name, a class, settings and a classifier: {error}.", path=path
        ) from error


def save_sliding_window(
    folder: str | os.PathLike,
    classifier: keras.Model,
    classes: ClassMap,
    settings: SlidingWindowSettings | None = None,
    *,
    name: str = "sliding window",
    notes: Sequence[str] = (),
) -> Path:
    """Write a detector that `load_detector(folder)` opens, from any Keras classifier `to_fully_convolutional`
    takes.
    """
    folder = Path(folder)
    write_classifier(folder / CLASSIFIER, classifier)
    write_detector(folder, classes, settings or SlidingWindowSettings(), name, notes)
    return folder


def write_detector(
    folder: Path, classes: ClassMap, settings: SlidingWindowSettings, name: str, notes: Sequence[str] = ()
) -> None:
    values = {
        "schema": SCHEMA,
        "kind": KIND,
        "name": name,
        "classes": list(classes.names),
        "settings": dataclasses.asdict(settings),
        "classifier": CLASSIFIER,
        "notes": list(notes),
    }
    write_atomically(folder / "detector.json", (json.dumps(values, indent=1) + "\n").encode())


def write_classifier(path: Path, classifier: keras.Model) -> None:
    """Save a Keras model whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{os.getpid()}.part.keras")
    try:
        classifier.save(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
