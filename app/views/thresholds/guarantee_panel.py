"""A threshold that keeps a goal on new images: the goal, the promise, its price, what more images would
buy.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from analysis.matching.operating_point import operating_point
from analysis.thresholds.certificates import (
    EVERY_IMAGE,
    HALF,
    RunGuarantee,
    calibration_images,
    check_certificate,
    guarantee_run,
)
from analysis.thresholds.files import thresholds_for
from analysis.thresholds.guarantee import Goal, describe_usual
from app.frame import choices, state
from app.frame.components import say_error
from detector.errors import BoxscopeError

GOALS = {
    "recall": "Recall of at least",
    "precision": "Precision of at least",
    "false positives": "At most, per image",
}
PERCENT = st.column_config.NumberColumn(format="%.1f %%", width=90)


@st.cache_resource(max_entries=16, show_spinner="Testing thresholds")
def _found(key: tuple, goal: Goal, confidence: float, part: str, per_class: bool, _s: Any) -> RunGuarantee:
    return guarantee_run(
        _s.matches,
        goal,
        confidence,
        images=calibration_images(_s.run, part),
        part=part,
        per_class=per_class,
        floor=_s.manifest.floor,
    )


def _asked(s: state.Shared) -> tuple[Goal, float, str, bool]:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("On new images", list(GOALS), format_func=GOALS.get, key="goal", width=200)
        if name == "false positives":
            value = st.number_input("False positives", 0.01, None, 1.0, 0.5, key="goal_count", width=120)
        else:
            value = st.number_input("Share", 0.01, 0.99, 0.5, 0.05, key="goal_share", width=120)
        confidence = st.number_input("Confidence", 0.5, 0.99, 0.9, 0.05, key="goal_confidence", width=120)
        parts = [EVERY_IMAGE, HALF, *sorted({str(x) for x in s.run.splits if x})]
        words = {EVERY_IMAGE: "all images", HALF: "half, judge on the rest"}
        part = st.selectbox(
            "Chosen on", parts, format_func=lambda p: words.get(p, f"split {p}"), key="goal_part", width=200
        )
        each = st.toggle(
            "Each class", key="goal_each", help="Every class keeps the goal; the confidence covers all."
        )
    return Goal(name, float(value)), float(confidence), part, each


def _promise(found: RunGuarantee) -> None:
    g = found.whole
    if g.threshold is None:
        st.markdown(f":material/block: Nothing can be promised: {g.reason}.")
    else:
        st.markdown(
            f":material/verified: At **{g.threshold:g}** and below: {g.goal} on new images, with confidence"
            f" {g.confidence:.0%}."
            if g.goal.name == "recall"
            else (
                f":material/verified: At **{g.threshold:g}** and above, as far as tested: {g.goal} on new"
                f" images, with confidence {g.confidence:.0%}."
            )
        )
        st.markdown(
            f"On the {g.images:,} calibration images it gives recall {_percent(g.recall)} and precision"
            f" {_percent(g.precision)}; {describe_usual(g)}."
        )
    more = [f"{n:,} images: {'nothing' if t is None else format(t, 'g')}" for n, t in g.forecast]
    st.caption(f"The threshold with more images like these: {' · '.join(more)}")
    if g.threshold is not None:
        st.caption(f"Assumes: {g.assumption}")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _table(found: RunGuarantee, names: tuple[str, ...]) -> None:
    st.dataframe(
        [
            {
                "class": names[k],
                "threshold": g.threshold,
                "without a promise": g.usual,
                "recall": None if g.recall is None else 100 * g.recall,
                "precision": None if g.precision is None else 100 * g.precision,
                "images": g.images,
                "note": g.reason,
            }
            for k, g in found.classes.items()
        ],
        hide_index=True,
        width="stretch",
        placeholder="–",
        column_config={
            "recall": PERCENT,
            "precision": PERCENT,
            "note": st.column_config.TextColumn(width="large"),
        },
    )
    st.caption(
        f"All promises together hold with confidence {found.confidence:.0%}: the {len(found.classes)} classes"
        " share the allowed error."
    )


def show(s: state.Shared) -> None:
    """Draw the panel."""
    goal, confidence, part, each = _asked(s)
    try:
        found = _found((str(s.path), s.stamp, s.iou), goal, confidence, part, each, s)
    except BoxscopeError as error:
        say_error(error)
        return
    if found.whole is not None:
        _promise(found)
    else:
        _table(found, s.run.class_map.names)
    if not found.met:
        return
    default, values = found.thresholds(len(s.run.class_map))
    file = thresholds_for(
        s.run.class_map,
        values,
        operating_point(s.run, default, iou=s.iou),
        default=default,
        rule=f"{goal}, confidence {confidence:g}",
        run=s.name,
        certificate=found.certificate(s.run.class_map, s.run),
    )
    if part != EVERY_IMAGE and (check := check_certificate(s.run, s.matches, file)) is not None:
        st.markdown(f"On the other images: {check}.")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.text_input(
            "Save as", f"{s.name} {goal.name}", key="guarantee_name", width=300, max_chars=80
        )

        def save() -> None:
            try:
                choices.save(name.strip(), file)
            except (BoxscopeError, OSError) as error:
                st.session_state["_save_error"] = getattr(error, "message", str(error))
                return
            choices.choose("cuts", name.strip())

        st.button("Save with its certificate", icon=":material/save:", type="primary", on_click=save)
    if error := st.session_state.pop("_save_error", None):
        st.error(error)
