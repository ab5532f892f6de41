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

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

from detector.errors import RunError, reason_of
from detector.paths import write_atomically
from detector.ssd.weights import load_arrays, save_arrays
from detector.training.common.recipe import Recipe
from detector.training.common.tensorboard import event_file, scalars_record

R = TypeVar("R", bound=Recipe)
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

    def write_recipe(self, recipe: Recipe) -> None:
        """Write `recipe.yaml`, with absolute paths."""
        text = yaml.safe_dump(recipe.resolved().as_dict(), sort_keys=False, allow_unicode=True)
        write_atomically(self / "recipe.yaml", text.encode())

    def read_recipe(self, kind: type[R]) -> R:
        """The recipe this training was started with.

        Raises:
            RunError: no training was started here. ConfigError: the file is no recipe of this kind.
        """
        if not self.started:
            raise RunError(
                "expected the folder of a training, it holds no recipe.", path=self / "recipe.yaml"
            )
        return kind.from_file(self / "recipe.yaml")

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


def rounded(values: Mapping[str, float], digits: int = 6) -> dict[str, float | None]:
    """Figures for a log: significant digits, None for what is not finite (JSON has no NaN)."""
    return {
        name: float(f"{value:.{digits}g}") if math.isfinite(value) else None for name, value in values.items()
    }
