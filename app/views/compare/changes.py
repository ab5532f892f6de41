"""What the Compare page lists: flips as columns, by class and by part of the data. No Streamlit."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.csv_text import csv_text
from analysis.mistakes.compare import Comparison
from analysis.queries import object_areas

CHANGES = ("lost", "gained", "moved")
MOVED_SCORE, MOVED_IOU = 0.2, 0.1
"""An object that both sides find has moved when its score or its box's IoU changed by at least this much."""

COLUMNS = (
    "sample",
    "object",
    "class",
    "change",
    "score_before",
    "score_after",
    "iou_before",
    "iou_after",
    "area",
    "x1",
    "y1",
    "x2",
    "y2",
    "before",
    "after",
)


def moved(c: Comparison) -> np.ndarray:
    """bool [Q]: found by both, at another score or with another box."""
    return (c.state == 3) & (
        (np.abs(c.score_a - c.score_b) >= np.float32(MOVED_SCORE))
        | (np.abs(c.iou_a - c.iou_b) >= np.float32(MOVED_IOU))
    )


def of_change(c: Comparison, change: str) -> np.ndarray:
    """bool [Q]: the objects of one of `CHANGES`."""
    return moved(c) if change == "moved" else c.state == {"gained": 1, "lost": 2}[change]


def flips(c: Comparison, changes: tuple[str, ...], within: np.ndarray | None = None) -> np.ndarray:
    """int64 [F], entries of the comparison's objects, the largest change of score first.

    Args:
        within: bool [M] over before's truth table; None for all.
    """
    wanted = np.zeros(len(c.state), bool)
    for change in changes:
        wanted |= of_change(c, change)
    if within is not None:
        wanted &= within[c.objects]
    rows = np.flatnonzero(wanted)
    step = np.abs(np.maximum(c.score_a[rows], 0) - np.maximum(c.score_b[rows], 0))
    return rows[np.argsort(-step, kind="stable")]


def table(c: Comparison, rows: np.ndarray) -> dict[str, Any]:
    """Columns of the flip list for some entries."""
    t, run = c.a.run.truth, c.a.run
    o = c.objects[rows]
    names, ids = np.array(run.class_map.names, object), np.array(run.sample_ids, object)
    state = np.where(c.state[rows] == 1, "gained", np.where(c.state[rows] == 2, "lost", "moved"))

    def scores(values: np.ndarray, side: Any) -> np.ndarray:
        # Two digits that never seem to pass a threshold the score misses.
        v, thresholds = np.where(values[rows] < 0, np.nan, values[rows]), side.threshold[t.class_ids[o]]
        near = np.round(v.astype(float), 2)
        return np.where(
            (v < thresholds) & (near.astype(np.float32) >= thresholds),
            np.floor(v.astype(float) * 100) / 100,
            near,
        )

    return {
        "change": state,
        "image": ids[t.rows[o]],
        "class": names[t.class_ids[o]],
        "before": scores(c.score_a, c.a),
        "after": scores(c.score_b, c.b),
        "IoU before": np.where(c.score_a[rows] < 0, np.nan, c.iou_a[rows]).astype(float),
        "IoU after": np.where(c.score_b[rows] < 0, np.nan, c.iou_b[rows]).astype(float),
        "area": object_areas(t)[o].round(),
    }


def by_part(c: Comparison, parts: dict[tuple[str, str], np.ndarray]) -> list[dict[str, Any]]:
    """Gained and lost in each part of the data, the largest net change first.

    Args:
        parts: (group, name) -> bool [M] over before's truth table.
    """
    out = []
    for (group, name), mask in parts.items():
        states = np.bincount(c.state[mask[c.objects]], minlength=4)
        if states.sum():
            label = name if group == "class" else f"{group}: {name}"
            out.append(
                {
                    "key": (group, name),
                    "part": label,
                    "objects": int(states.sum()),
                    "before": 100 * float(states[2] + states[3]) / states.sum(),
                    "after": 100 * float(states[1] + states[3]) / states.sum(),
                    "gained": int(states[1]),
                    "lost": int(states[2]),
                    "net": int(states[1] - states[2]),
                }
            )
    return sorted(out, key=lambda r: (-abs(r["net"]), -r["gained"] - r["lost"], r["part"]))


def as_csv(c: Comparison, rows: np.ndarray) -> str:
    """The flip list as CSV, both operating points on every line."""
    t, shown = c.a.run.truth, table(c, rows)

    def plain(value: float) -> str:
        return "" if np.isnan(value) else f"{value:.6g}"

    rows_out: list[list] = []
    for k, o in enumerate(c.objects[rows].tolist()):
        rows_out.append(
            [
                shown["image"][k],
                int(t.ids[o]),
                shown["class"][k],
                shown["change"][k],
                *(plain(shown[n][k]) for n in ("before", "after", "IoU before", "IoU after", "area")),
                *(f"{v:.9g}" for v in t.xyxy[o].tolist()),
                str(c.a.point),
                str(c.b.point),
            ]
        )
    return csv_text(COLUMNS, rows_out)


def totals(c: Comparison) -> list[str]:
    """Counts and rates before and after, in words."""
    a, b = c.a.counts, c.b.counts
    out = []
    for words in ("correct", "wrong", "missed"):
        before, after = (
            getattr(side, {"correct": "tp", "wrong": "fp", "missed": "fn"}[words]) for side in (a, b)
        )
        out.append(
            f"{words} {before:,} → **{after:,}**" + (f" ({after - before:+,})" if after != before else "")
        )
    for words in ("precision", "recall", "f1"):
        before, after = getattr(a, words), getattr(b, words)
        shown = ["–" if np.isnan(v) else f"{100 * v:.1f}" for v in (before, after)]
        out.append(f"{'F1' if words == 'f1' else words} {shown[0]} → **{shown[1]} %**")
    return out


def verdict(c: Comparison) -> str:
    """How to read the flips, in one sentence."""
    gained, lost, p = c.gained, c.lost, c.p_value
    if not gained + lost:
        if not c.wrong_change.any():
            return "Not one object changed, and no image has more or fewer false alarms (false positives)."
        return "Not one object changed: what differs is in the false alarms (false positives) alone."
    if c.a.matches is c.b.matches:
        return (
            "A threshold only decides which of the same boxes count, so the flips are what it costs and buys;"
            " no test is made of them."
        )
    if p < 0.05:
        way = "more gained than lost" if gained > lost else "more lost than gained"
        return (
            f"{way[0].upper()}{way[1:]}, and a coin would split {gained + lost:,} flips this unevenly with"
            f" probability {p:.2g} (sign test over objects, which takes them as independent)."
        )
    return (
        f"A coin splits {gained + lost:,} flips this unevenly or more with probability {p:.2f} (sign test"
        " over objects): no sign that one side finds more."
    )
