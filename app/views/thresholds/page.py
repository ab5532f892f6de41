"""Thresholds: curves with a line to drag, a threshold for each class, calibration, and the evaluation figures
with their settings.
"""

from __future__ import annotations

import streamlit as st

from app.frame import state
from app.frame.components import empty
from app.views.thresholds import guarantee_panel
from app.views.thresholds.average_precision_panel import show_average_precision
from app.views.thresholds.calibration_panel import show_calibration
from app.views.thresholds.class_table import show_table
from app.views.thresholds.curves_panel import show_curves

LOOKS = ("Thresholds", "Guarantee", "Calibration", "Average precision")


def main() -> None:
    state.go_if_asked()
    s = state.shared()
    if s is None:
        box = empty(
            "No thresholds to choose yet",
            "A run over labelled pictures brings its curves here; the demo makes one at once.",
        )
        if box.button("Choose pictures and a detector", type="primary"):
            state.go("views/detect/page.py")
        return
    if not s.run.usable.any():
        empty(
            "Nothing to measure by",
            "No image of this run has ground truth, so precision and recall are unknown. Choose a labelled"
            " data set.",
        )
        return
    line = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    look = (
        line.segmented_control(
            "Look at",
            list(LOOKS),
            default=LOOKS[0],
            key="measure",
            bind="query-params",
            required=True,
            label_visibility="collapsed",
        )
        or LOOKS[0]
    )
    if look == "Thresholds":
        show_curves(s, line)
        show_table(s)
    elif look == "Guarantee":
        guarantee_panel.show(s)
    elif look == "Calibration":
        show_calibration(s)
    else:
        show_average_precision(s)


main()
