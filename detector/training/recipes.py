"""A recipe file of any kind, and the trainer it belongs to: SSD, sliding-window or two-head networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from detector.errors import ConfigError
from detector.training.common.recipe import Recipe
from detector.training.common.session import TrainProgress
from detector.training.sliding.recipe import KIND, SlidingRecipe
from detector.training.ssd.recipe import TrainRecipe
from detector.training.ssd.recipe_pipeline import recipe_from_pipeline
from detector.training.ssd.training import Validate
from detector.training.two_head.recipe import KIND as TWO_HEAD
from detector.training.two_head.recipe import TwoHeadRecipe


def read_recipe(path: str | Path) -> Recipe:
    """The recipe in a YAML file: of the kind it names (`sliding_window`, `two_head`), else one of an SSD. A
    file ending in .config is a `pipeline.config` of the Object Detection API.

    Raises:
        ConfigError: with file and line where one can be named; an unknown kind.
    """
    import yaml

    if Path(path).suffix == ".config":
        return recipe_from_pipeline(path)
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        values = None  # from_file says what is wrong, with its line
    kind = values.get("kind") if isinstance(values, dict) else None
    if kind == KIND:
        return SlidingRecipe.from_file(path)
    if kind == TWO_HEAD:
        return TwoHeadRecipe.from_file(path)
    if kind is not None:
        raise ConfigError(
            f"kind: expected {KIND!r} or {TWO_HEAD!r}, or no kind for an SSD network, got {kind!r}.",
            path=path,
        )
    return TrainRecipe.from_file(path)


def changed(recipe: Recipe, values: Mapping[str, Any]) -> Recipe:
    """The recipe with these keys changed, whatever its kind.

    Raises:
        ConfigError: a key that recipes of this kind do not have, or a value that does not fit the others.
    """
    return type(recipe).from_dict({**recipe.as_dict(), **values}) if values else recipe


def train_by(
    recipe: Recipe,
    out: str | Path,
    *,
    progress: Callable[[TrainProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    validate: Validate | None = None,
    resume: bool = False,
) -> Path:
    """Train as the recipe says, and return the folder of the result; see `detector.training.ssd.training.train`,
    `detector.training.sliding.training.train_sliding_window` and `detector.training.two_head.training.train_two_head`.
    `validate` is of use to SSD networks only: the others are judged by what they hold out.
    """
    if isinstance(recipe, SlidingRecipe):
        from detector.training.sliding.training import train_sliding_window

        return train_sliding_window(recipe, out, progress=progress, should_stop=should_stop, resume=resume)
    if isinstance(recipe, TwoHeadRecipe):
        from detector.training.two_head.training import train_two_head

        return train_two_head(recipe, out, progress=progress, should_stop=should_stop, resume=resume)
    from detector.training.ssd.training import train

    return train(recipe, out, progress=progress, should_stop=should_stop, validate=validate, resume=resume)


def training_state(folder: str | Path) -> dict:
    """What state.json of a training says; {} where there is none."""
    import json

    try:
        return json.loads((Path(folder) / "state.json").read_text())
    except (OSError, ValueError):
        return {}
