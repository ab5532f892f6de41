"""Gallery: the images under the shared controls as thumbnails, the worst first."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from analysis.misses.causes import RUN_CAUSES as CAUSES
from analysis.runs.streamed import StreamedRun
from app.files import demo, pictures
from app.frame import gallery_order, large_runs, state
from app.frame.components import empty, show_problems
from app.viewer import thumbnail_grid
from app.viewer.payload import tile_text
from detector.core import FLAGS
from detector.data.indexed.columns import take

PAGE = 24


def _open() -> None:
    sample_id = st.session_state["grid"].get("open")
    if sample_id is not None:
        st.session_state["image_id"] = sample_id
        st.session_state["_go"] = "views/image/page.py"


def _pick() -> None:
    pick = st.session_state["grid"].get("pick")
    if pick:
        collected = st.session_state.setdefault("collected", {})
        (collected.__setitem__ if pick["on"] else lambda k, v: collected.pop(k, None))(pick["id"], True)


def _controls(s: state.Shared) -> tuple[str, gallery_order.Filters]:
    left, middle, right = st.columns([2.2, 5, 2], vertical_alignment="bottom")
    judged = bool(s.run.usable.any())
    sort = left.selectbox(
        "Sort",
        list(gallery_order.SORTS if judged else gallery_order.UNJUDGED_SORTS),
        key="sort",
        bind="query-params",
        label_visibility="collapsed",
        help="Within equal ones the data set's own order.",
    )
    shows = middle.pills(
        "Images with",
        list(gallery_order.SHOWS) if judged else ["detections", "no detections"],
        selection_mode="multi",
        key="show",
        bind="query-params",
        label_visibility="collapsed",
    )
    with right.popover("More filters", icon=":material/filter_list:", width="stretch"):
        large = isinstance(s.run, StreamedRun)  # what follows looks at every object of the run
        sizes = (
            []
            if large
            else st.pills(
                "Object size",
                ["small", "medium", "large"],
                selection_mode="multi",
                key="size",
                bind="query-params",
                help="By area: small under 32², medium under 96² square pixels, as COCO has it.",
            )
        )
        causes = (
            st.pills(
                "Missed because",
                list(CAUSES),
                selection_mode="multi",
                key="cause",
                bind="query-params",
                help=(
                    "Images with an object missed for one of these causes, as the stored detections tell it."
                ),
            )
            if judged and not large
            else []
        )
        present = [] if large else [flag for flag in FLAGS if getattr(s.run.truth, flag).any()]
        flags = (
            st.pills("Objects flagged", present, selection_mode="multi", key="flag", bind="query-params")
            if present
            else []
        )
        splits = sorted(s.run.splits.distinct() if large else {x for x in s.run.splits if x})
        split = (
            st.pills("Split", splits, selection_mode="multi", key="split", bind="query-params")
            if len(splits) > 1
            else []
        )
        if not (present or len(splits) > 1):
            st.caption("No flags or splits in this data set.")
        name = st.text_input("Name contains", key="name", bind="query-params")
    return sort, gallery_order.Filters(
        tuple(shows or ()),
        tuple(sizes or ()),
        tuple(flags or ()),
        tuple(split or ()),
        name or "",
        tuple(causes or ()),
    )


def _first_clicks() -> None:
    """Three suggestions for someone who has just arrived at the demo."""
    if st.session_state.get("hide_hints"):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown("**Start here**")
        if st.button("Open the worst image", icon=":material/counter_1:"):
            st.session_state.pop("image_id", None)
            state.go("views/image/page.py")
        st.button(
            "Threshold to 0.25",
            icon=":material/counter_2:",
            on_click=lambda: st.session_state.update(conf=0.25),
            help="More objects are found, and more false alarms (false positives) come with them.",
        )
        if st.button("Run a detector on your picture", icon=":material/counter_3:"):
            state.go("views/detect/page.py")
        st.button("Hide", type="tertiary", on_click=lambda: st.session_state.update(hide_hints=True))


def _collected(s: state.Shared, matching: list[str]) -> None:
    kept = [i for i in st.session_state.get("collected", {}) if i in s.run]
    if kept:
        st.download_button(
            f"Save {len(kept):,} collected ids",
            "\n".join(kept) + "\n",
            f"{s.name}-collected.txt",
            "text/plain",
            type="tertiary",
            icon=":material/download:",
            help="One sample id a line.",
        )
        st.button(
            "Clear selection",
            type="tertiary",
            icon=":material/close:",
            on_click=lambda: st.session_state.pop("collected", None),
        )
    else:
        st.download_button(
            f"Save {len(matching):,} ids",
            "\n".join(matching) + "\n",
            f"{s.name}-images.txt",
            "text/plain",
            type="tertiary",
            icon=":material/download:",
            disabled=not matching,
            help="The ids of every image that matches, in this order, one a line.",
        )


def _tiles(s: state.Shared, rows: list[int]) -> dict[str, list[str]]:
    """The drawings of these images as JSON texts, and beside each its picture's URL or why there is none."""
    urls, errors = [], []
    for i, content in zip(rows, pictures.tiles(s.run, rows)):
        broken = isinstance(content, str)
        urls.append("" if broken else pictures.publish(content, "image/jpeg", f"tile-{i}"))
        errors.append(s.run.failed.get(s.run.sample_ids[i], content) if broken else "")
    key = (str(s.path), s.stamp, s.iou)
    if isinstance(s.run, StreamedRun):
        return {"tiles": large_runs.tiles(s.run, rows, s.iou, key), "urls": urls, "errors": errors}
    return {"tiles": [tile_text(s.run, s.matches, i, key) for i in rows], "urls": urls, "errors": errors}


