"""Reading every picture of a data set once, while a page shows how far it is; the result is kept for every
session.

Few pictures are read in the page's own run. More are read by a thread that no page waits for: a page looks at
it once a second, and whoever asked can stop it or go elsewhere meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

import streamlit as st

from analysis.datasets.duplicates import Look, look_at_pictures
from app.frame.components import say_error
from detector.data.dataset import Dataset

AT_ONCE = 600
"""Up to so many pictures are read without being asked (two seconds or three)."""
KEPT = 4
_kept: OrderedDict[str, Look] = OrderedDict()
_going: dict[str, _Reading] = {}


class _Stopped(Exception):
    """Somebody asked the reading to stop."""


class _Reading:
    """One reading in a thread of its own."""

    def __init__(self, key: str, dataset: Dataset):
        self.key, self.dataset = key, dataset
        self.done, self.total, self.began = 0, len(dataset), time.monotonic()
        self.stop = threading.Event()
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._read, name="look", daemon=True)
        self.thread.start()

    def _read(self) -> None:
        try:
            _keep(self.key, look_at_pictures(self.dataset, progress=self._progress))
        except _Stopped:
            pass
        except Exception as error:  # told on the page
            self.error = error

    def _progress(self, done: int, total: int) -> None:
        self.done = done
        if self.stop.is_set():
            raise _Stopped

    @property
    def words(self) -> str:
        return _words(self.done, self.total, self.began)


def known(key: str) -> Look | None:
    """What reading every picture gave, where that was done."""
    return _kept.get(key)


def forget() -> None:
    """Let go of everything that was kept."""
    _kept.clear()


def look(key: str, dataset: Dataset) -> Look | None:
    """Every picture read once, with a bar; for many pictures only when asked. None while that is not done."""
    if (there := known(key)) is not None:
        return there
    n = len(dataset)
    if n <= AT_ONCE:
        return _at_once(key, dataset)
    if key in _going:
        _watch(key)
        return None
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            "Damaged pictures, copies and leaks between splits show when the pictures are read.",
            width="stretch",
        )
        st.button(
            f"Read {n:,} pictures", icon=":material/image_search:", on_click=_start, args=(key, dataset)
        )
    return None


def _start(key: str, dataset: Dataset) -> None:
    if key not in _going:
        _going[key] = _Reading(key, dataset)


def _at_once(key: str, dataset: Dataset) -> Look:
    bar, began, told = st.progress(0.0, "Reading pictures"), time.monotonic(), 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told > 0.2:
            told = now
            bar.progress(done / total, _words(done, total, began))

    found = look_at_pictures(dataset, progress=progress)
    bar.empty()
    _keep(key, found)
    return found


@st.fragment(run_every=1.0)
def _watch(key: str) -> None:
    """The reading of this data set, looked at once a second until it is over."""
    reading = _going.get(key)
    if reading is None or not reading.thread.is_alive():
        _going.pop(key, None)
        if reading is not None and reading.error is not None:
            say_error(reading.error)
            return
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.progress(reading.done / max(reading.total, 1), reading.words)
        st.button("Cancel", key="look_cancel", on_click=reading.stop.set)


def _words(done: int, total: int, began: float) -> str:
    left = (time.monotonic() - began) / max(done, 1) * (total - done)
    return f"Reading pictures · {done:,} of {total:,}" + (
        f" · {left:.0f} s left" if done and left >= 1 else ""
    )


def _keep(key: str, found: Look) -> None:
    _kept[key] = found
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
