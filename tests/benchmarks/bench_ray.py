"""Detection on a local Ray cluster of two one-core workers against the local engine: equal rows, 0.9 of its images a second.

    python -m tests.benchmarks.bench_ray [--images 20000] [--pictures FOLDER]

Four runs over the same generated pictures (two of them torn): the local engine with two detectors; Ray with two
workers; Ray with a worker killed in the middle; Ray with the driver killed in the middle and the command given again.
All must end equal, row for row. The memory of the driver and of each worker is sampled through the second run. For a
machine that does nothing else; Ray must be installed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from analysis.run_progress import watch
from analysis.runs import detect_run
from analysis.store import open_run
from detector import load_dataset
from tests.benchmarks.blobs import draw, load_blobs

PROMISED = 0.9


def on_ray(dataset, out: Path, progress=None):
    from analysis.run_ray import detect_on_ray

    return detect_on_ray(load_blobs, dataset, out, workers=2, progress=progress)


def workers() -> list:
    import psutil

    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


class Memory(threading.Thread):
    """Resident megabytes of this process and of the largest worker, once a second."""

    def __init__(self):
        super().__init__(daemon=True)
        self.driver: list[float] = []
        self.worker: list[float] = []
        self.ended = threading.Event()
        self.start()

    def run(self) -> None:
        import psutil

        while not self.ended.wait(1.0):
            try:
                largest = max((p.memory_info().rss for p in workers()), default=0)
                self.driver.append(psutil.Process().memory_info().rss / 2**20)
                self.worker.append(largest / 2**20)
            except psutil.Error:
                continue

    def halves(self, values: list[float]) -> str:
        middle = len(values) // 2
        return f"{max(values[:middle], default=0):.0f} MB in the first half, {max(values[middle:], default=0):.0f} MB in the second"


def killer(share: float):
    """A progress callback that kills one worker once, when this share is done."""
    done = []

    def progress(p) -> None:
        if not done and p.fraction >= share and (there := workers()):
            done.append(there[0].pid)
            os.kill(there[0].pid, signal.SIGKILL)

    progress.done = done
    return progress


def kill_driver(pictures: Path, out: Path, share: float) -> float:
    """Start the run in another process, kill that when this share is done; the share that was stored then."""
    driver = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.bench_ray", "--driver", str(pictures), str(out)])
    while driver.poll() is None:
        try:
            if watch(out).fraction >= share:
                driver.send_signal(signal.SIGKILL)
                driver.wait()
                break
        except Exception:  # the run is not there yet
            time.sleep(0.2)
        time.sleep(0.1)
    return watch(out).fraction


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--driver", nargs=2, type=Path)
    options = parser.parse_args()
    if options.driver:
        on_ray(load_dataset(options.driver[0]), options.driver[1])
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        pictures, out = options.pictures or Path(scratch) / "pictures", Path(scratch)
        draw(pictures, options.images)
        dataset = load_dataset(pictures)
        print(f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.1f}; {len(dataset):,} pictures", flush=True)
        start = time.perf_counter()
        local = detect_run([load_blobs(), load_blobs()], dataset, out / "local")
        both = [local.manifest.timing.images_per_second]
        print(f"local engine, two detectors: {both[0]:.0f} images/s, {time.perf_counter() - start:.1f} s in all", flush=True)
        start = time.perf_counter()
        memory = Memory()
        ray = on_ray(dataset, out / "ray")
        memory.ended.set()
        both.append(ray.manifest.timing.images_per_second)
        print(f"Ray, two workers: {both[1]:.0f} images/s, {time.perf_counter() - start:.1f} s in all with the start of the cluster", flush=True)
        print(f"driver {memory.halves(memory.driver)}; largest worker {memory.halves(memory.worker)}", flush=True)
        equal = [local.equals(ray)]
        progress = killer(0.4)
        equal.append(local.equals(on_ray(dataset, out / "worker", progress)))
        print(f"worker killed: process {progress.done}; equal: {equal[-1]}", flush=True)
        share = kill_driver(pictures, out / "driver", 0.4)
        equal.append(local.equals(on_ray(dataset, out / "driver")))
        print(f"driver killed with {share:.0%} stored; equal after the second call: {equal[-1]}", flush=True)
        print(f"{len(local.detections):,} detections, {len(local.failed)} pictures failed; equal rows: {equal}")
        assert open_run(out / "ray").equals(local) == equal[0]
    ratio = both[1] / both[0]
    print(f"images a second, Ray to local: {ratio:.2f} (promised {PROMISED})")
    return int(ratio < PROMISED or not all(equal) or not progress.done)


if __name__ == "__main__":
    sys.exit(main())
