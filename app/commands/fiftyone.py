"""Commands about FiftyOne: push."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.common import (
    IouOption,
    JsonFlag,
    RunArgument,
    ThresholdOption,
    find_run,
    print_json,
    progress_bar,
    say,
)


def register(app: typer.Typer) -> None:
    app.command("push", rich_help_panel="FiftyOne")(push)


def push(
    run: RunArgument,
    name: Annotated[str | None, typer.Option(help="The FiftyOne data set's name; by default the run's.")] = None,
    threshold: ThresholdOption = 0.5,
    iou: IouOption = 0.5,
    open_app: Annotated[bool, typer.Option("--open/--no-open", help="Start FiftyOne's App and print its address.")] = True,
    json: JsonFlag = False,
) -> None:
    """Write a run into FiftyOne, with an evaluation and saved views of misdetections. Pushing again updates."""
    from analysis.fiftyone_bridge import open_app as start_app
    from analysis.fiftyone_bridge import push_in_process

    with progress_bar("pushing to FiftyOne") as update:
        result = push_in_process(find_run(run), name=name, threshold=threshold, iou=iou, progress=update)
    if open_app:
        result["url"] = start_app(result["dataset"])
    if json:
        print_json(result)
    else:
        say(f"{result['samples']} samples are in FiftyOne's data set {result['dataset']}")
        if open_app:
            print(result["url"])
