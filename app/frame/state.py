"""What is chosen in the shared controls (`app.frame.controls`), and the caches behind it.

Runs and matchings are shared by all sessions (they are frozen); a choice belongs to its session.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import streamlit as st

from analysis.matching.counts import Counts, counts, image_counts
from analysis.matching.match import match_run
from analysis.matching.matches import Matches
from analysis.matching.operating_point import Threshold, class_thresholds, operating_point
from analysis.runs.manifest import Manifest
from analysis.runs.store import Run, RunSummary
from analysis.runs.streamed import StreamedRun, open_stored
from analysis.subsets import images_showing, narrow
from analysis.thresholds.calibration import Calibration, calibrated_run, fit_calibration
from app.files.roots import roots
from app.files.run_list import name_runs, namesakes, run_folders, runs_in
from app.frame import large_runs
from app.frame.choices import Saved
from app.viewer.payload import curve, exact
from detector.errors import InputError

MODES = ["any", "all", "only", "none"]


# ---- runs on disk


def run_stamp(path: Path) -> tuple[int, int]:
    """Changes whenever the run does: its manifest's time, and how many parts it has."""
    try:
        parts = sum(1 for _ in (path / "parts").iterdir())
    except OSError:
        parts = 0
    return (path / "manifest.json").stat().st_mtime_ns, parts


@st.cache_data(ttl=10, show_spinner=False)
def _runs_in_roots(places: tuple[str, ...]) -> list[str]:
    # A user's folder may hold a hundred thousand images; it is looked through now and then, not at every
    # rerun.
    return [str(folder) for place in places for folder in runs_in(Path(place))]


def _manifests() -> tuple[tuple[str, int], ...]:
    found = {}
    for folder in [*map(str, run_folders(())), *_runs_in_roots(tuple(map(str, roots()[1:])))]:
        with contextlib.suppress(OSError):
            found[folder] = os.stat(os.path.join(folder, "manifest.json")).st_mtime_ns
    return tuple(found.items())


@st.cache_resource(max_entries=4, show_spinner=False)
def _summaries(manifests: tuple[tuple[str, int], ...]) -> dict[str, RunSummary]:
    folders = {Path(folder).resolve(): Path(folder) for folder, _ in reversed(manifests)}
    return {name: summary for name, summary in name_runs(folders.values()).items() if summary.manifest}


def stored_runs() -> dict[str, RunSummary]:
    """The readable runs of `app.files.run_list` under the names given there, the newest first; kept while no
    run changes.
    """
    return _summaries(_manifests())


def run_of_link(link: str, found: dict[str, RunSummary]) -> str | None:
    """The name of the run a link names: as listed, or the oldest run elsewhere whose folder has that name."""
    return link if link in found else next(reversed(namesakes(link, found)), None)


@st.cache_resource(max_entries=4, show_spinner="Opening the run")
def opened_run(path: str, stamp: tuple) -> Run | StreamedRun:
    """The run as stored (in windows where it is too large for memory), or (a stamp of four: method and IoU)
    with calibrated scores.
    """
    if len(stamp) == 2:
        return open_stored(path)
    return calibrated_run(opened_run(path, stamp[:2]), fitted_calibration(path, stamp[:2], *stamp[2:]))


@st.cache_resource(max_entries=8, show_spinner="Calibrating scores")
def fitted_calibration(path: str, stamp: tuple, method: str, iou: float) -> Calibration:
    return fit_calibration(all_matches(path, stamp, iou, None), method)


@st.cache_resource(max_entries=8, show_spinner="Matching detections with objects")
def all_matches(path: str, stamp: tuple, iou: float, class_ids: tuple[int, ...] | None) -> Matches:
    if class_ids is not None:
        return narrow(all_matches(path, stamp, iou, None), class_ids=class_ids)
    run = opened_run(path, stamp)
    return large_runs.matches(path, run, iou) if isinstance(run, StreamedRun) else match_run(run, iou)


