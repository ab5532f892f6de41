"""Runs too large for memory in the app: opened at once, matched in a process of their own, the gallery ready
meanwhile.

A matching is kept in the cache folder, so that it is made once for a run and an IoU. Until it is there, the
gallery shows the data set's first images, each matched when it is shown, and says what is being computed.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from analysis.matching.match import match_run
from analysis.matching.matches import Matches, Verdict
from analysis.runs.store import Run
from analysis.runs.streamed import StreamedRun
from app.files import pictures
from app.frame.components import empty
from app.jobs import match_job
from app.viewer import thumbnail_grid
from app.viewer.payload import boxes_of, tile_text
from detector.errors import BoxscopeError, RunError
from detector.paths import data_dir

PAGE = 24
KEPT = 6
"""Matchings kept in the cache folder, 21 bytes per detection each."""
COMMANDS = {
    "mistakes": "boxscope kinds {run}",
    "thresholds": "boxscope thresholds {run}` or `boxscope evaluate {run}",
    "compare": "boxscope compare {run} OTHER",
    "groups": "boxscope detect --limit N` for a part of it, then `boxscope groups",
    "labels": "boxscope detect --limit N` for a part of it, then `boxscope suspects",
    "fiftyone": "boxscope detect --limit N` for a part of it, then `boxscope push",
}
"""Pages that hold a whole run in memory, and what does the same in windows, or for a part."""


@dataclass(frozen=True, eq=False)
class Waiting:
    """A large run whose matching is not there yet: what the shared controls say of it."""

    name: str
    path: Path
    stamp: tuple
    run: StreamedRun
    threshold: float
    iou: float


def folder_of(path: str, run: StreamedRun, iou: float) -> Path:
    """Where the matching of a run at an IoU lies; another content of the run, another folder."""
    key = hashlib.sha1(f"{path}\0{run.version}\0{iou:g}".encode("utf-8", "surrogateescape")).hexdigest()[:20]
    return data_dir("cache", "matches") / key


def begin(path: str, run: StreamedRun, iou: float) -> Path:
    """See to it that the matching is made; its folder."""
    folder = folder_of(path, run, iou)
    if match_job.is_ready(folder) or match_job.MatchJob.read(folder) is not None:
        return folder
    _make_room(folder.parent)
    match_job.MatchJob(folder=folder, run=path, iou=iou).start()
    return folder


def _make_room(parent: Path) -> None:
    ready = sorted((f for f in parent.iterdir() if match_job.is_ready(f)), key=lambda f: f.stat().st_mtime)
    for old in ready[: max(0, len(ready) - KEPT + 1)]:
        shutil.rmtree(old, ignore_errors=True)


def matches(path: str, run: StreamedRun, iou: float) -> Matches:
    """The matching made by `begin`.

    Raises:
        RunError: it is not there.
    """
    folder = folder_of(path, run, iou)
    if not match_job.is_ready(folder):
        raise RunError("This run's matching is not computed yet; reload the page.", path=path)
    return match_job.load(folder, iou, len(run.class_map))


def tiles(run: StreamedRun, rows: list[int], iou: float, key: tuple) -> list[str]:
    """The gallery's drawings of these images, each read and matched by itself."""
    made = []
    for i in rows:
        window = run.window(i, i + 1)
        made.append(tile_text(window, match_run(window, iou), 0, (*key, i)))
    return made


def _pictures(run: StreamedRun, rows: list[int]) -> tuple[list[str], list[str]]:
    urls, errors = [], []
    for i, content in zip(rows, pictures.tiles(run, rows)):
        broken = isinstance(content, str)
        urls.append("" if broken else pictures.publish(content, "image/jpeg", f"tile-{i}"))
        errors.append(content if broken else "")
    return urls, errors


