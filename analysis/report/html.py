"""The parts of a report's page: Jinja templates with text escaped, one style for screen and print, nothing
fetched from anywhere.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis.csv_text import csv_text
from analysis.drawing.style import STROKES
from analysis.matching.operating_point import OperatingPoint
from analysis.metrics.evaluation import Evaluation
from analysis.runs.manifest import now
from analysis.runs.store import Run
from detector.errors import BoxscopeError, ImageError

MARKS = {"correct": "✓", "wrong": "✗", "missed": "○"}


class Percent(float):
    """A share in 0..1 that is shown in percent, and written as the share itself."""


def text(value: Any) -> str:
    """How a value stands in a table."""
    if value is None:
        return "–"
    if isinstance(value, Percent):
        return f"{100 * value:.1f} %"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return str(value)


def paragraph(words: str) -> Markup:
    return _part("paragraph", words)


def small(words: str) -> Markup:
    return _part("small", words)


def beside(*parts: Markup) -> Markup:
    return _part("beside", parts)


def section(title: str, *parts: Markup) -> Markup:
    return _part("section", title, parts)


def drawing(svg: str, label: str = "") -> Markup:
    """A vector drawing as a figure; `label` names it for readers who do not see it."""
    return _part("figure", Markup(svg), label)


def finding(severity: str, sentence: str, advice: str, example: str) -> Markup:
    return _part("finding", severity, sentence, advice, example)


def picture(name: str, image: Callable[[], np.ndarray], *, quality: int, size: str = "") -> Markup:
    """An image as a figure that needs no file; where it cannot be read, the reason.

    Args:
        name: stands under the picture.
        image: returns RGB uint8 [H, W, 3].
        quality: of the JPEG, 1..100.
        size: "" for half of the page's width, "third" for a third.
    """
    source = error = ""
    try:
        ok, data = cv2.imencode(".jpg", image()[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not ok:
            raise ImageError("The image could not be made into a JPEG.")
        source = f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"
    except BoxscopeError as problem:
        error = problem.message
    return _part("picture", name, source, error, size)


def table(rows: list[dict[str, Any]]) -> Markup:
    """Rows with the same keys; numbers stand to the right. Without rows: "None."."""
    if not rows:
        return paragraph("None.")
    columns = list(rows[0])
    numeric = [
        c
        for c in columns
        if all(isinstance(r[c], (int, float)) or r[c] is None for r in rows)
        and any(r[c] is not None for r in rows)
    ]
    return _part("table", columns, numeric, [{c: text(row[c]) for c in columns} for row in rows])


def figures(values: dict[str, float | None]) -> Markup:
    """AP, AP50, ... side by side."""
    return numbers([(name, text(value), "") for name, value in values.items()])


def numbers(items: list[tuple[str, str, str]]) -> Markup:
    """Large numbers side by side, from (name, value, note)."""
    return _part(
        "numbers",
        [
            {"name": name, "value": value, "note": note, "mark": MARKS.get(name, "")}
            for name, value, note in items
        ],
    )


def settings(run: Run, evaluation: Evaluation, point: OperatingPoint) -> Markup:
    """What was run on what, by whom, under which settings: everything the manifest knows."""
    m = run.manifest
    rows: list[dict[str, Any]] = [
        {"what": "run", "value": f"{m.name}, {m.state}, {m.created}"},
        {
            "what": "data set",
            "value": (
                f"{m.dataset.name} ({m.dataset.format}), {m.dataset.count:,} images, {m.dataset.objects:,}"
                " objects"
            ),
        },
        {"what": "data set's fingerprint", "value": m.dataset.fingerprint},
        {"what": "detector", "value": f"{m.detector.name} ({m.detector.kind})"},
        {"what": "weights hash", "value": m.detector.weights_hash},
        {"what": "score floor", "value": f"{m.floor:g}"},
        {"what": "operating point", "value": str(point)},
    ]
    rows += [
        {"what": f"detector: {name}", "value": str(value)} for name, value in m.detector.settings.items()
    ]
    rows += [
        {"what": f"evaluation: {name}", "value": str(value)} for name, value in evaluation.settings.items()
    ]
    rows += [{"what": f"version of {name}", "value": str(value)} for name, value in m.versions.items()]
    return table(rows)


def layout(run: Run, note: str, *, head: list[tuple[str, str, str]], sections: list[Markup]) -> str:
    """The page of a run's report."""
    m = run.manifest
    first = small(f"Run {m.name} of {m.created[:16]} · report of {now()[:16]} · Boxscope")
    tag = _part("simulated") if m.detector.simulated else Markup()
    return document(
        f"{m.detector.name} on {m.dataset.name}", first + tag + numbers(head) + small(note), sections
    )


def document(title: str, top: Markup, sections: list[Markup]) -> str:
    """A whole page: its title, HTML under the headline, sections."""
    return (
        _templates()
        .get_template("document.html")
        .render(
            title=title, top=top, sections=sections, colours={name: STROKES[name].colour for name in MARKS}
        )
    )


@cache
def _templates() -> Environment:
    folder = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(loader=folder, autoescape=True, trim_blocks=True, undefined=StrictUndefined)


def _part(name: str, *values: Any) -> Markup:
    """One macro of parts.html."""
    return Markup(getattr(_templates().get_template("parts.html").module, name)(*values))


def table_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV with full numbers; what is undefined is empty."""
    if not rows:
        return ""
    values = ([float(v) if isinstance(v, Percent) else v for v in row.values()] for row in rows)
    return csv_text(list(rows[0]), values)
