"""Kept and broken expectations (objects tagged must-detect, ok-to-miss, label-wrong) of one run or two."""

from __future__ import annotations

from typing import Any

import streamlit as st

from analysis.fiftyone.pull.expectations import (
    Outcome,
    check_expectations,
    expectations_file,
    load_expectations,
)
from app.frame import state

MARKS = {"broken": "✕ broken", "kept": "✓ kept", "excused": "· excused", "lost": "? lost"}


def expectation_rows(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """One row per expectation, the broken ones first."""
    order = list(MARKS)
    rows = [
        {
            "promise": o.promise.promise,
            "state": MARKS[o.state],
            "image": o.promise.sample_id,
            "class": o.promise.label,
            "best score": None if o.score < 0 else o.score,
        }
        for o in sorted(outcomes, key=lambda o: order.index(o.state))
    ]
    return rows


def expectations_section(
    s: state.Shared, *, after: Any = None, cuts_after: Any = None, iou_after: float | None = None
) -> None:
    """Kept and broken expectations of a run; with a second side, of both. Draws nothing where there are
    none.
    """
    expectations = load_expectations(expectations_file(s.manifest.dataset.source))
    if not expectations:
        return
    sides = [("this run", check_expectations(s.run, expectations, s.thresholds, s.iou))]
    if after is not None:
        sides.append(
            (
                "after",
                check_expectations(
                    after,
                    expectations,
                    s.thresholds if cuts_after is None else cuts_after,
                    iou_after or s.iou,
                ),
            )
        )
    st.subheader(
        "Promises",
        help=(
            "Objects tagged must-detect, ok-to-miss or label-wrong in FiftyOne. `boxscope check` fails on a"
            " broken one."
        ),
    )
    for name, outcomes in sides:
        states = {word: sum(o.state == word for o in outcomes) for word in MARKS}
        st.caption(f"{name}: " + " · ".join(f"{n} {word}" for word, n in states.items() if n))
    if len(sides) == 1:
        st.dataframe(expectation_rows(sides[0][1]), width="stretch", hide_index=True)
        return
    rows = [
        {
            "promise": a.promise.promise,
            "image": a.promise.sample_id,
            "class": a.promise.label,
            "before": MARKS[a.state],
            "after": MARKS[b.state],
        }
        for a, b in zip(sides[0][1], sides[1][1])
    ]
    st.dataframe(
        sorted(rows, key=lambda r: (r["before"] == r["after"], r["after"])), width="stretch", hide_index=True
    )
