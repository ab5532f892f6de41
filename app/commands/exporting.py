"""Commands that write a detector for other tools: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from app.files.sources import open_source
from app.jobs.exports import own_pictures, pick_pictures, write_export
from app.terminal import say, without_native_chatter
from detector.errors import InputError

TARGETS = ("saved_model", "tflite")


def register(app: typer.Typer) -> None:
    app.command("export", rich_help_panel="Training")(export)


def export(
    model: Annotated[
        str,
        typer.Argument(
            help=(
                "A training's folder or a zoo archive: one of Boxscope's own SSD networks, or a two-head"
                " training's folder."
            ),
            metavar="MODEL",
        ),
    ],
    destination: Annotated[
        Path, typer.Argument(help="A new folder (saved_model) or a new .tflite file.", metavar="DST")
    ],
    to: Annotated[str, typer.Option(help=" | ".join(TARGETS))],
    precision: Annotated[str, typer.Option(help="tflite: float32 | float16 | dynamic | int8.")] = "float32",
    form: Annotated[
        str,
        typer.Option(help="tflite: detections (with the post-processing operation) | raw (every anchor)."),
    ] = "detections",
    nms: Annotated[
        str | None,
        typer.Option(
            help=(
                "tflite: per_class (as the network; the default) | fast (boxes suppress each other whatever"
                " their"
                " class)."
            )
        ),
    ] = None,
    thresholds: Annotated[
        Path | None,
        typer.Option(help="tflite: a file of saved thresholds by class, kept in the file's metadata."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help=(
                "int8: pictures like those it will see; they set the number ranges. A training's own"
                " without it."
            )
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="int8: only this split of them (train).")] = None,
    pictures: Annotated[int, typer.Option(min=1, help="int8: how many of them, evenly spread.")] = 100,
) -> None:
    """Write a detector as a SavedModel with the Object Detection API's interface, or as a TFLite file with
    labels.
    """
    if to not in TARGETS:
        raise InputError(f"--to: expected one of {', '.join(TARGETS)}, got {to!r}.")
    if precision == "int8" and data is None and not (Path(model) / "recipe.yaml").is_file():
        raise InputError("--precision int8: expected --data too, pictures like those the detector will see.")

    def images() -> list[Any]:
        if data is None:
            return own_pictures(Path(model), pictures, say)
        dataset = open_source(data)
        return pick_pictures(dataset.split(split) if split else dataset, pictures, say)

    with without_native_chatter():
        written, name = write_export(
            model,
            destination,
            to=to,
            precision=precision,
            form=form,
            nms=nms,
            thresholds=thresholds,
            images=images if precision == "int8" else None,
        )
    size = sum(f.stat().st_size for f in [written, *written.rglob("*")] if f.is_file())
    say(
        f"{name} written as {to}"
        + (f" ({precision}, {form})" if to == "tflite" else "")
        + f", {size / 1e6:.1f} MB"
    )
    file = written if to == "tflite" else written / "saved_model"
    say(f"`boxscope parity {model} {file} --data PATH` compares the two, object by object.")
    print(written)
