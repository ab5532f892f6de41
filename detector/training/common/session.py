"""What every training does around its own steps: it begins or goes on in its folder, says how far it is, and
what ended it.
"""

from __future__ import annotations

import platform
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from detector.errors import BoxscopeError, RunError
from detector.training.common.folder import TrainFolder

LOG_EVERY = 10  # steps between two lines of history.jsonl
OPTIMIZER = "optimizer/"  # the optimiser's variables in a checkpoint, beside the weights


@dataclass(frozen=True)
class TrainProgress:
    """What a progress bar shows.

    Args:
        step, steps: steps done, and in all.
        loss, classification, localization, regularization: of the newest batch; they add up.
        learning_rate: that the batch was trained with.
        images_per_second: over the last steps; 0 before the first.
        seconds_left: at that rate, without the evaluations to come; None before it is known.
        figures: of the newest evaluation, empty before the first.
        phase: what is done before the first step ("checking images"); `step` of `steps` then counts that, and
            losses are 0. Empty while it trains.
        notes: what was chosen or left out before the first step, one sentence each.
    """

    step: int
    steps: int
    loss: float
    classification: float
    localization: float
    regularization: float
    learning_rate: float
    images_per_second: float
    seconds_left: float | None
    figures: Mapping[str, float]
    phase: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def preparing(cls, phase: str, done: int, total: int) -> TrainProgress:
        """Progress of what comes before the first step."""
        return cls(done, total, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, None, {}, phase)


class AnyRecipe(Protocol):
    """What a folder asks of a recipe."""

    @property
    def hash(self) -> str: ...

    @property
    def steps(self) -> int: ...


class Training(ABC):
    """One training at work. A kind of training adds `run` and calls `state` for what state.json holds."""

    recipe: Any
    step: int = 0
    best: dict[str, Any] | None = None
    figures: Mapping[str, float]

    @abstractmethod
    def run(self, progress: Callable[[TrainProgress], None], should_stop: Callable[[], bool]) -> str:
        """Train to the end; "done" or "stopped"."""

    def state(self, name: str) -> dict[str, Any]:
        return {
            "state": name,
            "step": self.step,
            "steps": self.recipe.steps,
            "best": self.best,
            "figures": self.figures,
            "written": time.time(),
        }


def run_recipe(
    folder: TrainFolder,
    recipe: AnyRecipe,
    make: Callable[[Callable[[int, int], None]], Training],
    *,
    resume: bool,
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Path:
    """Run a training in its folder; returns the folder's path. One that is done is returned as it is.

    Args:
        make: reads the data and settles what can be refused before a step is made; called with
            progress(done, total) over the images it decodes.
        resume: go on at the newest checkpoint of this recipe; one that failed before its first step starts.

    What the training raises for its data, recipe or weights is written to state.json ("failed") and raised
    again.

    Raises:
        RunError: the folder holds a training already (or, with `resume`, none or one of another recipe).
    """
    tell = progress or (lambda _: None)
    if resume and not _failed_before_the_first_step(folder):
        if not folder.started:
            raise RunError(
                "expected the folder of a training to resume, no training was started here.", path=folder.path
            )
        if folder.read_recipe(type(recipe)).hash != recipe.hash:
            raise RunError(
                "expected the recipe this training was started with; train into another folder.",
                path=folder.path,
            )
        if (folder / "state.json").is_file() and folder.read_json("state.json")["state"] == "done":
            return folder.path
    elif folder.started:
        raise RunError("a training lies here already; resume it, or name another folder.", path=folder.path)
    training = None
    try:
        training = make(lambda done, total: tell(TrainProgress.preparing("checking images", done, total)))
        state = training.run(tell, should_stop or (lambda: False))
    except RunError:
        raise
    except BoxscopeError as error:
        if (
            training is None
        ):  # refused before a step was made; a training that is to be resumed keeps its figures
            before = (
                folder.read_json("state.json")
                if (folder / "state.json").is_file()
                else {"step": 0, "steps": recipe.steps}
            )
            reached = before | {"state": "failed", "written": time.time()}
        else:
            reached = training.state("failed")
        folder.write_json("state.json", reached | {"error": str(error)})
        raise
    folder.write_json("state.json", training.state(state))
    return folder.path


def _failed_before_the_first_step(folder: TrainFolder) -> bool:
    if folder.started or not (folder / "state.json").is_file():
        return False
    return folder.read_json("state.json").get("state") == "failed"


def versions() -> dict[str, str]:
    """Of what decides a training's numbers."""
    import keras  # noqa: PLC0415  Keras costs seconds

    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
    }
