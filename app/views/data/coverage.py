"""Which objects the anchors of a network cover."""

from __future__ import annotations

import numpy as np
import streamlit as st

from analysis.datasets.anchor_reach import INPUT_SIZES, Reach
from app.files.roots import allowed
from app.model.networks import DEFAULT, chosen_network
from app.viewer.panels import bar_rows
from app.views.data import payloads
from app.views.data.cached import diagnosis_of, remedies_of
from app.views.data.choice import OWN
from app.views.data.opening import show_crops
from app.views.data.overview import toggle
from detector.data.dataset import Dataset
from detector.ssd.config import ARCHITECTURES


def show_coverage(dataset: Dataset, key: str) -> None:
    a, b = st.columns([2, 1], vertical_alignment="bottom")
    network = a.selectbox(
        "Network",
        [DEFAULT, *(n for n in ARCHITECTURES if n != DEFAULT), OWN],
        key="network",
        bind="query-params",
    )
    if network == OWN:
        text = a.text_input(
            "Recipe, pipeline.config or training",
            key="network_path",
            placeholder="a path inside this server's folders, or the name of a training",
        )
        if not text.strip():
            st.caption("Name one above.")
            return
        network = text.strip() if "/" not in text else str(allowed(text))
    size = (
        b.text_input(
            "Input size",
            key="input",
            bind="query-params",
            placeholder="the network's own",
            help="Pixels, e.g. 512 or 512x320.",
        ).strip()
        or None
    )
    chosen = chosen_network(network, size)
    if chosen is None:
        return
    reach = diagnosis_of(key, False, network, size, dataset, None).reach
    if reach is None or not reach.whole.objects:
        st.caption("No object of a picture of known size, so nothing to reach.")
        return
    width, height = reach.anchors.input_size
    st.markdown(
        f"The anchors reach **{payloads.percent(reach.whole)}** of {reach.whole.objects:,} objects at"
        f" {width}x{height} with IoU {reach.anchors.match_iou:g}.",
        help=(
            "The recall the anchors have before anything is learnt. An object that none overlaps that much is"
            " learnt from its one best anchor, where others have several, and is found less often. A larger"
            " input, tiles or other anchors reach it."
        ),
    )
    left, right = st.columns([1.2, 1], gap="medium")
    picked = st.session_state.get("reach_pick")
    with left, st.container(height=400 if len(reach.classes) > 11 else "content", border=False):
        bar_rows(
            payloads.reach_rows(reach, "classes", picked),
            key="reach_classes",
            on_pick=lambda: toggle("reach_pick", st.session_state["reach_classes"].get("pick")),
        )
    with right:
        bar_rows(
            payloads.reach_rows(reach, "sizes", picked),
            key="reach_sizes",
            on_pick=lambda: toggle("reach_pick", st.session_state["reach_sizes"].get("pick")),
        )
        better = remedies_of(key, network, size, dataset)
        if better:
            st.dataframe(
                [
                    {
                        "one change": words,
                        "reached": f"{100 * (r.whole.ceiling or 0):.1f} %",
                        "objects gained": r.whole.reached - reach.whole.reached,
                    }
                    for words, r in better
                ],
                hide_index=True,
                width="stretch",
            )
    lost = _lost(dataset, reach, picked)
    if len(lost):
        show_crops(
            dataset,
            [(int(k),) for k in lost],
            f"**{len(lost):,}** objects no anchor"
            f" reaches{f' · {picked}' if picked and picked != 'all' else ''}, the worst first",
            "reach_crops",
            {int(k): f"IoU {reach.iou[k]:.2f}" for k in lost},
        )


def _lost(dataset: Dataset, reach: Reach, picked: str | None) -> np.ndarray:
    """Rows of the objects no anchor reaches: of a class, a size at the input, or all; the worst first. None
    while nothing is picked.
    """
    if picked is None:
        return np.zeros(0, int)
    lost = reach.unreached
    if picked in dataset.class_map:
        lost = lost & (dataset.objects.class_ids == dataset.class_map.index(picked))
    elif picked in INPUT_SIZES:
        from analysis.datasets.anchor_reach import INPUT_EDGES

        lost = lost & (np.searchsorted(INPUT_EDGES, reach.side, side="right") == INPUT_SIZES.index(picked))
    rows = np.flatnonzero(lost)
    return rows[np.argsort(reach.iou[rows], kind="stable")]
