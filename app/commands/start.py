"""Commands that open something: app, demo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import say

ROOT = Path(__file__).resolve().parents[2]


def register(app: typer.Typer) -> None:
    app.command("app", rich_help_panel="Start")(open_app)
    app.command("demo", rich_help_panel="Start")(demo)


def open_app(
    root: Annotated[list[Path] | None, typer.Option(help="A folder the app may read pictures and models from; may be given several times.")] = None,
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
) -> None:
    """Make the built-in demo: drawn scenes and their detections, with no network and no download."""
    from app.demo import demo_run

    say("drawing the demo's scenes (once)")
    run = demo_run()
    print(run)
    if browser:
        open_app(None, None)
