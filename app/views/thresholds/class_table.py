"""Thresholds per class: suggested, edited, saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.matching.counts import counts
from analysis.matching.operating_point import operating_point
from analysis.thresholds.files import thresholds_for
from app.frame import choices, state
from app.views.thresholds import table
from app.views.thresholds.cached import key_of_counts, suggestions
from detector.errors import BoxscopeError

PERCENT = st.column_config.NumberColumn(format="%.1f %%", width=76)


def show_table(s: state.Shared) -> None:
    names, store = s.run.class_map.names, st.session_state
    held = store.get("_cuts")
    fresh = s.saved.thresholds if s.saved is not None else np.full(len(names), s.threshold, np.float32)
    # Untouched, the table follows the slider; once edited it keeps its numbers until saved or reset.
    thresholds, touched = (
        (held["cuts"], True)
        if held and held["run"] == s.name and len(held["cuts"]) == len(names)
        else (fresh, False)
    )
    classes = table.shown(s.chosen, s.counted_classes)
    why = held["why"] if touched else {}

    def keep(new: np.ndarray, rule: str, why: dict[int, str]) -> None:
        store["_cuts"] = {"run": s.name, "cuts": new, "rule": rule, "why": why}
        store["_editor"] = store.get("_editor", 0) + 1

    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.selectbox("Suggest for each class", table.RULES, key="rule", width=190)
        value, wrong, missed = 0.9, 1.0, 5.0
        if name in ("recall at least", "precision at least"):
            value = st.number_input("Share", 0.0, 1.0, 0.9, 0.05, key="rule_value", width=120)
        elif name == "least cost":
            wrong = st.number_input("A wrong one costs", 0.0, None, 1.0, 0.5, key="cost_wrong", width=140)
            missed = st.number_input("A missed one costs", 0.0, None, 5.0, 0.5, key="cost_missed", width=140)
        if st.button(
            "Suggest",
            icon=":material/auto_fix_high:",
            type="primary",
            disabled=name == "least cost" and wrong + missed == 0,
        ):
            rule = (name, value, wrong, missed)
            overall, by_class = suggestions(key_of_counts(s), rule, s)
            keep(
                *_named(
                    table.suggested(overall, by_class, thresholds),
                    table.rule_of(*rule)[0],
                )
            )
            st.rerun()
        if st.button("Reset", disabled=not touched, help="Every class back to what counts now."):
            store.pop("_cuts", None)
            store["_editor"] = store.get("_editor", 0) + 1
            st.rerun()
    base = s.counts if s.saved is None else counts(s.chosen, s.threshold)
    editor = f"cuts-{s.name}-{store.get('_editor', 0)}"

    def on_edit() -> None:
        keep(table.edited(thresholds, classes, store[editor]["edited_rows"]), "edited by hand", {})

    now = counts(s.chosen, thresholds)
    st.markdown(
        _difference(now, base, s.threshold)
        if touched or s.saved is not None
        else f"Every class stands at {s.threshold:.2f}. Edit a threshold, or let them be suggested."
    )
    st.data_editor(
        table.rows(s.chosen, names, classes, thresholds, base, why),
        key=editor,
        hide_index=True,
        width="stretch",
        height=min(31 * len(classes) + 34, 408),
        placeholder="–",
        on_change=on_edit,
        disabled=[
            c
            for c in (
                "class",
                "objects",
                "correct",
                "± correct",
                "wrong",
                "± wrong",
                "precision",
                "recall",
                "F1",
                "note",
            )
        ],
        column_config={
            "class": st.column_config.TextColumn(pinned=True),
            "threshold": st.column_config.NumberColumn(
                "threshold",
                min_value=0.0,
                max_value=1.0,
                step=0.001,
                format="%.3g",
                width=92,
                help="Click to edit.",
            ),
            "± correct": st.column_config.NumberColumn(
                format="%+d", help=f"Against {s.threshold:.2f} for every class."
            ),
            "± wrong": st.column_config.NumberColumn(
                format="%+d", help=f"Against {s.threshold:.2f} for every class."
            ),
            "precision": PERCENT,
            "recall": PERCENT,
            "F1": PERCENT,
            "note": st.column_config.TextColumn(width=210),
        },
    )
    _save(s, thresholds, held["rule"] if touched else "")


def _named(found: tuple[np.ndarray, dict[int, str]], rule: str) -> tuple[np.ndarray, str, dict[int, str]]:
    return found[0], rule, found[1]


def _difference(now: Any, base: Any, threshold: float) -> str:
    def signed(n: int) -> str:
        return f"{n:+,}" if n else "±0"

    def rate(value: float) -> str:
        return "–" if np.isnan(value) else f"{100 * value:.1f} %"

    return (
        f"With these: **{now.tp:,}** correct ({signed(now.tp - base.tp)}), **{now.fp:,}** wrong"
        f" ({signed(now.fp - base.fp)}), **{now.fn:,}** missed ({signed(now.fn - base.fn)}); precision"
        f" {rate(now.precision)}, recall {rate(now.recall)}, F1 {rate(now.f1)}. In brackets: against"
        f" {threshold:.2f} for every class. Chosen and judged on the same data, which flatters them a little."
    )


def _save(s: state.Shared, thresholds: np.ndarray, rule: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        name = st.text_input(
            "Save as", s.saved.name if s.saved is not None else s.name, key="save_as", width=260, max_chars=80
        )

        def save() -> None:
            file = thresholds_for(
                s.run.class_map,
                thresholds,
                operating_point(s.run, s.threshold, iou=s.iou),
                default=s.threshold,
                rule=rule or (s.saved.file.rule if s.saved else ""),
                run=s.name,
            )
            try:
                choices.save(name.strip(), file)
            except (BoxscopeError, OSError) as error:
                st.session_state["_save_error"] = getattr(error, "message", str(error))
                return
            st.session_state.pop("_cuts", None)
            choices.choose("cuts", name.strip())
            st.session_state["_editor"] = st.session_state.get("_editor", 0) + 1

        st.button(
            "Save and use everywhere",
            icon=":material/save:",
            on_click=save,
            type="primary",
            help=(
                "The whole app follows, and so does a push to FiftyOne. On the command line: --thresholds"
                " FILE."
            ),
        )
        if s.saved is not None:
            st.button("Use one threshold again", on_click=choices.choose, args=("cuts", choices.ONE))
    if error := st.session_state.pop("_save_error", None):
        st.error(error, icon=":material/error:")
    if s.saved is not None:
        st.caption(
            f"In use: `{choices.path_of(s.saved.name)}`; `boxscope list … --thresholds FILE` and `boxscope"
            " push … --thresholds FILE` count by the same numbers."
        )
