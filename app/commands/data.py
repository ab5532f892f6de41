"""Commands about pictures and their labels: find, fetch."""

from __future__ import annotations

from typing import Annotated

import typer

from app.commands.common import JsonFlag, ThresholdOption, print_json, read_data_or_run, split_names
from app.terminal import say
from detector.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("find", rich_help_panel="Data")(find)
    app.command("fetch", rich_help_panel="Data")(fetch)


def find(
    source: Annotated[str, typer.Argument(help="A data set or a stored run.", metavar="DATA|RUN")],
    classes: Annotated[str, typer.Option(help="Class names separated by commas.")],
    mode: Annotated[str, typer.Option(help="any | all | only | none of the classes.")] = "any",
    min_count: Annotated[int, typer.Option(min=1, help="Least number of objects of a class.")] = 1,
    threshold: ThresholdOption = 0.5,
    on: Annotated[
        str | None,
        typer.Option(help="truth | predictions; by default predictions of a run, truth of a data set."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """The images that hold these classes, one sample id a line."""
    from analysis import find_images_with_classes

    found = find_images_with_classes(
        read_data_or_run(source),
        split_names(classes),
        mode=mode,
        min_count=min_count,
        threshold=threshold,
        side=on,
    )
    if json:
        print_json(found)
    else:
        print("\n".join(found), end="\n" if found else "")


def fetch(
    name: Annotated[
        str | None, typer.Argument(help="A named sample set; without it they are listed.", metavar="[NAME]")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Only pictures with one of these classes (COCO).")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many pictures (COCO).")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Download without asking.")] = False,
) -> None:
    """Download a public sample set (COCO 2017 validation, VOC 2007 or 2012); its size is said first. Needs a
    network.
    """
    from detector.data import load_dataset
    from detector.data.samples.sets import fetch_sample_set, find_sample_set, list_sample_sets

    if name is None:
        for entry in list_sample_sets():
            print(f"{entry.name}\t{entry.title}\t{entry.size}")
        return
    entry = find_sample_set(name)
    if entry is None:
        raise InputError(
            f"No sample set is named {name!r}; known are {', '.join(e.name for e in list_sample_sets())}."
        )
    say(f"{entry.title}: {entry.size}" + (f"; needs {entry.needs}" if entry.needs else ""))
    if not yes:
        typer.confirm("Download it?", abort=True, err=True)
    folder = fetch_sample_set(
        name, classes=split_names(classes) if classes else (), count=limit, progress=say
    )
    print(load_dataset(folder).source)
