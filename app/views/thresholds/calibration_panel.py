"""How far scores can be read as probabilities, and what calibrating them changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.thresholds.calibration import METHODS, Calibration, fit_calibration, run_reliability
from app.frame import choices, state
from app.viewer.panels import reliability_diagram
from app.views.thresholds.cached import key_of_counts
from detector.errors import BoxscopeError


@st.cache_resource(max_entries=8, show_spinner="Binning scores")
def _reliability(key: tuple, _s: Any) -> tuple:
    return run_reliability(_s.chosen)


@st.cache_resource(max_entries=8, show_spinner="Fitting a calibration")
def _fits(path: str, stamp: tuple, iou: float, _s: Any) -> dict[str, Calibration | str]:
    stored = state.stored_matches(_s)
    out: dict[str, Calibration | str] = {}
    for method in METHODS:
        try:
            out[method] = fit_calibration(stored, method)
        except BoxscopeError as error:
            out[method] = error.message
    return out


def show_calibration(s: state.Shared) -> None:
    whole, per_class = _reliability(key_of_counts(s), s)
    names = s.run.class_map.names
    listed = [r for r in per_class if r.ece is not None]
    listed.sort(key=lambda r: -int(r.counts.sum()))
    left, right = st.columns([1, 1.15], gap="large")
    chosen = st.session_state.get("ece_table", {}).get("selection", {}).get("rows", [])
    table = listed[chosen[0]] if chosen and chosen[0] < len(listed) else whole
    with left:
        what = "all classes" if table.class_id is None else names[table.class_id]
        if table.ece is None:
            st.markdown("No judged detections, so there is nothing to calibrate.")
            return
        over = table.overconfidence or 0.0
        st.markdown(
            f"**{what}**: confidence is {100 * abs(over):.1f} points too {'high' if over > 0 else 'low'} on"
            f" average; expected calibration error **{table.ece:.3f}** over {int(table.counts.sum()):,}"
            " detections."
        )
        reliability_diagram(
            {
                "edges": table.edges.tolist(),
                "counts": table.counts.tolist(),
                "accuracy": _plain(table.accuracy),
                "confidence": _plain(table.confidence),
                "words": f"Reliability of {what}: expected calibration error {table.ece:.3f}",
            },
            key="reliability",
        )
        calibrated = (
            ""
            if s.calibration is None
            else (
                f" Scores are calibrated ({s.calibration.method}) by a map fitted on these very detections,"
                " so the gaps look smaller than on new images: held out, the error is"
                f" {s.calibration.ece_after:.3f}."
            )
        )
        st.caption(
            "Blue: share correct. Red: the gap to the mean confidence of the bin. Every judged detection"
            f" from the floor {s.manifest.floor:g} on, IoU ≥ {s.iou:.2f}, whatever the threshold.{calibrated}"
        )
    with right:
        st.dataframe(
            {
                "class": [names[r.class_id] for r in listed],
                "detections": [int(r.counts.sum()) for r in listed],
                "ECE": [r.ece for r in listed],
                "too high by": [100 * r.overconfidence for r in listed],
            },
            key="ece_table",
            hide_index=True,
            width="stretch",
            height=min(31 * len(listed) + 34, 344),
            on_select="rerun",
            selection_mode="single-row",
            column_config={
                "ECE": st.column_config.NumberColumn(
                    format="%.3f",
                    help=(
                        "Expected calibration error: mean gap between confidence and share correct, weighted"
                        " by the bins' counts; 10 bins."
                    ),
                ),
                "too high by": st.column_config.NumberColumn(
                    format="%+.1f points", help="Mean confidence minus share correct."
                ),
            },
        )
        st.caption("Choose a class to see its diagram.")
    fits = _fits(str(s.path), s.stamp[:2], s.iou, s)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown("**Correct the scores**")
        for method in METHODS:
            fit = fits[method]
            if isinstance(fit, str):
                st.caption(fit)
                break
            on = s.calibration is not None and s.calibration.method == method
            st.button(
                f"{'In use: ' if on else 'Apply '}{method} · ECE {fit.ece_before:.3f} → {fit.ece_after:.3f}",
                disabled=on,
                on_click=choices.choose,
                args=("scores", method),
                help=(
                    "Both errors are on images the map was not fitted on: two halves, each judged by the"
                    " other's map."
                ),
            )
        if s.calibration is not None:
            st.button("Scores as stored", on_click=choices.choose, args=("scores", choices.STORED))
    st.caption(
        "Fitted on the stored scores of this run and applied in this app only; every figure then says so."
        " Order within a class stays, so its AP stays too, but for scores that become equal."
    )


def _plain(values: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else float(v) for v in values]