@st.cache_data(max_entries=32, show_spinner=False)
def _curve(path: str, stamp: tuple, iou: float, class_ids: tuple[int, ...] | None) -> dict[str, list[int]]:
    return curve(all_matches(path, stamp, iou, class_ids))


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
    def thresholds(self) -> Threshold:
        """What the analysis takes as threshold: the slider's number, or one per class where saved ones are
        chosen.
        """
        return self.threshold if self.saved is None else self.saved.thresholds

    @cached_property
    def class_thresholds(self) -> np.ndarray:
        """float32 [K], the threshold of each class."""
        return class_thresholds(self.thresholds, len(self.run.class_map))

    def cut_of(self, class_name: str) -> float:
        """The threshold of one class."""
        return (
            self.threshold
            if self.saved is None
            else float(self.class_thresholds[self.run.class_map.index(class_name)])
        )

    @property
    def named_cuts(self) -> float | dict[str, float]:
        """The threshold for other processes: a number, or one by class name."""
        return (
            self.threshold
            if self.saved is None
            else dict(zip(self.run.class_map.names, exact(self.saved.thresholds)))
        )

    @property
    def drawn_thresholds(self) -> list[float] | None:
        """The thresholds of the classes for drawings, where they differ; None for the one on the slider."""
        return None if self.saved is None else exact(self.saved.thresholds)

    @property
    def manifest(self) -> Manifest:
        return self.run.manifest

    @property
    def counted_classes(self) -> tuple[int, ...] | None:
        """The classes whose boxes are drawn and counted: the chosen ones; all where the choice excludes
        ("none").
        """
        return None if self.mode == "none" else self.class_ids

    @cached_property
    def images(self) -> np.ndarray:
        """bool [N], the images the class controls leave."""
        if self.class_ids is None:
            return np.ones(len(self.run), bool)
        return images_showing(self.run, self.class_ids, self.mode, self.thresholds)

    @cached_property
    def chosen(self) -> Matches:
        """The matching of the chosen classes on the chosen images; all figures of a page come from it."""
        of_classes = all_matches(str(self.path), self.stamp, self.iou, self.counted_classes)
        if self.class_ids is None or self.mode == "any":
            return of_classes  # an image without any of the classes adds nothing
        return narrow(of_classes, images=self.images)

    @cached_property
    def counts(self) -> Counts:
        return counts(self.chosen, self.thresholds)

    @cached_property
    def per_image(self) -> Counts:
        return image_counts(self.chosen, self.thresholds)

    def at(self, threshold: Threshold) -> Shared:
        """The same choices at another threshold, one number or one per class: what the header then counts.
        Where classes choose the images ("all", "only", "none"), they choose anew.
        """
        if np.ndim(threshold) == 0:
            return replace(self, threshold=float(threshold), saved=None)
        return replace(self, saved=Saved("", np.asarray(threshold, np.float32), None))

    @property
    def scope(self) -> str:
        """Over what the counts are, in words that follow "over"."""
        if self.class_ids is None:
            return f"all {len(self.run):,} images and all classes"
        names = ", ".join(self.run.class_map.names[c] for c in self.class_ids)
        if self.mode == "any":
            return f"the chosen classes ({names})"
        counted = "all classes" if self.counted_classes is None else f"the chosen classes ({names})"
        return f"{counted} in the images with {self.mode} of {names}"

    @property
    def point(self) -> str:
        """The operating point in words, for figures and files."""
        words = str(operating_point(self.run, self.thresholds, iou=self.iou))
        if self.saved is not None:
            words = words.replace("confidence per class", f"confidence per class ({self.saved.name})")
        return words + (f" · scores calibrated ({self.calibration.method})" if self.calibration else "")

    @property
    def fixed_images(self) -> bool:
        """Whether the choice of images stays the same while the threshold moves."""
        return self.saved is None and (self.class_ids is None or self.mode == "any")

    def curve(self) -> dict[str, list[int]] | None:
        return (
            _curve(str(self.path), self.stamp, self.iou, self.counted_classes) if self.fixed_images else None
        )


def key_of(s: Shared) -> tuple:
    """What the matching of all classes depends on."""
    return str(s.path), s.stamp, s.iou


def threshold_key(s: Shared) -> tuple:
    """What the operating point's threshold is, hashable."""
    return tuple(np.atleast_1d(np.asarray(s.thresholds, np.float32)).tolist())


def run_and_matches(name: str, iou: float, stamp: tuple | None = None) -> tuple[Run, Matches]:
    """A stored run by its name, and its matching of every class at an IoU.

    Raises:
        InputError: the run is too large for memory.
    """
    path = stored_runs()[name].path
    stamp = run_stamp(path) if stamp is None else stamp
    if isinstance(opened_run(str(path), stamp), StreamedRun):
        raise InputError(
            f"{name} is too large to be held in memory beside this run; `boxscope evaluate {path}` reads it"
            " in windows."
        )
    return opened_run(str(path), stamp), all_matches(str(path), stamp, iou, None)


def stored_matches(s: Shared) -> Matches:
    """The matching of the scores as stored, whatever calibration is on."""
    return all_matches(str(s.path), s.stamp[:2], s.iou, None)


def shared() -> Shared | None:
    """What the frame found chosen in this rerun; None while there is no run to look at."""
    return st.session_state.get("_shared")


def go_to_run(name: str) -> None:
    """Choose another run; before the controls are drawn, so in a callback or followed by `st.rerun()`."""
    st.session_state["_next_run"] = name


def go(page: str) -> None:
    """Switch to a page ("views/image/page.py"), keeping the controls.

    Without parameters of its own, `st.switch_page` refuses to clear those that are bound to widgets; with an
    empty set it clears the URL, and the bound widgets of the next page write theirs back.
    """
    st.switch_page(page, query_params={})


def go_if_asked() -> None:
    """Follow what a callback wished for: switching is not allowed within one."""
    if target := st.session_state.pop("_go", None):
        go(target)
