"""Data: what is in a data set, what is odd in it, what no anchor reaches; every figure opens its pictures."""

from __future__ import annotations

import streamlit as st

from app.frame import state
from app.frame.components import empty, errors_said, say_error
from app.views.data import payloads, picture_scan
from app.views.data.cached import diagnosis_of, network_of_session, summary_of
from app.views.data.choice import choose_dataset
from app.views.data.coverage import show_coverage
from app.views.data.findings import show_findings
from app.views.data.opening import show_image
from app.views.data.overview import show_boxes, show_overview, show_samples
from detector.data.dataset import Dataset
from detector.errors import BoxscopeError

PARTS = ["Overview", "Boxes", "Samples", "Findings", "Reach"]


def _report(dataset: Dataset, key: str) -> str:
    from analysis.datasets.eda_report import build_eda

    look = picture_scan.known(key)
    network, size = network_of_session()
    return build_eda(
        dataset, summary_of(key, dataset), diagnosis_of(key, look is not None, network, size, dataset, look)
    ).html


def main() -> None:
    state.go_if_asked()
    try:
        dataset = choose_dataset(state.shared())
    except BoxscopeError as error:
        say_error(error)
        return
    if dataset is None:
        return
    if not len(dataset):
        empty("No picture", "This data set lists none.")
        return
    key = payloads.key_of(dataset)
    line = st.container(horizontal=True, vertical_alignment="center", gap="medium")
    part = (
        line.segmented_control(
            "Look at",
            PARTS,
            default=PARTS[0],
            key="part",
            bind="query-params",
            required=True,
            label_visibility="collapsed",
        )
        or PARTS[0]
    )
    line.space("stretch")
    line.download_button(
        "Report",
        lambda: _report(dataset, key),
        f"{dataset.name}-data.html",
        "text/html",
        icon=":material/summarize:",
        type="tertiary",
        on_click="ignore",
        help="All of this as one HTML file, made when you click. `boxscope eda` writes the same.",
    )
    with errors_said():
        {
            "Overview": show_overview,
            "Boxes": show_boxes,
            "Samples": show_samples,
            "Findings": show_findings,
            "Reach": show_coverage,
        }[part](dataset, key)
    if (opened := st.session_state.pop("_data_open", None)) is not None:
        show_image(dataset, *opened)


main()
