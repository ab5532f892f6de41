"""The command about labels that are probably wrong: list them, take decisions home, write a queue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.commands.common import (
    IouOption,
    JsonFlag,
    RunArgument,
    ThresholdOption,
    percent,
    plural,
    print_json,
    say,
)
from app.files.run_list import read_run
from detector.errors import InputError


def register(app: typer.Typer) -> None:
    app.command("suspects", rich_help_panel="Analysis")(suspects)


def suspects(
    run: RunArgument,
    kind: Annotated[
        str | None,
        typer.Option(help='Only "wrong name", "badly placed", missing, spurious or duplicate.'),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Print at most this many.")] = 50,
    threshold: ThresholdOption = 0.5,
    iou: IouOption = 0.5,
    queue: Annotated[
        Path | None,
        typer.Option(
            help="Write them here: .csv, .json (COCO, for CVAT and FiftyOne) or tasks for Label Studio."
        ),
    ] = None,
    queue_format: Annotated[
        str | None, typer.Option(help="csv, coco or labelstudio, where the file's ending does not tell.")
    ] = None,
    decisions: Annotated[
        Path | None, typer.Option(help="Take the decisions of a filled-in CSV queue home into the run.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Labels that are probably wrong, the most suspicious first: wrong name, badly placed, missing, spurious,
    duplicate.
    """
    from analysis.suspects.decisions import decide, list_precision, load_decisions
    from analysis.suspects.finding import find_suspects
    from analysis.suspects.planting import KINDS
    from analysis.suspects.queue import read_queue, write_queue

    if kind is not None and kind not in KINDS:
        raise InputError(f"--kind: expected one of {', '.join(KINDS)}, got {kind!r}.")
    stored = read_run(run)
    found = find_suspects(stored, threshold=threshold, iou=iou)
    if decisions is not None:
        by_key = {s.key: s for s in found.suspects}
        given = read_queue(decisions)
        for key, decision in given.items():
            if key in by_key:
                decide(stored.path, by_key[key], decision)
        unknown = sum(key not in by_key for key in given)
        say(
            f"{len(given) - unknown} {plural(len(given) - unknown, 'decision')} taken home, {unknown} of no"
            " suspect here"
        )
    kept = load_decisions(stored.path)
    chosen = found.of(kind)
    if queue is not None:
        how = queue_format or {".csv": "csv", ".json": "coco"}.get(queue.suffix.lower(), "csv")
        write_queue(stored, chosen, kept, queue, how)
        say(f"{len(chosen)} {plural(len(chosen), 'suspect')} written to {queue} as {how}")
    if json:
        listed = [s.to_dict() | {"decision": kept.get(s.key, {}).get("decision")} for s in chosen]
        print_json(found.to_dict() | {"suspects": listed, "precision": vars(list_precision(kept, kind))})
        return
    for s in chosen[:limit]:
        decided = kept.get(s.key, {}).get("decision", "")
        box = " ".join(f"{v:.0f}" for v in s.xyxy)
        print(
            f"{s.suspicion:.2f}\t{s.kind}\t{s.sample}\t{box}\t{s.reason}{f' [{decided}]' if decided else ''}"
        )
    if found.warning:
        say(found.warning)
    say(
        f"{len(chosen)} {plural(len(chosen), 'suspect')} among {found.labels:,}"
        f" {plural(found.labels, 'label')}: " + ", ".join(f"{n} {name}" for name, n in found.counts().items())
    )
    say(
        f"recall at confidence {threshold:g}: {percent(found.recall_now)} today, {percent(found.recall_then)}"
        " if every suspicion is right"
    )
    say(f"of your decisions: {list_precision(kept, kind)}")
