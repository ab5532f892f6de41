"""The built-in demo: scenes drawn by the project, and what the project's own small network finds in them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from detector.paths import data_dir

NAME = "demo"
SCENES = 120
_lock = threading.Lock()

Tell = Callable[[str, int, int], object]
"""What is being done, scenes done, of how many."""


def demo_run(tell: Tell | None = None) -> Path:
    """The folder of the demo's run, made if it is not there or is of an older Boxscope. Seconds, once; no
    TensorFlow.
    """
    from analysis.runs.detect import detect_run
    from analysis.runs.manifest import read_manifest, run_identity
    from detector.catalogue import load_detector
    from detector.data.samples.scenes import demo_dataset
    from detector.errors import RunError

    tell = tell or (lambda what, done, total: None)
    folder = data_dir("runs") / NAME
    with _lock:
        dataset = demo_dataset(
            data_dir("demo"),
            count=SCENES,
            progress=lambda done, total: tell("Drawing the demo's scenes (once)", done, total),
        )
        # LiteRT also where there is a GPU: asking Keras for it would load TensorFlow into the page's process.
        detector = load_detector(NAME, runtime="litert")
        floor = 0.01
        try:
            manifest = read_manifest(folder)
            if manifest.identity != run_identity(dataset.fingerprint, detector.info.weights_hash, floor):
                shutil.rmtree(folder)
            elif manifest.state == "done":
                return folder
        except RunError:
            shutil.rmtree(folder, ignore_errors=True)
        detect_run(
            detector,
            dataset,
            folder,
            floor=floor,
            progress=lambda p: tell("Running the demo's detector", p.done, p.total),
        )
    return folder
