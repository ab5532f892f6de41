"""Commands about FiftyOne: push, pull, check."""

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
    chosen_threshold,
    class_thresholds,
    plural,
    print_json,
    progress_bar,
)
from app.files.run_list import find_run, read_run
from app.files.sources import open_source
from app.terminal import say
from detector.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("push", rich_help_panel="FiftyOne")(push)
    app.command("pull", rich_help_panel="FiftyOne")(pull)
    app.command("check", rich_help_panel="FiftyOne")(check)


def push(
    run: RunArgument,
    name: Annotated[
        str | None, typer.Option(help="The FiftyOne data set's name; by default made from the run's.")
    ] = None,
    threshold: ThresholdOption = 0.5,
    thresholds: ThresholdsOption = None,
    iou: IouOption = 0.5,
    lowest: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Detections scoring lower stay out of FiftyOne.")
    ] = 0.05,
    discard_edits: Annotated[
        bool,
        typer.Option(
            "--discard-edits", help="Put our ground truth back where people changed it in FiftyOne."
        ),
    ] = False,
    heatmaps: Annotated[
        bool, typer.Option("--heatmaps", help="Write confidence maps too, as FiftyOne Heatmap labels.")
    ] = False,
    evidence: Annotated[
        Path | None,
        typer.Option(
            help="A folder that boxscope explain wrote: its maps of this run go along as Heatmap labels."
        ),
    ] = None,
    open_app: Annotated[
        bool, typer.Option("--open/--no-open", help="Start FiftyOne's App and print its address.")
    ] = True,
    json: JsonFlag = False,
) -> None:
    """Write a run into FiftyOne, with an evaluation and saved views of misdetections. Pushing again
    updates.
    """
    from analysis.fiftyone_bridge import PushOptions, launch, push_in_process
    from app.jobs.pushes import note_pushed

    folder = find_run(run)
    options = PushOptions(
        name=name,
        threshold=chosen_threshold(threshold, thresholds, folder),
        iou=iou,
        lowest=lowest,
        discard_edits=discard_edits,
        heatmaps=heatmaps,
        evidence=evidence,
    )
    with progress_bar("pushing to FiftyOne") as update:
        report = push_in_process(
            folder,
            options,
            progress=lambda p: update(p.done, p.total, p.rate),
            stage=say,
        )
    if not report.cancelled:
        note_pushed(folder.resolve(), report.dataset)
    address = launch(report.dataset, say=say) if open_app else None
    if json:
        print_json(report.to_dict() | {"address": address})
        return
    say(
        f"{report.inserted} {plural(report.inserted, 'image')} added and {report.updated} updated in"
        f" FiftyOne's data set {report.dataset!r}: {report.objects} {plural(report.objects, 'object')},"
        f" {report.detections} {plural(report.detections, 'detection')} ({report.below_lowest} below"
        f" {lowest:g} left out), at {report.words}"
    )
    for problem in report.problems:
        say(f"  - {problem}")
    if address:
        print(address)


def pull(
    run: RunArgument,
    name: Annotated[
        str | None, typer.Option(help="The FiftyOne data set; by default the one that push made.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Write the change list here (JSON).")] = None,
    write: Annotated[
        Path | None,
        typer.Option(help="Write a corrected copy of the annotations here, in the format they came in."),
    ] = None,
    undo: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Instead of pulling: undo this saved change list in the corrected copy --of, written to"
                " --write."
            )
        ),
    ] = None,
    of: Annotated[Path | None, typer.Option(help="With --undo: the corrected copy.")] = None,
    json: JsonFlag = False,
) -> None:
    """What people corrected and tagged in FiftyOne since the push, what it is worth, and a corrected copy on
    request.
    """
    from analysis.fiftyone.pull.changes import ChangeList, as_dataset, rescore, write_changed
    from analysis.fiftyone.pull.expectations import expectations_file, expectations_of, save_expectations
    from analysis.fiftyone_bridge import pull_from_fiftyone

    stored = read_run(run)
    if undo is not None:
        if write is None or of is None:
            raise InputError(
                "--undo: expected --of CORRECTED_COPY and --write PATH too, for the copy in which the changes"
                " are undone."
            )
        applied = write_changed(open_source(str(of)), ChangeList.load(undo).inverse(), write)
        say(f"{applied.done} {plural(applied.done, 'change')} undone in the copy at {write}")
        for line in applied.skipped:
            say(f"  - {line}")
        return
    changes = pull_from_fiftyone(stored, name=name, say=say)
    expectations = expectations_of(changes)
    save_expectations(expectations, expectations_file(stored.manifest.dataset.source))
    if save is not None:
        changes.save(save)
    worth = {}
    if changes.changes:
        before, after, _ = rescore(stored, changes)
        worth = {
            "AP_before": before["AP"],
            "AP_after": after["AP"],
            "AP50_before": before["AP50"],
            "AP50_after": after["AP50"],
        }
    applied = write_changed(as_dataset(stored), changes, write) if write is not None else None
    if json:
        print_json(
            {
                "dataset": changes.dataset,
                "counts": changes.counts(),
                "changes": [str(c) for c in changes.changes],
                "promises": len(expectations),
                "written": str(write) if write else None,
                "skipped": applied.skipped if applied else [],
                **worth,
            }
        )
        return
    for change in changes.changes:
        print(change)
    say(
        f"{len(changes.changes)} corrections, {len(expectations)} promises"
        + "".join(f", {n} {what}" for what, n in changes.counts().items())
    )
    if worth and None not in worth.values():
        say(
            f"the corrections move AP from {worth['AP_before']:.3f} to {worth['AP_after']:.3f}"
            f" ({100 * (worth['AP_after'] - worth['AP_before']):+.1f} points)"
        )
    if applied is not None:
        say(f"{applied.done} corrections written to {write}")
        for line in applied.skipped:
            say(f"  - {line}")


def check(
    run: RunArgument,
    threshold: ThresholdOption = 0.5,
    thresholds: ThresholdsOption = None,
    iou: IouOption = 0.5,
    json: JsonFlag = False,
) -> None:
    """Hold a run against the promises tagged in FiftyOne (must-detect, ok-to-miss, label-wrong). Exits with 1
    on a broken one.
    """
    from analysis.fiftyone.pull.expectations import check_expectations, expectations_file, load_expectations

    stored = read_run(run)
    expectations = load_expectations(expectations_file(stored.manifest.dataset.source))
    outcomes = check_expectations(stored, expectations, class_thresholds(threshold, thresholds, stored), iou)
    states = {
        state: sum(o.state == state for o in outcomes) for state in ("kept", "broken", "excused", "lost")
    }
    if json:
        print_json(states | {"outcomes": [str(o) for o in outcomes]})
    else:
        for outcome in outcomes:
            if outcome.state in ("broken", "lost"):
                print(outcome)
        if outcomes:
            say(", ".join(f"{n} {state}" for state, n in states.items()))
        else:
            say("no promises yet: tag ground-truth labels must-detect in FiftyOne, then `boxscope pull`")
    if states["broken"]:
        raise typer.Exit(1)
