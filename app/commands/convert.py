"""Commands that write data sets: convert, split."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import ImagesOption, JsonFlag, plural, print_json, say_problems
from app.files.sources import FIFTYONE, open_source
from app.terminal import say
from detector.errors import InputError
from detector.paths import refuse_unwritable

if TYPE_CHECKING:
    from detector.data.dataset import Dataset
    from detector.data.splits import Splits

WRITERS = {
    "coco": "detector.data.formats.coco:write_coco",
    "voc": "detector.data.formats.voc:write_voc",
    "yolo": "detector.data.formats.yolo:write_yolo",
    "csv": "detector.data.formats.csv_table:write_csv",
    "tfrecord": "detector.data.formats.tfrecord:write_tfrecord",
}
SPLITS_FILE = "splits.json"
MOST = 30
"""Classes that `split` prints."""
FormatOption = Annotated[
    str | None, typer.Option("--format", help="Read it in this format, where it could be several.")
]
BoxesOption = Annotated[
    str, typer.Option(help="keep, or ignore: the whole picture stands in for every box (classes alone).")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Which of equally good divisions it is.")]
WithinOption = Annotated[
    str | None, typer.Option(help="Divide only this split of the data; the other samples keep theirs.")
]


def register(app: typer.Typer) -> None:
    app.command("convert", rich_help_panel="Data")(convert)
    app.command("split", rich_help_panel="Data")(split)


def convert(
    source: Annotated[
        str,
        typer.Argument(help="The data set to read; a splits file of `boxscope split` too.", metavar="SRC"),
    ],
    destination: Annotated[
        Path, typer.Argument(help="Where to write: a new or an empty folder.", metavar="DST")
    ],
    to: Annotated[str, typer.Option(help=" | ".join(WRITERS))],
    only: Annotated[str | None, typer.Option(help="Only this split of the data (train, val, test).")] = None,
    split: Annotated[
        str | None, typer.Option(help="Divide it anew, e.g. train=.8,val=.1,test=.1 or train=6500,val=1629.")
    ] = None,
    seed: SeedOption = 0,
    within: WithinOption = None,
    label_map: Annotated[
        Path | None,
        typer.Option(
            help="A label_map.pbtxt or labelmap.txt: which classes, in which order, with which ids."
        ),
    ] = None,
    pictures: Annotated[
        str, typer.Option(help="copy | link | none (COCO and CSV name them where they are).")
    ] = "copy",
    shards: Annotated[
        int | None, typer.Option(min=1, help="TFRecord files a split; by default of about 128 MB.")
    ] = None,
    format: FormatOption = None,
    images: ImagesOption = None,
    boxes: BoxesOption = "keep",
) -> None:
    """Write a data set in another format, with a label_map.pbtxt; what the format cannot carry is said."""
    from importlib import import_module

    from detector.data.label_map import write_label_map

    if to not in WRITERS:
        raise InputError(f"--to: expected one of {', '.join(WRITERS)}, got {to!r}.")
    if shards is not None and to != "tfrecord":
        raise InputError("--shards: only TFRecords have shards; give --to tfrecord.")
    if split is None and within is not None:
        raise InputError(
            "--within: it says what --split divides; give --split too, or --only to take one split."
        )
    if destination.exists() and (not destination.is_dir() or any(destination.iterdir())):
        raise InputError(
            f"{destination}: expected a new or an empty folder, there is something in it already."
        )
    refuse_unwritable(destination)
    dataset = _read(source, format, images, boxes, label_map)
    if split is not None:
        from detector.data.splits import draw_splits
        from detector.data.splits_file import apply_splits, write_splits

        drawn = draw_splits(dataset, parse_parts(split), seed=seed, within=within)
        _say_splits(drawn)
        dataset = apply_splits(dataset, drawn)
        if not source.startswith(FIFTYONE):
            write_splits(drawn, destination / SPLITS_FILE, source, **_reading(format, images, boxes))
    if only is not None:
        dataset = dataset.split(only)
    module, function = WRITERS[to].split(":")
    more = {} if shards is None else {"shards": shards}
    lost = getattr(import_module(module), function)(dataset, destination, pictures=pictures, **more)
    if len(dataset.class_map):
        write_label_map(dataset.class_map, destination / "label_map.pbtxt")
    say_problems([*dataset.problems, *lost])
    out = {
        p.sample_id
        for p in lost
        if p.left_out and p.kind in ("unlabelled picture", "missing image", "unreadable image")
    }
    objects = (
        len(dataset.objects)
        - sum(p.kind == "box too thin" for p in lost)
        - sum(len(dataset[s].annotations or ()) for s in out)
    )
    pictures_written = len(dataset) - len(out)
    say(
        f"wrote {pictures_written} {plural(pictures_written, 'image')} and {objects}"
        f" {plural(objects, 'object')} as {to} to {destination}"
    )


def split(
    data: Annotated[str, typer.Argument(help="The data set to divide.", metavar="DATA")],
    fractions: Annotated[
        str | None, typer.Option(help="Parts as fractions, e.g. train=.8,val=.1,test=.1.")
    ] = None,
    counts: Annotated[
        str | None, typer.Option(help="Parts as exact numbers of pictures, e.g. train=6500,val=1629.")
    ] = None,
    seed: SeedOption = 0,
    within: WithinOption = None,
    out: Annotated[Path, typer.Option(help="The splits file to write.")] = Path(SPLITS_FILE),
    format: FormatOption = None,
    images: ImagesOption = None,
    boxes: BoxesOption = "keep",
    json: JsonFlag = False,
) -> None:
    """Divide a data set into parts and write that down: stratified by class, by a seed, equal pictures
    together.

    The file is a data set itself: every command takes it, and a recipe's `data` with `train_split` and
    `val_split`. Without parts it is 80 to 20, of the training split where the data has one beside a test
    split.
    """
    from detector.data.splits import default_parts, draw_splits, pictures_by_class
    from detector.data.splits_file import write_splits

    if fractions is not None and counts is not None:
        raise InputError("--fractions and --counts: expected one of the two.")
    if data.startswith(FIFTYONE):
        raise InputError(
            "split: expected files; a FiftyOne data set keeps its splits as tags. Convert it first."
        )
    dataset = _read(data, format, images, boxes, None)
    parts: dict[str, Any] | None = None
    for option, text, kind in (("--fractions", fractions, float), ("--counts", counts, int)):
        if text is not None:
            parts = parse_parts(text)
            if any(not isinstance(v, kind) for v in parts.values()):
                raise InputError(
                    f"{option}: expected {'fractions such as .8' if kind is float else 'whole numbers'}, got"
                    f" {text!r}."
                )
    if parts is None:
        parts, default = default_parts(dataset)
        within = within or default
    drawn = draw_splits(dataset, parts, seed=seed, within=within)
    write_splits(drawn, out, data, **_reading(format, images, boxes))
    names, table = pictures_by_class(dataset, drawn)
    if json:
        print_json(
            {
                "file": str(out),
                "counts": drawn.counts,
                "unused": len(drawn.unused),
                "seed": seed,
                "within": within,
                "asked": dict(drawn.asked),
                "notes": list(drawn.notes),
                "pictures_by_class": {
                    name: dict(zip(drawn.counts, (int(n) for n in column)))
                    for name, column in zip(names, table.T)
                },
            }
        )
        return
    say_problems(dataset.problems)
    _say_splits(drawn)
    shown = [(name, column) for name, column in zip(names, table.T) if column.any()]
    width = max([13, *(len(name) for name, _ in shown)])
    print(f"{'pictures with':<{width}}  " + "  ".join(f"{part:>8}" for part in drawn.counts))
    for name, column in shown[:MOST]:
        print(f"{name:<{width}}  " + "  ".join(f"{n:>8}" for n in column))
    if len(shown) > MOST:
        print(f"... {len(shown) - MOST} more: --json lists them all")
    print(f"wrote {out}")


def parse_parts(text: str) -> dict[str, float | int]:
    """ "train=.8,val=.2" -> {"train": 0.8, "val": 0.2}; numbers without a point are counts."""
    parts: dict[str, float | int] = {}
    for word in text.split(","):
        name, sign, value = (w.strip() for w in word.partition("="))
        try:
            number = int(value) if value.isdigit() else float(value)
        except ValueError:
            number = None
        if not name or not sign or number is None or name in parts:
            raise InputError(
                f"parts: expected distinct names with numbers, such as train=.8,val=.2, got {text!r}."
            )
        parts[name] = number
    return parts


def _read(
    source: str, format: str | None, images: Path | None, boxes: str, label_map: Path | None
) -> Dataset:
    if source.startswith(FIFTYONE):
        return open_source(source, say=say)
    from detector import load_dataset

    return load_dataset(source, format=format, images=images, boxes=boxes, label_map=label_map)


def _reading(format: str | None, images: Path | None, boxes: str) -> dict[str, str | None]:
    return {
        "format": format,
        "images": None if images is None else str(images.absolute()),
        "boxes": None if boxes == "keep" else boxes,
    }


def _say_splits(drawn: Splits) -> None:
    said = ", ".join(f"{name} {count}" for name, count in drawn.counts.items())
    say(f"{said}; seed {drawn.seed}" + (f"; {len(drawn.unused)} in no part" if drawn.unused else ""))
    for note in drawn.notes:
        say(f"note: {note}")
