"""The command about where to put the threshold: suggested by a rule, or guaranteed on new images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.common import (
    IouOption,
    JsonFlag,
    RunArgument,
    percent,
    plural,
    print_json,
    read_stored,
    say,
)
from detector.errors import InputError

if TYPE_CHECKING:
    from analysis.thresholds.certificates import RunGuarantee
    from analysis.thresholds.curves import Curve, Suggestion
    from analysis.thresholds.guarantee import Goal, Guarantee


def register(app: typer.Typer) -> None:
    app.command("thresholds", rich_help_panel="Analysis")(thresholds)


def thresholds(
    run: RunArgument,
    recall: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Best precision at this recall or more.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Best recall at this precision or more.")
    ] = None,
    false_positives: Annotated[
        float | None,
        typer.Option(min=0.0, help="With --confidence: at most this many wrong detections per image."),
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(help="Guarantee the goal on new images with this confidence, e.g. 0.9."),
    ] = None,
    mean: Annotated[
        bool,
        typer.Option(
            "--mean", help="With --recall: hold the mean recall per image on average, no confidence."
        ),
    ] = False,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="With --confidence: each class keeps the goal.")
    ] = False,
    calibrate_on: Annotated[
        str,
        typer.Option(
            help="With --confidence or --mean: choose on all images, half of them, or a split by name."
        ),
    ] = "all",
    cost_wrong: Annotated[
        float | None,
        typer.Option(min=0.0, help="Cost of a wrong detection; with --cost-missed the least total cost."),
    ] = None,
    cost_missed: Annotated[float | None, typer.Option(min=0.0, help="Cost of a missed object.")] = None,
    iou: IouOption = 0.5,
    save: Annotated[
        Path | None, typer.Option(help="Write the thresholds here as YAML, for --thresholds.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Suggest a confidence threshold for every class: best F1, by the goal given, or with a guarantee."""
    if confidence is not None or mean:
        goal = _goal(recall, precision, false_positives)
        if mean:
            _mean(run, goal, calibrate_on, iou, json)
            return
        _guaranteed(run, goal, confidence, per_class, calibrate_on, iou, save, json)
        return
    if false_positives is not None or per_class or calibrate_on != "all":
        raise InputError(
            "--false-positives, --per-class and --calibrate-on: they need --confidence, e.g. 0.9."
        )
    _suggested(run, *_rule(recall, precision, cost_wrong, cost_missed), iou, save, json)


