"""Commands that run a detector: detect, runs, models."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import ImagesOption, JsonFlag, plural, print_json, progress_bar, say_problems
from app.commands.indexing import index
from app.files.sources import open_source
from app.model.description import described
from app.terminal import say, without_native_chatter
from detector.errors import InputError
from detector.paths import os_sentence, refuse_unwritable

if TYPE_CHECKING:
    from analysis.runs.store import Run
    from analysis.runs.streamed import StreamedRun
    from detector.core import Detector, DetectorInfo
    from detector.data.dataset import Dataset

ENGINES = ("local", "ray")


def register(app: typer.Typer) -> None:
    app.command("detect", rich_help_panel="Detection")(detect)
    app.command("index", rich_help_panel="Data")(index)
    app.command("runs", rich_help_panel="Detection")(runs)
    app.command("models", rich_help_panel="Detection")(models)


def detect(
    model: Annotated[
        str,
        typer.Option(
            help="A catalogue name, a path (SavedModel, .tflite, zoo archive, results .json) or a TF Hub URL."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="A data set: COCO json, VOC, YOLO or plain folder, CSV, `demo`, or fiftyone://NAME."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; by default one under the data directory.")
    ] = None,
    floor: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Detections scoring lower are not kept.")
    ] = 0.01,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N images.")] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            help=(
                "label_map.pbtxt or labelmap.txt, where the model does not bring one; `coco` for COCO's"
                " names."
            )
        ),
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(help="How to read the outputs (yolo, yolov5, yolox, ...), where the file fits several."),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split (train, val, test).")] = None,
    images: ImagesOption = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images handed to the detector at a time; 8 if not given.")
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="local, or ray: the same run by many workers on a cluster (needs Ray, see docs/scale.md)."
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            help=(
                "With --engine ray: the cluster (auto, HOST:PORT, ray://...); without it one is started here."
            )
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="With --engine ray: how many; by default as many as fit.")
    ] = None,
    cpus: Annotated[float, typer.Option(help="With --engine ray: processors of each worker.")] = 1.0,
    gpus: Annotated[
        float, typer.Option(min=0.0, help="With --engine ray: GPUs of each worker; 0.5 lets two share one.")
    ] = 0.0,
    json: JsonFlag = False,
) -> None:
    """Run a detector over a data set and store the run. Killed or cancelled, the same command goes on where
    it stopped.
    """
    from detector import load_detector

    if engine not in ENGINES:
        raise InputError(f"--engine: expected one of {', '.join(ENGINES)}, got {engine!r}.")
    if engine == "local" and (address is not None or workers is not None or cpus != 1 or gpus):
        raise InputError(
            "--address, --workers, --cpus and --gpus go with --engine ray; add that, or leave them out."
        )
    if out is not None:
        refuse_unwritable(out)
    dataset = open_source(data, say=say, images=images)
    if split:
        dataset = dataset.split(split)
    if not len(dataset):
        raise InputError(f"{data}: expected at least one picture, found none.")
    say_problems(dataset.problems)
    if out is not None:
        _note(out)
    given = {"labels": labels, "family": family}
    options: dict[str, Any] = {name: value for name, value in given.items() if value}
    stopping: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: stopping.append(number))
    common = {"floor": floor, "limit": limit, "batch_size": batch_size, "should_stop": lambda: bool(stopping)}
    if engine == "ray":
        from analysis.runs.ray import detect_on_ray

        if model == "demo" or model.endswith(".json"):
            options["dataset"] = dataset  # the only detectors that answer from the data set itself
        with progress_bar(f"{model} on {dataset.name}") as update:
            run = detect_on_ray(
                partial(load_detector, model, **options),
                dataset,
                out,
                address=address,
                workers=workers,
                cpus=cpus,
                gpus=gpus,
                told=_say_notes,
                progress=lambda p: update(p.done, p.total, p.rate),
                **common,
            )
    else:
        run = _detect_here(partial(load_detector, model, dataset=dataset, **options), dataset, out, common)
    summary = {
        "run": str(run.path),
        "state": run.manifest.state,
        "detector": run.manifest.detector.name,
        "detector_hash": run.manifest.detector.weights_hash,
        "images": int(run.done.sum()),
        "failed": dict(run.failed),
        "detections": run.manifest.counts.detections,
        "floor": floor,
    }
    if json:
        print_json(summary)
    else:
        n, found = summary["images"], summary["detections"]
        say(
            f"{n} {plural(n, 'image')}, {found} {plural(found, 'detection')} of {floor:g} and more,"
            f" {len(run.failed)} {plural(len(run.failed), 'image')} could not be read"
        )
        for sample_id, message in list(run.failed.items())[:5]:
            say(f"  - {sample_id}: {message}")
        print(run.path)
    if stopping:
        say("stopped; the same command goes on from here.")
        raise typer.Exit(130)


def _note(out: Path) -> None:
    """Remember the run for `boxscope runs` and the app; that it cannot be is no reason not to make it."""
    from app.files.run_list import note_run

    try:
        note_run(out)
    except OSError as error:
        say(f"note: `boxscope runs` and the app will not list this run. {os_sentence(error)}")


def _say_what_it_is(model: str, json: bool) -> None:
    from detector import load_detector

    with without_native_chatter():
        info = load_detector(model).info
    if json:
        print_json(
            {
                "name": info.name,
                "kind": info.kind,
                "input_size": info.input_size,
                "classes": list(info.class_map.names),
                "capabilities": sorted(info.capabilities),
                "settings": dict(info.settings),
                "notes": list(info.notes),
            }
        )
        return
    for what, value in described(info):
        print(f"{what}\t{value}")
    _say_notes(info)


def _say_notes(info: DetectorInfo) -> None:
    for note in info.notes:
        say(f"note: {note}")


def _detect_here(
    load: Callable[..., Detector], dataset: Dataset, out: Path | None, common: dict[str, Any]
) -> Run | StreamedRun:
    from analysis.runs.detect import detect_run
    from detector.models.replicas import load_side_by_side

    with without_native_chatter():
        detectors = load_side_by_side(load)
    info = detectors[0].info
    _say_notes(info)
    with progress_bar(f"{info.name} on {dataset.name}") as update:
        return detect_run(
            detectors, dataset, out, progress=lambda p: update(p.done, p.total, p.rate), **common
        )


def runs(json: JsonFlag = False) -> None:
    """The stored runs, newest first: those of the data directory, and those that `boxscope detect --out` made
    elsewhere.
    """
    from app.files.run_list import known_runs

    found = known_runs()
    if json:
        print_json(
            [
                {"name": name, "path": str(r.path), "state": r.state, "error": r.error}
                | ({"manifest": r.manifest.model_dump(mode="json")} if r.manifest else {})
                for name, r in found.items()
            ]
        )
        return
    for name, r in found.items():
        if r.manifest is None:
            print(f"{name}\t{r.state}\t{r.error}")
        else:
            m = r.manifest
            print(
                f"{name}\t{r.state}\t{m.detector.name}\t{m.dataset.name}\t{m.dataset.count}"
                f" {plural(m.dataset.count, 'image')}\t{m.created}"
            )
    if not found:
        say("no runs yet: `boxscope demo`, or `boxscope detect --model NAME --data PATH`")


def models(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A name, path or address: say what this one is instead of listing the catalogue."
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """The detectors the catalogue knows, and where each comes from; or what one file is and can do."""
    if model is not None:
        _say_what_it_is(model, json)
        return
    from detector.catalogue import list_catalogue

    entries = list_catalogue()
    if json:
        print_json(
            [
                {"name": e.name, "title": e.title, "description": e.description, "sources": list(e.sources)}
                for e in entries
            ]
        )
        return
    for e in entries:
        print(f"{e.name}\t{e.title}\t{e.sources[0] if e.sources else 'built in'}")
