"""FiftyOne: how the connection stands, push the run, open it there."""

from __future__ import annotations

from urllib.parse import quote

import streamlit as st

from analysis.fiftyone.push.options import PushOptions
from app.frame import state
from app.frame.components import empty
from app.jobs import pushes
from app.model import heat_map_files
from app.views.fiftyone import corrections

ICONS = {
    "ready": ":material/check_circle:",
    "database": ":material/database:",
    "off": ":material/power_settings_new:",
    "unavailable": ":material/cloud_off:",
}


@st.cache_data(ttl=3, show_spinner=False)
def _connection() -> dict[str, str]:
    return pushes.connection()


def _pages() -> str:
    """Where this app answers, for links back from FiftyOne."""
    url = st.context.url or "http://localhost:8501"
    return url.split("/fiftyone")[0].split("?")[0].rstrip("/")


@st.fragment(run_every=0.7)
def _watch(path) -> None:
    current = pushes.of(str(path))
    if current is None or current.over:
        st.rerun()
    words, button = st.columns([5, 1], vertical_alignment="center")
    left = "" if current.seconds_left is None else f" · {current.seconds_left:.0f} s left"
    with words:
        if current.total:
            st.progress(
                current.fraction,
                f"{current.words} · {current.done:,} of {current.total:,} · {current.rate:.0f}"
                f" per second{left}",
            )
        else:
            st.progress(0.0, current.words)
    button.button(
        "Cancel",
        on_click=current.cancel,
        width="stretch",
        help="What is written stays; pushing again goes on.",
    )


def _outcome(s: state.Shared, done: pushes.Push) -> None:
    if done.error:
        st.error(done.error, icon=":material/error:")
        return
    r = done.result
    if r is not None:
        if r["cancelled"]:
            st.info("The push was stopped; pushing again goes on.", icon=":material/pause_circle:")
            return
        changed = (
            f"{r['inserted']:,} new and {r['updated']:,} updated samples"
            if r["updated"]
            else f"{r['inserted']:,} samples"
        )
        st.success(
            f"{changed}, {r['objects']:,} objects and {r['detections']:,} detections are in FiftyOne's data"
            f" set **{r['dataset']}**, evaluated at {r['words']}.",
            icon=":material/check_circle:",
        )
        notes = []
        if r["below_lowest"]:
            notes.append(f"{r['below_lowest']:,} detections with very low scores were not written.")
        if r["kept_edits"]:
            notes.append(
                f"{r['kept_edits']:,} ground-truth labels that were changed in FiftyOne were left as they are"
                " there."
            )
        if r["views"]:
            notes.append("Saved views: " + ", ".join(r["views"]) + ".")
        for line in [*notes, *r["problems"]]:
            st.caption(line)
    if done.url:
        st.link_button("Open in FiftyOne", done.url, type="primary", icon=":material/open_in_new:")


def main() -> None:
    state.go_if_asked()
    connection = _connection()
    st.markdown(f"{ICONS.get(connection['state'], '')} {connection['message']}")
    s = state.shared()
    if s is None:
        box = empty("Nothing to push yet", "A run brings images, ground truth and detections here.")
        if box.button("Choose pictures and a detector", type="primary"):
            state.go("views/detect/page.py")
        return
    current = pushes.of(str(s.path))
    if current is not None and not current.over:
        _watch(s.path)
        return
    available = connection["state"] != "unavailable"
    if not available:
        st.caption(
            "What it would add: every image of the run in FiftyOne's browser with our verdict on each label,"
            " saved views of the misses, false alarms (false positives) and confusions, embeddings, tags and"
            " label editing. Everything else here works without it."
        )
    kept = st.session_state.setdefault(
        "_push_maps", {}
    )  # a watched push draws no ticks, and they are to be there again after it
    heatmaps = available and st.checkbox(
        "Confidence maps too",
        key="push_heatmaps",
        value=kept.get("confidence", False),
        help=(
            "Where the model believes an object is, as FiftyOne Heatmap labels: of every class, and of the"
            " missed objects' classes."
        ),
    )
    made = heat_map_files.kept_maps(s.run)
    evidence = (
        available
        and bool(made)
        and st.checkbox(
            f"Evidence maps too ({made:,})",
            key="push_evidence",
            value=kept.get("evidence", False),
            help=(
                "Those made on the Image page so far, as FiftyOne Heatmap labels, one a method: what in the"
                " image speaks for the explained objects."
            ),
        )
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        pushed = current is not None and bool(current.result)
        if st.button(
            "Push again" if pushed else f"Push {s.name}",
            type="secondary" if pushed else "primary",
            icon=":material/upload:",
            disabled=not available,
            help=(
                "Writes images, ground truth, predictions, verdicts and an evaluation. Pushing again updates"
                " and never doubles."
            ),
        ):
            kept.update(confidence=heatmaps, evidence=evidence)
            pushes.start(
                pushes.PushRequest(
                    s.path,
                    PushOptions(
                        threshold=s.named_cuts,
                        iou=s.iou,
                        pages=_pages(),
                        heatmaps=heatmaps,
                        evidence=heat_map_files.kept_of(s.run) if evidence else None,
                    ),
                )
            )
            st.rerun()
        if connection["url"]:
            name = pushes.pushed_as(s.path)
            st.link_button(
                "Open FiftyOne",
                f"{connection['url'].rstrip('/')}/datasets/{quote(name)}" if name else connection["url"],
                icon=":material/open_in_new:",
            )
        elif st.button("Start FiftyOne", icon=":material/power_settings_new:", disabled=not available):
            pushes.start(pushes.PushRequest(s.path))
            st.rerun()
    st.caption(
        f"{len(s.run):,} images · {len(s.run.truth):,} objects · {len(s.run.detections):,} detections ·"
        f" evaluated at {s.point}"
    )
    if s.calibration is not None:
        st.caption("A push carries the scores as they are stored; calibrated ones stay in this app.")
    if current is not None:
        _outcome(s, current)
    if available:
        corrections.section(s, pushes.pushed_as(s.path))


main()
