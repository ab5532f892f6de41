"""Why an object was missed: the panel below it, and who suppressed whom."""

from __future__ import annotations

import math
from typing import Any

import streamlit as st

from analysis.misses.prices import Rescue, lowered
from analysis.misses.run import Autopsy
from analysis.misses.sentences import shown
from app.frame import misses, state
from app.frame.components import plain
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
            _unit(a.run),
            (
                f"{e.anchor[q]:,}" + (f", level {e.level[q]}" if e.level[q] >= 0 else "")
                if e.anchor[q] >= 0
                else ""
            ),
        )
    )
    rows.append(("best anchor's IoU with it", f"{e.anchor_iou[q]:.2f}" if e.anchor_iou[q] >= 0 else ""))
    return [{"what": what, "value": value} for what, value in rows if value]


def _unit(run: Any) -> str:
    """What a candidate of the run's detector is: a cell of a grid, a query, or an anchor."""
    detector = getattr(getattr(run, "manifest", None), "detector", None)
    unit = detector.settings.get("candidates") if detector is not None else None
    return unit if unit in ("cell", "query") else "anchor"


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
                "Loads the network and replays this image exactly: who suppressed whom, which candidate,"
                " which score."
            ),
            on_click=lambda: st.session_state.update(ask_detector=True),
        )
    return True


def _rescues(s: Any, a: Autopsy, q: int) -> list[Rescue]:
    """The changes to offer: the slider's own (of two digits) first, for that one can be applied."""
    return sorted(a.rescues(q), key=lambda r: (r.rule != "threshold", r.wrong))


def _rescue(s: Any, a: Autopsy, rescue: Rescue, n: int) -> None:
    """One change with its price; a threshold's is what the header counts once it is applied."""
    if rescue.rule == "threshold" and s.saved is None:
        lower = math.floor(rescue.value * 100 + 1e-9) / 100
        st.caption(f"A threshold of {lower:.2f} brings it back: {price(s, s.at(lower))}")
        st.button(
            f"Apply {lower:.2f} and see the set",
            key=f"rescue-{n}",
            on_click=lambda: st.session_state.update(conf=lower, _go="views/gallery/page.py"),
        )
    elif rescue.rule == "class threshold":
        name = s.run.class_map.names[rescue.class_id]
        after = s.at(lowered(s.class_thresholds, rescue))
        st.caption(plain(f"The threshold of {name} at {rescue.value:g} brings it back: {price(s, after)}"))
    elif rescue.rule != "threshold":
        st.caption(plain(rescue.sentence(s.run.class_map.names)))


def price(before: state.Shared, after: state.Shared) -> str:
    """What the header's counts become, and over what they are counted: "over all 120 images and all classes,
    3 more objects are found and 1 more false positive appears (F1 62.1 % → 63.0 %)."
    """
    old, new = before.counts, after.counts
    found, wrong = new.tp - old.tp, new.fp - old.fp
    return (
        f"over {before.scope}, {_change(found, 'object')} found and {_change(wrong, 'false positive')}"
        f" counted (F1 {_percent(old.f1)} → {_percent(new.f1)})."
    )


def _change(n: int, noun: str) -> str:
    s, verb = ("", "is") if abs(n) == 1 else ("s", "are")
    return f"{abs(n):,} {'fewer' if n < 0 else 'more'} {noun}{s} {verb}"


def _percent(rate: float) -> str:
    return "not available" if math.isnan(rate) else f"{100 * rate:.1f} %"


def who_suppressed(s: Any, i: int, row: Row | None) -> None:
    """The suppressor graph of an image, where its post-processing can be replayed without loading a network
    first.
    """
    if misses.can_ask(s) is None:
        return
    a, _ = misses.best_of(s, i)
    if i in a.replays and len(a.replays[i].candidates) > 1:  # one box suppresses nobody
        suppression.section(s, a, i, row.truth if row is not None and row.verdict == "missed" else None)
