"""A training's history as charts: loss and its parts, the held-out figures, learning rate, speed. No
Streamlit here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MOST = 400  # points a line; a screen shows no more
BESIDE = ("step", "time", "figures", "learning_rate", "images_per_second", "hard_negatives", "stage")
"""What stands in a line of history.jsonl beside the loss and its parts."""
WHOLE = ("loss", "regularization")
TALL, LOW = 190, 90  # pixels

Points = list[list[float]]


def charts(
    history: Sequence[Mapping[str, Any]], steps: int, best: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What `app.viewer.panels.line_charts` takes; panels without a point are left out.

    Args:
        history: the lines of history.jsonl; steps: of the whole training, the end of the axis.
        best: {"figure", "value", "step"} of the weights that are kept, ringed in its line.
    """
    logged = [line for line in history if "figures" not in line]
    looks = [{"step": line["step"]} | line["figures"] for line in history if "figures" in line]
    parts = _names(logged, BESIDE)
    figures = _names(looks, ("step",))
    rates = [
        name
        for name in figures
        if all(line.get(name) is None or 0 <= line[name] <= 1 for line in looks) and not _is_loss(name)
    ]
    detail = [name for name in parts if name not in WHOLE]
    apart = bool(detail) and any(
        name in WHOLE for name in parts
    )  # the penalty on the weights would dwarf the parts
    whole = (
        [
            _series(name, i, thinned(_points(logged, name)))
            for i, name in enumerate(n for n in WHOLE if n in parts)
        ]
        if apart
        else []
    )
    losses = [
        _series(name, i, thinned(_points(logged, name))) for i, name in enumerate(detail if apart else parts)
    ]
    losses += [_series(name, 4, _points(looks, name), dots=True) for name in figures if _is_loss(name)]
    judged = [
        _series(
            name,
            i,
            _points(looks, name),
            dots=True,
            best=[best["step"], best["value"]] if best and best["figure"] == name else None,
        )
        for i, name in enumerate(rates)
    ]
    last = max([line["step"] for line in history], default=1)
    panels = [
        _panel("Loss", losses, hi=_ceiling(losses)),
        _panel("Held-out images", judged, hi=1, digits=3),
        _panel("Whole loss", whole, hi=_ceiling(whole), low=True),
        _panel("Learning rate", [_series("", 0, thinned(_points(logged, "learning_rate")))], low=True),
        _panel(
            "Images per second", [_series("", 0, thinned(_points(logged, "images_per_second")))], low=True
        ),
    ]
    shown = [p for p in panels if any(s["points"] for s in p["series"])]
    for height in (TALL, LOW):
        row = [p for p in shown if p["height"] == height]
        for p in row:
            p["span"] = 6 // len(row)
    return {"x": [0, max(steps, last, 1)], "x_name": "step", "panels": shown}


def thinned(points: Points, most: int = MOST) -> Points:
    """The same line with at most `most` points: means of neighbours, the last point as it is."""
    if len(points) <= most:
        return points
    size = math.ceil((len(points) - 1) / (most - 1))
    groups = [points[i : min(i + size, len(points) - 1)] for i in range(0, len(points) - 1, size)]
    return [[sum(p[k] for p in group) / len(group) for k in (0, 1)] for group in groups] + [points[-1]]


def _names(lines: Sequence[Mapping[str, Any]], besides: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(name for line in lines for name in line) if name not in besides]


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> Points:
    return [[line["step"], line[name]] for line in lines if isinstance(line.get(name), (int, float))]


def _is_loss(name: str) -> bool:
    return "loss" in name or "entropy" in name


def _series(
    name: str, colour: int, points: Points, dots: bool = False, best: list[float] | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "colour": colour,
        "points": points,
        "dots": dots or len(points) == 1,
        "scatter": False,
        "best": best,
    }


def _panel(
    title: str, series: list[dict[str, Any]], hi: float | None = None, digits: int = 0, low: bool = False
) -> dict[str, Any]:
    return {
        "title": title,
        "height": LOW if low else TALL,
        "lo": 0,
        "hi": hi,
        "digits": digits,
        "span": 3,
        "series": series,
    }


def _ceiling(series: Sequence[Mapping[str, Any]]) -> float | None:
    """The end of the loss axis: a first few steps that tower over the rest are cut off, the rest is to be
    read.
    """
    values = sorted(y for s in series for _, y in s["points"])
    if len(values) < 20:
        return None
    usual = values[int(0.98 * (len(values) - 1))] * 1.15
    return usual if values[-1] > 2 * usual > 0 else None
