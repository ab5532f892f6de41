"""What the page asks before a training: the recipes there are, which settings become controls, and where
paths may lead.
"""

from __future__ import annotations

import inspect
import os
import re
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from app.files.roots import allowed
from app.jobs.process import ROOT
from detector.data.samples.sets import find_sample_set
from detector.errors import BoxscopeError, ConfigError
from detector.ssd.config import ARCHITECTURES
from detector.training.recipes import Recipe, changed, read_recipe
from detector.training.ssd.recipe import FINE_TUNE_TYPES, PRECISIONS

ASKED_APART = ("kind", "name", "data", "train_split", "val_split", "val_data", "start")
"""Keys with a place of their own on the page."""
MAIN = (
    "architecture",
    "backbone",
    "steps",
    "batch_size",
    "learning_rate",
    "fine_tune_type",
    "evaluate_every",
    "early_stop",
    "rounds",
    "freeze_batchnorm",
    "alpha",
    "seed",
)
"""Keys that become controls, in this order, where a recipe has them; the others stand in a text."""
CHOICES = {"architecture": ARCHITECTURES, "fine_tune_type": FINE_TUNE_TYPES, "precision": PRECISIONS}
PATHS = ("data", "val_data", "images", "label_map", "pipeline", "start", "scenes")
NO_PATHS = ("", "none", "imagenet")


def shipped() -> dict[str, tuple[Path, str]]:
    """The recipes in configs/ by file name without its ending: the file, and the recipe's name."""
    found = {}
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        try:
            found[path.stem] = path, read_recipe(path).name
        except BoxscopeError:
            continue  # the catalogue and other lists lie there too
    return found


def controls(recipe: Recipe) -> list[tuple[str, type, bool]]:
    """(key, type, may be left empty) of the settings that become controls."""
    hints = get_type_hints(type(recipe))
    found = []
    for name in MAIN:
        if name in hints and name in {f.name for f in fields(recipe)}:
            kinds = [t for t in getattr(hints[name], "__args__", (hints[name],)) if t is not type(None)]
            found.append((name, kinds[0], len(kinds) < len(getattr(hints[name], "__args__", kinds))))
    return found


def other_settings(recipe: Recipe) -> str:
    """Every setting without a control of its own, as YAML to edit."""
    import yaml

    apart = {*ASKED_APART, *(name for name, _, _ in controls(recipe))}

    def text(value: Any) -> str:
        return (
            yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
            .removesuffix("\n...\n")
            .strip()
        )

    return "\n".join(f"{k}: {text(v)}" for k, v in recipe.as_dict().items() if k not in apart) + "\n"


def with_text(recipe: Recipe, text: str, values: dict[str, Any]) -> Recipe:
    """The recipe with the controls' values and the text of the other settings; its own checks are applied.

    Raises:
        ConfigError: one sentence on what does not fit.
    """
    import yaml

    try:
        others = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            "other settings: expected lines of `key: value`"
            + (f", line {mark.line + 1} is none." if mark else ".")
        ) from None
    if not isinstance(others, dict):
        raise ConfigError("other settings: expected lines of `key: value`.")
    return changed(recipe, {**others, **values})


def inside(recipe: Recipe) -> Recipe:
    """The recipe with absolute paths, each inside the folders this server may read.

    Raises:
        InputError: one is not there or lies outside.
    """
    places = {}
    for name, value in recipe.as_dict().items():
        if not isinstance(value, str) or value in NO_PATHS or "://" in value:
            continue
        if name in PATHS:
            leads = not (name in ("data", "val_data") and find_sample_set(value))
        else:
            leads = name not in ("name", "class_name") and os.sep in value and Path(value).exists()
        if leads:
            places[name] = _place(value)
    return changed(recipe, places)


def _place(value: str) -> str:
    path = Path(value).expanduser()
    if path.resolve().is_relative_to(ROOT / "configs"):
        return str(path.resolve())
    if (
        path.suffix != ".index" and path.with_name(path.name + ".index").exists()
    ):  # a checkpoint is named by its prefix
        return str(allowed(path.parent) / path.name)
    return str(allowed(value))


def help_of(kind: type) -> dict[str, str]:
    """What the recipe's docstring says of each key."""
    text = inspect.getdoc(kind) or ""
    found, names = {}, []
    for line in text.partition("Args:\n")[2].partition("\nRaises:")[0].splitlines():
        head = re.match(r"    (\w[\w, ]*): (.*)", line)
        if head:
            names = [name.strip() for name in head[1].split(",")]
            found |= {name: head[2] for name in names}
        elif names and line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return {name: words[:1].upper() + words[1:] for name, words in found.items()}


def folder_stem(recipe: Recipe, file: Path, given: str) -> str:
    """What the training's folder is called: after the file where its name was kept, for the catalogue knows
    it by that.
    """
    if given.strip() == read_recipe(file).name:
        return file.resolve().parent.name if file.name == "pipeline.config" else file.stem
    return recipe.name
