"""The part of *Compare* that pairs two runs box by box: no ground truth needed; each loss with its cause."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import streamlit as st

from analysis.parity.causes import CAUSES, HOW, Cause, explain_lost
from analysis.parity.pairs import Pairing, pair_runs
from analysis.parity.report import CHANGES, report
from app.frame import state
from app.frame.components import facts
from app.frame.state import key_of, threshold_key
from app.jobs import parity_job
from app.viewer import mount, nothing
from app.views.compare import pair_cards


def _strip(data: dict[str, Any], *, key: str, on_open: Any = nothing) -> Any:
    """Cards of pairs; `st.session_state[key]["open"]` is the row of the one that was clicked."""
    return mount("pairs")(key=key, data=data, on_open_change=on_open)


@st.cache_resource(max_entries=8, show_spinner="Pairing the two runs")
def _paired(
    key: tuple, thresholds: tuple, cut_b: float, other: str, stamp: tuple, _s: Any
) -> tuple[Pairing, list[Cause]]:
    p = pair_runs(
        _s.run, state.run_and_matches(other, _s.iou)[0], _s.thresholds, threshold_b=cut_b, iou=_s.iou
    )
    return p, explain_lost(p)


def section(s: state.Shared, other: str, cut_b: float) -> None:
    """Draw the pairs of the chosen run (A) and another (B)."""
    p, inferred = _paired(
        key_of(s), threshold_key(s), float(cut_b), other, state.run_stamp(state.stored_runs()[other].path), s
    )
    first, second = pair_cards.totals(p)
    st.markdown(first)
    left = f" {p.left_out:,} images are in one of the runs only, or could not be read." if p.left_out else ""
    st.caption(second + left)
    causes, proof = _causes(s, p, inferred)
    by_row = {c.pair: c for c in causes}
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        changes = (
            st.pills(
                "Show",
                CHANGES,
                selection_mode="multi",
                default=["lost", "gained"],
                key="pairs",
                bind="query-params",
                label_visibility="collapsed",
                help="Moved: an edge more than 1 pixel off. Rescored: a score more than 0.01 off.",
            )
            or []
        )
        counts: dict[str, int] = {}
        for c in causes:
            counts[c.cause] = counts.get(c.cause, 0) + 1
        wanted: list[str] = []
        if counts and "lost" in changes:
            wanted = (
                st.pills(
                    "Lost because of",
                    [c for c in CAUSES if c in counts],
                    selection_mode="multi",
                    key="because",
                    bind="query-params",
                    label_visibility="collapsed",
                    format_func=lambda c: f"{CAUSES[c]} {counts[c]:,}",
                )
                or []
            )
    names = None if s.counted_classes is None else {s.run.class_map.names[k] for k in s.counted_classes}
    rows = pair_cards.chosen(p, changes, by_row, wanted, names)
    _cards(s, p, rows, by_row, causes, proof)


def _cards(
    s: state.Shared, p: Pairing, rows: np.ndarray, by_row: dict[int, Cause], causes: list[Cause], proof: str
) -> None:
    pages = max(1, -(-len(rows) // pair_cards.PAGE))
    if st.session_state.get("pair_page", 1) > pages:
        st.session_state["pair_page"] = pages
    number = 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{len(rows):,}** object{'s' if len(rows) != 1 else ''}, the largest difference of score first",
            width="stretch",
        )
        if pages > 1:
            number = st.pagination(pages, key="pair_page", max_visible_pages=5)
        st.download_button(
            "JSON",
            lambda: json.dumps(report(p, causes), indent=1),
            f"{s.name}-parity.json",
            "application/json",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
            help="Figures and every object that changed, as `boxscope parity --out` writes them.",
        )
    if not len(rows):
        st.caption("No object changed this way.")
        return
    shown = rows[(number - 1) * pair_cards.PAGE : number * pair_cards.PAGE]
    _strip({"pairs": pair_cards.payload(p, shown, by_row)}, key="pair_cards", on_open=lambda: _open(s, p))
    st.caption(
        f"A: {s.point} · B: {p.b.manifest.detector.name} {p.b.manifest.detector.weights_hash[:8]}. Solid: its"
        f" box; dashed: where the other has one; thin grey: its box below the threshold. {proof}"
    )


def _open(s: state.Shared, p: Pairing) -> None:
    q = st.session_state["pair_cards"].get("open")
    if q is None or not 0 <= q < len(p):
        return
    i = int(p.image[q])
    selected = (
        {"side": "det", "index": int(p.det_a[q] - s.run.detections.offsets[i])}
        if p.det_a[q] >= 0
        else {"side": "none", "index": -1}
    )
    st.session_state.update(image_id=s.run.sample_ids[i], selected=selected, _go="views/image/page.py")


def _causes(s: state.Shared, p: Pairing, inferred: list[Cause]) -> tuple[list[Cause], str]:
    """(the causes to show, how they were told); draws the button that asks the detectors, and how that
    stands.
    """
    if not inferred:
        return inferred, ""
    folder = parity_job.folder_of(p)
    asked = parity_job.ParityJob.read(folder)
    found = parity_job.answers(folder) if asked is not None and asked.stage == "done" else None
    if found is not None and [(c.pair, c.of) for c in found] == [(c.pair, c.of) for c in inferred]:
        proved = sum(c.proved for c in found)
        how = {c.how for c in found}
        words = (
            f"Causes: {proved:,} of {len(found):,}"
            f" {HOW[next((name for name in ('exchanged', 'candidates') if name in how), 'stored')]}."
        )
        for note in asked.notes:
            facts(note)
        return found, words
    if s.calibration is not None or p.a.path is None or p.b.path is None:
        return inferred, "Causes are inferred from what both runs hold."
    if asked is not None and not asked.over:
        _standing(folder)
    else:
        if asked is not None and asked.stage == "failed":
            facts(f"The detectors could not be asked: {asked.error}")
        st.button(
            "Prove the causes",
            icon=":material/troubleshoot:",
            on_click=lambda: parity_job.ask(p),
            help=(
                "Loads both detectors beside this page and, for every lost object, exchanges one step after"
                " another: the prepared picture, scores, boxes, NMS, caps."
            ),
        )
    return inferred, "Causes are inferred from what both runs hold, until the detectors are asked."


@st.fragment(run_every=1.5)
def _standing(folder: Any) -> None:
    """How the asking stands; the page is drawn again when it ends."""
    asked = parity_job.ParityJob.read(folder)
    if asked is None or asked.over:
        st.rerun()
    st.progress(
        asked.fraction,
        text=f"Proving the causes: {asked.stage}"
        + (f", {asked.done} of {asked.total} images" if asked.total else ""),
    )
