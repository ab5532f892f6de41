"""Commands about what a run gets wrong: list, compare, kinds."""

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
    plural,
    print_json,
    read_stored,
)
from app.files.run_list import read_run
from app.terminal import say
from detector.errors import InputError

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
        Path | None,
        typer.Argument(
            help="Another run over the same images; without it the same run at other settings.",
            metavar="[RUN]",
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
    csv: Annotated[Path | None, typer.Option(help="Write the flip list here as CSV.")] = None,
    json: JsonFlag = False,
) -> None:
    """Which objects changed state between two runs or two settings: gained, lost, by class, one line a
    flip.
    """
    from analysis.mistakes.compare import compare as compare_runs

    if after is None and threshold_after is None and nms_after is None:
        raise InputError(
            "expected a second run, or --threshold-after or --nms-after: a run does not differ from itself."
        )
    result = compare_runs(
        read_run(before),
        read_run(after) if after else None,
        threshold=threshold,
        threshold_b=threshold_after,
        iou=iou,
        nms_iou_b=nms_after,
    )
    flips = result.flips()
    if csv is not None:
        _write_csv(flips, csv)
    if json:
        print_json(result.to_dict())
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


def _write_csv(rows: list[dict], path: Path) -> None:
    import csv
    import io

    from detector.paths import write_atomically

    text = io.StringIO()
    names = list(rows[0]) if rows else ["sample", "object", "class", "change", "score_a", "score_b"]
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def kinds(run: RunArgument, iou: IouOption = 0.5, json: JsonFlag = False) -> None:
    """How many mistakes of each of TIDE's six kinds there are, and what AP mending each kind alone would
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