def show_waiting(w: Waiting) -> None:
    """The gallery of a run that is being matched: what is computed, and the data set's first images."""
    folder = begin(str(w.path), w.run, w.iou)
    st.markdown(
        f"**{w.run.detection_count:,}** detections in **{len(w.run):,}** images: a run read in windows. The"
        " first images are below as the data set lists them; the counts, and the order worst first, come"
        " when every window is matched."
    )
    _progress(folder, w.iou)
    rows = list(range(min(PAGE, len(w.run))))
    if not rows:
        empty("No image in this run", "Choose another run.")
        return
    urls, errors = _pictures(w.run, rows)
    grid = {
        "tiles": tiles(w.run, rows, w.iou, (str(w.path), w.stamp, w.iou)),
        "urls": urls,
        "errors": errors,
        "threshold": w.threshold,
        "cuts": None,
        "shown": None,
        "picked": [],
    }
    thumbnail_grid(grid, key="waiting-grid")


@st.fragment(run_every=1.5)
def _progress(folder: Path, iou: float) -> None:
    job = match_job.MatchJob.read(folder)
    if match_job.is_ready(folder) or job is None:
        st.rerun()
    if job.error:
        st.error(job.error, icon=":material/error:")
        if st.button("Try again", icon=":material/refresh:"):
            shutil.rmtree(folder, ignore_errors=True)
            st.rerun()
        return
    st.progress(
        job.fraction,
        f"Matching detections with objects at IoU {iou:.2f}: {job.done:,} of {job.total:,} images"
        + _left(job.seconds_left),
    )


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f" · about {seconds / 60:.0f} min left" if seconds > 90 else f" · about {seconds:.0f} s left"


def say_too_large(page: str, path: Path, run: StreamedRun) -> None:
    """What a page that needs the whole run in memory says instead."""
    empty(
        "This run is read in windows",
        f"It holds {run.detection_count:,} detections, and this page needs a whole run in memory. "
        f"On the command line: `{COMMANDS[page].format(run=path)}`.",
    )


def show_image(name: str, run: StreamedRun, i: int, threshold: float, iou: float, point: str) -> None:
    """One image of a large run with its boxes."""
    from app.viewer import box_viewer

    window = run.window(i, i + 1)
    found: Matches = match_run(window, iou)
    width, height = window.image_size(0)
    data = {
        "key": f"{name}/{window.sample_ids[0]}",
        "name": pictures.name_of(window, 0),
        "width": width,
        "height": height,
        "max_height": 560,
        "place": f"image {i + 1:,} of {len(run):,}",
        "labelled": bool(window.labelled[0]),
        "classes": list(run.class_map.names),
        "threshold": threshold,
        "iou": iou,
        "shown": None,
        "selected": None,
        "has_prev": False,
        "has_next": False,
        "point": point,
        "near": [],
        "heat_offered": False,
        "heat_reason": "Heat maps need a run that fits in memory.",
    } | boxes_of(window, found, 0)
    data["dets"]["cuts"] = data["truth"]["cuts"] = None
    try:
        data["url"] = pictures.publish(*pictures.picture(window, 0), "viewer")
    except BoxscopeError as error:
        data |= {"url": "", "error": f"This picture cannot be shown: {error.message}"}
    box_viewer(data, key="viewer")
    _boxes(window, found, threshold)


def _boxes(window: Run, found: Matches, threshold: float) -> None:
    names, d = window.class_map.names, window.detections
    kept = np.flatnonzero(d.scores >= np.float32(threshold))
    rows = [
        {
            "verdict": Verdict(found.det_kind[k]).word,
            "class": names[d.class_ids[k]],
            "confidence": float(d.scores[k]),
            "IoU": float(found.det_iou[k]),
        }
        for k in kept
    ]
    missed = (found.truth_score < np.float32(threshold)) & found.truth_counted
    rows += [
        {"verdict": "missed", "class": names[k], "confidence": None, "IoU": None}
        for k in window.truth.class_ids[missed]
    ]
    st.dataframe(rows, hide_index=True, width="stretch")
