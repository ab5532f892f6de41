"""Several equal detectors, for a batch run that keeps every core busy.

Two workers of one thread each beat one worker of default threads on two cores: 1.35 times its images per
second on a SavedModel, 1.2 to 1.6 times on a `.tflite` (measured, whole runs of `detect_run`). For a process
of its own, which runs one detector: how many threads TensorFlow uses inside an operation is settled once a
process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from detector.core import Detector

MOST = 4  # more copies of a network cost memory and gain little


def usable_cores() -> int:
    """The processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _one_thread_inside() -> Iterator[None]:
    """TensorFlow, imported in here, gives an operation one thread, unless the user said otherwise; children
    see nothing.
    """
    if "TF_NUM_INTRAOP_THREADS" in os.environ:
        yield
        return
    os.environ["TF_NUM_INTRAOP_THREADS"] = "1"
    try:
        yield
    finally:
        del os.environ["TF_NUM_INTRAOP_THREADS"]


def load_side_by_side(load: Callable[..., Detector], *, workers: int | None = None) -> list[Detector]:
    """The detectors to hand to `analysis.runs.detect.detect_run`: at least one, equal in every answer.

    Call it before TensorFlow is imported: where several are wanted, TF_NUM_INTRAOP_THREADS is 1 while the
    first is loaded, unless the user set it. A SavedModel may be called from several threads, so one instance
    serves them all; `.tflite` and `.onnx` files get an interpreter a worker; the other kinds share their work
    between the cores themselves, or need no sharing.

    Args:
        load: makes the detector, with the adapter's options as keywords.
        workers: how many at most; None for one a core, at most 4.
    """
    wanted = workers or min(MOST, usable_cores())
    if wanted < 2:
        return [load()]
    with _one_thread_inside():
        first = load()
    if first.info.kind == "saved_model":
        return [first] * wanted
    if first.info.kind in ("tflite", "onnx"):
        return [load(num_threads=1) for _ in range(wanted)]
    return [first]
