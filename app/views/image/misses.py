"""Why objects were missed, for the pages: cached autopsies, the panel below a missed object, causes as
rows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import streamlit as st

from analysis.misses.causes import CAUSES, SENTENCES
from analysis.misses.prices import THRESHOLDS, Rescue
from analysis.misses.run import Autopsy, autopsy
from analysis.misses.sentences import shown
from analysis.mistakes.box_lists import BoxList
from app.files import demo
from app.frame import state
from app.model.process import model_process
from app.model.spec import spec_of
from app.views.image import confidence_map as heat
from app.views.image import exact_autopsy as exact
from app.views.image import objects, suppression
from app.views.image import retries as again
from app.views.mistakes.tables import cut_key, key_of
from detector.errors import BoxscopeError

HOW = {
    "run": "Told from the detections the run kept; the detector's candidates would tell more.",
    "candidates": (
        "Told with the network's candidates; its post-processing could not be replayed, so who suppressed"
        " whom is inferred."
    ),
    "replay": "Told by replaying the detector's own post-processing on its candidates: exact.",
}


def autopsy_of(s: Any) -> Autopsy:
    """Of every image and class at the operating point: with the detector's candidates where every image was
    asked, else from stored detections."""
    return exact.result(s) or _autopsy(key_of(s), cut_key(s), s)


@st.cache_resource(max_entries=8, show_spinner="Finding why objects were missed")
def _autopsy(key: tuple, thresholds: tuple, _s: Any) -> Autopsy:
    return autopsy(_s.run, _s.thresholds, _s.iou, matches=_s.matches)


@st.cache_resource(max_entries=32, show_spinner="Replaying post-processing")
def _exact(key: tuple, thresholds: tuple, i: int, _s: Any, _spec: dict) -> Autopsy:
    return autopsy(
        _s.run,
        _s.thresholds,
        _s.iou,
        matches=_s.matches,
        candidates={i: heat._candidates(_s.run.version, i, _s, _spec)},
    )


def can_ask(s: Any) -> dict | None:
    """The spec of the run's detector where it shows candidates that belong to the scores on screen; else
    None.
    """
    if s.calibration is not None or "candidates" not in s.manifest.detector.capabilities:
        return None
    return spec_of(s.manifest)


def best_of(s: Any, i: int) -> tuple[Autopsy, str]:
    """(the best autopsy to be had for image i now, why it is not better or "")."""
    spec = can_ask(s)
    if spec is None or exact.result(s) is not None:
        return autopsy_of(s), ""
    # Loading a network takes seconds: it is asked at once only where it is loaded already, is none, or is the
    # demo's small one.
    soon = s.manifest.detector.simulated or spec["model"] == demo.NAME
    if not (soon or st.session_state.get("ask_detector") or model_process().loaded(spec)):
        return autopsy_of(s), "not asked"
    try:
        return _exact(key_of(s), cut_key(s), i, s, spec), ""
    except BoxscopeError as error:
        return autopsy_of(s), f"The detector's candidates cannot be had: {error.message}"


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


def panel(s: Any, i: int, row: objects.Row) -> bool:
    """The autopsy of a missed object below the table; False where it is no miss of the run's autopsy."""
    a, why_not = best_of(s, i)
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
    again.section(s, a, q)
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


def who_suppressed(s: Any, i: int, row: objects.Row | None) -> None:
    """The suppressor graph of an image, where its post-processing can be replayed without loading a network
    first.
    """
    if can_ask(s) is None:
        return
    a, _ = best_of(s, i)
    if i in a.replays and len(a.replays[i].candidates) > 1:  # one box suppresses nobody
        suppression.section(s, a, i, row.truth if row is not None and row.verdict == "missed" else None)


# ---- causes over the run


def chosen_misses(s: Any) -> np.ndarray:
    """int64, the misses of the chosen images and classes: places in the autopsy."""
    a = autopsy_of(s)
    keep = np.ones(len(a), bool)
    if s.class_ids is not None:
        keep &= s.images[a.rows]
    if s.counted_classes is not None:
        keep &= np.isin(a.matches.truth_classes[a.evidence.truth], s.counted_classes)
    return np.flatnonzero(keep)


def cause_rows(s: Any, selected: str | None) -> dict[str, Any]:
    """Causes as rows for `app.viewer.panels.bar_rows`, the most frequent first; those that do not occur are
    left out.
    """
    a = autopsy_of(s)
    found = np.bincount(a.evidence.cause[chosen_misses(s)], minlength=len(CAUSES) + 1)
    total = max(1, int(found.sum()))
    rows = []
    for code in sorted(range(1, len(CAUSES) + 1), key=lambda c: -found[c]):
        n, name = int(found[code]), CAUSES[code - 1]
        if n:
            rows.append(
                {
                    "id": name,
                    "name": name,
                    "note": SENTENCES[name],
                    "verdict": "missed",
                    "count": f"{n:,}",
                    "count_note": "objects",
                    "count_title": f"{n:,} of {total:,} missed objects",
                    "bar": n / total,
                    "value": f"{100 * n / total:.1f} %",
                    "value_note": "of misses",
                    "title": f"Show the {n:,} object{'s' if n != 1 else ''}",
                    "disabled": False,
                }
            )
    return {"head": ["what ended it", "at this threshold", "", "share"], "rows": rows, "selected": selected}


def cause_boxes(s: Any, cause: str) -> BoxList | None:
    """The missed objects of one cause with the detection each verdict rests on; None where there is no such
    cause.
    """
    if cause not in CAUSES:
        return None
    a = autopsy_of(s)
    at = np.intersect1d(a.of(cause), chosen_misses(s))
    e = a.evidence
    order = np.lexsort((e.truth[at], -e.iou[at], -e.score[at]))
    dets = e.det[at][order].astype(np.int64)
    return BoxList(f"missed, {cause}", dets, e.truth[at][order].astype(np.int64), of_objects=True)


def change_rows(s: Any, most: int = 6) -> list[dict[str, Any]]:
    """The best changes to make next, as lines of a table."""
    a = autopsy_of(s)
    names = s.run.class_map.names
    return [
        {
            "change": (
                f"{names[r.class_id] if r.rule == 'class threshold' else 'every class'} from {r.before:.2f}"
                f" to {r.value:g}"
                if r.rule in THRESHOLDS
                else f"{r.rule} {r.value:g}"
            ),
            "objects found": f"+{r.gained:,}",
            "false positives": f"{r.wrong:+,}",
            "precision": _percent(r.precision),
            "recall": _percent(r.recall),
            "F1": _percent(r.f1),
        }
        for r in a.best_changes(most)
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def images_with_cause(s: Any, causes: tuple[str, ...]) -> np.ndarray:
    """bool [N]: images with a miss of one of these causes, for the gallery's filter."""
    a = autopsy_of(s)
    mine = chosen_misses(s)
    out = np.zeros(len(s.run), bool)
    out[a.rows[mine[np.isin(a.causes[mine], causes)]]] = True
    return out
