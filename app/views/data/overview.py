"""What is in the data set: counts, boxes, samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from analysis.datasets import charts
from app.frame.components import empty
from app.viewer.data_parts import drawing
from app.viewer.panels import bar_rows
from app.views.data import payloads
from app.views.data.cached import summary_of
from app.views.data.opening import PAGE, show_crops, show_tiles
from detector.data.dataset import Dataset


def show_overview(dataset: Dataset, key: str) -> None:
    summary = summary_of(key, dataset)
    left, right = st.columns([1.35, 1], gap="medium")
    chosen = st.session_state.get("data_class")
    with left:
        if not summary.objects["all"]:
            st.markdown("Nothing is labelled here.")
        else:
            with st.container(height=430 if len(summary.classes) > 13 else "content", border=False):
                bar_rows(
                    payloads.class_rows(summary, chosen),
                    key="data_classes",
                    on_pick=lambda: toggle("data_class", st.session_state["data_classes"].get("pick")),
                )
            if summary.imbalance and summary.imbalance >= 3:
                st.caption(
                    f"For each object of the rarest class there are {summary.imbalance:.0f} of the most"
                    " frequent one."
                )
    with right:
        if summary.images["labelled"]:
            drawing(charts.per_image_chart(summary), key="data_per_image")
        splits = [{"split": name or "none", **values} for name, values in summary.splits.items()]
        if len(splits) > 1:
            st.dataframe(splits, hide_index=True, width="stretch")
        if summary.frames:
            st.dataframe(
                [{"picture size": f"{w} x {h}", "images": n} for (w, h), n in summary.frames[:5]],
                hide_index=True,
                width="stretch",
            )
            if summary.frame_kinds > 5:
                st.caption(f"The 5 commonest of {summary.frame_kinds:,} sizes.")
    if chosen in dataset.class_map:
        groups = [
            (int(k),)
            for k in np.flatnonzero(
                (dataset.objects.class_ids == dataset.class_map.index(chosen)) & ~dataset.objects.crowd
            )
        ]
        show_crops(dataset, groups, f"**{len(groups):,}** {chosen}", "data_class_crops")


def toggle(key: str, value: Any) -> None:
    st.session_state[key] = None if value is None or st.session_state.get(key) == value else value


def show_boxes(dataset: Dataset, key: str) -> None:
    summary = summary_of(key, dataset)
    if not summary.measured:
        empty("No boxes", "Nothing is labelled here, or no picture's size is known.")
        return
    for pair in ((charts.side_chart, charts.ratio_chart), (charts.coco_chart, charts.centre_chart)):
        for column, draw in zip(st.columns(2, gap="medium"), pair):
            with column:
                drawing(draw(summary), key=f"data_{draw.__name__}")
    covered = (
        ""
        if summary.covered is None
        else f" Boxes cover {100 * summary.covered:.0f} % of the median picture that has any."
    )
    st.caption(
        f"Of {summary.measured:,} boxes; crowds, and boxes on pictures of unknown size, are left"
        f" out.{covered}"
    )


def show_samples(dataset: Dataset, key: str) -> None:
    from analysis.datasets.eda_report import choose_samples

    seed = st.session_state.setdefault("data_seed", 0)
    rows = choose_samples(dataset, PAGE, seed)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{len(rows)}** of {len(dataset):,} images, the rarer classes among them · dashed: ground"
            " truth",
            width="stretch",
        )
        st.button(
            "Others",
            icon=":material/shuffle:",
            type="tertiary",
            on_click=lambda: st.session_state.update(data_seed=seed + 1),
            disabled=len(rows) == len(dataset),
        )
    show_tiles(dataset, [(i, dataset.splits[i] or "") for i in rows], "", "data_samples")
