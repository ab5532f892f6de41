"""The shared controls of every page, what is chosen in them, and the caches behind them.

Every control is bound to the URL (`data`, `run`, `conf`, `iou`, `classes`, `mode`), so that a link restores
the view. Runs and matchings are shared by all sessions (they are frozen); a choice belongs to its session.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import streamlit as st

from analysis.calibration import Calibration, calibrated_run, fit_calibration
from analysis.manifest import Manifest
from analysis.matching import Counts, Matches, counts, image_counts, match_run
from analysis.operating_point import Threshold, class_cuts, operating_point
from analysis.store import Run, RunSummary, list_runs
from analysis.streamed import StreamedRun, open_stored
from analysis.subsets import images_showing, narrow
from app import choices, large_runs
from app.choices import Saved
from app.components import facts
from app.noted_runs import noted_runs
from app.roots import roots
from app.viewer import counts_strip
from app.viewer.payload import curve, exact
from detector.errors import InputError
from detector.paths import data_dir

MODES = ["any", "all", "only", "none"]


# ---- runs on disk

def run_stamp(path: Path) -> tuple[int, int]:
    """Changes whenever the run does: its manifest's time, and how many parts it has."""
    try:
        parts = sum(1 for _ in (path / "parts").iterdir())
    except OSError:
        parts = 0
    return (path / "manifest.json").stat().st_mtime_ns, parts


