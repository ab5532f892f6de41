"""A run's report: one HTML file that needs nothing else, and its tables as CSV and COCO json beside it.

    report = build_report(run, threshold=0.5)
    report.write("report.html")      # and report-classes.csv, report-slices.csv, ... , report-mistakes.json

Everything holds at one operating point, which stands under each figure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from analysis.csv_text import csv_text
from analysis.matching.counts import counts, image_counts
from analysis.matching.match import match_run
from analysis.matching.matches import Matches
from analysis.matching.operating_point import Threshold, operating_point
from analysis.metrics.evaluate import evaluate
from analysis.mistakes.box_lists import as_coco, as_csv, every_mistake
from analysis.mistakes.confusion import Confusions, background_label
from analysis.mistakes.errors import KINDS, NOT_ADDITIVE, SENTENCES, find_errors
from analysis.mistakes.slices import Slices, slice_run
from analysis.report import html as page
from analysis.report.figures import picture, vector
from analysis.runs.store import Run
from analysis.thresholds.calibration import run_reliability
from analysis.thresholds.curves import best_f1, exact_curve, suggest
from detector.errors import InputError
from detector.paths import write_atomically

FEW = 20
"""Parts of fewer objects than this are too few to judge and stand in the CSV file alone."""


@dataclass(frozen=True, eq=False)
class Report:
    """The page, and the tables by the name of their file's ending.

    Args:
        html: the whole page.
        tables: "classes.csv" -> text, ...; `mistakes.json` is COCO json.
    """

    html: str
    tables: dict[str, str]

    def write(self, out: str | Path) -> list[Path]:
        """Write the page to `out` and each table beside it as `<stem>-<name>`; returns the paths, the page
        first.
        """
        out = page_path(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        paths = [out]
        for name, text in self.tables.items():
            paths.append(out.with_name(f"{out.stem}-{name}"))
            write_atomically(paths[-1], text.encode("utf-8", "surrogateescape"))
        write_atomically(out, self.html.encode("utf-8", "replace"))
        return paths


def page_path(out: str | Path) -> Path:
    """The page's file.

    Raises:
        InputError: its name does not end in .html.
    """
    out = Path(out)
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"report: expected a file name that ends in .html, got {out}.")
    return out


def build_report(
    run: Run,
    threshold: Threshold = 0.5,
    *,
    iou: float = 0.5,
    matches: Matches | None = None,
    worst: int = 8,
    pictures: bool = True,
    words: str = "",
) -> Report:
    """Evaluate a run and lay it out.

    Args:
        run: a Run with at least one labelled image that detection has finished on.
        threshold: one number, or one per class.
        matches: class-aware matches of this run at this IoU, to save time.
        worst: how many of the worst images are shown; pictures: whether they are (their files are read).
        words: said after every operating point, e.g. that scores are calibrated.

    Raises:
        InputError: nothing can be judged.
    """
    if not run.usable.any():
        raise InputError(
            "report: expected a run with ground truth; no image of it is labelled, read and finished."
        )
    m = match_run(run, iou) if matches is None else matches
    point = operating_point(run, threshold, iou=iou)
    note = f"{point}{f' · {words}' if words else ''}"
    c, evaluation, errors = (
        counts(m, threshold),
        evaluate(run),
        find_errors(run, iou=iou, matches=m, background_iou=min(0.1, iou / 2)),
    )
    confusion, slices = Confusions(run, iou, m).at(threshold), slice_run(run, threshold, iou=iou, matches=m)
    overall, by_class = suggest(m, best_f1, floor=run.manifest.floor)
    reliability, class_reliability = run_reliability(m)
    names = run.class_map.names
    classes = _class_table(names, c, evaluation, by_class, class_reliability)
    kinds = _kind_table(errors, threshold)
    confused = [
        {"object": names[t], "taken for": names[p], "boxes": n} for t, p, n in confusion.most_confused(15)
    ]
    parts = _slice_table(slices)
    mistakes = every_mistake(run, m, threshold)

    about = str(replace(point, threshold=0.0)).split(" · ", 1)[1] + (f" · {words}" if words else "")
    figures = _figures(
        errors,
        exact_curve(m),
        confusion,
        reliability,
        names,
        note,
        about,
        float(np.median(np.asarray(threshold))) if np.ndim(threshold) else float(threshold),
        np.ndim(threshold) > 0,
    )
    rows = (
        np.argsort(-(image_counts(m, threshold).fn + image_counts(m, threshold).fp), kind="stable")[:worst]
        if pictures
        else []
    )
    html = page.layout(
        run,
        note,
        head=_head(run, c, evaluation),
        sections=[
            page.section(
                "Average precision",
                page.figures(evaluation.figures),
                page.small(f"{evaluation.operating_point}. The confidence threshold does not enter."),
                *map(page.small, evaluation.notes),
            ),
            page.section(
                "Kinds of mistakes",
                page.paragraph(_dearest(errors)),
                figures["errors"],
                page.table(kinds),
                page.small(NOT_ADDITIVE),
            ),
            page.section(
                "Confusion",
                figures["confusion"],
                (
                    page.table(confused)
                    if confused
                    else page.paragraph("No class was taken for another at this operating point.")
                ),
                page.small(
                    "Objects down, predictions across; the last row is false positives on background, the"
                    " last column missed objects."
                ),
            ),
            page.section(
                "Parts of the data",
                page.paragraph(_worst_words(slices)),
                page.table([row for row in parts if row["objects"] >= FEW]),
                page.small(
                    f"Recall with {slices.confidence:.0%} intervals, bootstrap over images, {slices.samples}"
                    f" resamples, seed {slices.seed}. Parts marked ◆ have an interval that lies wholly below"
                    f" everything's recall. Parts of fewer than {FEW} objects stand in slices.csv alone."
                ),
            ),
            page.section(
                "Thresholds",
                page.beside(figures["curves"], figures["pr"]),
                page.paragraph(_suggestion(overall)),
            ),
            page.section(
                "Calibration",
                figures["reliability"],
                page.small("About every judged detection from the score floor on, whatever the threshold."),
            ),
            page.section(
                "Classes",
                page.table(classes),
                page.small(
                    f"{note}. Precision, recall and F1 at this point; AP and AP50 over all scores; best F1:"
                    " the threshold that would give it, chosen on this data."
                ),
            ),
            *(
                [
                    page.section(
                        "Worst images",
                        *[picture(run, int(i), threshold, iou) for i in rows],
                        page.small(
                            "Most mistakes first. Solid: predictions; dashed: ground truth. ✓ correct, ✗"
                            " wrong (false positive), ○ missed (false negative), • duplicate or ignored."
                        ),
                    )
                ]
                if pictures
                else []
            ),
            page.section("What was left out", *_left_out(run, evaluation)),
            page.section("Settings, versions, hashes", page.settings(run, evaluation, point)),
        ],
    )
    tables = {
        "classes.csv": page.table_csv(classes),
        "errors.csv": page.table_csv(kinds),
        "slices.csv": page.table_csv(parts),
        "confusion.csv": matrix_csv(confusion.matrix, names),
        "mistakes.csv": as_csv(run, mistakes, point),
        "mistakes.json": json.dumps(as_coco(run, mistakes, point)),
        "evaluation.json": json.dumps(
            evaluation.to_dict()
            | {
                "at_operating_point": c.to_dict() | {"operating_point": point.to_dict(run.class_map)},
                "errors": errors.to_dict(),
                "slices": slices.to_dict(),
            },
            indent=1,
        ),
    }
    return Report(html, tables)


def _figures(errors, curve, confusion, reliability, names, note, about, threshold, several) -> dict[str, str]:
    from analysis.report import charts

    drawn = None if several else threshold
    return {
        "errors": vector(
            charts.plot_errors(errors, about), "Kinds of mistakes and what fixing each adds to AP"
        ),
        "confusion": vector(charts.plot_confusion(confusion, names, note, most=14), "Confusion matrix"),
        "curves": vector(charts.plot_curves(curve, note, drawn), "Precision, recall and F1 over confidence"),
        "pr": vector(charts.plot_precision_recall(curve, note, drawn), "Precision over recall"),
        "reliability": vector(charts.plot_reliability(reliability, about), "Reliability diagram"),
    }


def _head(run: Run, c: Any, evaluation: Any) -> list[tuple[str, str, str]]:
    def rate(value: float) -> str:
        return "–" if np.isnan(value) else f"{100 * value:.1f} %"

    def figure(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return [
        ("objects", f"{c.objects:,}", f"in {int(run.usable.sum()):,} images"),
        ("correct", f"{c.tp:,}", "true positives"),
        ("wrong", f"{c.fp:,}", "false positives"),
        ("missed", f"{c.fn:,}", "false negatives"),
        ("precision", rate(c.precision), "correct of judged"),
        ("recall", rate(c.recall), "found of objects"),
        ("F1", rate(c.f1), ""),
        ("AP", figure(evaluation["AP"]), "IoU 0.50:0.95"),
    ]


def _class_table(names, c, evaluation, by_class, reliability) -> list[dict[str, Any]]:
    rows = []
    p = c.per_class
    for k in np.argsort(-p.objects, kind="stable").tolist():
        if not p.objects[k] and not p.tp[k] + p.fp[k]:
            continue
        of = evaluation.per_class.get(names[k], {})
        rows.append(
            {
                "class": names[k],
                "objects": int(p.objects[k]),
                "correct": int(p.tp[k]),
                "wrong": int(p.fp[k]),
                "missed": int(p.fn[k]),
                "precision": _share(p.precision[k]),
                "recall": _share(p.recall[k]),
                "F1": _share(p.f1[k]),
                "AP": of.get("AP"),
                "AP50": of.get("AP50"),
                "best F1 at": by_class[k].threshold,
                "ECE": reliability[k].ece,
            }
        )
    return rows


def _share(value: float) -> page.Percent | None:
    return None if np.isnan(value) else page.Percent(value)


def _kind_table(errors, threshold) -> list[dict[str, Any]]:
    dets, objects = errors.at(threshold)
    out = []
    for code, kind in enumerate(KINDS, 1):
        column = objects if kind == "missed" else dets
        out.append(
            {
                "kind": kind,
                "at this threshold": int((column == code).sum()),
                "at any stored score": errors.counts[kind],
                "fixing adds to AP": errors.dap[kind],
                "means": SENTENCES[kind],
            }
        )
    return out


def _dearest(errors) -> str:
    top = max(KINDS, key=lambda kind: errors.dap[kind])
    what = "missed objects" if top == "missed" else f"{top} mistakes"
    return (
        f"Most is lost to {what}: fixing all of them would raise AP at IoU {errors.matches.iou:.2f} from"
        f" {errors.ap:.3f} to {errors.ap + errors.dap[top]:.3f}."
    )


def _slice_table(slices: Slices) -> list[dict[str, Any]]:
    low = set(slices.worst(len(slices.slices), FEW))
    kept = [
        s
        for s in [
            slices.whole,
            *sorted(slices.slices, key=lambda s: (s not in low, s.group == "class", s.recall or 0.0)),
        ]
        if s.recall is not None
    ]
    return [
        {
            "": "◆" if s in low else "",
            "part": "everything" if s is slices.whole else s.label,
            "images": s.images,
            "objects": s.objects,
            "found": s.found,
            "recall": page.Percent(s.recall),
            "from": page.Percent(s.recall_interval[0]),
            "to": page.Percent(s.recall_interval[1]),
            "precision": None if s.precision is None else page.Percent(s.precision),
        }
        for s in kept
    ]


def _worst_words(slices: Slices) -> str:
    worst = slices.worst(3)
    if not worst:
        return "No part of the data has a significantly lower recall than the rest."
    return (
        "Significantly lower recall than overall: "
        + "; ".join(
            f"{s.label} ({s.recall:.1%}, {s.recall_interval[0]:.0%} to {s.recall_interval[1]:.0%})"
            for s in worst
        )
        + "."
    )


def _suggestion(overall) -> str:
    if overall.threshold is None:
        return f"No threshold can be suggested: {overall.reason}."
    return (
        f"F1 is best at {overall.threshold:g}: {overall.tp:,} correct, {overall.fp:,} wrong, {overall.fn:,}"
        f" missed (F1 {overall.f1:.1%}). It was chosen on the data it is judged on, which flatters it a"
        " little."
    )


def _left_out(run: Run, evaluation: Any) -> list[Markup]:
    from detector.data.dataset import count_problems

    out = []
    missing = len(run) - int(run.usable.sum())
    if missing:
        out.append(
            page.paragraph(
                f"{missing:,} of {len(run):,} images take no part: {int((~run.labelled).sum()):,} are not"
                f" labelled, {int((~run.done).sum()):,} not finished, {len(run.failed):,} could not be read."
            )
        )
    if evaluation.crowd:
        out.append(
            page.paragraph(
                f"{evaluation.crowd:,} regions are ignored (crowds): detections on them are neither right nor"
                " wrong."
            )
        )
    if run.problems:
        out.append(
            page.table([{"problem": kind, "times": n} for kind, n in count_problems(run.problems).items()])
        )
    return out or [page.paragraph("Nothing.")]


def matrix_csv(matrix: np.ndarray, names: tuple[str, ...]) -> str:
    labels = [*names, background_label(names)]
    rows = ([label, *row] for label, row in zip(labels, matrix.tolist()))
    return csv_text(["object \\ detection", *labels], rows)
