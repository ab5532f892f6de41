"""Commands about what a run gets wrong: list, compare, kinds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.common import (
    IouOption,
    JsonFlag,
    RunArgument,
    ThresholdOption,
    ThresholdsOption,
    class_thresholds,
    plural,
    print_json,
    read_stored,
)
from app.files.run_list import read_run
from app.terminal import say
from detector.errors import InputError

if TYPE_CHECKING:
    from analysis.mistakes.compare import Comparison
    from analysis.mistakes.significance import Significance, Standing

BACKGROUND = "background"


def register(app: typer.Typer) -> None:
    app.command("list", rich_help_panel="Analysis")(list_)
    app.command("compare", rich_help_panel="Analysis")(compare)
    app.command("kinds", rich_help_panel="Analysis")(kinds)


def list_(
    run: RunArgument,
    truth: Annotated[
        str, typer.Option(help=f"The objects' class, or {BACKGROUND} (false positives on nothing).")
    ],
    predicted: Annotated[str, typer.Option(help=f"The predicted class, or {BACKGROUND} (objects missed).")],
    threshold: ThresholdOption = 0.5,
    thresholds: ThresholdsOption = None,
    iou: IouOption = 0.5,
    json: JsonFlag = False,
) -> None:
    """The boxes behind one cell of the confusion matrix, the most confident first: sample, score, x1 y1 x2
    y2.
    """
    from analysis.mistakes.confusion import Confusions, list_cell

    stored = read_run(run)
    rows = list_cell(
        stored, Confusions(stored, iou).at(class_thresholds(threshold, thresholds, stored)), truth, predicted
    )
    if json:
        print_json(rows)
        return
    for row in rows:
        score = "-" if row["score"] is None else f"{row['score']:.3f}"
        print(f"{row['sample']}\t{score}\t{' '.join(f'{row[k]:.1f}' for k in ('x1', 'y1', 'x2', 'y2'))}")
    say(
        f"{len(rows)} {plural(len(rows), 'box')}: truth {truth}, predicted {predicted}, at confidence"
        f" {thresholds or format(threshold, 'g')}, IoU {iou:g}"
    )


def compare(
    before: RunArgument,
    after: Annotated[
        list[Path] | None,
        typer.Argument(
            help=(
                "Another run over the same images, or several: a table of all of them. Without one, the same"
                " run at"
                " other settings."
            ),
            metavar="[RUN]...",
        ),
    ] = None,
    threshold: ThresholdOption = 0.5,
    threshold_after: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Confidence threshold of the second side.")
    ] = None,
    nms_after: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="NMS IoU of the second side, on its stored detections."),
    ] = None,
    iou: IouOption = 0.5,
    confidence: Annotated[float, typer.Option(help="Of the intervals of the differences.")] = 0.95,
    csv: Annotated[Path | None, typer.Option(help="Write the flip list here as CSV.")] = None,
    json: JsonFlag = False,
) -> None:
    """Whether another run is really better, and which objects changed state: gained, lost, one line per
    flip.
    """
    from analysis.mistakes.compare import compare as compare_runs

    if after is not None and len(after) > 1:
        if threshold_after is not None or nms_after is not None or csv is not None:
            raise InputError("--threshold-after, --nms-after and --csv: they compare two runs, not several.")
        _print_standings([before, *after], threshold, iou, confidence, json)
        return
    if not after and threshold_after is None and nms_after is None:
        raise InputError(
            "expected a second run, or --threshold-after or --nms-after: a run does not differ from itself."
        )
    run_a = read_run(before)
    run_b = read_run(after[0]) if after else None
    result = compare_runs(
        run_a,
        run_b,
        threshold=threshold,
        threshold_b=threshold_after,
        iou=iou,
        nms_iou_b=nms_after,
    )
    flips = result.flips()
    if csv is not None:
        _write_csv(flips, csv)
    sure = _significance(result, iou, confidence)
    if json:
        print_json(result.to_dict() | {"significance": sure if isinstance(sure, str) else sure.to_dict()})
        return
    for flip in flips:
        scores = " -> ".join("-" if flip[k] is None else f"{flip[k]:.3f}" for k in ("score_a", "score_b"))
        print(f"{flip['change']}\t{flip['sample']}\t{flip['class']}\t{scores}")
    say(
        f"before: {result.a.point}: {result.a.counts.tp} correct, {result.a.counts.fp} wrong,"
        f" {result.a.counts.fn} missed"
    )
    say(
        f"after:  {result.b.point}: {result.b.counts.tp} correct, {result.b.counts.fp} wrong,"
        f" {result.b.counts.fn} missed"
    )
    shared = int(result.images.sum())
    say(
        f"{result.gained} {plural(result.gained, 'object')} gained, {result.lost} lost over {shared}"
        f" {plural(shared, 'image')} (sign test p = {result.p_value:.2g}); {result.left_out}"
        f" {plural(result.left_out, 'image')} left out"
    )
    if isinstance(sure, str):
        say(f"no interval for the difference: {sure}")
    else:
        _print_significance(sure)


def _significance(result: Comparison, iou: float, confidence: float) -> Significance | str:
    """The differences with their intervals, or why there are none."""
    from analysis.mistakes.significance import significance

    try:
        return significance(
            result.a.run,
            result.b.run,
            threshold=result.a.threshold,
            threshold_b=result.b.threshold,
            iou=iou,
            confidence=confidence,
        )
    except InputError as error:
        return error.message


def _print_significance(found: Significance) -> None:
    from analysis.mistakes.significance import METHOD

    say(f"difference, {found.confidence:.0%} interval over {found.images} images:")
    for d in found.figures:
        say(
            f"  {d.figure:<7} {d.a:.3f} -> {d.b:.3f}  {d.difference:+.3f}  [{d.low:+.3f}, {d.high:+.3f}] "
            f" p = {d.p_value:.2g}  {d.verdict}"
        )
    sure = [d for d in found.classes if d.verdict != "no evidence"]
    of = f"{len(found.classes)} {plural(len(found.classes), 'class')}"
    say(f"  AP by class, corrected for {of}: " + ("none differs for sure" if not sure else ""))
    for d in sure:
        say(f"    {d.class_name}: {d.difference:+.3f} [{d.low:+.3f}, {d.high:+.3f}], p = {d.adjusted:.2g}")
    say(METHOD)


def _print_standings(paths: list[Path], threshold: float, iou: float, confidence: float, json: bool) -> None:
    from analysis.mistakes.significance import METHOD, standings

    rows = standings(
        [read_run(path) for path in paths], [threshold] * len(paths), iou=iou, confidence=confidence
    )
    if json:
        print_json({"confidence": confidence, "method": METHOD, "runs": [row.to_dict() for row in rows]})
        return
    for row in rows:
        low, high = row.intervals["AP"]
        figures = "  ".join(f"{name} {row.values[name]:.3f}" for name in ("AP50", "recall", "F1"))
        print(f"{row.name:<30} AP {row.values['AP']:.3f} [{low:.3f}, {high:.3f}]  {figures}  {_behind(row)}")
    say(METHOD)


def _behind(row: Standing) -> str:
    """How a run stands to the one in front."""
    if row.against_best is None:
        return "in front"
    d = row.against_best
    sure = "behind" if d.verdict == "worse" else "no evidence that it is behind"
    return f"{sure}: {d.difference:+.3f} [{d.low:+.3f}, {d.high:+.3f}], p = {d.adjusted:.2g}"


def _write_csv(rows: list[dict], path: Path) -> None:
    from analysis.csv_text import csv_text
    from detector.paths import write_atomically

    names = list(rows[0]) if rows else ["sample", "object", "class", "change", "score_a", "score_b"]
    write_atomically(path, csv_text(names, (row.values() for row in rows)).encode())


def kinds(run: RunArgument, iou: IouOption = 0.5, json: JsonFlag = False) -> None:
    """How many mistakes of each of TIDE's six kinds there are, and what AP fixing each kind alone would
    gain.
    """
    from analysis.mistakes.errors import KINDS, NOT_ADDITIVE, SENTENCES, find_errors

    stored = read_stored(run)
    if not stored.usable.any():
        raise InputError(
            "kinds: expected a run with ground truth; no image of it is labelled, read and finished."
        )
    found = find_errors(stored, iou=iou, background_iou=min(0.1, iou / 2))
    if json:
        print_json(found.to_dict())
        return
    print(f"AP {found.ap:.3f} at IoU {iou:g}, as TIDE measures it")
    for kind in KINDS:
        print(f"{kind:<15} {found.counts[kind]:>10,}  +{found.dap[kind]:.3f}  {SENTENCES[kind]}")
    print(NOT_ADDITIVE)
