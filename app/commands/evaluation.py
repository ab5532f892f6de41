"""Commands that judge a run: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import (
    IouOption,
    JsonFlag,
    ThresholdOption,
    ThresholdsOption,
    class_thresholds,
    plural,
    print_json,
    read_stored,
    refuse_others,
    split_names,
)
from app.files.run_list import read_run
from detector.errors import InputError

RULES = ("iou", "uiuc")


def register(app: typer.Typer) -> None:
    app.command("evaluate", rich_help_panel="Analysis")(evaluate)


def evaluate(
    context: typer.Context,
    run: Annotated[Path | None, typer.Argument(help="A stored run.", metavar="[RUN]")] = None,
    truth: Annotated[Path | None, typer.Option(help="COCO ground truth json, instead of a run.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="COCO results json, with --truth.")] = None,
    threshold: ThresholdOption = 0.5,
    thresholds: ThresholdsOption = None,
    iou: IouOption = 0.5,
    classes: Annotated[str | None, typer.Option(help="Only these classes, separated by commas.")] = None,
    crowd: Annotated[
        str, typer.Option(help='Crowd regions: ignore (COCO), count, or "leave out".')
    ] = "ignore",
    difficult: Annotated[
        str, typer.Option(help="Objects flagged difficult: count (COCO) or ignore (VOC).")
    ] = "count",
    area: Annotated[
        str, typer.Option(help="What sizes an object: file (its stated area, COCO) or box.")
    ] = "file",
    interpolation: Annotated[str, typer.Option(help="Recall points: 101 (COCO), 11 or all (VOC).")] = "101",
    max_detections: Annotated[
        int, typer.Option(min=3, help="Most detections per image and class (COCO: 100).")
    ] = 100,
    empty_classes: Annotated[
        str, typer.Option(help='Classes without objects: "leave out" of the mean (COCO), or zero.')
    ] = "leave out",
    parity: Annotated[
        bool,
        typer.Option("--parity", help="Put pycocotools' figures beside, and what other conventions give."),
    ] = False,
    rule: Annotated[
        str, typer.Option(help="iou (COCO's matching), or uiuc: the location rule of the UIUC car benchmark.")
    ] = "iou",
    plot: Annotated[
        Path | None,
        typer.Option(help="With --rule uiuc: draw the curves into this picture (.png, .svg, .pdf)."),
    ] = None,
    excuse_tagged: Annotated[
        bool,
        typer.Option(
            "--excuse-tagged",
            help="Objects tagged ok-to-miss or label-wrong in FiftyOne are neither found nor missed.",
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Average precision and recall by COCO's rule, and the counts at one operating point; or the UIUC
    benchmark's figures.
    """
    import analysis

    if rule not in RULES:
        raise InputError(f"--rule: expected one of {', '.join(RULES)}, got {rule!r}.")
    if rule == "uiuc":
        refuse_others(
            context, "--rule uiuc", {"rule", "run", "truth", "predictions", "threshold", "plot", "json"}
        )
        _evaluate_locations(run, truth, predictions, threshold, plot, json)
        return
    if plot is not None:
        raise InputError("--plot: it draws the curves of --rule uiuc; add that.")
    chosen = None if classes is None else split_names(classes)
    choices = {
        "classes": chosen,
        "crowd": crowd,
        "difficult": difficult,
        "area": area,
        "interpolation": interpolation,
        "classes_without_truth": empty_classes,
        "max_detections": (1, min(10, max_detections - 1), max_detections),
    }
    if parity:
        refuse_others(context, "--parity", {"parity", "rule", "run", "truth", "predictions", "json"})
        _parity(run, truth, predictions, json)
        return
    if run is not None and truth is None and predictions is None:
        from analysis.matching.counts import counts
        from analysis.matching.match import match_run
        from analysis.matching.operating_point import operating_point
        from analysis.queries import class_ids_of
        from analysis.subsets import narrow

        if excuse_tagged:
            stored, excused = _excused(read_run(run))
        else:
            stored = read_stored(run)
        result = analysis.evaluate(stored, **choices)
        operating_threshold = class_thresholds(threshold, thresholds, stored)
        matches = match_run(stored, iou=iou, difficult=difficult)
        at = counts(
            matches if chosen is None else narrow(matches, class_ids=class_ids_of(stored.class_map, chosen)),
            operating_threshold,
        )
        point = operating_point(stored, operating_threshold, iou=iou, difficult=difficult)
        check = None if thresholds is None else _certificate_check(stored, matches, thresholds)
    elif run is None and truth is not None and predictions is not None:
        # Two files give average precision alone: counts at an operating point, and tags, belong to a run.
        needs_run = {"threshold", "thresholds", "iou", "excuse_tagged"}
        refuse_others(context, "--predictions", {p.name for p in context.command.params} - needs_run)
        result, at, check = analysis.evaluate(truth=truth, predictions=predictions, **choices), None, None
    else:
        raise InputError("expected either a RUN, or --truth FILE with --predictions FILE.")
    figures = result.to_dict()
    if excuse_tagged:
        figures["excused_objects"] = excused
    if at is not None:
        figures["at_operating_point"] = at.to_dict() | {
            "classes": chosen,
            "operating_point": point.to_dict(stored.class_map),
        }
    if check is not None:
        figures["certificate"] = check.to_dict()
    if json:
        print_json(figures)
        return
    print(result)
    if excuse_tagged:
        print(
            f"{excused} {plural(excused, 'object')} tagged ok-to-miss or label-wrong"
            f" {'is' if excused == 1 else 'are'} neither found nor missed"
        )
    if at is not None:
        of = "" if chosen is None else f" · {', '.join(chosen)} alone"
        print(
            f"at {point}{of}: {at.objects} {plural(at.objects, 'object')}, {at.tp} correct, {at.fp} wrong,"
            f" {at.fn} missed"
        )
        print(f"precision {_percent(at.precision)}, recall {_percent(at.recall)}, F1 {_percent(at.f1)}")
    if check is not None:
        print(check)


