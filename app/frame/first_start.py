"""The first start: with no run at all the demo is made, so that the first page has something to show."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import streamlit as st

from app.files.demo import SCENES, demo_run
from app.frame.state import stored_runs

DRAWING = 0.8
"""The part of the bar that drawing takes; running the network over the scenes is the rest."""


def make_with_progress() -> None:
    """Make the demo while the page shows how far it is."""
    newest = ("Drawing the demo's scenes (once)", 0, SCENES)

    def note(*step) -> None:
        nonlocal newest
        newest = step

    bar = st.progress(0.0, newest[0])
    began, stage = time.monotonic(), newest[0]
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(demo_run, note)
        while not made.done():
            what, done, total = newest
            if what != stage:
                began, stage = time.monotonic(), what
            if done:
                left = (time.monotonic() - began) / done * (total - done)
                drawing = what.startswith("Drawing")
                part = DRAWING * done / total if drawing else DRAWING + (1 - DRAWING) * done / total
                bar.progress(min(1.0, part), f"{what} · {done} of {total} · {left:.0f} s left")
            time.sleep(0.2)
        made.result()
    bar.empty()


def make_on_first_start() -> None:
    """Make the demo when there is no run at all, so that the first page has something to show."""
    if st.session_state.get("_started"):
        return
    if not stored_runs():
        make_with_progress()
    st.session_state["_started"] = True