def _runs_in(root: Path) -> list[str]:
    """Folders of runs in a folder, and the folder itself where it is one."""
    try:
        with os.scandir(root) as entries:
            folders = sorted(entry.path for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
    return [folder for folder in [str(root), *folders] if os.path.isfile(os.path.join(folder, "manifest.json"))]


@st.cache_data(ttl=10, show_spinner=False)
def _runs_in_roots(places: tuple[str, ...]) -> list[str]:
    # A user's folder may hold a hundred thousand pictures; it is looked through now and then, not at every rerun.
    return [folder for place in places for folder in _runs_in(Path(place))]


def _manifests() -> tuple[tuple[str, int], ...]:
    found = {}
    for folder in [*_runs_in(data_dir("runs")), *_runs_in_roots(tuple(map(str, roots()[1:]))), *map(str, noted_runs())]:
        try:
            found[folder] = os.stat(os.path.join(folder, "manifest.json")).st_mtime_ns
        except OSError:
            continue
    return tuple(found.items())


@st.cache_resource(max_entries=4, show_spinner=False)
def _summaries(manifests: tuple[tuple[str, int], ...]) -> dict[str, RunSummary]:
    folders = dict.fromkeys(Path(folder).parent for folder, _ in manifests)
    by_path = {str(s.path): s for folder in folders for s in list_runs(folder)}
    wanted = [by_path[folder] for folder, _ in manifests if folder in by_path]
    named: dict[str, RunSummary] = {}
    for summary in sorted((s for s in wanted if s.manifest), key=lambda s: s.manifest.created, reverse=True):
        name, number = summary.path.name, 2
        while name in named:
            name, number = f"{summary.path.name}~{number}", number + 1
        named[name] = summary
    return named


def stored_runs() -> dict[str, RunSummary]:
    """Runs under the data directory and the roots, and those noted elsewhere, by the name pages and links use, the newest first."""
    return _summaries(_manifests())


@st.cache_resource(max_entries=4, show_spinner="Opening the run")
def _run(path: str, stamp: tuple) -> Run | StreamedRun:
    """The run as stored (in windows where it is too large for memory), or (a stamp of four: method and IoU) with calibrated scores."""
    if len(stamp) == 2:
        return open_stored(path)
    return calibrated_run(_run(path, stamp[:2]), _calibration(path, stamp[:2], *stamp[2:]))


@st.cache_resource(max_entries=8, show_spinner="Calibrating scores")
def _calibration(path: str, stamp: tuple, method: str, iou: float) -> Calibration:
    return fit_calibration(_matches(path, stamp, iou, None), method)


@st.cache_resource(max_entries=8, show_spinner="Matching detections with objects")
def _matches(path: str, stamp: tuple, iou: float, class_ids: tuple[int, ...] | None) -> Matches:
    if class_ids is not None:
        return narrow(_matches(path, stamp, iou, None), class_ids=class_ids)
    run = _run(path, stamp)
    return large_runs.matches(path, run, iou) if isinstance(run, StreamedRun) else match_run(run, iou)


@st.cache_data(max_entries=32, show_spinner=False)
def _curve(path: str, stamp: tuple, iou: float, class_ids: tuple[int, ...] | None) -> dict[str, list[int]]:
    return curve(_matches(path, stamp, iou, class_ids))


# ---- what is chosen

@dataclass(frozen=True, eq=False)
class Shared:
    """What the shared controls say, and the run and matching that belong to it.

    Args:
        name: the run's name in links; path, stamp: where it lies and a key that changes with it.
        matches: every image and class of the run at this IoU.
        threshold, iou: the operating point.
        class_ids: the chosen classes, or None for all; mode: how they choose images.
        saved: thresholds per class that stand in for `threshold`; calibration: what the scores went through.
    """

    name: str
    path: Path
    stamp: tuple
    run: Run
    matches: Matches
    threshold: float
    iou: float
    class_ids: tuple[int, ...] | None
    mode: str
    saved: Saved | None = None
    calibration: Calibration | None = None

    @property
    def cuts(self) -> Threshold:
        """What the analysis takes as threshold: the slider's number, or one a class where saved ones are chosen."""
        return self.threshold if self.saved is None else self.saved.cuts

    @cached_property
    def class_cuts(self) -> np.ndarray:
        """float32 [K], the threshold of each class."""
        return class_cuts(self.cuts, len(self.run.class_map))

    def cut_of(self, class_name: str) -> float:
        """The threshold of one class."""
        return self.threshold if self.saved is None else float(self.class_cuts[self.run.class_map.index(class_name)])

    @property
    def named_cuts(self) -> float | dict[str, float]:
        """The threshold for other processes: a number, or one by class name."""
        return self.threshold if self.saved is None else dict(zip(self.run.class_map.names, exact(self.saved.cuts)))

    @property
    def drawn_cuts(self) -> list[float] | None:
        """The thresholds of the classes for drawings, where they differ; None for the one on the slider."""
        return None if self.saved is None else exact(self.saved.cuts)

    @property
    def manifest(self) -> Manifest:
        return self.run.manifest

    @property
    def counted_classes(self) -> tuple[int, ...] | None:
        """The classes whose boxes are drawn and counted: the chosen ones; all where the choice excludes ("none")."""
        return None if self.mode == "none" else self.class_ids

    @cached_property
    def images(self) -> np.ndarray:
        """bool [N], the images the class controls leave."""
        if self.class_ids is None:
            return np.ones(len(self.run), bool)
        return images_showing(self.run, self.class_ids, self.mode, self.cuts)

    @cached_property
    def chosen(self) -> Matches:
        """The matching of the chosen classes on the chosen images; all figures of a page come from it."""
        of_classes = _matches(str(self.path), self.stamp, self.iou, self.counted_classes)
        if self.class_ids is None or self.mode == "any":
            return of_classes  # an image without any of the classes adds nothing
        return narrow(of_classes, images=self.images)

    @cached_property
    def counts(self) -> Counts:
        return counts(self.chosen, self.cuts)

    @cached_property
    def per_image(self) -> Counts:
        return image_counts(self.chosen, self.cuts)

    @property
    def point(self) -> str:
        """The operating point in words, for figures and files."""
        words = str(operating_point(self.run, self.cuts, iou=self.iou))
        if self.saved is not None:
            words = words.replace("confidence per class", f"confidence per class ({self.saved.name})")
        return words + (f" · scores calibrated ({self.calibration.method})" if self.calibration else "")

    @property
    def fixed_images(self) -> bool:
        """Whether the choice of images stays the same while the threshold moves."""
        return self.saved is None and (self.class_ids is None or self.mode == "any")

    def curve(self) -> dict[str, list[int]] | None:
        return _curve(str(self.path), self.stamp, self.iou, self.counted_classes) if self.fixed_images else None


def run_and_matches(name: str, iou: float, stamp: tuple | None = None) -> tuple[Run, Matches]:
    """A stored run by its name, and its matching of every class at an IoU.

    Raises:
        InputError: the run is too large for memory.
    """
    path = stored_runs()[name].path
    stamp = run_stamp(path) if stamp is None else stamp
    if isinstance(_run(str(path), stamp), StreamedRun):
        raise InputError(f"{name} is too large to be held in memory beside this run; `boxscope evaluate {path}` reads it in windows.")
    return _run(str(path), stamp), _matches(str(path), stamp, iou, None)


def stored_matches(s: Shared) -> Matches:
    """The matching of the scores as stored, whatever calibration is on."""
    return _matches(str(s.path), s.stamp[:2], s.iou, None)


def shared() -> Shared | None:
    """What the frame found chosen in this rerun; None while there is no run to look at."""
    return st.session_state.get("_shared")


def go_to_run(name: str) -> None:
    """Choose another run; before the controls are drawn, so in a callback or followed by `st.rerun()`."""
    st.session_state["_next_run"] = name


def go(page: str) -> None:
    """Switch to a page ("views/image.py"), keeping the controls.

    Without parameters of its own, `st.switch_page` refuses to clear those that are bound to widgets; with an
    empty set it clears the URL, and the bound widgets of the next page write theirs back.
    """
    st.switch_page(page, query_params={})


def go_if_asked() -> None:
    """Follow what a callback wished for: switching is not allowed within one."""
    if target := st.session_state.pop("_go", None):
        go(target)


# ---- the controls

def sidebar() -> Shared | large_runs.Waiting | None:
    """Draw the shared controls and return what they say; Waiting where a large run is still being matched."""
    found = stored_runs()
    with st.sidebar:
        if not found:
            st.caption("No run yet. *Detect* makes one, or open the demo.")
            return None
        names = _choose_run(found)
        if names is None:
            return None
        summary = found[names]
        stamp = run_stamp(summary.path)
        run = _run(str(summary.path), stamp)
        _run_facts(run, summary)
        _follow(run)
        saved = choices.chosen_saved(run)
        threshold = st.slider(
            "Confidence", 0.0, 1.0, 0.5, 0.01, key="conf", bind="query-params", format="%.2f", disabled=saved is not None,
            help="Detections scoring lower do not count. Moving it never runs the network again.",
        )
        if saved is not None:
            facts(f"One threshold a class, {saved.cuts.min():.2f} to {saved.cuts.max():.2f}" + (f", by {saved.file.rule}" if saved.file.rule else ""))
        elif threshold < run.manifest.floor:
            st.caption(f"The run kept scores of {run.manifest.floor:g} and more; there is nothing below.")
        iou = st.slider(
            "IoU", 0.3, 0.95, 0.5, 0.05, key="iou", bind="query-params", format="%.2f",
            help="Intersection over union from which a detection fits an object.",
        )
        path, iou, calibration = str(summary.path), round(iou, 2), None
        large = isinstance(run, StreamedRun)
        if not large and (method := choices.chosen_scores()) is not None:
            try:
                calibration = _calibration(path, stamp, method, iou)
                stamp = (*stamp, method, iou)
                run = _run(path, stamp)
                facts(f"Scores calibrated ({method}), fitted on {calibration.fitted_on:,} detections at IoU {iou:.2f}")
            except InputError:
                st.caption("Too few judged detections to calibrate scores; they stand as stored.")
        picked = st.multiselect(
            "Classes", list(run.class_map.names), key="classes", bind="query-params", placeholder="all classes",
            help="An image holds a class when its ground truth or its predictions above the threshold do.",
        )
        mode = st.segmented_control(
            "Images with", MODES, default="any", key="mode", bind="query-params", required=True, disabled=not picked,
            help="any: at least one of the classes. all: every one. only: nothing but them. none: not one of them.",
        ) or "any"
    class_ids = tuple(run.class_map.index(name) for name in picked) or None
    if large and not large_runs.is_ready(large_runs.folder_of(path, run, iou)):
        return large_runs.Waiting(names, summary.path, stamp, run, round(threshold, 2), iou)
    matches = _matches(path, stamp, iou, None)
    return Shared(names, summary.path, stamp, run, matches, round(threshold, 2), iou, class_ids, mode, saved, calibration)


def _choose_run(found: dict[str, RunSummary]) -> str | None:
    """The two select boxes. Their values always stand in the URL: a link must not follow "the newest"."""
    state = st.session_state
    if (wanted := state.pop("_next_run", None)) in found:
        state["run"], state["data"] = wanted, found[wanted].manifest.dataset.name
    by_data: dict[str, list[str]] = {}
    for name, summary in found.items():
        by_data.setdefault(summary.manifest.dataset.name, []).append(name)
    link = st.query_params.get("run")
    if link and link not in found and link != state.get("run"):
        state["_odd_run"] = link, None
    asked = state.get("run") or link
    if state.get("data") not in by_data and st.query_params.get("data") not in by_data:
        _set("data", found[asked].manifest.dataset.name if asked in found else next(iter(by_data)))
    data = st.selectbox("Data set", list(by_data), index=None, key="data", bind="query-params", required=True)
    of_data = by_data.get(data) or next(iter(by_data.values()))
    if state.get("run") not in of_data and st.query_params.get("run") not in of_data:
        _set("run", of_data[0])
    chosen = st.selectbox("Run", of_data, index=None, key="run", bind="query-params", required=True) or of_data[0]
    _say_odd_link(chosen)
    return chosen


def _say_odd_link(chosen: str) -> None:
    """A link to a run that is not here is told until another run is chosen."""
    link, instead = st.session_state.get("_odd_run", ("", None))
    if link and instead in (None, chosen):
        st.session_state["_odd_run"] = link, chosen
        st.warning(f"The link names the run {link}, which is not here; this one is shown instead.", icon=":material/link_off:")
    else:
        st.session_state.pop("_odd_run", None)


def _set(key: str, value: str) -> None:
    """Set a control that is not drawn yet. Streamlit writes such a value to the URL only from the second run on."""
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
        truth = _many((run.object_count if large else len(run.truth)) - crowds, "object") + (f" and {_many(crowds, 'crowd region')}" if crowds else "")
    facts(
        f"{m.dataset.format} · {images} · {truth} · {len(run.class_map):,} class{'es' if len(run.class_map) != 1 else ''}",
        f"{m.detector.name}{' · simulated, no network ran' if m.detector.simulated else ''}",
        f"{run.detection_count if large else len(run.detections):,} detections of {m.floor:g} and more · {m.created[:16].replace('T', ' ')}"
        + (f" · {summary.state}" if summary.state != "done" else ""),
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

def strip(s: Shared) -> None:
    """The counts at this operating point, on top of every page."""
    c, m = s.counts, s.manifest
    judged = int((s.chosen.judged & s.images).sum())
    words = f"{judged:,} of {len(s.run):,} images" if judged < len(s.run) else f"{len(s.run):,} images"
    waiting = not s.run.usable.any() and s.run.labelled.any()
    data = {
        "threshold": s.threshold, "judged": bool(s.run.usable.any()), "objects": c.objects, "images": words,
        "now": {"correct": c.tp, "wrong": c.fp, "detections": c.detections}, "curve": s.curve(),
        "point": ("confidence ≥ {confidence}" if s.saved is None else f"confidence per class: {s.saved.name}") + f" · IoU ≥ {s.iou:.2f}" + (" · calibrated" if s.calibration else ""), "point_title": s.point,
        "unjudged": "no labelled image is done yet" if waiting else "no ground truth, so nothing to compare with",
        "tag": "simulated" if m.detector.simulated else "", "tag_title": "No network ran: these are the data set's own objects with mistakes put in.",
    }
    with st.container(key="counts"):
        counts_strip(data, key="strip")


def shown_in_windows(chosen: Shared | large_runs.Waiting | None, page: str) -> bool:
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