def _certificate_check(stored, matches, thresholds: Path):
    """Whether the run keeps what the thresholds file promises; None where it promises nothing."""
    from analysis.thresholds.certificates import check_certificate
    from analysis.thresholds.files import load_thresholds

    return check_certificate(stored, matches, load_thresholds(thresholds))


def _parity(run: Path | None, truth: Path | None, predictions: Path | None, json: bool) -> None:
    from analysis.metrics.pycocotools_check import parity

    found = parity(read_run(run) if run is not None else None, truth=truth, predictions=predictions)
    if json:
        print_json(found.to_dict())
        return
    print(f"{'':8} {'Boxscope':>12} {'pycocotools':>12}")
    for row in found.rows:
        ours, theirs = ("-" if v is None else f"{v:.6f}" for v in (row.ours, row.pycocotools))
        print(
            f"{row.name:8} {ours:>12} {theirs:>12}"
            + ("" if row.difference == 0 else f"  {row.difference:+.2e}")
        )
    for reason in found.reasons:
        print(reason)
    for c in found.conventions:
        print(f"{c.name}, {c.figure}: {'-' if c.value is None else format(c.value, '.3f')}: {c.why}")


def _excused(run):
    """The run without the objects that people excused in FiftyOne, and how many those are."""
    from analysis.fiftyone.pull.expectations import excuse, expectations_file, load_expectations

    return excuse(run, load_expectations(expectations_file(run.manifest.dataset.source)))


def _evaluate_locations(
    run: Path | None,
    truth: Path | None,
    predictions: Path | None,
    threshold: float,
    plot: Path | None,
    json: bool,
) -> None:
    from analysis.locations.run import evaluate_locations, plot_locations

    if run is None or truth is not None or predictions is not None:
        raise InputError("--rule uiuc: expected a RUN alone.")
    stored = read_run(run)
    results = evaluate_locations(stored)
    if plot is not None:
        plot_locations(results, stored.name).savefig(plot)
    figures = [result.to_dict(threshold) for result in results]
    if json:
        print_json(
            {
                "run": stored.name,
                "detector": stored.manifest.detector.name,
                "weights_hash": stored.manifest.detector.weights_hash,
                "splits": figures,
            }
        )
        return
    for f in figures:
        print(
            f"{f['split'] or 'all'}: {f['images']} {plural(f['images'], 'image')}, {f['objects']}"
            f" {plural(f['objects'], 'object')}, {f['rule']} rule ({f['alpha']:.0%} ellipse)"
        )
        print(f"  area {f['area']:.3f}, equal error rate {f['equal_error_rate']:.3f}")
        for name, at in (("best F1", f["at_best_f1"]), ("given", f["at_threshold"])):
            if at is not None:
                rates = (
                    f"precision {_percent(at['precision'])}, recall {_percent(at['recall'])}, F1"
                    f" {_percent(at['f1'])}"
                )
                print(
                    f"  at confidence {at['threshold']:.3f} ({name}): {at['tp']} correct, {at['fp']} wrong,"
                    f" {at['fn']} missed; {rates}"
                )
        if f["note"]:
            print(f"  note: {f['note']}")


def _percent(value: float | None) -> str:
    return "undefined" if value is None or value != value else f"{100 * value:.1f} %"
