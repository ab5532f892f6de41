"""Command that lays out a run as one HTML file: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import (
    IouOption,
    JsonFlag,
    RunArgument,
    ThresholdOption,
    ThresholdsOption,
    class_thresholds,
    print_json,
)
from app.files.run_list import read_run
from app.terminal import say
from detector.paths import refuse_unwritable


def register(app: typer.Typer) -> None:
    app.command("report", rich_help_panel="Analysis")(report)


def report(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option(help="The page; its tables go beside it. Default: RUN-report.html here.")
    ] = None,
    threshold: ThresholdOption = 0.5,
    thresholds: ThresholdsOption = None,
    iou: IouOption = 0.5,
    worst: Annotated[int, typer.Option(min=0, max=100, help="How many of the worst images are shown.")] = 8,
    json: JsonFlag = False,
) -> None:
    """One self-contained HTML file (figures, tables, worst images, settings, hashes), and the tables as CSV
    and COCO json.
    """
    from analysis.report.build import build_report, page_path

    stored = read_run(run)
    page = page_path(out or Path(f"{stored.path.name}-report.html"))
    refuse_unwritable(page, file=True)
    made = build_report(stored, class_thresholds(threshold, thresholds, stored), iou=iou, worst=worst)
    paths = made.write(page)
    if json:
        print_json({"report": str(paths[0]), "tables": [str(p) for p in paths[1:]]})
        return
    print(paths[0])
    say(f"and {len(paths) - 1} tables beside it: {', '.join(p.name for p in paths[1:])}")
