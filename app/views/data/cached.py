"""What is worked out once per data set: summary, findings, remedies; the network they refer to."""

from __future__ import annotations

import streamlit as st

from analysis.datasets.anchor_reach import Reach
from analysis.datasets.doctor import Diagnosis, diagnose
from analysis.datasets.duplicates import Look
from analysis.datasets.summary import Summary, summarise
from app.model.networks import DEFAULT, anchor_set, chosen_network, remedies
from app.views.data.choice import OWN
from detector.data.dataset import Dataset
from detector.errors import BoxscopeError


@st.cache_resource(max_entries=8, show_spinner=False)
def summary_of(key: str, _dataset: Dataset) -> Summary:
    return summarise(_dataset)


@st.cache_resource(max_entries=16, show_spinner="Looking for what is odd")
def diagnosis_of(
    key: str, looked: bool, network: str, size: str | None, _dataset: Dataset, _look: Look | None
) -> Diagnosis:
    chosen = chosen_network(network, size)
    return diagnose(_dataset, look=_look, anchors=None if chosen is None else anchor_set(chosen, network))


@st.cache_resource(max_entries=16, show_spinner=False)
def remedies_of(key: str, network: str, size: str | None, _dataset: Dataset) -> list[tuple[str, Reach]]:
    chosen = chosen_network(network, size)
    return [] if chosen is None else remedies(_dataset, chosen)


def network_of_session() -> tuple[str, str | None]:
    network = st.session_state.get("network") or st.query_params.get("network") or DEFAULT
    if network == OWN:
        network = (st.session_state.get("network_path") or "").strip() or DEFAULT
    size = st.session_state.get("input") or st.query_params.get("input")
    try:
        chosen_network(network, size or None)
    except BoxscopeError:
        return DEFAULT, None
    return network, size or None
