"""Train: choose a recipe and data, start, watch the curves, stop, go on, export, open the result."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from app.frame import state
from app.frame.components import empty, errors_said
from app.jobs import trainings
from app.views.train import sweep_view
from app.views.train.detail import EVERY, detail
from app.views.train.new_training import form
from detector.paths import data_dir

VIEWS = ["Trainings", "New training", "Sweeps"]
WORDS = {
    "starting": "starting",
    "running": "running",
    "stopping": "stopping",
    "done": "done",
    "stopped": "stopped",
    "failed": "failed",
    "interrupted": "cut off",
}


def _table(known: list[str]) -> None:
    """The list of trainings, fresh while one of them runs; a click chooses."""
    found = trainings.trainings()
    if [str(t.folder) for t in found] != known:
        st.rerun()  # one has come or gone
    rows, at_home = [], all(t.folder.parent == data_dir("models").resolve() for t in found)
    for t in found:
        best = t.best or {}
        rows.append(
            {
                "training": t.folder.name,
                "state": WORDS[t.stage],
                "step": f"{t.step:,} of {t.steps:,}" if t.steps else "–",
                "best": f"{best['figure']} {best['value']:.3f} at step {best['step']:,}" if best else "–",
                "begun": f"{datetime.fromtimestamp(t.begun):%Y-%m-%d %H:%M}",
            }
            | ({} if at_home else {"where": str(t.folder.parent)})
        )
    event = st.dataframe(
        rows,
        hide_index=True,
        width="stretch",
        height="content" if len(rows) <= 5 else 190,
        on_select="rerun",
        selection_mode="single-row",
        key=f"trainings-{hash(tuple(known))}",
        alt="Trainings",
    )
    at = event.selection.rows
    if at and at[0] < len(found) and st.session_state.get("training") != known[at[0]]:
        st.session_state["training"] = known[at[0]]
        st.rerun()


def main() -> None:
    state.go_if_asked()
    if (view := st.session_state.pop("_train_view", None)) is not None:
        st.session_state["train_view"] = view
    found = trainings.trainings()
    if "train_view" not in st.session_state:
        st.session_state["train_view"] = VIEWS[0] if found else VIEWS[1]
    view = st.segmented_control("View", VIEWS, key="train_view", required=True, label_visibility="collapsed")
    if view == "New training":
        form()
    elif view == "Sweeps":
        sweep_view.view()
    elif not found:
        box = empty(
            "No training yet",
            "A training makes a detector from your labelled pictures. It goes on when this tab is closed.",
        )
        box.button(
            "Set one up", type="primary", on_click=lambda: st.session_state.update(_train_view="New training")
        )
    else:
        known = [str(t.folder) for t in found]
        st.fragment(_table, run_every=EVERY if any(t.live for t in found) else None)(known)
        chosen = st.session_state.get("training")
        with errors_said():
            detail(found[known.index(chosen)] if chosen in known else found[0])


main()
