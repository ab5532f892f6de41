"""The command about groups of objects that a detector fails on."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.common import (
    IouOption,
    JsonFlag,
    RunArgument,
    ThresholdOption,
    plural,
    print_json,
    progress_bar,
    say,
)
from app.files.run_list import read_run


def register(app: typer.Typer) -> None:
    app.command("groups", rich_help_panel="Analysis")(groups)


def groups(
    run: RunArgument,
    threshold: ThresholdOption = 0.5,
    iou: IouOption = 0.5,
    level: Annotated[
        float, typer.Option(help="False discovery rate: the share of wrong groups in the list.")
    ] = 0.05,
    pixels: Annotated[
        bool,
        typer.Option(
            "--pixels",
            help="Look at brightness, contrast, sharpness and colour too: opens every picture once.",
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Groups of objects that are missed more often than the rest, found on half the images, tested on the other."""
    from analysis.groups.pixels import kept_pixels, object_pixels
    from analysis.groups.run import groups_of_run

    stored = read_run(run)
    columns = kept_pixels(stored)
    if pixels and columns is None:
        with progress_bar("Looking at the objects") as update:
            columns = object_pixels(stored, lambda done, total: update(done, total))
    found = groups_of_run(stored, threshold=threshold, iou=iou, level=level, extra=columns)
    if json:
        print_json(found.to_dict())
        return
    for g in found.groups:
        low, high = g.interval
        print(
            f"{g.description}\t{g.objects} {plural(g.objects, 'object')} in {g.images} {plural(g.images, 'image')}\t"
            f"recall {g.recall:.0%} against {g.rest:.0%} of the rest; tested {low:.0%} to {high:.0%},"
            f" q = {g.adjusted:.2g}; {g.missed_more:.0f} more missed"
        )
    say(
        f"{len(found.groups)} {plural(len(found.groups), 'group')} of {found.tested} tested ({found.tried:,} descriptions"
        f" tried) at confidence {threshold:g}; recall of everything {found.recall:.1%}; of the groups"
        f" in such lists at most {level:.0%} are false on average"
    )
    if columns is None:
        say("--pixels looks at brightness, contrast, sharpness and colour too.")
