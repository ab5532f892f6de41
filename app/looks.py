"""Reading every picture of a data set once, while a page shows how far it is; the result is kept for every session."""

from __future__ import annotations

import time
from collections import OrderedDict

import streamlit as st

from analysis.duplicates import Look, look_at_pictures
from detector.data.dataset import Dataset

AT_ONCE = 600
"""Up to so many pictures are read without being asked (two seconds or three)."""
KEPT = 4
_kept: OrderedDict[str, Look] = OrderedDict()


def known(key: str) -> Look | None:
    """What reading every picture gave, where that was done."""
    return _kept.get(key)


def forget() -> None:
    """Let go of everything that was kept."""
    _kept.clear()


def look(key: str, dataset: Dataset) -> Look | None:
    """Every picture read once, with a bar; for many pictures only when asked. None while nobody has."""
    if (there := known(key)) is not None:
        return there
    n, asked = len(dataset), f"_look-{key}"
    if n > AT_ONCE and not st.session_state.get(asked):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown("Damaged pictures, copies and leaks between splits show when the pictures are read.", width="stretch")
            st.button(f"Read {n:,} pictures", icon=":material/image_search:", on_click=lambda: st.session_state.update({asked: True}))
        return None
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center", gap="small"):
        bar = st.progress(0.0, "Reading pictures")
        if n > AT_ONCE:
            st.button("Cancel", on_click=lambda: st.session_state.pop(asked, None))
    began, told = time.monotonic(), 0.0

    def progress(done: int, total: int) -> None:
        nonlocal told
        now = time.monotonic()
        if now - told > 0.2 or done == total:
            told = now
            left = (now - began) / done * (total - done)
            bar.progress(done / total, f"Reading pictures · {done:,} of {total:,}" + (f" · {left:.0f} s left" if left >= 1 else ""))

    found = look_at_pictures(dataset, progress=progress)
    place.empty()
    _kept[key] = found
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return found
