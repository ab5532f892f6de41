"""What a sweep searches: a base recipe, the keys that vary and between what, how many trials. Strict YAML.

recipe: two_head.yaml            # the base, beside this file
set: {held_out: 0.3333}          # changes to it that every trial shares
trials: 20
search:
  backbone: [MobileNetV2, MobileNetV3Small]           # a list: one of these
  stages.1.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
  dropout: {low: 0.0, high: 0.5}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from detector.config import Config, load_config
from detector.errors import ConfigError
from detector.training.two_head.recipe import TwoHeadRecipe


class Range(Config):
    """A number between `low` and `high`; on a logarithmic scale with `log`; whole with `step` (or whole
    bounds and a step).
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"expected low below high, got {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("expected, with log, a low above 0 and no step")
        return self


class SweepRecipe(Config):
    """A sweep over two-head recipes.

    Args:
        name: shown to people, and the catalogue's title of the best.
        recipe: the base recipe's path. set: changes to it that every trial shares.
        trials: how many are run in all.
        search: recipe key (`stages.1.learning_rate` reaches into a stage) -> list of choices, or a `Range`.
        figure: which held-out figure is to be high; None takes the first (the score, top-1 or mean IoU).
        pruning: "median" ends a trial whose figure lies below the median of the others at the same step,
            "none" never.
        startup_trials: trials before anything is pruned; prune_after: steps before a trial may be pruned.
        starts: backbone name to its starting weights, where backbones are searched over: a `start` that fits
            one of them fits no other.
        seed: of the sampler (TPE).
    """

    name: str = "sweep"
    recipe: str
    set: dict[str, Any] = Field(default_factory=dict)
    trials: int = Field(default=20, ge=1)
    search: dict[str, Range | list[Any]]
    figure: str | None = None
    pruning: Literal["median", "none"] = "median"
    startup_trials: int = Field(default=4, ge=1)
    prune_after: int = Field(default=0, ge=0)
    starts: dict[str, str] = Field(default_factory=dict)
    seed: int = Field(default=0, ge=0)

    @field_validator("search")
    @classmethod
    def _has_choices(cls, search: dict[str, Any]) -> dict[str, Any]:
        if not search:
            raise ValueError("expected at least one key to search over")
        for key, among in search.items():
            if isinstance(among, list) and not among:
                raise ValueError(f"{key}: expected at least one choice")
        return search

    def base(self) -> TwoHeadRecipe:
        """The base recipe with the shared changes.

        Raises:
            ConfigError: it cannot be read, or is no two-head recipe.
        """
        return applied(TwoHeadRecipe.from_file(self.recipe), self.set)

    def trial(self, base: TwoHeadRecipe, values: Mapping[str, Any]) -> TwoHeadRecipe:
        """The recipe of one trial: the base with these values, started from the weights of its backbone."""
        recipe = applied(base, values)
        return recipe.with_(start=self.starts.get(recipe.backbone, recipe.start))

    def refuse_one_start_for_several_backbones(self) -> None:
        """Raises:
        ConfigError: backbones are searched over and `start` is a file, which fits one of them at most.
        """
        backbones = self.search.get("backbone", [])
        without = [name for name in backbones if isinstance(name, str) and name not in self.starts]
        start = self.base().start
        if without and len(backbones) > 1 and start not in ("none", "imagenet"):
            raise ConfigError(
                f"search: backbone: start is {start}, weights of one backbone, and {', '.join(without)} would"
                " start from them; set start to imagenet or none, or name a file for each under starts"
                f" (starts: {{{without[0]}: FILE}})."
            )


def load_sweep(path: str | Path) -> SweepRecipe:
    """A sweep from a YAML file; the base recipe's path is taken from the file's folder.

    Raises:
        ConfigError: with file and line where one can be named; a key to search that the recipe does not have.
    """
    sweep = load_config(path, SweepRecipe)
    sweep = sweep.model_copy(update={"recipe": str((Path(path).resolve().parent / sweep.recipe).resolve())})
    base = sweep.base()
    for key, among in sweep.search.items():
        try:
            for value in among if isinstance(among, list) else (among.low, among.high):
                applied(base, {key: _whole(value, base, key)})
        except ConfigError as error:
            raise ConfigError(f"search: {key}: {error.message}", path=path) from error
    return sweep


def applied(recipe: TwoHeadRecipe, values: Mapping[str, Any]) -> TwoHeadRecipe:
    """The recipe with these keys changed; `stages.N.KEY` changes one key of stage N (from 0).

    Raises:
        ConfigError: a key that the recipe does not have, or a value that does not fit.
    """
    plain = recipe.as_dict()
    for key, value in values.items():
        if key.startswith("stages."):
            _, number, name = (*key.split("."), "", "")[:3]
            if not number.isdigit() or int(number) >= len(plain["stages"]) or name not in plain["stages"][0]:
                raise ConfigError(
                    f"{key}: expected stages.N.KEY with N below {len(plain['stages'])} and KEY one of"
                    f" {', '.join(plain['stages'][0])}."
                )
            plain["stages"][int(number)][name] = value
        else:
            plain[key] = value
    return TwoHeadRecipe.from_dict(plain)


def _whole(value: Any, base: TwoHeadRecipe, key: str) -> Any:
    """A range's bound as the recipe's key wants it: 32.0 becomes 32 where the base holds a whole number."""
    return as_wanted(value, current(base, key))


def current(recipe: TwoHeadRecipe, key: str) -> Any:
    """The value of a key (dotted for stages) in a recipe; None where it has no such key."""
    plain = recipe.as_dict()
    if key.startswith("stages."):
        parts = key.split(".")
        try:
            return plain["stages"][int(parts[1])][parts[2]]
        except (ValueError, IndexError, KeyError):
            return None
    return plain.get(key)


def as_wanted(value: Any, example: Any) -> Any:
    """A drawn number as a whole one where the example is whole."""
    whole = (
        isinstance(value, float)
        and value.is_integer()
        and isinstance(example, int)
        and not isinstance(example, bool)
    )
    return int(value) if whole else value


def coded(choice: Any) -> Any:
    """A choice as the sweep's storage holds it: lists as their JSON."""
    return json.dumps(choice) if isinstance(choice, (list, dict)) else choice


def decoded(choice: Any, among: list[Any]) -> Any:
    """The choice behind a stored value."""
    return next((one for one in among if coded(one) == choice), choice)
