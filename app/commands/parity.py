"""boxscope parity: two detectors, or two stored runs, on the same images, object by object."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.common import IouOption, JsonFlag, ThresholdOption, print_json, progress_bar, say_problems
from app.files.sources import open_source
from app.terminal import say, without_native_chatter
from detector.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("parity", rich_help_panel="Training")(parity)


def parity(
    a: Annotated[
        str,
        typer.Argument(
            help="The reference: a detector (name, folder, SavedModel, .tflite), or a stored run.",
            metavar="A",
        ),
    ],
    b: Annotated[
        str, typer.Argument(help="What should agree with it: another detector, or run.", metavar="B")
    ],
    data: Annotated[str | None, typer.Option(help="The images, for two detectors.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split (train, val, test).")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images.")] = None,
    threshold: ThresholdOption = 0.5,
    iou: IouOption = 0.5,
    floor: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Detections scoring lower are not looked at.")
    ] = 0.01,
    max_lost: Annotated[
        str | None,
        typer.Option(
            help=(
                'Most that may be lost, "0.5%" or a number: of A\'s true positives where there is ground'
                " truth, else of its objects."
            )
        ),
    ] = None,
    every_object: Annotated[
        bool,
        typer.Option("--every-object", help="Hold --max-lost to all objects of A, with ground truth too."),
    ] = False,
    max_score_difference: Annotated[
        float | None, typer.Option(min=0.0, help="Largest difference of a kept object's score.")
    ] = None,
    max_box_difference: Annotated[
        float | None, typer.Option(min=0.0, help="Largest difference of an edge of its box, in pixels.")
    ] = None,
    set_a: Annotated[
        list[str] | None,
        typer.Option(help="An option of A's loader, NAME=VALUE (runtime=litert, num_threads=1)."),
    ] = None,
    set_b: Annotated[
        list[str] | None, typer.Option(help="The same of B (resize=half-pixel: as phones resize).")
    ] = None,
    causes: Annotated[bool, typer.Option(help="Find out why each lost object is lost.")] = True,
    out: Annotated[
        Path | None, typer.Option(help="Write figures, and every object that changed, to this JSON file.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Which objects B loses, gains, moves and rescores against A, and why each is lost. Exits with 1 past a
    stated bound.
    """
    from analysis.parity.causes import explain_lost
    from analysis.parity.pairs import BOX_STEP, SCORE_STEP, pair_runs
    from analysis.parity.report import Bounds, report, text
    from app.jobs.parity_sides import both_runs

    bounds = Bounds.parse(
        max_lost, every_object=every_object, score=max_score_difference, box=max_box_difference
    )
    options = [_options(set_a, "--set-a"), _options(set_b, "--set-b")]
    if both_runs(a, b):
        if data is not None or split or limit or any(options):
            raise InputError(
                "two stored runs: expected no --data, --split, --limit, --set-a or --set-b; they are what"
                " they are."
            )
        with without_native_chatter():
            first, second = _stored(a, b, causes)
    else:
        if data is None:
            raise InputError("two detectors: expected --data, the images to run them on.")
        first, second = _detected(a, b, data, split, limit, options, floor)
    pairing = pair_runs(first.run, second.run, threshold, iou=iou)
    found = None
    if causes:
        for side in (first, second):
            if side.why_not:
                say(f"{side.why_not}; causes are inferred where it would have to be asked.")
        with progress_bar("causes") as update, without_native_chatter():
            found = explain_lost(
                pairing, first.detector, second.detector, progress=lambda done, total: update(done, total)
            )
    steps = {
        "score_step": SCORE_STEP if max_score_difference is None else max_score_difference,
        "box_step": BOX_STEP if max_box_difference is None else max_box_difference,
    }
    figures = report(pairing, found, **steps)
    broken = bounds.broken(figures)
    figures["past_bounds"] = broken
    if out is not None:
        from detector.paths import write_atomically

        write_atomically(out, json_format.dumps(figures, indent=1, ensure_ascii=False).encode())
    if json:
        print_json({k: v for k, v in figures.items() if k != "objects"} if out is not None else figures)
    else:
        print(text(pairing, found, **steps))
        if out is not None:
            say(f"written: {out}")
    for sentence in broken:
        say(f"past the bound: {sentence}")
    if broken:
        raise typer.Exit(1)


def _stored(a: str, b: str, ask: bool) -> tuple[Any, Any]:
    from app.jobs.parity_sides import stored_side

    return stored_side(Path(a), ask), stored_side(Path(b), ask)


def _detected(
    a: str,
    b: str,
    data: str,
    split: str | None,
    limit: int | None,
    options: list[dict[str, Any]],
    floor: float,
) -> tuple[Any, Any]:
    from app.jobs.parity_sides import detect_side

    dataset = open_source(data, say=say)
    if split:
        dataset = dataset.split(split)
    if limit is not None and limit < len(dataset):
        dataset = dataset.subset(range(limit))
    if not len(dataset):
        raise InputError(f"{data}: expected at least one picture, found none.")
    say_problems(dataset.problems)
    sides = []
    for letter, model, chosen in zip("AB", (a, b), options):
        with progress_bar(f"{letter} on {dataset.name}") as update, without_native_chatter():
            sides.append(
                detect_side(model, dataset, chosen, floor, lambda name, done, total: update(done, total))
            )
        for note in sides[-1].detector.info.notes:
            say(f"note on {letter}: {note}")
    return sides[0], sides[1]


def _options(pairs: list[str] | None, flag: str) -> dict[str, Any]:
    """["resize=half-pixel", "num_threads=1"] -> {"resize": "half-pixel", "num_threads": 1}"""
    import yaml

    out: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise InputError(f"{flag}: expected NAME=VALUE, got {pair!r}.")
        out[name.strip().replace("-", "_")] = yaml.safe_load(value)
    return out
