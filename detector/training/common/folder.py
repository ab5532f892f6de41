"""The folder of one training: all it takes to run it again, go on with it, or use its result.

    recipe.yaml     the recipe, as `boxscope train` takes it
    start.json      versions, data set fingerprints and counts, what the weights started from
    history.jsonl   one line a logged step or evaluation;  tensorboard/ the same for TensorBoard
    state.json      running | done | stopped | failed, the step, the best figure
    last.npz        the newest checkpoint: weights, optimiser, step; what --resume goes on from
    weights.npz     the best weights so far by checkpoint key; the detector this folder is
    detector.json   the network's config and classes;  label_map.pbtxt for other tools
    pipeline.config the network and this training's settings as the Object Detection API writes them

Every file that changes, but for history.jsonl and the TensorBoard log, is replaced as a whole: a kill leaves
the old content or the new one.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detector.core import ClassMap
from detector.data.label_map import write_label_map
from detector.errors import ConfigError, ModelError, RunError, reason_of
from detector.paths import write_atomically
from detector.ssd.config import BatchNorm, Initializer, MultiscaleAnchors, SSDAnchors, SSDConfig
from detector.ssd.postprocess import PostprocessSettings
from detector.ssd.weights import load_arrays, save_arrays
from detector.training.common.tensorboard import event_file, scalars_record
from detector.training.ssd.recipe import TrainRecipe, load_recipe

SCHEMA = 1
KIND = "boxscope ssd"
EVENTS = (  # TensorBoard asks for "tfevents" and sorts by the number
    "tensorboard/events.out.tfevents.1.boxscope"
)


class TrainFolder:
    """Reads and writes one training's folder; makes it if need be."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def started(self) -> bool:
        return (self / "recipe.yaml").is_file()

    def write_json(self, name: str, values: Mapping[str, Any]) -> None:
        write_atomically(self / name, (json.dumps(values, indent=1) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Raises RunError: the file is missing or broken."""
        try:
            return json.loads((self / name).read_text())
        except (OSError, ValueError) as error:
            raise RunError(
                f"expected the folder of a training: {reason_of(error)}.", path=self / name
            ) from error

    def write_recipe(self, recipe: TrainRecipe) -> None:
        import yaml

        text = yaml.safe_dump(recipe.resolved().as_dict(), sort_keys=False, allow_unicode=True)
        write_atomically(self / "recipe.yaml", text.encode())

    def read_recipe(self) -> TrainRecipe:
        """Raises RunError: no training was started here. ConfigError: its recipe was edited into nonsense."""
        if not self.started:
            raise RunError(
                "expected the folder of a training, it holds no recipe.", path=self / "recipe.yaml"
            )
        return load_recipe(self / "recipe.yaml")

    def write_detector(self, config: SSDConfig, class_map: ClassMap) -> None:
        """Config and classes; ids of the label map are 1 + class id, as the network's columns are."""
        classes = ClassMap(class_map.names, tuple(range(1, len(class_map) + 1)))
        self.write_json(
            "detector.json",
            {
                "schema": SCHEMA,
                "kind": KIND,
                "config": dataclasses.asdict(config),
                "classes": {"names": list(classes.names), "ids": list(classes.external_ids)},
                "weights": "weights.npz",
            },
        )
        write_label_map(classes, self / "label_map.pbtxt")

    def read_detector(self) -> tuple[SSDConfig, ClassMap, Path]:
        """(config, classes, file of weights) of a training's result.

        Raises:
            RunError: the folder holds none. ModelError: it was written by another version.
        """
        stored = self.read_json("detector.json")
        if stored.get("kind") != KIND or stored.get("schema") != SCHEMA:
            raise ModelError(
                f"expected kind {KIND!r} and schema {SCHEMA}, got {stored.get('kind')!r} and"
                f" {stored.get('schema')!r}.",
                path=self / "detector.json",
            )
        try:
            classes = ClassMap(tuple(stored["classes"]["names"]), tuple(stored["classes"]["ids"]))
            return config_from_dict(stored["config"]), classes, self / stored["weights"]
        except (KeyError, TypeError) as error:
            raise ModelError(
                f"expected a detector's config and classes: {error!r}.", path=self / "detector.json"
            ) from error

    def write_pipeline(self, recipe: TrainRecipe, config: SSDConfig) -> str:
        """Write pipeline.config; "written", or why there is none."""
        from detector.training.ssd.recipe_pipeline import pipeline_of

        try:
            pipeline = pipeline_of(recipe, config)
        except ConfigError as error:  # a convenience for other tools: no reason to refuse a training
            return f"not written: {error}"
        pipeline.write(self / "pipeline.config")
        return "written"

    def append_history(self, line: Mapping[str, Any]) -> None:
        with open(self / "history.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        (self / EVENTS).parent.mkdir(exist_ok=True)
        with open(self / EVENTS, "ab") as file:
            file.write(scalars_record(line))

    def history(self) -> list[dict[str, Any]]:
        """The lines written so far; a last line torn by a kill is left out. Empty before the first."""
        path = self / "history.jsonl"
        if not path.is_file():
            return []
        lines = []
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
        return lines

    def rewind_history(self, step: int) -> None:
        """Forget what was logged after this step: a resumed training goes through it again."""
        kept = [line for line in self.history() if line["step"] <= step]
        write_atomically(self / "history.jsonl", "".join(json.dumps(line) + "\n" for line in kept).encode())
        write_atomically(self / EVENTS, event_file(kept))

    def save_checkpoint(self, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> None:
        save_arrays(self / "last.npz", arrays, meta)

    def load_checkpoint(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """(arrays, meta) of the newest checkpoint, or None before the first."""
        return load_arrays(self / "last.npz") if (self / "last.npz").is_file() else None


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


def rounded(values: Mapping[str, float], digits: int = 6) -> dict[str, float | None]:
    """Figures for a log: significant digits, None for what is not finite (JSON has no NaN)."""
    return {
        name: float(f"{value:.{digits}g}") if math.isfinite(value) else None for name, value in values.items()
    }
