"""The shared controls in the side bar of every page, and the strip of counts on top of it.

Every control is bound to the URL (`data`, `run`, `conf`, `iou`, `classes`, `mode`), so that a link restores
the view.
"""

from __future__ import annotations

import streamlit as st

from analysis.runs.store import Run, RunSummary
from analysis.runs.streamed import StreamedRun
from app.frame import choices, large_runs, state
from app.frame.components import facts
from app.jobs.match_job import is_ready
from app.viewer import counts_strip
from detector.errors import InputError


def sidebar() -> state.Shared | large_runs.Waiting | None:
    """Draw the shared controls and return what they say; Waiting where a large run is still being matched."""
    found = state.stored_runs()
    with st.sidebar:
        if not found:
            st.caption("No run yet. *Detect* makes one, or open the demo.")
            return None
        names = _choose_run(found)
        if names is None:
            return None
        summary = found[names]
        stamp = state.run_stamp(summary.path)
        run = state.opened_run(str(summary.path), stamp)
        _run_facts(run, summary)
        _follow(run)
        saved = choices.chosen_saved(run)
        threshold = st.slider(
            "Confidence",
            0.0,
            1.0,
            0.5,
            0.01,
            key="conf",
            bind="query-params",
            format="%.2f",
            disabled=saved is not None,
            help="Detections scoring lower do not count. Moving it never runs the network again.",
        )
        if saved is not None:
            facts(
                f"One threshold a class, {saved.thresholds.min():.2f} to {saved.thresholds.max():.2f}"
                + (f", by {saved.file.rule}" if saved.file.rule else "")
            )
        elif threshold < run.manifest.floor:
            st.caption(f"The run kept scores of {run.manifest.floor:g} and more; there is nothing below.")
        iou = st.slider(
            "IoU",
            0.3,
            0.95,
            0.5,
            0.05,
            key="iou",
            bind="query-params",
            format="%.2f",
            help="Intersection over union from which a detection fits an object.",
        )
        path, iou, calibration = str(summary.path), round(iou, 2), None
        large = isinstance(run, StreamedRun)
        if not large and (method := choices.chosen_scores()) is not None:
            try:
                calibration = state.fitted_calibration(path, stamp, method, iou)
                stamp = (*stamp, method, iou)
                run = state.opened_run(path, stamp)
                facts(
                    f"Scores calibrated ({method}), fitted on {calibration.fitted_on:,} detections at IoU"
                    f" {iou:.2f}"
                )
            except InputError:
                st.caption("Too few judged detections to calibrate scores; they stand as stored.")
        picked = st.multiselect(
            "Classes",
            list(run.class_map.names),
            key="classes",
            bind="query-params",
            placeholder="all classes",
            help="An image holds a class when its ground truth or its predictions above the threshold do.",
        )
        mode = (
            st.segmented_control(
                "Images with",
                state.MODES,
                default="any",
                key="mode",
                bind="query-params",
                required=True,
                disabled=not picked,
                help=(
                    "any: at least one of the classes. all: every one. only: nothing but them. none: not one"
                    " of them."
                ),
            )
            or "any"
        )
    class_ids = tuple(run.class_map.index(name) for name in picked) or None
    if large and not is_ready(large_runs.folder_of(path, run, iou)):
        return large_runs.Waiting(names, summary.path, stamp, run, round(threshold, 2), iou)
    matches = state.all_matches(path, stamp, iou, None)
    return state.Shared(
        names,
        summary.path,
        stamp,
        run,
        matches,
        round(threshold, 2),
        iou,
        class_ids,
        mode,
        saved,
        calibration,
    )


def _choose_run(found: dict[str, RunSummary]) -> str | None:
    """The two select boxes. Their values always stand in the URL: a link must not follow "the newest"."""
    session = st.session_state
    if (wanted := session.pop("_next_run", None)) in found:
        session["run"], session["data"] = wanted, found[wanted].manifest.dataset.name
    by_data: dict[str, list[str]] = {}
    for name, summary in found.items():
        by_data.setdefault(summary.manifest.dataset.name, []).append(name)
    link = st.query_params.get("run")
    if link and link not in found and (meant := state.run_of_link(link, found)) is not None:
        link = meant
        _set("run", link)
    if link and link not in found and link != session.get("run"):
        session["_odd_run"] = link, None
    asked = session.get("run") or link
    if session.get("data") not in by_data and st.query_params.get("data") not in by_data:
        _set("data", found[asked].manifest.dataset.name if asked in found else next(iter(by_data)))
    data = st.selectbox("Data set", list(by_data), index=None, key="data", bind="query-params", required=True)
    of_data = by_data.get(data) or next(iter(by_data.values()))
    if session.get("run") not in of_data and st.query_params.get("run") not in of_data:
        _set("run", of_data[0])
    chosen = (
        st.selectbox("Run", of_data, index=None, key="run", bind="query-params", required=True) or of_data[0]
    )
    _say_odd_link(chosen)
    return chosen


