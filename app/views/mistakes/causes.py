"""Causes of misses on the Mistakes page: as rows, as boxes, and the changes that would help most."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.misses.causes import CAUSES, SENTENCES
from analysis.misses.prices import THRESHOLDS
from analysis.mistakes.box_lists import BoxList
from app.frame.misses import autopsy_of, chosen_misses


def cause_rows(s: Any, selected: str | None) -> dict[str, Any]:
    """Causes as rows for `app.viewer.panels.bar_rows`, the most frequent first; those that do not occur are
    left out.
    """
    a = autopsy_of(s)
    found = np.bincount(a.evidence.cause[chosen_misses(s)], minlength=len(CAUSES) + 1)
    total = max(1, int(found.sum()))
    rows = []
    for code in sorted(range(1, len(CAUSES) + 1), key=lambda c: -found[c]):
        n, name = int(found[code]), CAUSES[code - 1]
        if n:
            rows.append(
                {
                    "id": name,
                    "name": name,
                    "note": SENTENCES[name],
                    "verdict": "missed",
                    "count": f"{n:,}",
                    "count_note": "objects",
                    "count_title": f"{n:,} of {total:,} missed objects",
                    "bar": n / total,
                    "value": f"{100 * n / total:.1f} %",
                    "value_note": "of misses",
                    "title": f"Show the {n:,} object{'s' if n != 1 else ''}",
                    "disabled": False,
                }
            )
    return {"head": ["what ended it", "at this threshold", "", "share"], "rows": rows, "selected": selected}


def cause_boxes(s: Any, cause: str) -> BoxList | None:
    """The missed objects of one cause with the detection each verdict rests on; None where there is no such
    cause.
    """
    if cause not in CAUSES:
        return None
    a = autopsy_of(s)
    at = np.intersect1d(a.of(cause), chosen_misses(s))
    e = a.evidence
    order = np.lexsort((e.truth[at], -e.iou[at], -e.score[at]))
    dets = e.det[at][order].astype(np.int64)
    return BoxList(f"missed, {cause}", dets, e.truth[at][order].astype(np.int64), of_objects=True)


def change_rows(s: Any, most: int = 6) -> list[dict[str, Any]]:
    """The best changes to make next, as lines of a table."""
    a = autopsy_of(s)
    names = s.run.class_map.names
    return [
        {
            "change": (
                f"{names[r.class_id] if r.rule == 'class threshold' else 'every class'} from {r.before:.2f}"
                f" to {r.value:g}"
                if r.rule in THRESHOLDS
                else f"{r.rule} {r.value:g}"
            ),
            "objects found": f"+{r.gained:,}",
            "false positives": f"{r.wrong:+,}",
            "precision": _percent(r.precision),
            "recall": _percent(r.recall),
            "F1": _percent(r.f1),
        }
        for r in a.best_changes(most)
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
