"""What is odd in the data set, where, and a copy with the fixes."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from analysis.datasets.doctor import Diagnosis
from analysis.datasets.findings import Finding
from app.frame.components import say_error
from app.viewer.data_parts import finding_list
from app.views.data import payloads, picture_scan
from app.views.data.cached import diagnosis_of, network_of_session
from app.views.data.choice import OF_PATH
from app.views.data.opening import show_crops, show_tiles
from app.views.data.overview import toggle
from detector.data.dataset import Dataset
from detector.errors import BoxscopeError
from detector.paths import data_dir


def show_findings(dataset: Dataset, key: str) -> None:
    look = picture_scan.look(key, dataset)
    network, size = network_of_session()
    diagnosis = diagnosis_of(key, look is not None, network, size, dataset, look)
    if not diagnosis.findings:
        st.markdown("Nothing odd was found.")
        return
    chosen = _asked_finding(diagnosis)
    with st.container(height=400 if len(diagnosis.findings) > 6 else "content", border=False):
        finding_list(
            payloads.finding_rows(diagnosis, chosen),
            key="findings",
            on_pick=lambda: toggle("finding", st.session_state["findings"].get("pick")),
        )
    _fixed_copy(dataset, diagnosis)
    finding = diagnosis.find(chosen) if chosen else None
    if finding is not None:
        _places(dataset, diagnosis, finding)
    else:
        st.caption("Choose one above to see its pictures here.")


def _asked_finding(diagnosis: Diagnosis) -> str | None:
    """The finding that is open: of the link when the page opens, then of this session."""
    if "finding" not in st.session_state and (linked := st.query_params.get("finding")):
        st.session_state["finding"] = linked
    chosen = st.session_state.get("finding")
    if chosen and diagnosis.find(chosen):
        st.query_params["finding"] = chosen
        return chosen
    st.query_params.pop("finding", None)
    return None


def _places(dataset: Dataset, diagnosis: Diagnosis, finding: Finding) -> None:
    groups, shown = payloads.boxes_of_finding(finding), payloads.images_of_finding(dataset, finding)
    if groups:
        values = None
        if finding.kind == "no anchor" and diagnosis.reach is not None:
            values = {k[0]: f"IoU {diagnosis.reach.iou[k[0]]:.2f}" for k in groups}
        show_crops(
            dataset,
            groups,
            f"**{len(groups):,}** {'pairs' if finding.kind in payloads.PAIRS else 'boxes'} · {finding.kind}",
            "finding_crops",
            values,
        )
    elif shown:
        show_tiles(dataset, shown, f"**{len(shown):,}** images · {finding.kind}", "finding_tiles")
    if finding.places:
        with st.expander(f"Files and lines ({len(finding.places):,})", expanded=not (groups or shown)):
            rows = [{"what": p.message, "file": p.path, "line": p.line} for p in finding.places[:500]]
            st.dataframe(rows, hide_index=True, width="stretch", height=min(35 * len(rows) + 38, 320))
            if len(finding.places) > 500:
                st.caption("The first 500; `boxscope doctor --all` lists them all.")


def _fixed_copy(dataset: Dataset, diagnosis: Diagnosis) -> None:
    """A written copy without the mechanical faults, in the data directory; what it changed."""
    fixable = [f.kind for f in diagnosis.findings if f.fixable]
    if not fixable:
        return
    with st.popover("Write a fixed copy", icon=":material/healing:"):
        st.markdown(
            f"A copy of the data set and its pictures without: {', '.join(fixable)}. The original stays as"
            " it is."
        )
        st.caption(
            "What needs a person is left alone: near-duplicates, copies labelled differently, boxes that are"
            " off."
        )
        if st.button("Write it", type="primary", key="write_fixed"):
            from analysis.datasets.fix import write_fixed

            out = data_dir("fixed") / f"{dataset.name}-{datetime.now():%Y%m%d-%H%M%S}".replace("/", "-")
            try:
                with st.spinner("Writing"):
                    changes = write_fixed(dataset, diagnosis, out)
                st.session_state["_fixed"] = (
                    str(out),
                    [{"what": c.kind, "change": c.message, "file": c.path, "line": c.line} for c in changes],
                )
            except BoxscopeError as error:
                say_error(error)
    if (made := st.session_state.get("_fixed")) is not None:
        path, changes = made
        with st.container(border=True):
            st.markdown(
                f"**{len(changes):,}** change{'' if len(changes) == 1 else 's'} in the copy at `{path}`"
            )
            st.dataframe(
                changes[:500], hide_index=True, width="stretch", height=min(35 * len(changes[:500]) + 38, 220)
            )
            with st.container(horizontal=True):
                st.button(
                    "Look at the copy",
                    icon=":material/arrow_forward:",
                    on_click=lambda: st.session_state.update(
                        of=OF_PATH, folder=path, _fixed=None, finding=None
                    ),
                )
                st.button("Close", type="tertiary", on_click=lambda: st.session_state.pop("_fixed", None))
