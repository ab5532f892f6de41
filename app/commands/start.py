"""Commands that open something: app, demo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import progress_bar
from app.terminal import say
from detector.errors import InputError
from detector.paths import ROOT


def register(app: typer.Typer) -> None:
    app.command("app", rich_help_panel="Start")(open_app)
    app.command("demo", rich_help_panel="Start")(demo)


def open_app(
    root: Annotated[
        list[Path] | None,
        typer.Option(help="A folder the app may read pictures and models from; may be given several times."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port; Streamlit's default is 8501.")] = None,
) -> None:
    """Open the explorer in the browser."""
    command = [sys.executable, "-m", "streamlit", "run", str(ROOT / "app")]
    if port:
        command += ["--server.port", str(port)]
    if root:
        command.append("--")
        for folder in root:
            command += ["--root", str(folder.resolve())]
    raise typer.Exit(subprocess.call(command, cwd=ROOT, env=os.environ.copy()))


def demo(
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the app on it.")] = True,
    scenes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=(
                "Draw this many scenes to train on into --out instead, with the splits train (4 of 5) and"
                " val."
            ),
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Of --scenes: other seeds, other scenes; 2024 is the demo's own.")
    ] = 1,
    out: Annotated[Path | None, typer.Option(help="Of --scenes: the folder to make.")] = None,
) -> None:
    """Make the built-in demo: drawn scenes and what Boxscope's own small network finds in them. Nothing is
    downloaded.
    """
    if (scenes is None) != (out is None):
        raise InputError(
            "expected --scenes and --out together: how many scenes to draw, and into which folder."
        )
    if scenes is not None and out is not None:
        from detector.data.samples.scenes import write_scenes

        with progress_bar("drawing scenes") as update:
            print(write_scenes(out, scenes, seed, progress=update))
        return
    from app.files.demo import demo_run

    with progress_bar("the demo") as update:
        run = demo_run(lambda what, done, total: update(done, total))
    say("the demo's run:")
    print(run)
    if browser:
        open_app(None, None)
