"""Groups: which kinds of objects the detector fails on, tested on images that were not used to find them."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.groups.finding import Group, Groups
from analysis.groups.pixels import LOOK, MEASURES, kept_pixels, object_pixels
from analysis.groups.run import groups_of_run
from analysis.groups.similar import map_of_objects
from analysis.mistakes.box_lists import BoxList
from app.files import crops
from app.frame import gallery_order, state
from app.frame.components import empty, say_error
from app.viewer.panels import crop_strip
from detector.errors import BoxscopeError, InputError

SHARE = st.column_config.NumberColumn(format="%.0f %%", width=84)


@st.cache_resource(max_entries=8, show_spinner="Searching and testing groups")
def _found(key: tuple, thresholds: tuple, pixels: bool, _s: Any) -> Groups:
    extra = kept_pixels(_s.run) if pixels else None
    return groups_of_run(_s.run, matches=_s.chosen, threshold=_s.thresholds, iou=_s.iou, extra=extra)


def _rows(found: Groups) -> list[dict[str, Any]]:
    return [
        {
            "group": g.description,
            "objects": g.objects,
            "images": g.images,
            "recall": 100 * g.recall,
            "of the rest": 100 * g.rest,
            "tested, low": 100 * g.interval[0],
            "tested, high": 100 * g.interval[1],
            "more missed": round(g.missed_more),
            "q": g.adjusted,
        }
        for g in found.groups
    ]


def _members(s: state.Shared, group: Group) -> BoxList:
    """The missed objects of the group first, then the found ones."""
    m = s.chosen
    places = np.flatnonzero(group.members & m.truth_counted)
    cuts = s.class_thresholds
    hit = (m.truth_det[places] >= 0) & (m.truth_score[places] >= cuts[m.truth_classes[places]])
    places = places[~hit]
    return BoxList(f"missed objects: {group.description}", np.full(len(places), -1), places, of_objects=True)


def _open(s: state.Shared, boxes: BoxList) -> None:
    at = st.session_state["group_crops"].get("open")
    if at is not None and 0 <= at < len(boxes):
        st.session_state["image_id"], st.session_state["selected"] = crops.selection_of(s.run, boxes, at)
        st.session_state["_order"] = (s.name, crops.image_order(s.run, boxes))
        st.session_state["_go"] = "views/image/page.py"


def _to_gallery(s: state.Shared, boxes: BoxList) -> None:
    st.session_state.update(
        _only=(s.name, gallery_order.Only(boxes.what, crops.image_order(s.run, boxes))),
        _go="views/gallery/page.py",
    )


@st.cache_data(max_entries=4, show_spinner="Laying out the objects")
def _map(path: str, stamp: tuple, images: bytes, _looks: np.ndarray, _chosen: np.ndarray) -> Any:
    return map_of_objects(_looks, _chosen)


def _draw_map(s: state.Shared) -> None:
    """Objects that look alike lie together; a dragged frame shows its objects."""
    m = s.chosen
    looks = object_pixels(s.run)[LOOK]
    places, xy = _map(str(s.path), s.stamp, m.truth_counted.tobytes(), looks, m.truth_counted)
    hit = (m.truth_det[places] >= 0) & (m.truth_score[places] >= s.class_thresholds[m.truth_classes[places]])
    points = {
        "x": xy[:, 0],
        "y": xy[:, 1],
        "object": places,
        "verdict": np.where(hit, "found", "missed"),
        "class": np.array(s.run.class_map.names, object)[m.truth_classes[places]],
    }
    chart = {
        "mark": {"type": "circle", "size": 36, "opacity": 0.75},
        "params": [{"name": "frame", "select": "interval"}],
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "axis": None},
            "y": {"field": "y", "type": "quantitative", "axis": None},
            "color": {
                "field": "verdict",
                "type": "nominal",
                "scale": {"domain": ["found", "missed"], "range": ["#0e9f6e", "#c4549b"]},
                "title": None,
            },
            "tooltip": [{"field": "class"}, {"field": "verdict"}],
        },
        "height": 360,
    }
    event = st.vega_lite_chart(points, chart, key=f"map-{s.name}", on_select="rerun", width="stretch")
    frame = event.selection.get("frame") or {}
    if not frame:
        st.caption(
            f"{len(places):,} of {int(m.truth_counted.sum()):,} objects, by colours and edges of their crops;"
            " alike ones lie together, far distances mean nothing. Drag a frame to see what lies in it."
        )
        return
    inside = np.ones(len(places), bool)
    for axis, values in (("x", xy[:, 0]), ("y", xy[:, 1])):
        if axis in frame:
            inside &= (values >= min(frame[axis])) & (values <= max(frame[axis]))
    _crops(s, _boxes("objects in the frame", places[inside], m, hit[inside]))


def _boxes(what: str, places: np.ndarray, m: Any, hit: np.ndarray) -> BoxList:
    """The missed objects first, the found ones with the detection that found them."""
    order = np.argsort(hit, kind="stable")
    dets = np.where(hit, m.truth_det[places], -1)
    return BoxList(what, dets[order], places[order], of_objects=True)


def _look_at_pixels(s: state.Shared) -> None:
    bar = st.progress(0.0, "Looking at the objects")
    object_pixels(s.run, lambda done, total: bar.progress(done / total, f"{done:,} of {total:,} images"))
    bar.empty()


def main() -> None:
    state.go_if_asked()
    s = state.shared()
    if s is None or not s.run.usable.any():
        empty(
            "No groups yet", "A run over labelled pictures is searched for the groups of objects it fails on."
        )
        return
    have = kept_pixels(s.run) is not None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        words = st.container(width="stretch")
        if not have and st.button(
            "Look at the pixels too",
            icon=":material/palette:",
            help=f"Opens every picture once for {', '.join(MEASURES)} of each object; kept with the run.",
        ):
            _look_at_pixels(s)
            have = True
    if have and words.toggle("Map of the objects", key="groups_map"):
        _draw_map(s)
        return
    try:
        found = _found(state.key_of(s), (state.threshold_key(s), s.class_ids, s.mode), have, s)
    except InputError as error:
        empty("Too little to search", error.message)
        return
    except BoxscopeError as error:
        say_error(error)
        return
    if not found.groups:
        words.markdown(
            f"No group of objects has a significantly lower recall than the rest ({found.recall:.0%} of"
            f" everything); {found.tried:,} descriptions were tried."
        )
        return
    first = found.groups[0]
    words.markdown(
        f"Most is lost in **{first.description}**: recall {first.recall:.0%} against {first.rest:.0%} of the"
        f" rest, about {first.missed_more:,.0f} objects more missed than if it did as well."
    )
    table = st.dataframe(
        _rows(found),
        key=f"groups-{s.name}",
        hide_index=True,
        width="stretch",
        height=min(31 * len(found.groups) + 34, 300),
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "recall": SHARE,
            "of the rest": SHARE,
            "tested, low": SHARE,
            "tested, high": SHARE,
            "q": st.column_config.NumberColumn(format="%.2g", width=70, help="p-value after the correction."),
        },
    )
    st.caption(
        f"{s.point} · {found.tried:,} descriptions tried on half of the {found.images:,} images,"
        f" {found.tested} tested on the other half; of the groups in such lists at most {found.level:.0%} are"
        " false on average. Choose a line to see its missed objects."
    )
    at = table.selection.rows
    group = found.groups[at[0] if at and at[0] < len(found.groups) else 0]
    _crops(s, _members(s, group))


def _crops(s: state.Shared, boxes: BoxList) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{len(boxes):,}** {boxes.what}", width="stretch")
        st.button(
            "Gallery",
            icon=":material/grid_view:",
            type="tertiary",
            on_click=_to_gallery,
            args=(s, boxes),
            disabled=not len(boxes),
            help="These images, whole, in the gallery.",
        )
    crop_strip(
        {"crops": crops.payload(s.run, s.matches, boxes, 0, threshold=s.thresholds)},
        key="group_crops",
        on_open=lambda: _open(s, boxes),
    )


main()
