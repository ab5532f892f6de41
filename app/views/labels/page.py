"""Labels: what is probably wrong in the ground truth, its evidence, and the reviewer's decisions, kept with
the run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from analysis.mistakes.box_lists import BoxList
from analysis.suspects.decisions import (
    DECISIONS,
    decide,
    list_precision,
    load_decisions,
    undecided,
)
from analysis.suspects.finding import Suspect, Suspects, find_suspects
from analysis.suspects.planting import KINDS
from analysis.suspects.queue import write_queue
from app.files import crops
from app.frame import state
from app.frame.components import empty, say_error
from app.viewer.panels import crop_strip
from detector.errors import BoxscopeError, InputError

EVERY = "all kinds"
SHOWN = 7
ICONS = {"label wrong": ":material/close:", "label right": ":material/check:", "unsure": ":material/help:"}
QUEUES = {
    "csv": ("CSV", "text/csv"),
    "coco": ("COCO", "application/json"),
    "labelstudio": ("Label Studio", "application/json"),
}


@st.cache_resource(max_entries=6, show_spinner="Learning what wrong labels look like to this detector")
def _found(key: tuple, thresholds: tuple, _s: Any) -> Suspects:
    return find_suspects(_s.run, matches=_s.matches, threshold=_s.thresholds, iou=_s.iou)


def _boxes(suspects: list[Suspect], kind: str) -> BoxList:
    return BoxList(
        f"suspect labels, {kind}",
        np.array([s.detection for s in suspects], np.int64),
        np.array([s.object for s in suspects], np.int64),
    )


def _open(s: state.Shared, boxes: BoxList) -> None:
    at = st.session_state["suspect_crops"].get("open")
    if at is not None and 0 <= at < len(boxes):
        st.session_state["image_id"], st.session_state["selected"] = crops.selection_of(s.run, boxes, at)
        st.session_state["_order"] = (s.name, crops.image_order(s.run, boxes))
        st.session_state["_go"] = "views/image/page.py"


def _queue(s: state.Shared, suspects: list[Suspect], decisions: dict, how: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "queue"
        write_queue(s.run, suspects, decisions, path, how)
        return path.read_bytes()


def _head(found: Suspects, decisions: dict, kind: str | None) -> None:
    counts = found.counts()
    listed = ", ".join(f"**{n:,}** {name}" for name, n in counts.items() if n)
    st.markdown(
        f"Of {found.labels:,} labels these look wrong: {listed or 'none'}. If every suspicion is right,"
        f" recall goes from {_percent(found.recall_now)} to {_percent(found.recall_then)}."
    )
    if found.warning:
        st.warning(found.warning, icon=":material/school:")
    st.caption(
        f"How good this list is, by your own decisions: {list_precision(decisions, kind)}. Suspicion orders"
        " the list; it is no probability."
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _review(s: state.Shared, shown: list[Suspect], decisions: dict, kind: str) -> None:
    boxes = _boxes(shown, kind)
    crop_strip(
        {"crops": crops.payload(s.run, s.matches, boxes, 0, SHOWN, threshold=s.thresholds)},
        key="suspect_crops",
        on_open=lambda: _open(s, boxes),
    )
    st.caption(
        "Dashed: the label, solid: what the detector sees. A click opens the image, with heat map and"
        " candidates where the detector is open."
    )
    for n, suspect in enumerate(shown[:SHOWN]):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            worth = f", correcting it gains {suspect.worth}" if suspect.worth else ""
            st.markdown(
                f"{n + 1}. **{suspect.kind}** · {suspect.reason} {suspect.counts.capitalize()} today{worth}.",
                width="stretch",
            )
            now = decisions.get(suspect.key, {}).get("decision")
            for decision in DECISIONS:
                st.button(
                    decision.removeprefix("label ").capitalize(),
                    key=f"{decision}-{suspect.key}",
                    icon=ICONS[decision],
                    type="primary" if now == decision else "tertiary",
                    on_click=_decide,
                    args=(s.path, suspect, None if now == decision else decision),
                    help=f"The {decision}." if decision != "unsure" else "Nobody can say from this picture.",
                )


def _decide(path: Path, suspect: Suspect, decision: Any) -> None:
    try:
        decide(path, suspect, decision)
    except (BoxscopeError, OSError) as error:
        st.session_state["_decide_error"] = getattr(error, "message", str(error))


def main() -> None:
    state.go_if_asked()
    s = state.shared()
    if s is None or not s.run.usable.any():
        empty("No labels to doubt yet", "A run over labelled pictures brings its suspect labels here.")
        return
    try:
        found = _found(state.key_of(s), state.threshold_key(s), s)
        decisions = load_decisions(s.path)
    except InputError as error:
        empty("Too little to learn from", error.message)
        return
    except BoxscopeError as error:
        say_error(error)
        return
    if error := st.session_state.pop("_decide_error", None):
        st.error(error)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        there = [kind for kind in KINDS if found.counts()[kind]]
        kind = (
            st.segmented_control(
                "Kind",
                [EVERY, *there],
                default=EVERY,
                key="suspect_kind",
                required=True,
                label_visibility="collapsed",
            )
            or EVERY
        )
        done = st.toggle("Show decided", key="suspects_decided")
    of = None if kind == EVERY else kind
    _head(found, decisions, of)
    listed = list(found.of(of)) if done else undecided(found.of(of), decisions)
    if s.counted_classes is not None:
        names = {s.run.class_map.names[k] for k in s.counted_classes}
        listed = [x for x in listed if {x.label_class, x.seen_class} & names]
    if not listed:
        st.markdown("Nothing left to look at here.")
        return
    pages = -(-len(listed) // SHOWN)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{len(listed):,}** to look at, the most suspicious first", width="stretch")
        number = st.pagination(pages, key="suspect_page", max_visible_pages=5) if pages > 1 else 1
        for how, (label, mime) in QUEUES.items():
            st.download_button(
                label,
                lambda how=how: _queue(s, listed, decisions, how),
                f"{s.name}-suspects.{'csv' if how == 'csv' else 'json'}",
                mime,
                icon=":material/download:",
                type="tertiary",
                on_click="ignore",
                help=(
                    "As a queue for a labelling tool. A filled-in CSV comes home with `boxscope suspects"
                    " --decisions`."
                ),
            )
    first = (min(number, pages) - 1) * SHOWN
    _review(s, listed[first : first + SHOWN], decisions, kind)


main()
