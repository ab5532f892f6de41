"""`boxscope explain`: heat maps of the objects of an image as pictures and numbers, each with what it is
worth.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import IouOption, JsonFlag, RunArgument, ThresholdOption, print_json, progress_bar
from app.files.run_list import read_run
from app.model.run_detector import detector_of
from app.terminal import say
from detector.errors import CapabilityError, InputError, UnavailableError
from detector.paths import refuse_unwritable

if TYPE_CHECKING:
    from analysis.saliency.heatmap import HeatMap
    from app.model.objects import Row
    from app.model.questions import Question

METHOD_NAMES = ("confidence_map", "integrated_gradients", "layer_cam", "d_rise")


def register(app: typer.Typer) -> None:
    app.command("explain", rich_help_panel="Analysis")(explain)


def explain(
    run: RunArgument,
    image: Annotated[list[str], typer.Option(help="A sample id of the run; may be given several times.")],
    out: Annotated[Path, typer.Option(help="Folder for the maps: a PNG, a .npy and a .json each.")],
    object: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                "Which objects: d3 is the detection at place 3, t17 the ground-truth object with the id 17, a"
                " number the line of the image's list (0 first). Without it, every missed and every wrong"
                " one."
            )
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help=(
                f"One or several of {', '.join(METHOD_NAMES)}. Without it the confidence map and the first"
                " evidence the detector allows."
            )
        ),
    ] = None,
    rather_than: Annotated[
        str | None,
        typer.Option(
            help=(
                "A class: why the object's own class and not this one. D-RISE or integrated gradients, of"
                " detectors that show candidates."
            )
        ),
    ] = None,
    side: Annotated[
        str | None,
        typer.Option(
            help=(
                "Of the box: left, top, right, bottom, or all: what holds it where it stands, instead of what"
                " makes its class. Of detectors that show candidates."
            )
        ),
    ] = None,
    threshold: ThresholdOption = 0.5,
    iou: IouOption = 0.5,
    masks: Annotated[int, typer.Option(min=8, help="D-RISE: at most this many masks.")] = 512,
    seed: Annotated[int, typer.Option(help="D-RISE: of the masks.")] = 0,
    check: Annotated[
        bool,
        typer.Option("--check/--no-check", help="Hold each map against random, edge and Gaussian baselines."),
    ] = True,
    json: JsonFlag = False,
) -> None:
    """Heat maps of what the detector believes and of the evidence for single objects, found or missed."""
    from types import SimpleNamespace

    from analysis.matching.match import match_run
    from analysis.matching.operating_point import class_thresholds
    from analysis.saliency.targets import SIDES
    from app.model import objects
    from app.model.questions import Question

    refuse_unwritable(out)
    stored = read_run(run)
    places = [stored.position(name) for name in dict.fromkeys(image)]
    if object and len(places) > 1:
        raise InputError(
            f"--object names objects of one image, and --image was given {len(places)} times; leave it out"
            " for every missed and every wrong one."
        )
    for i in places:
        if not stored.readable[i]:
            name = stored.sample_ids[i]
            raise InputError(
                f"{name} cannot be explained: {stored.failed.get(name, 'detection has not reached it yet')}."
            )
    unknown = [m for m in method or () if m not in METHOD_NAMES]
    if unknown:
        raise InputError(f"--method: expected one of {', '.join(METHOD_NAMES)}, got {unknown[0]!r}.")
    thresholds = class_thresholds(threshold, len(stored.class_map))
    s = SimpleNamespace(
        run=stored,
        matches=match_run(stored, iou),
        class_thresholds=thresholds,
        counted_classes=None,
        manifest=stored.manifest,
    )
    chosen = [(i, row) for i in places for row in _chosen(stored, i, objects.rows_of(s, i), object)]
    for i in places:
        if all(i != place for place, _ in chosen):
            say(
                f"Nothing is missed or wrong in {stored.sample_ids[i]} at threshold {threshold:g}; name an"
                " object with --object."
            )
    detector = detector_of(stored, "only confidence maps can be drawn, from the detections the run kept")
    if rather_than is not None and method is None:
        method = ["d_rise"]
    if rather_than is not None and not {"d_rise", "integrated_gradients"}.issuperset(method or ()):
        raise InputError(
            "--rather-than: expected --method d_rise or integrated_gradients with it, which show evidence"
            f" against too, got {', '.join(method or ())}."
        )
    if side is not None and (side not in ("all", *SIDES) or rather_than is not None):
        raise InputError(
            f"--side: expected all, {', '.join(SIDES)}, without --rather-than, got"
            f" {side!r}{' with it' if rather_than is not None else ''}."
        )
    if side is not None and method is None:
        method = ["d_rise"]
    methods = method or ["confidence_map", *(_first_possible(detector) if detector is not None else [])]
    if detector is None and methods != ["confidence_map"]:
        raise UnavailableError(
            "Evidence has to be asked of the run's detector, and it cannot be had; --method confidence_map"
            " works without it."
        )
    question = Question(rather_than or "", side)
    out.mkdir(parents=True, exist_ok=True)
    results = []
    with progress_bar("Heat maps") as update:
        total = len(chosen) * len(methods)
        for k, (i, row) in enumerate(chosen):
            for m, name in enumerate(methods):
                update(k * len(methods) + m, total)
                results.append(
                    _one(
                        s,
                        detector,
                        i,
                        row,
                        name,
                        out,
                        threshold=float(thresholds[stored.class_map.index(row.name)]),
                        check=check,
                        question=Question() if name == "confidence_map" else question,
                        settings={"masks": masks, "seed": seed} if name == "d_rise" else {},
                    )
                )
        update(total, total)
    if json:
        print_json({"images": [stored.sample_ids[i] for i in places], "maps": results})
        return
    for result in results:
        prefix = f"{result['image']}\t" if len(places) > 1 else ""
        print(
            prefix
            + "\t".join(
                str(value)
                for value in (
                    result["object"],
                    result["class"],
                    result["verdict"],
                    result["method"],
                    result["png"] or " ".join(result["words"]),
                )
            )
        )
        for line in (
            result["words"] if result["png"] else ()
        ):  # without a map its words are the reason, on the line itself
            print(f"  {line}")
    if results and all(result.get("impossible") for result in results):
        raise typer.Exit(1)


def _first_possible(detector: Any) -> list[str]:
    from analysis.saliency.methods import offers

    possible = [o.method for o in offers(detector.info) if o.possible]
    if not possible:
        say(offers(detector.info)[0].reason)
    return possible[:1]


def _chosen(stored: Any, i: int, rows: list[Row], wanted: list[str] | None) -> list[Row]:
    """The lines of the image's list that were asked for.

    Raises:
        InputError: there is none of this name; the message lists them.
    """
    if not wanted:
        return [r for r in rows if r.verdict in ("missed", "wrong")]
    from app.model.heat_map_files import object_name

    by_name = {object_name(stored, i, row): row for row in rows}
    chosen = []
    for text in wanted:
        row = by_name.get(text)
        if row is None and text.isdigit() and int(text) < len(rows):
            row = rows[int(text)]
        if row is None:
            known = ", ".join(
                f"{name} ({row.verdict} {row.name})" for name, row in list(by_name.items())[:12]
            )
            raise InputError(
                f"--object {text}: expected one of this image's: {known or 'it has none at this threshold'}."
            )
        chosen.append(row)
    return chosen


def _one(
    s: Any,
    detector: Any,
    i: int,
    row: Row,
    method: str,
    out: Path,
    *,
    threshold: float,
    check: bool,
    settings: dict[str, Any],
    question: Question,
) -> dict[str, Any]:
    from analysis.saliency.picture import figures, reading
    from app.model import heat_map_files
    from app.model.heat_map_job import HeatMapJob
    from app.model.questions import asked_of, rival_of

    run = s.run
    picture, name = run.load_image(i), heat_map_files.object_name(run, i, row)
    result: dict[str, Any] = {
        "image": run.sample_ids[i],
        "object": name,
        "class": row.name,
        "verdict": row.verdict,
        "method": method,
        "png": None,
        "words": [],
    }
    try:
        asked = asked_of(s, i, row)
        if method == "confidence_map":
            heat, verdict = _confidence(s, detector, i, picture, asked), None
        else:
            rival = rival_of(s, question.rival) if question.rival else None
            job = HeatMapJob(
                detector,
                picture,
                asked.arguments,
                method,
                check=check,
                settings=settings,
                rival=rival,
                side=question.side,
            )
            while (progress := job.step()).stage != "done":
                pass
            heat, verdict = progress.heat, progress.verdict
    except CapabilityError as error:  # said beside the maps that could be made
        return result | {"words": [error.message], "impossible": True}
    file = heat_map_files.write(out, run, i, row, asked, question, picture, heat, verdict, threshold)
    facts = heat_map_files.facts_of(run, i, row, question, heat, verdict, threshold)
    how = [reading(heat, row.name, question.rival)] if method != "confidence_map" else []
    words = [figures(heat), *how, *heat.notes, *([verdict.sentence()] if verdict else [])]
    paths = {"png": str(file.with_suffix(".png")), "npy": str(file.with_suffix(".npy"))}
    return (
        result
        | paths
        | {
            "words": words,
            **{k: facts[k] for k in ("value", "reliability", "completeness_error", "faithfulness")},
        }
    )


def _confidence(s: Any, detector: Any, i: int, picture: Any, asked: Any) -> HeatMap:
    """From candidates where the detector shows them, else from the detections the run kept."""
    import time

    from analysis.saliency.confidence import confidence_map
    from analysis.saliency.heatmap import HeatMap

    started, size = time.perf_counter(), (picture.shape[1], picture.shape[0])
    if detector is not None and "candidates" in detector.info.capabilities:
        values, forwards, notes = (
            confidence_map(
                detector.candidates([picture])[0], class_ids=asked.arguments["class_id"], image_size=size
            ),
            1,
            (),
        )
    else:
        values, forwards = (
            confidence_map(s.run.detections_of(i), class_ids=asked.class_id, image_size=size),
            0,
        )
        notes = (
            (
                f"From the detections the run kept, down to {s.manifest.floor:g}: what suppression or a score"
                " cut took away is not in it."
            ),
        )
    return HeatMap(
        "confidence_map",
        values,
        size,
        "confidence",
        forwards=forwards,
        seconds=time.perf_counter() - started,
        notes=notes,
    )
