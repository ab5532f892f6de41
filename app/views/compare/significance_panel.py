"""Whether the other run is really better: differences with interval and p-value, and all runs over this data
set.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from analysis.mistakes.compare import Comparison
from analysis.mistakes.significance import METHOD, Difference, Significance, significance, standings
from app.frame import state
from detector.errors import BoxscopeError

FIGURE = st.column_config.NumberColumn(format="%.3f", width=76)
SIGNED = st.column_config.NumberColumn(format="%+.3f", width=84)
P = st.column_config.NumberColumn("p", format="%.2g", width=76)


@st.cache_resource(max_entries=8, show_spinner="Weighing every image")
def _found(key: tuple, _c: Comparison, iou: float) -> Significance | str:
    try:
        return significance(_c.a.run, _c.b.run, threshold=_c.a.threshold, threshold_b=_c.b.threshold, iou=iou)
    except BoxscopeError as error:
        return error.message


@st.cache_resource(max_entries=4, show_spinner="Weighing every image of every run")
def _standings(key: tuple, names: tuple[str, ...], threshold: float, iou: float) -> list | str:
    try:
        runs = [state.run_and_matches(name, iou)[0] for name in names]
        return [row.to_dict() for row in standings(runs, [threshold] * len(runs), iou=iou)]
    except BoxscopeError as error:
        return error.message


def _row(d: Difference, what: str) -> dict[str, Any]:
    return {
        what: d.class_name or d.figure,
        "before": d.a,
        "after": d.b,
        "difference": d.difference,
        "low": d.low,
        "high": d.high,
        "p": d.adjusted,
        "verdict": d.verdict,
    }


def _table(rows: list[dict[str, Any]], key: str) -> None:
    st.dataframe(
        rows,
        key=key,
        hide_index=True,
        width="stretch",
        height=min(31 * len(rows) + 34, 190),
        column_config={
            "before": FIGURE,
            "after": FIGURE,
            "difference": SIGNED,
            "low": SIGNED,
            "high": SIGNED,
            "p": P,
        },
    )


def show(s: state.Shared, c: Comparison, key: tuple) -> None:
    """Draw the differences of one comparison."""
    found = _found(key, c, s.iou)
    if isinstance(found, str):
        st.caption(f"No interval for the difference: {found}")
        return
    sure = [d for d in found.figures if d.verdict != "no evidence"]
    words = ", ".join(f"**{d.figure} {d.verdict}** ({d.difference:+.3f})" for d in sure)
    st.markdown(
        f"Really different on {found.images:,} images: {words}."
        if sure
        else f"No evidence on {found.images:,} images that the two differ in AP, AP50, recall or F1."
    )
    with st.expander("Intervals and p-values"):
        left, right = st.columns(2, gap="medium")
        with left:
            _table([_row(d, "figure") for d in found.figures], "significance")
        with right:
            _table([_row(d, "class") for d in found.classes], "significance_classes")
            st.caption("AP by class, p-values after Holm's correction for all classes.")
        st.caption(METHOD)


def show_standings(s: state.Shared, others: list[str]) -> None:
    """Draw all runs over this data set, the best AP first, behind a button: it takes seconds per run."""
    if len(others) < 2:
        return
    with st.expander(f"All {len(others) + 1} runs over this data set"):
        if not st.toggle("Weigh them against each other", key="standings_on"):
            return
        names = (*reversed(others), s.name)
        found = _standings((names, s.stamp), names, s.threshold, s.iou)
        if isinstance(found, str):
            st.caption(found)
            return
        rows = []
        for row in found:
            best = row["against_best"]
            rows.append(
                {
                    "run": row["run"],
                    "AP": row["AP"],
                    "low": row["intervals"]["AP"][0],
                    "high": row["intervals"]["AP"][1],
                    "AP50": row["AP50"],
                    "recall": row["recall"],
                    "F1": row["F1"],
                    "to the best": None if best is None else best["difference"],
                    "p": None if best is None else best["adjusted"],
                    "verdict": (
                        "in front"
                        if best is None
                        else {"worse": "behind"}.get(best["verdict"], best["verdict"])
                    ),
                }
            )
        st.dataframe(
            rows,
            hide_index=True,
            width="stretch",
            placeholder="–",
            column_config={n: FIGURE for n in ("AP", "low", "high", "AP50", "recall", "F1")}
            | {"to the best": SIGNED, "p": P},
        )
        st.caption(METHOD)
