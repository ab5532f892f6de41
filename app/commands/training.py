"""Commands that make a detector: train."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.common import JsonFlag, print_json, training_bar
from app.terminal import say, without_native_chatter
from detector.errors import InputError

NUMBER = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def register(app: typer.Typer) -> None:
    app.command("train", rich_help_panel="Training")(train)


def train(
    recipe: Annotated[
        Path,
        typer.Argument(
            help=(
                "A recipe: an SSD network's, a sliding-window detector's (kind: sliding_window), a two-head"
                " network's (kind: two_head), or the Object Detection API's pipeline.config."
            ),
            metavar="RECIPE",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(help="The data set, or patches (sliding window), instead of the recipe's `data`."),
    ] = None,
    train_split: Annotated[str | None, typer.Option(help="Train on this split of the data only.")] = None,
    val_split: Annotated[str | None, typer.Option(help="Validate on this split of the data.")] = None,
    val_data: Annotated[str | None, typer.Option(help="Another data set to validate on.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help=(
                "Starting weights (SSD, two heads), instead of the recipe's `start`: none, imagenet, or a"
                " path."
            )
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any key of the recipe, e.g. --set steps=800; may be given several times.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the training; by default one named after the recipe under the data directory."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in that folder.")] = False,
    json: JsonFlag = False,
) -> None:
    """Train a detector by a recipe. Killed or stopped (Ctrl-C), the same command with --resume goes on where
    it was.
    """
    from app.jobs.trainings import run_training
    from detector.paths import data_dir
    from detector.training.recipes import changed, read_recipe, training_state

    wanted = read_recipe(recipe)
    given = {
        "data": data,
        "train_split": train_split,
        "val_split": val_split,
        "val_data": val_data,
        "start": start,
    }
    wanted = changed(
        wanted, {name: value for name, value in given.items() if value is not None} | parsed(changes or [])
    )
    if not wanted.data:
        raise InputError(f"{recipe}: it names no data; give the folder with --data.")
    # Every zoo file is called pipeline.config; its folder tells them apart.
    folder = out or data_dir("models") / (
        recipe.resolve().parent.name if recipe.name == "pipeline.config" else recipe.stem
    )
    stopping: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    try:
        with training_bar(wanted.name) as update, without_native_chatter():
            run_training(wanted, folder, resume=resume, progress=update, should_stop=lambda: bool(stopping))
    finally:
        signal.signal(signal.SIGINT, before)
    state = training_state(folder)
    if json:
        print_json(
            {
                "folder": str(folder),
                **{name: state.get(name) for name in ("state", "step", "steps", "best", "figures")},
            }
        )
    else:
        for name, value in (state.get("figures") or {}).items():
            say(f"{name}: {value:.4g}")
        print(folder)
    if state.get("state") == "stopped":  # by Ctrl-C, or on the page
        say(f"stopped at step {state.get('step')} of {state.get('steps')}; --resume goes on from here.")
        raise typer.Exit(130)


def parsed(changes: list[str]) -> dict[str, Any]:
    """["steps=800", "augment=[]"] -> {"steps": 800, "augment": []}; values are read as YAML.

    Raises:
        InputError: one is not KEY=VALUE, or its value is no YAML.
    """
    import yaml

    values = {}
    for text in changes:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set: expected KEY=VALUE, got {text!r}.")
        try:
            read = yaml.safe_load(value)
            # YAML takes 1e-3 (without a point) for text.
            values[key.strip()] = float(read) if isinstance(read, str) and NUMBER.fullmatch(read) else read
        except yaml.YAMLError:
            raise InputError(
                f"--set {key.strip()}: expected a value as in a recipe, got {value!r}."
            ) from None
    return values
