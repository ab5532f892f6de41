"""Objects that changed state, one by one, with both images."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.drawing.style import shown_score
from analysis.mistakes.compare import Comparison
from app.files import pictures
from app.frame import state
from app.viewer import box_viewer
from app.viewer.payload import boxes_of, exact
from app.views.compare import changes
from detector.errors import BoxscopeError

MOST = 1000
"""So many flips are listed; more would only slow the table down."""


def list_flips(s: state.Shared, c: Comparison, within: np.ndarray | None) -> int | None:
    """Draw the flip list; returns the chosen entry of the comparison's objects."""
    if s.class_ids is not None:
        t = s.run.truth
        mine = s.images[t.rows] & (
            np.isin(t.class_ids, s.counted_classes) if s.counted_classes is not None else True
        )
        within = mine if within is None else within & mine
    with st.container(horizontal=True, vertical_alignment="center"):
        wanted = (
            st.pills(
                "Show",
                help=(
                    f"Moved: found by both, with a score {changes.MOVED_SCORE} or an IoU"
                    f" {changes.MOVED_IOU} apart."
                ),
                options=list(changes.CHANGES),
                selection_mode="multi",
                default=["lost", "gained"],
                key="changes",
                label_visibility="collapsed",
            )
            or []
        )
        rows = changes.flips(c, tuple(wanted), within)
        order = (
            "in the order of the images"
            if c.a.matches is c.b.matches
            else "the largest change of score first"
        )
        more = f"; the first {MOST:,} are listed, the CSV file has all" if len(rows) > MOST else ""
        st.markdown(
            f"**{len(rows):,}** object{'s' if len(rows) != 1 else ''}, {order}{more}",
            width="stretch",
        )
        st.download_button(
            "CSV",
            lambda: changes.as_csv(c, rows),
            f"{s.name}-flips.csv",
            "text/csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            disabled=not len(rows),
            help=f"These {len(rows):,} objects with both operating points.",
        )
    if not len(rows):
        st.caption("No object changed this way.")
        return None
    number = st.column_config.NumberColumn(format="%.2f", width=70)

    def score(when: str) -> Any:
        return st.column_config.NumberColumn(
            format="%.2f",
            width=58,
            help=(
                f"Score {when} of the detection that fits it; where the object is missed, of the one below"
                " the threshold."
            ),
        )

    key = f"flips-{s.name}"
    held = st.session_state.get(key, {}).get("selection", {}).get("rows", [])
    if not held or held[0] >= min(len(rows), MOST):
        st.session_state[key] = {"selection": {"rows": [0]}}
    shown = st.dataframe(
        changes.table(c, rows[:MOST]),
        key=key,
        hide_index=True,
        width="stretch",
        height=min(31 * len(rows) + 34, 222),
        on_select="rerun",
        selection_mode="single-row",
        placeholder="–",
        column_config={
            "IoU before": number,
            "IoU after": number,
            "before": score("before"),
            "after": score("after"),
            "area": st.column_config.NumberColumn(format="%d", help="Square pixels."),
        },
    )
    at = shown.selection.rows
    return int(rows[at[0]]) if at and at[0] < len(rows) else None


def show_both(s: state.Shared, c: Comparison, q: int) -> None:
    run, o = c.a.run, int(c.objects[q])
    i = int(run.truth.rows[o])
    selected = {"side": "truth", "index": o - int(run.truth_offsets[i])}
    sides = st.columns(2, gap="small")
    for name, column, side, row in (("Before", sides[0], c.a, i), ("After", sides[1], c.b, int(c.b_rows[i]))):
        at = int(c.b_objects[q]) - int(side.run.truth_offsets[row]) if name == "After" else selected["index"]
        with column:
            st.markdown(f"**{name}** · {_says(c, q, name == 'Before')}")
            box_viewer(
                _viewer_data(s, side, row, {"side": "truth", "index": at}, name), key=f"compare_{name}"
            )

    def look() -> None:
        st.session_state.update(image_id=run.sample_ids[i], selected=selected, _go="views/image/page.py")

    st.button("Open this image", icon=":material/frame_inspect:", on_click=look)


def _says(c: Comparison, q: int, before: bool) -> str:
    score, found = (
        float((c.score_a if before else c.score_b)[q]),
        bool(c.state[q] in ((2, 3) if before else (1, 3))),
    )
    side = c.a if before else c.b
    class_id = int(side.run.truth.class_ids[(c.objects if before else c.b_objects)[q]])
    shown = f"{shown_score(score, side.threshold[class_id]):.2f}"
    if found:
        return f"found at {shown}"
    if score >= 0:
        return f"missed; a fitting box has {shown}, below the threshold"
    return "missed; no box of its class fits"


def _viewer_data(s: state.Shared, side: Any, i: int, selected: dict, name: str) -> dict[str, Any]:
    run = side.run
    width, height = run.image_size(i)
    thresholds = side.threshold
    one = bool(len(thresholds)) and bool((thresholds == thresholds[0]).all())
    data = {
        "key": f"{s.name}/{name}/{run.sample_ids[i]}",
        "name": pictures.name_of(run, i),
        "width": width,
        "height": height,
        "max_height": 360,
        "place": "",
        "labelled": True,
        "classes": list(run.class_map.names),
        "threshold": exact(thresholds[:1])[0] if one else s.threshold,
        "iou": side.matches.iou,
        "shown": None,
        "selected": selected,
        "has_prev": False,
        "has_next": False,
        "point": str(side.point),
        "heat_offered": False,
        "heat_reason": "On the Image page.",
        "near": [],
    } | boxes_of(run, side.matches, i)
    # Both pictures keep to their own threshold, whatever the slider does meanwhile.
    data["dets"]["cuts"] = data["truth"]["cuts"] = exact(thresholds)
    try:
        content, kind = pictures.picture(run, i)
        data["url"] = pictures.publish(content, kind, f"compare-{name}")
    except BoxscopeError as error:
        data |= {
            "url": "",
            "error": f"This picture cannot be shown: {run.failed.get(run.sample_ids[i], error.message)}",
        }
    return data
