"""Why an object was missed: the panel below it, and who suppressed whom."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from analysis.misses.prices import Rescue
from analysis.misses.run import Autopsy
from analysis.misses.sentences import shown
from app.frame import misses, state
from app.model.objects import Row
from app.views.image import retries, suppression

HOW = {
    "run": "Told from the detections the run kept; the detector's candidates would tell more.",
    "candidates": (
        "Told with the network's candidates; its post-processing could not be replayed, so who suppressed"
        " whom is inferred."
    ),
    "replay": "Told by replaying the detector's own post-processing on its candidates: exact.",
}


def numbers(a: Autopsy, q: int) -> list[dict[str, str]]:
    """The evidence of a miss as lines of a table: what, value."""
    e, names = a.evidence, a.run.class_map.names
    threshold = float(a.thresholds[a.matches.truth_classes[e.truth[q]]])
    rows = [
        ("score for its class", shown(float(e.score[q]), threshold) if e.score[q] >= 0 else ""),
        ("threshold", f"{threshold:.2f}"),
    ]
    rows.append(("IoU of the box with it", f"{e.iou[q]:.2f}" if e.iou[q] > 0 else ""))
    if e.other_class[q] >= 0:
        rows.append((f"score as {names[e.other_class[q]]}", f"{e.other_score[q]:.2f}"))
    rows.append(("IoU with the box that suppressed it", f"{e.by_iou[q]:.2f}" if e.by_iou[q] >= 0 else ""))
    rows.append(
        (
            "anchor",
            (
                f"{e.anchor[q]:,}" + (f", level {e.level[q]}" if e.level[q] >= 0 else "")
                if e.anchor[q] >= 0
                else ""
            ),
        )
    )
    rows.append(("best anchor's IoU with it", f"{e.anchor_iou[q]:.2f}" if e.anchor_iou[q] >= 0 else ""))
    return [{"what": what, "value": value} for what, value in rows if value]


def panel(s: Any, i: int, row: Row) -> bool:
    """The autopsy of a missed object below the table; False where it is no miss of the run's autopsy."""
    a, why_not = misses.best_of(s, i)
    q = a.miss_of(int(s.run.truth_offsets[i]) + row.truth)
    if q is None:
        return False
    st.markdown(f"Missed (a false negative): {a.sentence(q).replace(row.name, f'**{row.name}**', 1)}")
    for n, rescue in enumerate(_rescues(s, a, q)[:2]):
        _rescue(s, a, rescue, n)
    if not a.rescues(q):
        st.caption("No single change of a setting brings it back.")
    with st.expander("Numbers and proof"):
        st.dataframe(
            numbers(a, q), hide_index=True, width="stretch", column_config={"what": "evidence", "value": ""}
        )
        proof = a.proof(q)
        st.caption(f"{'Proved' if proof.holds else 'Not proved'}. {proof.sentence()}")
        st.caption(why_not if why_not and why_not != "not asked" else HOW[a.tier(q)])
    retries.section(s, a, q)
    if why_not == "not asked":
        st.button(
            "Ask the detector",
            icon=":material/troubleshoot:",
            help=(
                "Loads the network and replays this image exactly: who suppressed whom, which anchor, which"
                " score."
            ),
            on_click=lambda: st.session_state.update(ask_detector=True),
        )
    return True


def _rescues(s: Any, a: Autopsy, q: int) -> list[Rescue]:
    """The changes to offer: the slider's own (of two digits) first, for that one can be applied."""
    return sorted(a.rescues(q), key=lambda r: (r.rule != "threshold", r.wrong))


def _rescue(s: Any, a: Autopsy, rescue: Rescue, n: int) -> None:
    if rescue.rule == "threshold" and s.saved is None:
        lower = math.floor(rescue.value * 100 + 1e-9) / 100
        before, after = s.counts, state.counts(s.chosen, lower)
        extra = after.fp - before.fp
        st.caption(
            f"A threshold of {lower:.2f} brings it back; over the whole set that finds"
            f" {after.tp - before.tp:,} more objects and adds {extra:,} false"
            f" alarm{'s' if extra != 1 else ''} (false positives)."
        )
        st.button(
            f"Apply {lower:.2f} and see the set",
            key=f"rescue-{n}",
            on_click=lambda: st.session_state.update(conf=lower, _go="views/gallery/page.py"),
        )
    elif rescue.rule != "threshold":
        st.caption(rescue.sentence(s.run.class_map.names))


def who_suppressed(s: Any, i: int, row: Row | None) -> None:
    """The suppressor graph of an image, where its post-processing can be replayed without loading a network
    first.
    """
    if misses.can_ask(s) is None:
        return
    a, _ = misses.best_of(s, i)
    if i in a.replays and len(a.replays[i].candidates) > 1:  # one box suppresses nobody
        suppression.section(s, a, i, row.truth if row is not None and row.verdict == "missed" else None)
