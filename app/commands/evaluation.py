"""Commands that judge a run: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import IouOption, JsonFlag, ThresholdOption, print_json, read_run
from detector.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("evaluate", rich_help_panel="Analysis")(evaluate)


def evaluate(
    run: Annotated[Path | None, typer.Argument(help="A stored run.", metavar="[RUN]")] = None,
    truth: Annotated[Path | None, typer.Option(help="COCO ground truth json, instead of a run.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="COCO results json, with --truth.")] = None,
    threshold: ThresholdOption = 0.5,
    iou: IouOption = 0.5,
    json: JsonFlag = False,
) -> None:
    """Average precision and recall by COCO's rule, and the counts at one operating point."""
    import analysis

    if run is not None and truth is None and predictions is None:
        from analysis.counts import counts
        from analysis.matching import match_run
        from analysis.operating_point import operating_point

        stored = read_run(run)
        result = analysis.evaluate(stored)
        at, point = counts(match_run(stored, iou=iou), threshold), operating_point(stored, threshold, iou=iou)
    elif run is None and truth is not None and predictions is not None:
        result, at, point = analysis.evaluate(truth=truth, predictions=predictions), None, None
    else:
        raise InputError("expected either a RUN, or --truth FILE with --predictions FILE.")
    figures = result.to_dict()
    if at is not None:
        figures["at_operating_point"] = at.to_dict() | {"operating_point": point.to_dict(stored.class_map)}
    if json:
        print_json(figures)
        return
    print(result)
    if at is not None:
        print(f"at {point}: {at.objects} objects, {at.tp} correct, {at.fp} wrong, {at.fn} missed")
        print(f"precision {_percent(at.precision)}, recall {_percent(at.recall)}, F1 {_percent(at.f1)}")


def _percent(value: float | None) -> str:
    return "undefined" if value is None or value != value else f"{100 * value:.1f} %"
