"""Commands that search for a good training: sweep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import JsonFlag, print_json, training_bar
from app.commands.training import parsed
from app.jobs import sweeps
from app.terminal import say, without_native_chatter
from detector.paths import ROOT

if TYPE_CHECKING:
    from detector.sweep.state import SweepState

SHOWN = 15  # rows of the leaderboard


def register(app: typer.Typer) -> None:
    app.command("sweep", rich_help_panel="Training")(sweep)


def sweep(
    recipe: Annotated[
        Path, typer.Argument(help="A sweep: a base recipe and what varies in it.", metavar="SWEEP")
    ],
    data: Annotated[
        str | None, typer.Option(help="The data set, instead of the base recipe's `data`.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Starting weights, instead of the base recipe's `start`.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any key of the base recipe, e.g. --set batch_size=8; may be given several times.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="How many trials in all, instead of the file's.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the sweep; by default one named after the file under the data directory."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trials at a time, each in its own process.")] = 1,
    json: JsonFlag = False,
) -> None:
    """Search for the best of many short trainings. Killed or stopped (Ctrl-C), the same command goes on where
    it was.
    """
    from detector.errors import InputError
    from detector.paths import data_dir
    from detector.sweep.recipe import load_sweep
    from detector.sweep.run import add_best_to_catalogue, prepare
    from detector.sweep.state import read_sweep

    wanted = load_sweep(recipe)
    given = {key: value for key, value in (("data", data), ("start", start)) if value is not None} | parsed(
        changes or []
    )
    wanted = wanted.model_copy(update={"set": {**wanted.set, **given}, "trials": trials or wanted.trials})
    if not wanted.base().data:
        raise InputError(f"{recipe}: its base recipe names no data; give the folder with --data.")
    folder = (out or data_dir("sweeps") / recipe.stem).resolve()
    wanted = prepare(wanted, folder)
    (folder / sweeps.STOP).unlink(missing_ok=True)
    if workers > 1:  # each worker its share of the cores; settled before TensorFlow is imported
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))
    command = [
        sys.executable,
        "-m",
        "app.cli",
        "sweep",
        str(folder / "sweep.yaml"),
        "--out",
        str(folder),
        "--json",
    ]
    others = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(workers - 1)
    ]
    stopping: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    try:
        with training_bar(wanted.name) as update, without_native_chatter():
            sweeps.run(
                wanted, folder, progress=lambda number, p: update(p), should_stop=lambda: bool(stopping)
            )
        for other in others:
            other.wait()
    finally:
        signal.signal(signal.SIGINT, before)
        for other in others:
            if (
                other.poll() is None
            ):  # Ctrl-C in a terminal has reached it already; it stops after a checkpoint
                other.send_signal(signal.SIGINT)
    state = read_sweep(folder)
    if state.best is not None:
        add_best_to_catalogue(state, folder.name)
    _show(state, folder.name, json)
    if stopping:
        say("stopped; the same command goes on from here.")
        raise typer.Exit(130)


def _show(state: SweepState, name: str, json: bool) -> None:
    """The leaderboard."""
    from detector.sweep.state import as_json

    if json:
        print_json(as_json(state))
        return
    board = state.leaderboard
    print(f"place  trial  {state.figure:<10}  state   parameters")
    for place, trial in enumerate(board[:SHOWN], start=1):
        said = ", ".join(
            f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
            for key, value in trial.params.items()
        )
        print(f"{place:>5}  {trial.number:>5}  {trial.value:<10.4f}  {trial.state:<6}  {said}")
    if len(board) > SHOWN:
        print(f"... {len(board) - SHOWN} more in {Path(state.folder) / 'leaderboard.json'}")
    for number, error in ((t.number, t.error) for t in state.trials if t.state == "failed"):
        say(f"trial {number} failed: {error}")
    if state.best is not None:
        say(f"The best is in the catalogue now: boxscope detect --model {name} --data PATH")
