"""Commands about what a run gets wrong: list, compare, thresholds."""

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
    percent,
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
    app.command("thresholds", rich_help_panel="Analysis")(thresholds)
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


def thresholds(
    run: RunArgument,
    recall: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Best precision at this recall or more.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Best recall at this precision or more.")
    ] = None,
    cost_wrong: Annotated[
        float | None,
        typer.Option(min=0.0, help="Cost of a wrong detection; with --cost-missed the least total cost."),
    ] = None,
    cost_missed: Annotated[float | None, typer.Option(min=0.0, help="Cost of a missed object.")] = None,
    iou: IouOption = 0.5,
    save: Annotated[
        Path | None, typer.Option(help="Write the thresholds here as YAML, for --thresholds.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Suggest a confidence threshold for every class: best F1, or by the goal given."""
    import numpy as np

    from analysis.matching.match import match_run
    from analysis.matching.operating_point import operating_point
    from analysis.thresholds import curves as rules
    from analysis.thresholds.files import save_thresholds, thresholds_for

    given = [recall is not None, precision is not None, cost_wrong is not None or cost_missed is not None]
    if sum(given) > 1 or (given[2] and (cost_wrong is None or cost_missed is None)):
        raise InputError("expected one goal: --recall, --precision, or --cost-wrong with --cost-missed.")
    if recall is not None:
        name, rule = f"recall at least {recall:g}", lambda curve: rules.recall_at_least(curve, recall)
    elif precision is not None:
        name, rule = (
            f"precision at least {precision:g}",
            lambda curve: rules.precision_at_least(curve, precision),
        )
    elif given[2]:
        name, rule = (
            f"least cost, wrong {cost_wrong:g}, missed {cost_missed:g}",
            lambda curve: rules.least_cost(curve, cost_wrong, cost_missed),
        )
    else:
        name, rule = "best F1", rules.best_f1
    stored = read_stored(run)
    overall, by_class = rules.suggest(match_run(stored, iou=iou), rule, floor=stored.manifest.floor)
    names = stored.class_map.names
    if save is not None:
        default = 0.5 if overall.threshold is None or not overall.tp else overall.threshold
        thresholds = np.array([default if s.threshold is None else s.threshold for s in by_class], np.float32)
        point = operating_point(stored, default, iou=iou)
        save_thresholds(
            thresholds_for(stored.class_map, thresholds, point, default=default, rule=name, run=stored.name),
            save,
        )
    if json:
        print_json(
            {
                "rule": name,
                "iou": iou,
                "all": overall.to_dict(),
                "classes": {n: s.to_dict() for n, s in zip(names, by_class)},
            }
        )
        return
    for n, s in zip(("all classes", *names), (overall, *by_class)):
        if s.threshold is None:
            print(f"{n:<20} none: {s.reason}")
        else:
            rates = ", ".join(
                f"{what} {percent(value)}"
                for what, value in (("precision", s.precision), ("recall", s.recall), ("F1", s.f1))
            )
            print(f"{n:<20} {s.threshold:.3f}  {s.tp} correct, {s.fp} wrong, {s.fn} missed; {rates}")
    if save is not None:
        kept = sum(s.threshold is None for s in by_class)
        say(
            f"written to {save}; use it with --thresholds"
            + (f"; {kept} without a suggestion keep{'s' if kept == 1 else ''} {default:g}" if kept else "")
        )


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
