"""Reading every image of a data set once, while a page shows how far it is; the result is kept for every
session.

Few images are read in the page's own run. More are read by a thread that no page waits for: a page looks at
it once per second, and whoever asked can stop it or go elsewhere meanwhile.
"""

from __future__ import annotations

import time
from typing import ClassVar

import streamlit as st

from analysis.datasets.duplicates import Look, look_at_pictures
from app.jobs.job import ThreadJob, ThreadJobs
from detector.data.dataset import Dataset

AT_ONCE = 600
"""Up to this many images are read without being asked (two or three seconds)."""
KEPT = 4


class PictureScan(ThreadJob[Look]):
    """One reading of every image of a data set."""

    WHAT: ClassVar = "Reading the images"

    def __init__(self, dataset: Dataset):
        super().__init__(total=len(dataset))
        self.dataset = dataset

    def work(self) -> Look:
        return look_at_pictures(self.dataset, progress=self.step)


_scans: ThreadJobs[PictureScan] = ThreadJobs(KEPT)


def known(key: str) -> Look | None:
    """What reading every image gave, where that was done."""
    scan = _scans.of(key)
    return None if scan is None else scan.result


def forget() -> None:
    """Drop everything that was kept."""
    _scans.clear()


def look(key: str, dataset: Dataset) -> Look | None:
    """Every image read once, with a bar; for many images only when asked. None while that is not done."""
    if (there := known(key)) is not None:
        return there
    scan = _scans.of(key)
    if scan is not None and not scan.over:
        _watch(key)
        return None
    if len(dataset) <= AT_ONCE:
        return _at_once(key, dataset)
    if scan is not None and scan.error:
        st.error(scan.error, icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            "Damaged images, copies and leaks between splits show when the images are read.",
            width="stretch",
        )
        st.button(
            f"Read {len(dataset):,} images",
            icon=":material/image_search:",
            on_click=_scans.start,
            args=(key, lambda: PictureScan(dataset)),
        )
    return None


def _at_once(key: str, dataset: Dataset) -> Look | None:
    bar, shown = st.progress(0.0, "Reading images"), 0.0
    scan = PictureScan(dataset)

    def progress(done: int, total: int) -> None:
        nonlocal shown
        scan.step(done, total)
        if (now := time.monotonic()) - shown > 0.2:
            shown = now
            bar.progress(scan.fraction, _words(scan))

    scan.result, scan.stage = look_at_pictures(dataset, progress=progress), "done"
    bar.empty()
    return _scans.keep(key, scan).result


@st.fragment(run_every=1.0)
def _watch(key: str) -> None:
    """The reading of this data set, looked at once per second until it is over."""
    scan = _scans.of(key)
    if scan is None or scan.over:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.progress(scan.fraction, _words(scan))
        st.button("Cancel", key="look_cancel", on_click=scan.cancel)


def _words(scan: PictureScan) -> str:
    left = scan.seconds_left
    return f"Reading images · {scan.done:,} of {scan.total:,}" + (
        f" · {left:.0f} s left" if left is not None and left >= 1 else ""
    )