def _set(s: state.Shared) -> gallery_order.Only | None:
    """The images another page sent here, with the way back to all."""
    name, only = st.session_state.get("_only", (None, None))
    if name != s.name or only is None:
        return None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f":material/filter_alt: Only images with **{only.words}**, as they were when you came from"
            " Mistakes.",
            width="stretch",
        )
        st.button(
            "Show all",
            icon=":material/close:",
            type="tertiary",
            on_click=lambda: st.session_state.pop("_only", None),
        )
    return only


def main() -> None:
    state.go_if_asked()
    s = state.shared()
    if s is None:
        box = empty("Nothing to look at yet", "Run a detector over your pictures, or open the demo.")
        if box.button("Choose pictures and a detector, or the demo", type="primary"):
            state.go("views/detect/page.py")
        return
    if s.name == demo.NAME:
        _first_clicks()
    sort, filters = _controls(s)
    if (only := _set(s)) is not None:
        filters = replace(filters, only=only)
    order = gallery_order.arrange(s, sort, filters)
    st.session_state["_order"] = (s.name, order.rows)
    pages = max(1, -(-len(order.rows) // PAGE))
    if st.session_state.get("page", 1) > pages:
        st.session_state["page"] = pages
    number = 1
    with st.container(horizontal=True, vertical_alignment="center", gap="medium", key="line"):
        st.markdown(order.sentence, width="stretch")
        _collected(s, take(s.run.sample_ids, order.rows))
        if pages > 1:
            number = st.pagination(pages, key="page", bind="query-params")
    if not len(order.rows):
        empty("No image matches", "Loosen the filters above, the classes or the threshold on the left.")
        return
    shown = order.rows[(number - 1) * PAGE : number * PAGE]
    thumbnail_grid(
        {
            **_tiles(s, [int(i) for i in shown]),
            "threshold": s.threshold,
            "cuts": s.drawn_thresholds,
            "shown": list(s.counted_classes) if s.counted_classes is not None else None,
            "picked": list(st.session_state.get("collected", {})),
        },
        key="grid",
        on_open=_open,
        on_pick=_pick,
    )
    show_problems(s.run.problems)


main()
