"""What is compared with what: another run, threshold, IoU or NMS."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.matching.match import match_run
from analysis.mistakes.compare import Comparison, compare, with_nms
from app.frame import choices, state

WAYS = ("Another threshold", "Another run", "Stricter NMS", "Another IoU")


def other_runs(s: state.Shared) -> list[str]:
    """Runs over the same data set, the newest first."""
    return [
        name
        for name, summary in state.stored_runs().items()
        if name != s.name and summary.manifest.dataset.fingerprint == s.manifest.dataset.fingerprint
    ]


def chosen_settings(s: state.Shared) -> dict[str, Any]:
    """Draw what the second side is, and return it as `_compared`'s arguments."""
    others = other_runs(s)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        way = (
            st.segmented_control(
                "Compare with",
                list(WAYS),
                default=WAYS[1] if others else WAYS[0],
                key="against",
                bind="query-params",
                required=True,
            )
            or WAYS[0]
        )
        if way == "Another run":
            if not others:
                st.caption(
                    "There is no other run over this data set yet. *Detect* makes one with another detector;"
                    " or compare two settings of this run."
                )
                return {}
            name = st.selectbox("Run after", others, key="other", bind="query-params", width=260)
            after = st.slider(
                "Confidence after",
                0.0,
                1.0,
                s.threshold,
                0.01,
                key="conf_other",
                format="%.2f",
                width=190,
                help="The second detector's scores may mean something else.",
            )
            return {"other": name, "cuts": after}
        if way == "Another threshold":
            saved = choices.saved_names()
            kinds = ["one number", *saved]
            kind = st.selectbox("Thresholds after", kinds, key="cuts_after", width=190) if saved else kinds[0]
            if kind != kinds[0]:
                return {"cuts": choices.open_saved(kind, s.run).thresholds}
            default = (
                round(min(1.0, s.threshold + 0.1), 2) if s.threshold < 0.95 else round(s.threshold - 0.1, 2)
            )
            return {
                "cuts": st.slider(
                    "Confidence after",
                    0.0,
                    1.0,
                    default,
                    0.01,
                    key="conf_after",
                    bind="query-params",
                    format="%.2f",
                    width=240,
                )
            }
        if way == "Stricter NMS":
            return {
                "nms": st.slider(
                    "NMS IoU after",
                    0.1,
                    0.95,
                    0.45,
                    0.05,
                    key="nms_after",
                    bind="query-params",
                    format="%.2f",
                    width=240,
                    help=(
                        "Stored boxes are suppressed again at this IoU, per class. A looser NMS cannot bring"
                        " back what was never stored."
                    ),
                )
            }
        return {
            "iou": st.slider(
                "IoU after",
                0.3,
                0.95,
                0.75 if s.iou < 0.7 else 0.5,
                0.05,
                key="iou_after",
                bind="query-params",
                format="%.2f",
                width=240,
            )
        }


@st.cache_resource(max_entries=4, show_spinner="Suppressing and matching again")
def _suppressed(path: str, stamp: tuple, iou: float, nms: float, _s: Any) -> tuple[Any, Any]:
    run = with_nms(_s.run, nms)
    return run, match_run(run, iou)


@st.cache_resource(max_entries=8, show_spinner=False)
def _compared(
    key: tuple,
    cuts_a: tuple,
    cuts_b: tuple | None,
    other: str | None,
    other_stamp: tuple,
    nms: float | None,
    iou: float | None,
    _s: Any,
) -> Comparison:
    run_b, matches_b, thresholds = _s.run, _s.matches, _s.thresholds
    if other is not None:
        run_b, matches_b = state.run_and_matches(other, _s.iou)
    elif nms is not None:
        run_b, matches_b = _suppressed(*key[:3], nms, _s)
    elif iou is not None:
        matches_b = state.run_and_matches(_s.name, iou, _s.stamp)[1]
    if cuts_b is not None:
        thresholds = cuts_b[0] if len(cuts_b) == 1 else np.array(cuts_b, np.float32)
    return compare(
        _s.run,
        run_b,
        threshold=_s.thresholds,
        threshold_b=thresholds,
        iou=_s.iou,
        iou_b=iou,
        matches_a=_s.matches,
        matches_b=matches_b,
    )


def comparison_of(s: state.Shared, settings: dict[str, Any]) -> Comparison:
    other = settings.get("other")
    thresholds = settings.get("cuts")
    stamp = state.run_stamp(state.stored_runs()[other].path) if other else ()
    return _compared(
        state.key_of(s),
        state.threshold_key(s),
        None if thresholds is None else tuple(np.atleast_1d(np.asarray(thresholds, float)).tolist()),
        other,
        stamp,
        settings.get("nms"),
        settings.get("iou"),
        s,
    )
