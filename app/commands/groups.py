"""The command about groups of objects that a detector fails on."""

from __future__ import annotations

from pathlib import Path
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
from detector.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("groups", rich_help_panel="Analysis")(groups)
    app.command("similar", rich_help_panel="Analysis")(similar)


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
    columns: Annotated[
        Path | None,
        typer.Option(help="A CSV of your own: a column sample, and any others; a value per image."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Groups of objects that are missed more often than the rest, found on half the images, tested on the
    other.
    """
    from analysis.groups.columns import read_columns
    from analysis.groups.pixels import kept_pixels
    from analysis.groups.run import groups_of_run

    stored = read_run(run)
    looked = kept_pixels(stored)
    if pixels and looked is None:
        looked = _looked_at(stored)
    own = {} if columns is None else read_columns(columns, stored)
    found = groups_of_run(stored, threshold=threshold, iou=iou, level=level, extra={**(looked or {}), **own})
    if json:
        print_json(found.to_dict())
        return
    for g in found.groups:
        low, high = g.interval
        print(
            f"{g.description}\t{g.objects} {plural(g.objects, 'object')} in {g.images}"
            f" {plural(g.images, 'image')}\trecall {g.recall:.0%} against {g.rest:.0%} of the rest; tested"
            f" {low:.0%} to {high:.0%}, q = {g.adjusted:.2g}; {g.missed_more:.0f} more missed"
        )
    say(
        f"{len(found.groups)} {plural(len(found.groups), 'group')} of {found.tested} tested ({found.tried:,}"
        f" descriptions tried) at confidence {threshold:g}; recall of everything {found.recall:.1%}; of the"
        f" groups in such lists at most {level:.0%} are false on average"
    )
    if looked is None:
        say("--pixels looks at brightness, contrast, sharpness and colour too.")


def _looked_at(stored):
    """The pixels of every object, opened now."""
    from analysis.groups.pixels import object_pixels

    with progress_bar("Looking at the objects") as update:
        return object_pixels(stored, lambda done, total: update(done, total))


def similar(
    run: RunArgument,
    sample: Annotated[str, typer.Argument(help="The image, by its id.")],
    number: Annotated[int, typer.Argument(help="Which object of the image, from 1.")],
    limit: Annotated[int, typer.Option(min=1, help="Print at most this many.")] = 20,
    json: JsonFlag = False,
) -> None:
    """Objects that look like one: sample, object, likeness, class, whether it was found at any score."""
    from analysis.groups.pixels import LOOK, object_pixels
    from analysis.groups.similar import similar_objects
    from analysis.matching.match import match_run

    stored = read_run(run)
    i = stored.position(sample)
    first, last = (int(v) for v in stored.truth_offsets[i : i + 2])
    if not 1 <= number <= last - first:
        raise InputError(f"similar: expected an object of 1..{last - first} of {sample}, got {number}.")
    looks = object_pixels(stored)[LOOK]
    matches, t = match_run(stored), stored.truth
    rows = [
        {
            "sample": stored.sample_ids[t.rows[place]],
            "object": int(t.ids[place]),
            "likeness": round(likeness, 4),
            "class": stored.class_map.names[t.class_ids[place]],
            "found": bool(matches.truth_det[place] >= 0),
        }
        for place, likeness in similar_objects(looks, first + number - 1, limit)
    ]
    if json:
        print_json(rows)
        return
    for row in rows:
        found = "found" if row["found"] else "missed"
        print(f"{row['likeness']:.3f}\t{row['sample']}\t{row['object']}\t{row['class']}\t{found}")
