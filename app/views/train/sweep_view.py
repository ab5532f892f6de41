"""The page part that shows sweeps: trials, importance, the best curves, stop and resume."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from app.frame.components import empty, say_error
from app.jobs import sweeps, trainings
from app.jobs.process import log_tail
from app.viewer.panels import bar_rows, line_charts
from app.views.train import new_sweep, sweep_tables
from app.views.train.detail import detail
from detector.errors import BoxscopeError

EVERY = 4.0  # seconds between two looks at a sweep that runs


def view() -> None:
    """The chosen sweep."""
    from detector.sweep.state import list_sweeps, read_sweep

    found = list_sweeps()
    if not found and not st.session_state.get("sweep_new"):
        box = empty(
            "No sweep yet",
            "A sweep makes many short trainings of one recipe with varied settings and keeps the best. It"
            " goes on when this tab is closed, and `boxscope sweep` joins it.",
        )
        box.button("Set one up", type="primary", on_click=lambda: st.session_state.update(sweep_new=True))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if found:
            folder = st.selectbox(
                "Sweep",
                found,
                format_func=lambda f: f.name,
                key="sweep",
                label_visibility="collapsed",
                width=360,
            )
        st.toggle("Set up a new one", key="sweep_new")
    if st.session_state["sweep_new"]:
        new_sweep.form()
        return
    try:
        state = read_sweep(folder)
    except BoxscopeError as error:
        say_error(error)
        return
    running = sweeps.live(state)
    st.fragment(_watch, run_every=EVERY if running else None)(folder, running)


def _watch(folder: Path, was_live: bool) -> None:
    from detector.sweep.state import read_sweep

    try:
        state = read_sweep(folder)
    except BoxscopeError as error:
        say_error(error)
        return
    running = sweeps.live(state)
    if running != was_live:
        st.rerun()
    ended = sum(t.state in ("done", "pruned") for t in state.trials)
    with st.container(border=True):
        words, button = st.columns([5, 1], vertical_alignment="center")
        words.progress(min(1.0, ended / state.planned), _sentence(folder, state, running, ended))
        if running:
            button.button(
                "Stop",
                key="stop-sweep",
                icon=":material/stop:",
                on_click=sweeps.stop,
                args=(folder,),
                width="stretch",
                disabled=sweeps.asked_to_stop(folder),
                help="After the step in hand; the running trial goes on from there.",
            )
        elif ended < state.planned:
            button.button(
                "Resume",
                key="resume-sweep",
                icon=":material/play_arrow:",
                type="primary",
                on_click=sweeps.resume,
                args=(folder,),
                width="stretch",
            )
    if (why := sweeps.error(folder)) and not running:
        st.error(why, icon=":material/error:")
        with st.expander("Details"):
            st.text(log_tail(folder))
    if not state.trials:
        st.caption("No trial has begun yet.")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        if (drawn := sweep_tables.progress_of(state))["panels"]:
            line_charts(drawn, key="sweep-trials")
    with right:
        if (drawn := sweep_tables.curves(state))["panels"]:
            line_charts(drawn, key="sweep-curves")
    chosen = _table(state)
    _importance(str(folder), ended)
    for t in state.trials:
        if t.state == "failed" and t.error:
            st.error(f"Trial {t.number}: {t.error}", icon=":material/error:")
    if chosen is not None:
        st.subheader(f"Trial {chosen.number}")
        detail(trainings.read(Path(chosen.folder)), controls=False)


def _sentence(folder: Path, state, running: bool, ended: int) -> str:
    parts = [
        f"**{state.name}**",
        f"{ended:,} of {state.planned:,} trials",
        (
            "stopping"
            if running and sweeps.asked_to_stop(folder)
            else "running"
            if running
            else "done"
            if ended >= state.planned
            else "stopped"
        ),
    ]
    if state.best is not None:
        parts.append(f"best: trial {state.best.number}, {state.figure} {state.best.value:.3f}")
    return " · ".join(parts)


def _table(state):
    """The trials; returns the chosen one, or None."""
    made = sweep_tables.rows(state)
    event = st.dataframe(
        made,
        hide_index=True,
        width="stretch",
        height="content" if len(made) <= 8 else 320,
        on_select="rerun",
        selection_mode="single-row",
        key=f"trials-{state.folder}",
        alt="Trials",
        column_config={state.figure or "figure": st.column_config.NumberColumn(format="%.4f")},
    )
    at = event.selection.rows
    if not at or at[0] >= len(made):
        st.caption("A chosen trial shows its curves and its detector.")
        return None
    return next(t for t in state.trials if t.number == made[at[0]]["trial"])


@st.cache_data(max_entries=8, show_spinner="Working out what mattered")
def _shares(folder: str, ended: int) -> dict[str, float]:
    from detector.sweep.state import importance

    return importance(folder)


def _importance(folder: str, ended: int) -> None:
    shares = _shares(folder, ended)
    if not shares:
        st.caption("Which keys mattered is worked out from four finished trials on.")
        return
    st.markdown(
        "**What made the trials differ**",
        help=(
            "Each key's share of the variance between finished trials, by Optuna's functional ANOVA; with few"
            " trials it is a hint, not a finding."
        ),
    )
    bar_rows(sweep_tables.importance_rows(shares), key="sweep-importance")
