"""Images and boxes of a data set, opened from any figure."""

from __future__ import annotations

import streamlit as st

from app.files import pictures
from app.frame import state
from app.frame.components import errors_said
from app.viewer import thumbnail_grid
from app.viewer.panels import crop_strip
from app.views.data import payloads
from app.views.data.choice import OF_RUN
from detector.data.dataset import Dataset

PAGE = 24


TALL = 540
"""Most pixels of height of an opened picture, so that it fits a laptop's window."""


def _open(dataset: Dataset, i: int, objects: tuple[int, ...] = ()) -> None:
    """The Image page where the run has this image, else the picture over the page."""
    s = state.shared()
    if s is not None and st.session_state.get("of") in (None, OF_RUN) and dataset.sample_ids[i] in s.run:
        st.session_state["image_id"] = dataset.sample_ids[i]
        st.session_state["selected"] = (
            {"side": "truth", "index": int(objects[0] - dataset.offsets[i])}
            if objects and len(dataset.objects) == len(s.run.truth)
            else None
        )
        st.session_state["_go"] = "views/image/page.py"
    else:
        st.session_state["_data_open"] = (i, objects)


@st.dialog("Picture", width="large")
def show_image(dataset: Dataset, i: int, objects: tuple[int, ...]) -> None:
    from analysis.datasets.eda_report import drawn

    with errors_said():
        image = drawn(dataset, i, 1000, only=objects or None)
        st.image(image, width=min(image.shape[1], round(TALL * image.shape[1] / image.shape[0])))
    st.caption(
        f"{pictures.name_of(dataset, i)} · {dataset.splits[i] or 'no split'} ·"
        f" {dataset.sizes[i][0]}x{dataset.sizes[i][1]} pixels"
    )
    for k in objects:
        path, line = dataset.place_of(k)
        st.text(
            f"{dataset.class_map.names[dataset.objects.class_ids[k]]}:"
            f" {path}{f', line {line}' if line else ''}"
        )


def _pager(count: int, key: str) -> int:
    """The first place of the page shown; the widget is drawn where there are several."""
    pages = max(1, -(-count // PAGE))
    if st.session_state.get(key, 1) > pages:
        st.session_state[key] = pages
    return ((st.pagination(pages, key=key, max_visible_pages=5) if pages > 1 else 1) - 1) * PAGE


def show_crops(
    dataset: Dataset,
    groups: list[tuple[int, ...]],
    words: str,
    key: str,
    values: dict[int, str] | None = None,
) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(words, width="stretch")
        first = _pager(len(groups), f"{key}_page")

    def opened() -> None:
        at = st.session_state[key].get("open")
        if at is not None and 0 <= at < len(groups):
            _open(dataset, int(dataset.objects.rows[groups[at][0]]), groups[at])

    crop_strip(payloads.crops_payload(dataset, groups, first, values), key=key, on_open=opened)


def show_tiles(dataset: Dataset, shown: list[tuple[int, str]], words: str, key: str) -> None:
    first = 0
    if words or len(shown) > PAGE:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(words, width="stretch")
            first = _pager(len(shown), f"{key}_page")
    here = shown[first : first + PAGE]

    def opened() -> None:
        at = st.session_state[key].get("open")
        if at is not None and int(at) < len(here):
            _open(dataset, here[int(at)][0])

    thumbnail_grid(payloads.tiles_payload(dataset, here), key=key, on_open=opened)