def _say_odd_link(chosen: str) -> None:
    """A link to a run that is not here is reported until another run is chosen."""
    link, instead = st.session_state.get("_odd_run", ("", None))
    if link and instead in (None, chosen):
        st.session_state["_odd_run"] = link, chosen
        st.warning(
            f"The link names the run {link}, which is not here; this one is shown instead.",
            icon=":material/link_off:",
        )
    else:
        st.session_state.pop("_odd_run", None)


def _set(key: str, value: str) -> None:
    """Set a control that is not drawn yet. Streamlit writes such a value to the URL only from the second run
    on.
    """
    if key not in st.session_state:
        st.query_params[key] = value
    st.session_state[key] = value


def _run_facts(run: Run | StreamedRun, summary: RunSummary) -> None:
    m = run.manifest
    done = int(run.done.sum())
    images = f"{done:,} of {len(run):,} images" if done < len(run) else _many(len(run), "image")
    large = isinstance(run, StreamedRun)
    crowds = 0 if large else int(run.truth.crowd.sum())
    truth = "no ground truth"
    if run.labelled.any():
        truth = _many((run.object_count if large else len(run.truth)) - crowds, "object") + (
            f" and {_many(crowds, 'crowd region')}" if crowds else ""
        )
    facts(
        f"{m.dataset.format} · {images} · {truth} · {len(run.class_map):,}"
        f" class{'es' if len(run.class_map) != 1 else ''}",
        f"{m.detector.name}{' · simulated, no network ran' if m.detector.simulated else ''}",
        f"{run.detection_count if large else len(run.detections):,} detections of {m.floor:g} and more ·"
        f" {m.created[:16].replace('T', ' ')}" + (f" · {summary.state}" if summary.state != "done" else ""),
        f"{_many(len(run.failed), 'image')} could not be read" if run.failed else "",
    )


def _many(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' if n != 1 else ''}"


def _follow(run: Run) -> None:
    """Choices that another run cannot honour are dropped before their widgets are drawn."""
    chosen = st.session_state.get("classes")
    if chosen and any(name not in run.class_map for name in chosen):
        st.session_state["classes"] = [name for name in chosen if name in run.class_map]


# ---- the strip of counts


def strip(s: state.Shared) -> None:
    """The counts at this operating point, on top of every page."""
    c, m = s.counts, s.manifest
    judged = int((s.chosen.judged & s.images).sum())
    words = f"{judged:,} of {len(s.run):,} images" if judged < len(s.run) else f"{len(s.run):,} images"
    waiting = not s.run.usable.any() and s.run.labelled.any()
    data = {
        "threshold": s.threshold,
        "judged": bool(s.run.usable.any()),
        "objects": c.objects,
        "images": words,
        "now": {"correct": c.tp, "wrong": c.fp, "detections": c.detections},
        "curve": s.curve(),
        "point": (
            ("confidence ≥ {confidence}" if s.saved is None else f"confidence per class: {s.saved.name}")
            + f" · IoU ≥ {s.iou:.2f}"
            + (" · calibrated" if s.calibration else "")
        ),
        "point_title": s.point,
        "unjudged": (
            "no labelled image is done yet" if waiting else "no ground truth, so nothing to compare with"
        ),
        "tag": "simulated" if m.detector.simulated else "",
        "tag_title": "No network ran: these are the data set's own objects with mistakes put in.",
    }
    with st.container(key="counts"):
        counts_strip(data, key="strip")


def shown_in_windows(chosen: state.Shared | large_runs.Waiting | None, page: str) -> bool:
    """Show what a page is for a run too large for memory; False where the page itself is to be run.

    Args:
        page: its url_path, "" for the gallery.
    """
    if chosen is None or not isinstance(chosen.run, StreamedRun):
        return False
    if page in large_runs.COMMANDS:
        large_runs.say_too_large(page, chosen.path, chosen.run)
        return True
    if page not in ("", "gallery", "image"):
        return False
    if isinstance(chosen, large_runs.Waiting):
        large_runs.show_waiting(chosen)
        return True
    if page != "image":
        return False
    wanted = st.session_state.get("image_id")
    i = chosen.run.position(wanted) if wanted is not None and wanted in chosen.run else 0
    large_runs.show_image(chosen.name, chosen.run, i, chosen.threshold, chosen.iou, chosen.point)
    return True
