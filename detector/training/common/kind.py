"""What a kind of network has to offer to be trained: one value per kind, see `detector.training.kinds`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from detector.core import Detector
from detector.data.dataset import Dataset
from detector.training.common.preview import TrainingPreview
from detector.training.common.recipe import Recipe
from detector.training.common.session import TrainProgress

Validate = Callable[[Detector, Dataset], Mapping[str, float]]
"""A detector and labelled images to figures; the first figure decides which weights are best (higher is
better).
"""


class TrainFunction(Protocol):
    """Trains by a recipe of its kind and returns the folder of the result."""

    def __call__(
        self,
        recipe: Recipe,
        out: str | Path,
        *,
        progress: Callable[[TrainProgress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
        resume: bool = False,
    ) -> Path: ...


@dataclass(frozen=True)
class NetworkKind:
    """A kind of network that can be trained.

    Args:
        name: what `kind` says in its recipes.
        recipe: the class of its recipes.
        train: trains by a recipe.
        preview: what a recipe would train on; no network is built.
        validates: whether `train` takes `validate`, figures that the caller computes on the validation
            images. The others judge themselves by what they hold out.
        exports: whether the result can be written as a SavedModel or .tflite file.
        has_anchors: whether an export may hold every anchor instead of detections.
    """

    name: str
    recipe: type[Recipe]
    train: TrainFunction
    preview: Callable[[Recipe], TrainingPreview]
    validates: bool = False
    exports: bool = True
    has_anchors: bool = False
