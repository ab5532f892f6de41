"""Commands that write a detector for other tools: export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import say, without_native_chatter
from app.sources import open_source
from detector.errors import CapabilityError, InputError

TARGETS = ("saved_model", "tflite")


def register(app: typer.Typer) -> None:
    app.command("export", rich_help_panel="Training")(export)


def export(
    model: Annotated[str, typer.Argument(help="A training's folder or a zoo archive: one of Boxscope's own SSD networks.", metavar="MODEL")],
    destination: Annotated[Path, typer.Argument(help="A new folder (saved_model) or a new .tflite file.", metavar="DST")],
    to: Annotated[str, typer.Option(help=" | ".join(TARGETS))],
    precision: Annotated[str, typer.Option(help="tflite: float32 | float16 | dynamic | int8.")] = "float32",
    form: Annotated[str, typer.Option(help="tflite: detections (with the post-processing operation) | raw (every anchor).")] = "detections",
    nms: Annotated[str, typer.Option(help="tflite: fast (one class an anchor, as phone apps expect) | per_class.")] = "fast",
    data: Annotated[str | None, typer.Option(help="int8: pictures like those it will see; they set the number ranges.")] = None,
    pictures: Annotated[int, typer.Option(min=1, help="int8: how many of them.")] = 100,
) -> None:
    """Write a detector as a SavedModel with the Object Detection API's interface, or as a TFLite file with labels."""
    from detector import load_detector

    if to not in TARGETS:
        raise InputError(f"--to: expected one of {', '.join(TARGETS)}, got {to!r}.")
    if precision == "int8" and data is None:
        raise InputError("--precision int8: expected --data too, pictures like those the detector will see.")
    with without_native_chatter():
        detector = load_detector(model)
        if "gradients" not in detector.info.capabilities:
            raise CapabilityError(f"{model}: expected one of Boxscope's own SSD networks, which it can write anew; this is a {detector.info.kind} and stays as it is.")
        if to == "saved_model":
            from detector.export import export_saved_model

            written = export_saved_model(detector, destination)
        else:
            from detector.export_tflite import export_tflite

            images = None
            if data is not None:
                dataset = open_source(data)
                images = [dataset.load_image(i) for i in range(min(pictures, len(dataset)))]
            written = export_tflite(detector, destination, precision=precision, form=form, nms=nms, images=images)
    say(f"{detector.info.name} written as {to}" + (f" ({precision}, {form})" if to == "tflite" else ""))
    print(written)
