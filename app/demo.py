"""The built-in demo: scenes drawn by the project and the results of a simulated detector on them."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

from detector.paths import data_dir

NAME = "demo"
SCENES = 120
_lock = threading.Lock()


def demo_run() -> Path:
    """The folder of the demo's run, made if it is not there or is of an older Boxscope. Seconds, once."""
    from analysis.manifest import read_manifest, run_identity
    from analysis.runs import detect_run
    from detector.data.scenes import demo_dataset
    from detector.errors import RunError
    from detector.fake import FakeDetector

    folder = data_dir("runs") / NAME
    with _lock:
        dataset = demo_dataset(data_dir("demo"), count=SCENES)
        detector = FakeDetector(dataset)
        floor = 0.01
        try:
            manifest = read_manifest(folder)
            if manifest.identity != run_identity(dataset.fingerprint, detector.info.weights_hash, floor):
                shutil.rmtree(folder)
            elif manifest.state == "done":
                return folder
        except RunError:
            shutil.rmtree(folder, ignore_errors=True)
        detect_run(detector, dataset, folder, floor=floor)
    return folder


def make_with_progress() -> None:
    """Make the demo while the page shows how far it is; the scenes are drawn once, into a folder that fills."""
    import time
    from concurrent.futures import ThreadPoolExecutor

    import streamlit as st

    bar = st.progress(0.0, "Drawing the demo's scenes (once)")
    began = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(demo_run)
        while not made.done():
            drawn = sum(1 for _ in data_dir("demo").glob(".scenes-*/**/*.jpg"))
            if drawn:
                left = (time.monotonic() - began) / drawn * (SCENES - drawn)
                bar.progress(min(0.95, drawn / SCENES), f"Drawing the demo's scenes (once) · {drawn} of {SCENES} · {left:.0f} s left")
            time.sleep(0.2)
        made.result()
    bar.empty()


def make_on_first_start() -> None:
    """Make the demo when there is no run at all, so that the first page has something to show."""
    import streamlit as st

    from app.state import stored_runs

    if st.session_state.get("_started"):
        return
    if not stored_runs():
        make_with_progress()
    st.session_state["_started"] = True
