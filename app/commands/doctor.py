"""Commands that look at a data set before it is used: doctor, eda."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import ImagesOption, JsonFlag, percent, plural, print_json, progress_bar
from app.files.sources import open_source
from app.model.networks import DEFAULT, anchor_set, chosen_network, remedies
from app.terminal import say
from detector.errors import InputError
from detector.paths import refuse_unwritable

if TYPE_CHECKING:
    from analysis.datasets.anchor_reach import Reach
    from analysis.datasets.doctor import Diagnosis
    from analysis.datasets.duplicates import Look
    from analysis.datasets.fix import Change
    from detector.data.dataset import Dataset

MOST = 5
DataArgument = Annotated[
    str,
    typer.Argument(
        help="A COCO json, a VOC, YOLO or plain folder, a CSV, demo, or fiftyone://NAME.", metavar="DATA"
    ),
]
PixelsOption = Annotated[
    bool, typer.Option(help="Read every picture too: damage, copies, leaks between splits.")
]


def register(app: typer.Typer) -> None:
    app.command("doctor", rich_help_panel="Data")(doctor)
    app.command("eda", rich_help_panel="Data")(eda)


def doctor(
    data: DataArgument,
    network: Annotated[
        str,
        typer.Option(
            help=(
                "Whose anchors are to reach the boxes: an architecture, a recipe, a pipeline.config, a"
                " training's folder; none."
            )
        ),
    ] = DEFAULT,
    input_size: Annotated[
        str | None,
        typer.Option(
            help="Input size instead of the network's own (320 for the default one), e.g. 512 or 512x320."
        ),
    ] = None,
    label_map: Annotated[
        Path | None, typer.Option(help="A label_map.pbtxt or labelmap.txt the classes must agree with.")
    ] = None,
    rare: Annotated[
        int, typer.Option(min=0, help="Fewer objects than this to train on make a class rare.")
    ] = 20,
    aspect: Annotated[
        float, typer.Option(min=1.0, help="A box more than so many times as long as wide is odd.")
    ] = 5.0,
    pixels: PixelsOption = True,
    images: ImagesOption = None,
    fix: Annotated[
        Path | None,
        typer.Option(help="Write a copy without the mechanical faults to this new folder.", metavar="OUT"),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="Format of the copy: coco | voc | yolo | csv; by default the data's own."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help=f"Every place of every finding, not the first {MOST}.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """What is wrong or odd with a data set, before hours are spent on it: each finding with file and line,
    and what to do.

    Exits with 1 where there is an error or a warning; notes do not count.
    """
    from analysis.datasets.doctor import diagnose
    from analysis.datasets.findings import Settings
    from analysis.datasets.fix import write_fixed
    from detector.data.dataset import count_problems
    from detector.data.label_map import read_label_map

    chosen = chosen_network(network, input_size)
    names = None if label_map is None else read_label_map(label_map)
    if to is not None and fix is None:
        raise InputError("--to: it names the format of the copy that --fix OUT writes; give --fix too.")
    if fix is not None:
        refuse_unwritable(fix)
    dataset = open_source(data, say=say, images=images)
    look = _look(dataset) if pixels else None
    found = diagnose(
        dataset,
        look=look,
        anchors=None if chosen is None else anchor_set(chosen, network),
        label_map=names,
        settings=Settings(rare, aspect),
    )
    better = (
        remedies(dataset, chosen)
        if chosen is not None and found.reach is not None and found.reach.unreached.any()
        else []
    )
    changes = write_fixed(dataset, found, fix, format=to, label_map=names) if fix is not None else None
    if json:
        named = {(p.kind, p.sample_id) for p in dataset.problems}
        problems = [
            *dataset.problems,
            *(p for p in (look.problems if look else ()) if (p.kind, p.sample_id) not in named),
        ]
        print_json(
            {
                "name": dataset.name,
                "format": dataset.format,
                "images": len(dataset),
                "objects": len(dataset.objects),
                "classes": list(dataset.class_map.names),
                "severities": found.counts(),
                "findings": [f.to_dict(dataset) for f in found.findings],
                "counts": count_problems(problems),
                "problems": [
                    {
                        "kind": p.kind,
                        "message": p.message,
                        "path": p.path,
                        "line": p.line,
                        "sample": p.sample_id,
                        "left_out": p.left_out,
                    }
                    for p in problems
                ],
                "copies": (
                    [
                        {
                            "kind": c.kind,
                            "samples": [dataset.sample_ids[i] for i in c.rows],
                            "splits": list(c.splits),
                        }
                        for c in found.copies
                    ]
                    if look
                    else None
                ),
                "reach": (
                    None
                    if found.reach is None
                    else found.reach.to_dict(dataset.class_map.names)
                    | {"changes": {words: r.whole.ceiling for words, r in better}}
                ),
                "fixed": (
                    None if changes is None else {"folder": str(fix), "changes": [vars(c) for c in changes]}
                ),
            }
        )
    else:
        _print(dataset, found, better, every)
        if changes is not None and fix is not None:
            _print_changes(changes, fix)
    if any(f.severity != "note" for f in found.findings):
        raise typer.Exit(1)


def _look(dataset: Dataset) -> Look:
    from analysis.datasets.duplicates import look_at_pictures

    with progress_bar("reading pictures") as update:
        return look_at_pictures(dataset, progress=update)


def _print(dataset: Dataset, found: Diagnosis, better: list[tuple[str, Reach]], every: bool) -> None:
    images, objects, classes = len(dataset), len(dataset.objects), len(dataset.class_map)
    print(
        f"{dataset.name} ({dataset.format}): {images:,} {plural(images, 'image')},"
        f" {int(dataset.labelled.sum()):,} labelled, {objects:,} {plural(objects, 'object')}, {classes}"
        f" {plural(classes, 'class')}"
    )
    for finding in found.findings:
        print(
            f"\n{finding.severity}: {finding.kind}"
            f" ({finding.count:,}){' [fixable]' if finding.fixable else ''}\n  {finding.sentence}\n  ->"
            f" {finding.advice}"
        )
        shown = finding.places if every else finding.places[:MOST]
        for place in shown:
            print(f"  - {place}")
        if len(finding.places) > len(shown):
            print(f"    ... {len(finding.places) - len(shown):,} more: --all")
    if found.reach is not None and found.reach.whole.objects:
        _print_reach(found.reach, better)
    counts = {word: n for word, n in found.counts().items() if n}
    print(
        "\n"
        + (
            ", ".join(f"{n} {word}{'s' if n > 1 else ''}" for word, n in counts.items())
            if counts
            else "no problems found"
        )
    )
    fixable = [f.kind for f in found.findings if f.fixable]
    if fixable:
        print(f"--fix OUT writes a copy that fixes: {', '.join(fixable)}")


def _print_reach(reach: Reach, better: list[tuple[str, Reach]]) -> None:
    a = reach.anchors
    print(
        f"\nanchors of {a.name} at {a.input_size[0]}x{a.input_size[1]}, IoU {a.match_iou:g}: share of objects"
        " that one reaches"
    )
    for part in (
        reach.whole,
        *sorted(reach.classes, key=lambda p: p.ceiling or 0)[:12],
        *(s for s in reach.sizes if s.objects),
    ):
        print(f"  {percent(part.ceiling):>8}  {part.reached:,} of {part.objects:,}  {part.name}")
    if len(reach.classes) > 12:
        print(
            f"            {len(reach.classes) - 12} more {plural(len(reach.classes) - 12, 'class')}: --json"
        )
    for words, other in better:
        print(f"  {percent(other.whole.ceiling):>8}  with {words}")


def _print_changes(changes: list[Change], out: Path) -> None:
    print(f"\nwrote {out}: {len(changes):,} change{'' if len(changes) == 1 else 's'}")
    for change in changes:
        print(f"  {change.kind}: {change}")


def eda(
    data: DataArgument,
    out: Annotated[Path, typer.Option(help="The report, one HTML file.")] = Path("data-report.html"),
    network: Annotated[
        str, typer.Option(help="Whose anchors are to reach the boxes, as for doctor; none.")
    ] = DEFAULT,
    input_size: Annotated[str | None, typer.Option(help="Input size instead of the network's own.")] = None,
    samples: Annotated[int, typer.Option(min=0, help="Pictures of the sample grid.")] = 12,
    pixels: PixelsOption = True,
    images: ImagesOption = None,
    json: JsonFlag = False,
) -> None:
    """Explore a data set: classes, sizes, shapes, positions, samples, copies, leaks, as one HTML file."""
    from analysis.datasets.doctor import diagnose
    from analysis.datasets.eda_report import build_eda, eda_dict
    from analysis.datasets.summary import summarise

    chosen = chosen_network(network, input_size)
    refuse_unwritable(out, file=True)
    dataset = open_source(data, say=say, images=images)
    look = _look(dataset) if pixels else None
    found = diagnose(dataset, look=look, anchors=None if chosen is None else anchor_set(chosen, network))
    summary = summarise(dataset)
    path = build_eda(dataset, summary, found, samples=samples).write(out)
    figures: dict[str, Any] = eda_dict(dataset, summary, found)
    if json:
        print_json(figures | {"report": str(path)})
    else:
        print(path)
