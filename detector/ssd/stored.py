"""A trained SSD as its folder stores it: `detector.json` with the network and its classes, beside its
weights.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.core import ClassMap
from detector.data.label_map import write_label_map
from detector.errors import ModelError, RunError, reason_of
from detector.nms import PostprocessSettings
from detector.paths import write_atomically
from detector.ssd.config import BatchNorm, Initializer, MultiscaleAnchors, SSDAnchors, SSDConfig

SCHEMA = 1
KIND = "boxscope ssd"


@dataclass(frozen=True)
class StoredSSD:
    """What a folder stores about its detector; `weights` is the file of its arrays."""

    config: SSDConfig
    classes: ClassMap
    weights: Path


def write_ssd(folder: str | os.PathLike, config: SSDConfig, class_map: ClassMap) -> None:
    """Write `detector.json` and `label_map.pbtxt`; ids of the label map are 1 + class id, as the network's
    columns are.
    """
    folder = Path(folder)
    classes = ClassMap(class_map.names, tuple(range(1, len(class_map) + 1)))
    values = {
        "schema": SCHEMA,
        "kind": KIND,
        "config": dataclasses.asdict(config),
        "classes": {"names": list(classes.names), "ids": list(classes.external_ids)},
        "weights": "weights.npz",
    }
    write_atomically(folder / "detector.json", (json.dumps(values, indent=1) + "\n").encode())
    write_label_map(classes, folder / "label_map.pbtxt")


def read_ssd(folder: str | os.PathLike) -> StoredSSD:
    """The detector a folder describes; the weights are not read.

    Raises:
        RunError: the folder stores none, or the file is broken.
        ModelError: it was written by another version, or is another kind of detector.
    """
    path = Path(folder) / "detector.json"
    try:
        stored = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f"expected the folder of a training: {reason_of(error)}.", path=path) from error
    kind, schema = (stored.get("kind"), stored.get("schema")) if isinstance(stored, dict) else (None, None)
    if (kind, schema) != (KIND, SCHEMA):
        raise ModelError(
            f"expected kind {KIND!r} and schema {SCHEMA}, got {kind!r} and {schema!r}.", path=path
        )
    try:
        classes = ClassMap(tuple(stored["classes"]["names"]), tuple(stored["classes"]["ids"]))
        return StoredSSD(config_from_dict(stored["config"]), classes, path.parent / stored["weights"])
    except (KeyError, TypeError) as error:
        raise ModelError(f"expected a detector's config and classes: {error!r}.", path=path) from error


def config_from_dict(values: Mapping[str, Any]) -> SSDConfig:
    """The config `dataclasses.asdict` took apart (through JSON, so tuples came back as lists).

    Raises:
        KeyError, TypeError: it is none.
    """
    values = dict(values)
    anchors = MultiscaleAnchors if "min_level" in values["anchors"] else SSDAnchors
    parts = {
        "anchors": anchors,
        "batch_norm": BatchNorm,
        "predictor_batch_norm": BatchNorm,
        "initializer": Initializer,
        "predictor_initializer": Initializer,
        "postprocess": PostprocessSettings,
    }
    for name, part in parts.items():
        values[name] = part(**{k: _tuple(v) for k, v in values[name].items()})
    return SSDConfig(**{k: _tuple(v) for k, v in values.items()})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
