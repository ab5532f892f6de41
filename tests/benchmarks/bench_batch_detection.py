"""Batch detection against the plain loop of read, hub.load model, append: at least 1.3 times its images a
second.

The plain loop: for each file tf.io.read_file and tf.io.decode_jpeg, the model on that one image, its outputs
as NumPy arrays appended to a list. Nothing is stored, clipped or checked in it, and TensorFlow has its
default threads.

Our side is `detect_run`, stored run and all, in a process of its own, as the command line and the app's jobs
run it: with two equal detectors of one thread side by side (TensorFlow's threads are settled once a process,
so that this could not be had beside the plain loop), and, for comparison, with one detector of default
threads. Every side has its model loaded and warm; the sides take turns.

It needs real pictures and a SavedModel ($BOXSCOPE_SHARED or ../shared) and a machine that does nothing else:
where neighbours use the cores, the ratio says as much about them. Processor time per image is printed for
that case.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from analysis.runs.detect import detect_run
from detector.core import ClassMap
from detector.data.dataset import Dataset
from detector.paths import ROOT
from tests.benchmarks.timing import compare

PROMISED = 1.3
IMAGES = 60
SHARED = Path(os.environ.get("BOXSCOPE_SHARED", ROOT.parent / "shared"))
MODEL = SHARED / "weights" / "yolox_nano_coco" / "saved_model"
PICTURES = SHARED / "data" / "coco_mini" / "val2017"


def pictures() -> list[str]:
    return [str(p) for p in sorted(PICTURES.glob("*.jpg"))[:IMAGES]]


def side(connection: Connection, detectors: int, threads: int | None) -> None:
    """In a process of its own: a run for every message, answered with its processor seconds and shares."""
    from detector.models.saved_model import SavedModelDetector

    files = pictures()
    dataset = Dataset(
        name="pictures",
        format="folder",
        source=PICTURES,
        class_map=ClassMap(()),
        sample_ids=[Path(f).name for f in files],
        files=files,
    )
    pool = [SavedModelDetector(MODEL, threads=threads) for _ in range(detectors)]
    connection.send("ready")
    while connection.recv():
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            timing = detect_run(pool, dataset, Path(folder) / "run", batch_size=4).manifest.timing
            connection.send((time.process_time() - start, timing.shares))


class Side:
    """The parent's end of `side`."""

    def __init__(self, detectors: int, threads: int | None):
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self.process = context.Process(target=side, args=(theirs, detectors, threads), daemon=True)
        self.process.start()
        self._connection.recv()
        self.cpu: list[float] = []
        self.shares: dict[str, float] = {}

    def run(self) -> None:
        self._connection.send(True)
        cpu, self.shares = self._connection.recv()
        self.cpu.append(cpu)

    def close(self) -> None:
        self._connection.send(False)
        self.process.join(20)


def main() -> int:
    if not MODEL.is_dir() or not PICTURES.is_dir():
        print(f"skipped: no reference model and pictures on this machine (looked in {SHARED})")
        return 0
    load = os.getloadavg()[0]
    two, one = Side(2, 1), Side(1, None)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf
    import tensorflow_hub as hub

    model = hub.load(str(MODEL))
    files, cpu = pictures(), []

    def plain() -> None:
        found, start = [], time.process_time()
        for file in files:
            image = tf.io.decode_jpeg(tf.io.read_file(file), channels=3)
            found.append({name: value.numpy() for name, value in model(image[None]).items()})
        cpu.append(time.process_time() - start)

    for warm in (plain, two.run, one.run):
        warm()
    pair = compare(plain, two.run, 5)
    single = compare(plain, one.run, 3)
    for ours in (two, one):
        ours.close()

    def each(seconds: list[float]) -> str:
        return (
            f"{1e3 * sorted(seconds[1:])[len(seconds[1:]) // 2] / IMAGES:.0f} ms of processor time an image"
        )

    print(
        f"{os.cpu_count()} cores; load average before:"
        f" {load:.1f}{' (busy: the ratios are not to be relied on)' if load > 0.7 else ''}"
    )
    print(f"plain loop {IMAGES / pair.a:.1f} images/s, {each(cpu)}")
    print(
        f"detect_run, two detectors of one thread: {IMAGES / pair.b:.1f} images/s, {each(two.cpu)}: ratio"
        f" {pair.ratio:.2f} (promised {PROMISED})"
    )
    print(
        f"detect_run, one detector of default threads: {IMAGES / single.b:.1f} images/s, {each(one.cpu)}:"
        f" ratio {single.ratio:.2f}"
    )
    print(
        "busy time of detect_run with two: "
        + ", ".join(f"{name} {100 * share:.0f} %" for name, share in two.shares.items())
    )
    return int(pair.ratio < PROMISED)


if __name__ == "__main__":
    sys.exit(main())
