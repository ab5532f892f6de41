"""A recipe of any kind of network: read from its file, previewed, and trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from detector.errors import ConfigError
from detector.training.common.kind import Validate
from detector.training.common.preview import TrainingPreview
from detector.training.common.recipe import Recipe
from detector.training.common.session import TrainProgress
from detector.training.kinds import DEFAULT, KINDS, kind_of
from detector.training.ssd.recipe_pipeline import recipe_from_pipeline


def read_recipe(path: str | Path) -> Recipe:
    """The recipe in a YAML file, of the kind it names, else of an SSD. A file ending in .config is a
    `pipeline.config` of the Object Detection API.

    Raises:
        ConfigError: with file and line where one can be named; an unknown kind.
    """
    if Path(path).suffix == ".config":
        return recipe_from_pipeline(path)
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        values = None  # from_file reports what is wrong, with its line
    name = values.get("kind") if isinstance(values, dict) else None
    if name is None:
        return DEFAULT.recipe.from_file(path)
    named = [other for other, kind in KINDS.items() if kind is not DEFAULT]
    if name not in named:
        raise ConfigError(
            f"kind: expected {' or '.join(map(repr, named))}, or no kind for an SSD network, got {name!r}.",
            path=path,
        )
    return KINDS[name].recipe.from_file(path)


def changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with these keys changed, whatever its kind.

    Raises:
        ConfigError: a key that recipes of this kind do not have, or a value that does not fit the others.
    """
    return type(recipe).from_dict({**recipe.as_dict(), **values}) if values else recipe


def preview_training(recipe: Recipe) -> TrainingPreview:
    """Read a recipe's data and check it as the training will; no network is built. Seconds for thousands of
    images.

    Raises:
        DataError, InputError: the data cannot be read, has nothing to train on, or a class id out of range.
        ConfigError: it does not have the recipe's number of classes.
    """
    return kind_of(recipe).preview(recipe)


def train_recipe(
    recipe: Recipe,
    out: str | Path,
    *,
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    validate: Validate | None = None,
    resume: bool = False,
) -> Path:
    """Train as the recipe describes, and return the folder of the result.

    Args:
        validate: figures on the validation images, for the kinds that take them (SSD networks); the others
            judge themselves by what they hold out.

    The other arguments and the errors are those of `detector.training.ssd.training.train`.
    """
    kind = kind_of(recipe)
    more = {"validate": validate} if kind.validates else {}
    return kind.train(recipe, out, progress=progress, should_stop=should_stop, resume=resume, **more)


def training_state(folder: str | Path) -> dict:
    """The content of a training's state.json; {} where there is none."""
    try:
        return json.loads((Path(folder) / "state.json").read_text())
    except (OSError, ValueError):
        return {}
