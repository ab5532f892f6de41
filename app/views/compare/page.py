"""Compare: two runs or two settings of one; which objects are gained, lost or moved, and both pictures of
each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.mistakes.compare import Comparison
from app.frame import state
from app.frame.components import empty, say_error
from app.frame.expectations import expectations_section
from app.frame.slices import parts_of
from app.views.compare import changes, pair_section, significance_panel
from app.views.compare.flips import list_flips, show_both
from app.views.compare.settings import chosen_settings, comparison_of, other_runs
from detector.errors import BoxscopeError

LOOKS = ("By ground truth", "Box by box")


def _look(judged: bool) -> str:
    """Whether flips of objects are shown, or detections paired with detections; without ground truth only the
    latter.
    """
    if not judged:
        return LOOKS[1]
    return (
        st.segmented_control(
            "Look",
            list(LOOKS),
            default=LOOKS[0],
            key="pairing",
            bind="query-params",
            required=True,
            label_visibility="collapsed",
            help=(
                "By ground truth: which objects are found before and after. Box by box: which detections the"
                " other run keeps, loses, moves and rescores."
            ),
        )
        or LOOKS[0]
    )


def _totals(c: Comparison) -> None:
    words = [f"objects: **{c.gained:,}** gained, **{c.lost:,}** lost", *changes.totals(c)]
    st.markdown(" · ".join(words))


def _parts(s: state.Shared, c: Comparison) -> np.ndarray | None:
    """Draw the table by class or part; returns the mask over the truth of the chosen line."""
    by = (
        st.segmented_control(
            "By",
            ["class", "part"],
            default="class",
            key="flips_by",
            required=True,
            label_visibility="collapsed",
            format_func={"class": "By class", "part": "By part of the data"}.get,
        )
        or "class"
    )
    t = s.run.truth
    if by == "class":
        parts = {
            ("class", n): t.class_ids == k
            for k, n in enumerate(s.run.class_map.names)
            if s.counted_classes is None or k in s.counted_classes
        }
    else:
        parts = parts_of(s)
    rows = changes.by_part(c, parts)

    def share(words: str) -> Any:
        return st.column_config.NumberColumn(format="%.1f %%", width=66, help=words)

    shown = st.dataframe(
        [{k: v for k, v in r.items() if k != "key"} for r in rows],
        key=f"parts-{by}-{s.name}",
        hide_index=True,
        width="stretch",
        height=min(31 * len(rows) + 34, 222),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "before": share("Recall before, of the objects."),
            "after": share("Recall after, of the objects."),
            "gained": st.column_config.NumberColumn(width=54),
            "lost": st.column_config.NumberColumn(width=44),
            "net": None,
            "objects": st.column_config.NumberColumn(width=58),
            "part": st.column_config.TextColumn(by, help="Choose a line to see its flips alone."),
        },
    )
    at = shown.selection.rows
    return parts[rows[at[0]]["key"]] if at and at[0] < len(rows) else None


def main() -> None:
    state.go_if_asked()
    s = state.shared()
    if s is None:
        box = empty(
            "Nothing to compare yet",
            "Two runs over one data set, or one run at two settings, stand side by side here.",
        )
        if box.button("Choose pictures and a detector", type="primary"):
            state.go("views/detect/page.py")
        return
    judged = bool(s.run.usable.any())
    if not judged and not other_runs(s):
        empty(
            "No ground truth",
            "No image of this run has ground truth, so no object can be gained or lost; a second run over the"
            " same pictures could be paired with it box by box.",
        )
        return
    try:
        settings = chosen_settings(s)
        if not settings:
            return
        if "other" in settings and _look(judged) == LOOKS[1]:
            pair_section.section(s, settings["other"], settings["cuts"])
            return
        if not judged:
            st.caption(
                "Without ground truth two settings of one run have nothing to be compared by; choose *Another"
                " run*."
            )
            return
        c = comparison_of(s, settings)
    except BoxscopeError as error:
        say_error(error)
        return
    _totals(c)
    left = (
        f" {c.left_out:,} images are in one of the runs only, or were not judged in both, and take no part."
        if c.left_out
        else ""
    )
    st.caption(changes.verdict(c) + left)
    significance_panel.show(s, c, (*state.key_of(s), *state.threshold_key(s), str(settings)))
    significance_panel.show_standings(s, other_runs(s))
    first, second = st.columns([1, 1.25], gap="medium")
    with first:
        within = _parts(s, c)
    with second:
        q = list_flips(s, c, within)
    if q is not None:
        show_both(s, c, q)
    expectations_section(s, after=c.b.run, cuts_after=c.b.threshold, iou_after=c.b.matches.iou)
    st.caption(f"Before: {c.a.point} · after: {c.b.point} · {int(c.images.sum()):,} images")


main()