def _goal(recall: float | None, precision: float | None, false_positives: float | None) -> Goal:
    from analysis.thresholds.guarantee import Goal

    given = {"recall": recall, "precision": precision, "false positives": false_positives}
    named = [(name, value) for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise InputError("expected one goal to guarantee: --recall, --precision or --false-positives.")
    return Goal(*named[0])


def _mean(run: Path, goal: Goal, part: str, iou: float, json: bool) -> None:
    from analysis.matching.match import match_run
    from analysis.thresholds.certificates import calibration_images, mean_recall_threshold
    from analysis.thresholds.guarantee import image_table

    if goal.name != "recall":
        raise InputError("--mean: only a recall can be held on average; precision does not fall steadily.")
    stored = read_stored(run)
    table = image_table(
        match_run(stored, iou=iou), calibration_images(stored, part), floor=stored.manifest.floor
    )
    found = mean_recall_threshold(table, goal.value)
    if json:
        print_json({"goal": "mean recall per image", "value": goal.value, "threshold": found, "iou": iou})
        return
    if found is None:
        print(f"none: no stored threshold holds a mean recall of {goal.value:g}")
        return
    print(f"{found:g}  mean recall per image of at least {goal.value:g}, on average over draws of images")


def _guaranteed(
    run: Path,
    goal: Goal,
    confidence: float,
    per_class: bool,
    part: str,
    iou: float,
    save: Path | None,
    json: bool,
) -> None:
    from analysis.matching.match import match_run
    from analysis.matching.operating_point import operating_point
    from analysis.thresholds.certificates import calibration_images, check_certificate, guarantee_run
    from analysis.thresholds.files import save_thresholds, thresholds_for

    stored = read_stored(run)
    matches = match_run(stored, iou=iou)
    found = guarantee_run(
        matches,
        goal,
        confidence,
        images=calibration_images(stored, part),
        part=part,
        per_class=per_class,
        floor=stored.manifest.floor,
    )
    default, values = found.thresholds(len(stored.class_map))
    file = thresholds_for(
        stored.class_map,
        values,
        operating_point(stored, default, iou=iou),
        default=default,
        rule=f"{goal}, confidence {confidence:g}",
        run=stored.name,
        certificate=found.certificate(stored.class_map, stored) if found.met else None,
    )
    check = check_certificate(stored, matches, file) if found.met and part != "all" else None
    if save is not None and found.met:
        save_thresholds(file, save)
    if json:
        print_json(_guarantee_dict(found, stored.class_map.names, iou, check))
    else:
        _print_guarantee(found, stored.class_map.names)
        if check is not None:
            say(f"on the other images: {check}")
    if save is not None:
        say(
            f"written to {save}; use it with --thresholds"
            if found.met
            else f"nothing written to {save}: nothing can be promised"
        )


def _guarantee_dict(found: RunGuarantee, names: tuple[str, ...], iou: float, check: Any) -> dict[str, Any]:
    return {
        "iou": iou,
        "calibrated_on": found.part,
        "all": None if found.whole is None else found.whole.to_dict(),
        "classes": {names[k]: g.to_dict() for k, g in found.classes.items()},
        "other_images": None if check is None else check.to_dict(),
    }


def _print_guarantee(found: RunGuarantee, names: tuple[str, ...]) -> None:
    rows = {"all classes": found.whole} if found.whole is not None else {}
    rows |= {names[k]: g for k, g in found.classes.items()}
    for name, one in rows.items():
        print(f"{name:<20} {_sentence(one)}")
    promised = [g for g in rows.values() if g.threshold is not None]
    if promised:
        say(f"goal: {found.goal}, on new images, with confidence {found.confidence:.0%}")
        say(f"assumes: {promised[0].assumption}")
    if found.whole is not None and found.whole.forecast:
        more = ", ".join(
            f"{n:,} images {'none' if t is None else format(t, 'g')}" for n, t in found.whole.forecast
        )
        say(f"the threshold with more images like these: {more}")


def _sentence(one: Guarantee) -> str:
    from analysis.thresholds.guarantee import describe_usual

    if one.threshold is None:
        return f"none: {one.reason}"
    return (
        f"{one.threshold:<7g} recall {percent(one.recall)}, precision {percent(one.precision)} on"
        f" {one.images:,} {plural(one.images, 'image')}; {describe_usual(one)}"
    )


def _rule(
    recall: float | None, precision: float | None, cost_wrong: float | None, cost_missed: float | None
) -> tuple[str, Callable[[Curve], Suggestion]]:
    """(its name, the rule) that the options ask for."""
    from analysis.thresholds import curves as rules

    given = [recall is not None, precision is not None, cost_wrong is not None or cost_missed is not None]
    if sum(given) > 1 or (given[2] and (cost_wrong is None or cost_missed is None)):
        raise InputError("expected one goal: --recall, --precision, or --cost-wrong with --cost-missed.")
    if recall is not None:
        return f"recall at least {recall:g}", lambda curve: rules.recall_at_least(curve, recall)
    if precision is not None:
        return f"precision at least {precision:g}", lambda curve: rules.precision_at_least(curve, precision)
    if given[2]:
        name = f"least cost, wrong {cost_wrong:g}, missed {cost_missed:g}"
        return name, lambda curve: rules.least_cost(curve, cost_wrong, cost_missed)
    return "best F1", rules.best_f1


def _suggested(
    run: Path, name: str, rule: Callable[[Curve], Suggestion], iou: float, save: Path | None, json: bool
) -> None:
    import numpy as np

    from analysis.matching.match import match_run
    from analysis.matching.operating_point import operating_point
    from analysis.thresholds import curves as rules
    from analysis.thresholds.files import save_thresholds, thresholds_for

    stored = read_stored(run)
    overall, by_class = rules.suggest(match_run(stored, iou=iou), rule, floor=stored.manifest.floor)
    names = stored.class_map.names
    if save is not None:
        default = 0.5 if overall.threshold is None or not overall.tp else overall.threshold
        thresholds = np.array([default if s.threshold is None else s.threshold for s in by_class], np.float32)
        point = operating_point(stored, default, iou=iou)
        save_thresholds(
            thresholds_for(stored.class_map, thresholds, point, default=default, rule=name, run=stored.name),
            save,
        )
    if json:
        print_json(
            {
                "rule": name,
                "iou": iou,
                "all": overall.to_dict(),
                "classes": {n: s.to_dict() for n, s in zip(names, by_class)},
            }
        )
        return
    for n, s in zip(("all classes", *names), (overall, *by_class)):
        if s.threshold is None:
            print(f"{n:<20} none: {s.reason}")
        else:
            rates = ", ".join(
                f"{what} {percent(value)}"
                for what, value in (("precision", s.precision), ("recall", s.recall), ("F1", s.f1))
            )
            print(f"{n:<20} {s.threshold:.3f}  {s.tp} correct, {s.fp} wrong, {s.fn} missed; {rates}")
    if save is not None:
        kept = sum(s.threshold is None for s in by_class)
        say(
            f"written to {save}; use it with --thresholds"
            + (f"; {kept} without a suggestion keep{'s' if kept == 1 else ''} {default:g}" if kept else "")
        )
