"""Commands that make a detector: train."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import JsonFlag, print_json, say, training_bar, without_native_chatter
from detector.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("train", rich_help_panel="Training")(train)


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe: an SSD network's, a sliding-window detector's (kind: sliding_window), or the Object Detection API's pipeline.config.", metavar="RECIPE")],
    data: Annotated[str | None, typer.Option(help="The data set (SSD) or patches (sliding window), instead of the recipe's `data`.")] = None,
    train_split: Annotated[str | None, typer.Option(help="Train on this split of the data only.")] = None,
    val_split: Annotated[str | None, typer.Option(help="Validate on this split of the data.")] = None,
    start: Annotated[str | None, typer.Option(help="Starting weights (SSD), instead of the recipe's `start`: none, imagenet, or a path.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the training; by default one named after the recipe under the data directory.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the training in that folder.")] = False,
    json: JsonFlag = False,
) -> None:
    """Train a detector by a recipe. Killed or stopped (Ctrl-C), the same command with --resume goes on where it was."""
    from analysis.validation import average_precision
    from detector.paths import data_dir
    from detector.recipe import TrainRecipe
    from detector.recipes import read_recipe, train_by, training_state

    wanted = read_recipe(recipe)
    if data is not None:
        wanted = wanted.with_(data=data)
    changes = {name: value for name, value in (("train_split", train_split), ("val_split", val_split), ("start", start)) if value}
    if changes and not isinstance(wanted, TrainRecipe):
        raise InputError("--train-split, --val-split and --start are for SSD networks; a sliding-window detector starts fresh and holds patches out by its recipe.")
    if changes:
        wanted = wanted.with_(**changes)
    if not wanted.data:
        raise InputError(f"{recipe}: it names no data; give the folder with --data.")
    # Every zoo file is called pipeline.config; its folder tells them apart.
    folder = out or data_dir("models") / (recipe.resolve().parent.name if recipe.name == "pipeline.config" else recipe.stem)
    stopping: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    try:
        with training_bar(wanted.name) as update, without_native_chatter():
            train_by(wanted, folder, progress=update, should_stop=lambda: bool(stopping), validate=average_precision, resume=resume)
    finally:
        signal.signal(signal.SIGINT, before)
    state = training_state(folder)
    if json:
        print_json({"folder": str(folder), **{name: state.get(name) for name in ("state", "step", "steps", "best", "figures")}})
    else:
        for name, value in (state.get("figures") or {}).items():
            say(f"{name}: {value:.4g}")
        print(folder)
    if stopping and state.get("state") != "done":
        say(f"stopped at step {state.get('step')} of {state.get('steps')}; --resume goes on from here.")
        raise typer.Exit(130)
