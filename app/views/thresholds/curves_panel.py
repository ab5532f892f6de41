"""Precision, recall and F1 over confidence, with the line that sets the threshold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.thresholds import curves as rules
from app.frame import state
from app.viewer.panels import live_curves
from app.views.thresholds import table
from app.views.thresholds.cached import floor_of, grid_of, key_of_counts, precision_recall


def show_curves(s: state.Shared, line: DeltaGenerator) -> None:
    whole, per_class = grid_of(key_of_counts(s), s)
    classes = table.shown(s.chosen, s.counted_classes)
    names = s.run.class_map.names
    with line:
        of = st.selectbox(
            "Curve of",
            [None, *classes],
            format_func=lambda k: "all classes together" if k is None else names[k],
            key="curve_of",
            label_visibility="collapsed",
            width=220,
        )
        # Of the thresholds the slider can be set to, so that choosing it gives what it says.
        suggestion = rules.best_f1(whole if of is None else per_class[of])
        if suggestion.threshold is not None:
            suggestion = replace(
                suggestion, threshold=max(suggestion.threshold, floor_of(s)) if suggestion.tp else None
            )
        if suggestion.threshold is not None and s.saved is None:
            st.button(
                f"Best F1 at {suggestion.threshold:.2f}",
                icon=":material/adjust:",
                on_click=_set_threshold,
                args=(suggestion.threshold,),
                disabled=round(suggestion.threshold, 2) == s.threshold,
                help=(
                    f"{suggestion.tp:,} correct, {suggestion.fp:,} wrong, {suggestion.fn:,} missed there: F1"
                    f" {suggestion.f1:.1%}. Chosen on this data, which flatters it a little."
                ),
            )
    grid = whole if of is None else per_class[of]
    fixed = None
    if s.saved is not None:
        fixed = s.counts if of is None else _one_class(s, of)
    live_curves(
        table.curve_payload(
            grid,
            precision_recall(key_of_counts(s), of, s),
            threshold=s.threshold,
            floor=floor_of(s),
            fixed=fixed,
            marks=[suggestion.threshold] if suggestion.threshold is not None else [],
        ),
        key="curves",
        on_threshold=_dragged,
    )
    st.caption(
        f"{s.point} · {grid.objects:,} objects · dotted: best"
        f" F1.{' Drag the line, or use the arrow keys on it.' if s.saved is None else ''}"
    )


def _one_class(s: state.Shared, k: int) -> Any:
    from analysis.matching.counts import Counts

    c = s.counts.per_class
    return Counts(
        *(
            int(getattr(c, f)[k])
            for f in ("tp", "fp", "fn", "duplicates", "ignored", "unjudged", "objects", "detections")
        )
    )


def _set_threshold(value: float) -> None:
    st.session_state["conf"] = min(1.0, max(0.0, round(value, 2)))


def _dragged() -> None:
    if (value := st.session_state["curves"].get("threshold")) is not None:
        _set_threshold(float(value))
