"""`boxscope why`: what ended each missed object, what would bring it back, and what that costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import (
    IouOption,
    JsonFlag,
    RunArgument,
    ThresholdOption,
    ThresholdsOption,
    class_thresholds,
    percent,
    plural,
    print_json,
    progress_bar,
)
from app.files.run_list import read_run
from app.model.run_detector import detector_of
from app.terminal import say
from detector.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.misses.prices import Rescue
    from analysis.misses.retries import Retry
    from analysis.misses.run import Autopsy
    from analysis.runs.store import Run
    from detector.core import Candidates, Detector


def register(app: typer.Typer) -> None:
    app.command("why", rich_help_panel="Analysis")(why)


def why(
    run: RunArgument,
    image: Annotated[
        str | None,
        typer.Option(
            help="A sample id: only its misses, with the detector's candidates where it can be loaded."
        ),
    ] = None,
    threshold: ThresholdOption = 0.5,
    thresholds: ThresholdsOption = None,
    iou: IouOption = 0.5,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help=(
                "Ask the detector for its candidates of every image: exact verdicts and prices, as slow as"
                " detecting anew."
            ),
        ),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help=(
                "With --image: also look for its misses in crops, with more contrast, with neighbours hidden."
            ),
        ),
    ] = False,
    price_retries: Annotated[
        bool,
        typer.Option(
            "--price-again",
            help=(
                "Run the network again over every judged image, with more contrast and with 1.6 times the"
                " input size: what each would do to the whole set. Six times as slow as detecting anew."
            ),
        ),
    ] = False,
    cause: Annotated[str | None, typer.Option(help="Only misses of this cause.")] = None,
    most: Annotated[
        int, typer.Option(min=0, help="Print at most this many misses; JSON holds them all.")
    ] = 50,
    json: JsonFlag = False,
) -> None:
    """Why objects were missed: one sentence a miss, the change that brings it back and its price, the best
    changes to make next.
    """
    import numpy as np

    from analysis import autopsy
    from analysis.matching.match import match_run

    if again and image is None:
        raise InputError("--again runs the network again on one image: give --image ID with it.")
    stored = read_run(run)
    if not stored.usable.any():
        raise InputError(
            f"{stored.name}: expected images with ground truth, found none; nobody can say what was missed."
        )
    position = None if image is None else stored.position(image)
    if position is not None and not stored.usable[position]:
        reason = stored.failed.get(
            str(image),
            "it has no ground truth" if stored.done[position] else "detection has not reached it yet",
        )
        raise InputError(f"{image} cannot be judged: {reason}.")
    operating_threshold = class_thresholds(threshold, thresholds, stored)
    matches = match_run(stored, iou)
    if image is None and not exact:
        found = autopsy(stored, operating_threshold, iou, matches=matches)
    else:
        images = np.flatnonzero(matches.judged).tolist() if exact else [position]
        detector = detector_of(stored)
        source = _candidates_of(stored, detector)
        with progress_bar("Asking the detector") as update:
            asked = None if source is None else _counted(source, len(images), update)
            found = autopsy(
                stored, operating_threshold, iou, matches=matches, candidates=asked, images=images
            )
    if price_retries and image is None and not exact:
        detector = detector_of(stored)
    anew = _price_again(found, detector) if price_retries and detector is not None else []
    chosen = np.arange(len(found)) if cause is None else found.of(cause)
    tries: dict[int, list[Retry]] = {}
    if position is not None:
        chosen = chosen[found.rows[chosen] == position]
        if again and detector is not None:
            tries = _again(found, detector, position, chosen.tolist())
    if json:
        value = found.to_dict(chosen.tolist(), proofs=image is not None)
        value |= {"images_replayed": len(found.replays), "images_shown": len(found.shown)}
        value["again"] = [r.to_dict(stored.class_map.names) for r in anew]
        if position in found.replays:
            from analysis.misses.suppressors import graph_of

            replay = found.replays[position]
            value["suppressor_graph"] = graph_of(replay, float(found.thresholds.min())).to_dict(
                stored.class_map.names
            )
        for entry, q in zip(value["misses"], chosen.tolist()):
            if q in tries:
                entry["again"] = [t.to_dict() for t in tries[q]]
        print_json(value)
        return
    _print(found, chosen.tolist(), most, proofs=image is not None, summary=image is None, tries=tries)
    for rescue in anew:
        say(f"  F1 {percent(rescue.f1)}: {rescue.sentence(stored.class_map.names)}")


def _candidates_of(stored: Run, detector: Detector | None) -> Callable[[int], Candidates] | None:
    """Its candidates by image position; says so where it shows none."""
    if detector is None:
        return None
    if "candidates" not in detector.info.capabilities:
        say(
            f"{detector.info.name} does not show its candidates: the verdicts rest on the detections the run"
            " kept."
        )
        return None
    return lambda i: detector.candidates([stored.load_image(i)])[0]


def _price_again(found: Autopsy, detector: Detector) -> list[Rescue]:
    """The prices of running the network again, over every judged image of the run."""
    from analysis.misses.retry_prices import RETRIES, price_retries

    run, prices = found.run, []
    own = [link.class_id for link in run.manifest.classes.links]
    for change in RETRIES:
        with progress_bar(f"Detecting anew, {change}") as update:
            prices.append(
                price_retries(
                    change, detector.detect, run, found.matches, found.thresholds, own, progress=update
                )
            )
    return prices


def _again(found: Autopsy, detector: Detector, position: int, chosen: list[int]) -> dict[int, list[Retry]]:
    """The misses of one image looked for in changed pictures; those of a class the detector lacks are left
    out.
    """
    import numpy as np

    from analysis.misses.retries import retry

    run, image = found.run, found.run.load_image(position)
    own = {link.class_id: k for k, link in enumerate(run.manifest.classes.links)}
    rows = np.arange(run.truth_offsets[position], run.truth_offsets[position + 1])
    tries = {}
    for q in chosen:
        j = int(found.evidence.truth[q])
        c = int(run.truth.class_ids[j])
        if c in own:
            others = run.truth.xyxy[rows[rows != j]]
            tries[q] = retry(
                detector.detect,
                image,
                run.truth.xyxy[j],
                own[c],
                threshold=float(found.thresholds[c]),
                bound=found.matches.iou,
                others=others,
            )
    return tries


def _counted(source: Callable[[int], Any], total: int, update: Callable[..., None]) -> Callable[[int], Any]:
    done = 0

    def ask(i: int) -> Any:
        nonlocal done
        done += 1
        update(done, total)
        return source(i)

    return ask


def _print(
    found: Autopsy,
    chosen: list[int],
    most: int,
    *,
    proofs: bool,
    summary: bool,
    tries: dict[int, list[Retry]],
) -> None:
    run, names = found.run, found.run.class_map.names
    for q in chosen[:most]:
        t = int(found.evidence.truth[q])
        print(
            f"{run.sample_ids[int(found.rows[q])]}\t{run.truth.ids[t]}\t{names[run.truth.class_ids[t]]}\t{found.causes[q]}\t{found.sentence(q)}"
        )
        if proofs:
            proof = found.proof(q)
            print(f"  {'proof' if proof.holds else 'NOT PROVED'}: {proof.sentence()}")
        for rescue in found.rescues(q)[: 3 if proofs else 1]:
            print(f"  rescue: {rescue.sentence(names)}")
        for t in tries.get(q, ()):
            what = (
                f"{'found' if t.found else 'still below the threshold'}, score {t.score:.2f}, IoU {t.iou:.2f}"
                if t.score >= 0
                else "nothing fits it"
            )
            print(f"  again: {t.change}: {what}")
    if len(chosen) > most:
        say(f"... {len(chosen) - most:,} more (--most {len(chosen)}, or --json for all)")
    if found.shown:
        how = {
            "replay": "post-processing replayed exactly",
            "candidates": "from the network's candidates",
            "run": "from stored detections",
        }
        tiers = [found.tier(q) for q in chosen]
        say(
            "verdicts: "
            + ", ".join(f"{tiers.count(tier):,} {words}" for tier, words in how.items() if tier in tiers)
            if tiers
            else "no misses here"
        )
    if summary:
        from analysis.matching.counts import counts

        now = counts(found.matches, found.thresholds)
        say(f"{len(found):,} of {now.objects:,} {plural(now.objects, 'object')} missed at {found.point}")
        for name, n in found.counts().items():
            if n:
                say(f"  {n:>6,}  {name}")
        changes = found.best_changes(5)
        if changes:
            say(f"best changes to make next (F1 now {percent(now.f1)}):")
            for rescue in changes:
                say(f"  F1 {percent(rescue.f1)}: {rescue.sentence(names)}")
