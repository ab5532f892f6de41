"""Curves and suggestions of a run, worked out once per operating point."""

from __future__ import annotations

from typing import Any

import streamlit as st

from analysis.thresholds import curves as rules
from app.frame import state
from app.views.thresholds import table


def key_of_counts(s: state.Shared) -> tuple:
    """What the matching of the chosen classes and images depends on."""
    images = None if s.class_ids is None or s.mode == "any" else s.images.tobytes()
    return str(s.path), s.stamp, s.iou, s.counted_classes, images


@st.cache_resource(max_entries=8, show_spinner=False)
def grid_of(key: tuple, _s: Any) -> tuple[rules.Curve, list[rules.Curve]]:
    return rules.grid_curves(_s.chosen)


@st.cache_resource(max_entries=16, show_spinner=False)
def _exact(key: tuple, class_id: int | None, _s: Any) -> rules.Curve:
    return rules.exact_curve(_s.chosen, class_id)


@st.cache_data(max_entries=64, show_spinner=False)
def precision_recall(key: tuple, class_id: int | None, _s: Any) -> dict[str, list[float | None]]:
    return table.precision_recall(_exact(key, class_id, _s))


@st.cache_data(max_entries=16, show_spinner="Trying every threshold")
def suggestions(key: tuple, rule: tuple, _s: Any) -> tuple[rules.Suggestion, list[rules.Suggestion]]:
    return rules.suggest(_s.chosen, table.rule_of(*rule)[1], floor=floor_of(_s))


def floor_of(s: state.Shared) -> float:
    """The run holds nothing below this score; calibrated scores have no such bound."""
    return s.manifest.floor if s.calibration is None else 0.0
