"""Image: one picture with its boxes, the objects beside it, and what became of the chosen one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import streamlit as st

from app.files import pictures
from app.frame import gallery_order, state
from app.frame.components import empty
from app.jobs import pushes
from app.model import objects
from app.viewer import box_viewer
from app.viewer.marks import mark_uri
from app.viewer.payload import boxes_of
from app.views.image import confidence_layer, heat_maps, miss_panel
from detector.errors import BoxscopeError

WORDS = {
    "missed": "missed",
    "wrong": "wrong",
    "duplicate": "duplicate",
    "correct": "correct",
    "ignored": "ignored",
    "unjudged": "not judged",
}


def _order(s: state.Shared) -> np.ndarray:
    """The images to step through: those the gallery showed last, else every one, the worst first."""
    name, rows = st.session_state.get("_order", (None, None))
    if name != s.name:
        rows = gallery_order.arrange(s, "Worst first", gallery_order.Filters()).rows
        st.session_state["_order"] = (s.name, rows)
    return rows


def _current(s: state.Shared, order: np.ndarray) -> int | None:
    """The position of the image to show: of this session, else of the link, else the first in order."""
    asked, told = st.query_params.get("image"), st.session_state.get("_image_in_url")
    if asked and asked != told and asked in s.run:
        st.session_state["image_id"] = asked  # someone followed a link, or went back in the browser
        st.session_state["selected"] = _object_in_link(s, s.run.position(asked))
    elif asked and asked != told:
        st.session_state["_odd_link"] = asked
    wanted = st.session_state.get("image_id")
    if wanted not in s.run:
        if not len(order):
            return None
        wanted = s.run.sample_ids[int(order[0])]
    st.session_state["image_id"] = wanted
    if asked != wanted:
        st.query_params["image"] = wanted
    st.session_state["_image_in_url"] = wanted
    return s.run.position(wanted)


def _object_in_link(s: state.Shared, i: int) -> dict | None:
    """The box a link names: `object=d3`, the detection at place 3 of its image; `object=t17`, the object with
    the id 17.
    """
    text = st.query_params.get("object", "")
    if "object" in st.query_params:
        del st.query_params["object"]
    if not text[1:].lstrip("-").isdigit():
        return None
    number = int(text[1:])
    if text[0] == "d" and 0 <= number < s.run.detections.offsets[i + 1] - s.run.detections.offsets[i]:
        return {"side": "det", "index": number}
    at = np.flatnonzero(s.run.truth.ids[s.run.truth_offsets[i] : s.run.truth_offsets[i + 1]] == number)
    return {"side": "truth", "index": int(at[0])} if text[0] == "t" and len(at) else None


def _step(by: int) -> None:
    s = state.shared()
    if s is None:
        return
    order = _order(s)
    place = np.flatnonzero(order == s.run.position(st.session_state["image_id"]))
    at = int(place[0]) + by if len(place) else 0
    if 0 <= at < len(order):
        st.session_state["image_id"] = s.run.sample_ids[int(order[at])]
        st.session_state["selected"] = None


def _from_viewer() -> None:
    happened = st.session_state["viewer"]
    if happened.get("select"):
        selected = happened["select"]
        st.session_state["selected"] = None if selected["side"] == "none" else selected
    if happened.get("threshold") is not None:
        st.session_state["conf"] = min(1.0, max(0.0, round(float(happened["threshold"]), 2)))
    if happened.get("heat") is not None:
        st.session_state["heat_on"] = bool(happened["heat"])
    if happened.get("step"):
        _step(1 if happened["step"] > 0 else -1)


def _table(s: state.Shared, rows: list[objects.Row], chosen: int | None) -> int | None:
    """Draw the objects; returns the line that was clicked, or the one chosen in the viewer."""
    if not rows:
        st.caption("Nothing above the threshold and nothing missed here, under these classes.")
        return None
    columns = {
        "": [mark_uri(r.verdict) for r in rows],
        "verdict": [WORDS[r.verdict] for r in rows],
        "class": [r.name for r in rows],
        "conf.": [
            None if math.isnan(r.score) else objects.shown_score(r.score, s.cut_of(r.name)) for r in rows
        ],
        "IoU": [None if math.isnan(r.iou) else round(r.iou, 2) for r in rows],
        "size": [r.size for r in rows],
    }
    if any(r.flags for r in rows):
        columns["flags"] = [r.flags for r in rows]
    key = f"objects-{s.name}-{st.session_state['image_id']}-{s.threshold}-{s.saved and s.saved.name}-{s.iou}"
    wanted = [] if chosen is None else [chosen]
    # The viewer and the table choose together: what the viewer said last is set before the table is drawn.
    if st.session_state.get(key, {}).get("selection", {}).get("rows") != wanted:
        st.session_state[key] = {"selection": {"rows": wanted}}

    def clicked() -> None:
        at = st.session_state[key]["selection"]["rows"]
        st.session_state["selected"] = rows[at[0]].selection() if at else None

    st.dataframe(
        columns,
        key=key,
        hide_index=True,
        width="stretch",
        height=min(31 * len(rows) + 36, 346),
        on_select=clicked,
        selection_mode="single-row",
        placeholder="–",
        alt="Objects of this image",
        column_config={
            "": st.column_config.ImageColumn(width=28),
            "verdict": st.column_config.TextColumn(width=74),
            "conf.": st.column_config.NumberColumn(
                format="%.2f",
                width=50,
                help="Confidence. For a missed object: of the box that finds it below the threshold.",
            ),
            "IoU": st.column_config.NumberColumn(
                format="%.2f", width=46, help="Intersection over union with its partner."
            ),
            "size": st.column_config.TextColumn(width=76, help="Width × height in pixels of the picture."),
        },
    )
    return chosen


@st.cache_data(ttl=10, show_spinner=False)
def _fiftyone_link(path: str, _run, sample_id: str) -> str | None:
    """Where FiftyOne shows this image, if the run was pushed there and the App runs."""
    name = pushes.pushed_as(Path(path))
    if name is None or not pushes.connection()["url"]:
        return None
    from analysis.fiftyone_bridge import sample_link

    return sample_link(_run, sample_id, name=name)


def _details(s: state.Shared, i: int, row: objects.Row) -> None:
    if row.verdict != "missed" or not miss_panel.panel(s, i, row):
        st.markdown(
            objects.sentence(
                row,
                s.cut_of(row.name),
                s.iou,
                labelled=bool(s.run.labelled[i]),
                near=objects.nearest(s, i, row) if row.verdict == "wrong" else "",
            )
        )
    others = objects.rivals(s, i, row)
    if others:
        st.caption(
            "What else the detector said here" if row.verdict != "missed" else "What the detector said here"
        )
        st.dataframe(
            others,
            hide_index=True,
            width="stretch",
            column_config={
                "confidence": st.column_config.NumberColumn(format="%.2f"),
                "IoU": st.column_config.NumberColumn(format="%.2f", help="With the chosen box."),
            },
        )
    elif row.verdict == "missed":
        st.caption(
            "The run holds no detection of any class that overlaps it by more than 0.10, down to the score"
            f" {s.manifest.floor:g}."
        )


def main() -> None:
    state.go_if_asked()
    s = state.shared()
    if s is None:
        box = empty("No image yet", "A run brings images here; the demo makes one at once.")
        if box.button("Choose pictures and a detector", type="primary"):
            state.go("views/detect/page.py")
        return
    order = _order(s)
    i = _current(s, order)
    if i is None:
        empty("No image matches", "Loosen the filters of the gallery or the classes on the left.")
        return
    if odd := st.session_state.pop("_odd_link", None):
        st.warning(
            f"The link names the image {odd}, which this run does not have; shown is the first in the"
            " gallery's order.",
            icon=":material/link_off:",
        )
    place = np.flatnonzero(order == i)
    at = int(place[0]) if len(place) else None
    sample_id = s.run.sample_ids[i]
    rows = objects.rows_of(s, i)
    chosen = objects.find(rows, st.session_state.get("selected"))
    width, height = s.run.image_size(i)
    data = {
        "key": f"{s.name}/{sample_id}",
        "name": pictures.name_of(s.run, i),
        "width": width,
        "height": height,
        "max_height": 520,
        "place": f"{at + 1:,} of {len(order):,}" if at is not None else "outside the gallery's filter",
        "labelled": bool(s.run.labelled[i]),
        "classes": list(s.run.class_map.names),
        "threshold": s.threshold,
        "iou": s.iou,
        "shown": list(s.counted_classes) if s.counted_classes is not None else None,
        "selected": st.session_state.get("selected"),
        "has_prev": at is not None and at > 0,
        "has_next": at is not None and at + 1 < len(order),
        "point": s.point,
    } | boxes_of(s.run, s.matches, i)
    data["dets"]["cuts"] = data["truth"]["cuts"] = s.drawn_thresholds
    try:
        content, kind = pictures.picture(s.run, i)
        data["url"] = pictures.publish(content, kind, "viewer")
    except BoxscopeError as error:
        data |= {
            "url": "",
            "error": f"This picture cannot be shown: {s.run.failed.get(sample_id, error.message)}",
        }
    data["near"] = _neighbours(s, order, at)
    picked_class = None if chosen is None else s.run.class_map.index(rows[chosen].name)
    offer = confidence_layer.offer(s)
    data |= {"heat_offered": offer.possible, "heat_reason": offer.reason}
    with st.container(key="image-page"):
        left, right = st.columns([3, 2], gap="medium")
    with left:
        if st.session_state.get("heat_on") and offer.possible and data.get("url"):
            data["heat"] = confidence_layer.layer(s, i, picked_class)
        box_viewer(
            data,
            key="viewer",
            on_select=_from_viewer,
            on_step=_from_viewer,
            on_threshold=_from_viewer,
            on_heat=_from_viewer,
        )
        if data.get("heat"):
            st.caption(data["heat"]["title"])
    with right:
        _table(s, rows, chosen)
        if chosen is not None:
            with st.container(border=True):
                _details(s, i, rows[chosen])
            miss_panel.who_suppressed(s, i, rows[chosen])
        elif rows:
            miss_panel.who_suppressed(s, i, None)
            st.caption("Choose an object here or in the picture to see what became of it.")
        if link := _fiftyone_link(str(s.path), s.run, sample_id):
            st.link_button("This image in FiftyOne", link, icon=":material/open_in_new:", type="tertiary")
        if chosen is not None:
            # Last, because a map may take its time and whatever stands below would wait for it.
            with st.container(border=True, key="heat-maps"):
                heat_maps.section(s, i, rows[chosen])


def _neighbours(s: state.Shared, order: np.ndarray, at: int | None) -> list[str]:
    """URLs of the pictures one step away, for the browser to fetch ahead."""
    if at is None:
        return []
    out = []
    for step in (1, -1):
        if 0 <= at + step < len(order):
            try:
                out.append(pictures.publish(*pictures.picture(s.run, int(order[at + step])), f"near{step}"))
            except BoxscopeError:
                continue
    return out


main()
