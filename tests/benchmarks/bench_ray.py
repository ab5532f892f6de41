"""Detection on a local Ray cluster of two one-core workers against the local engine: equal rows, 0.9 of its
images per second.

    python -m tests.benchmarks.bench_ray [--images 20000] [--pictures FOLDER] [--kills-only]

Three runs over the same generated pictures (two of them torn): the local engine with two detectors; Ray with
two workers; Ray with a worker killed at 30 % and the driver killed at 60 %, and the command given again. All
must end equal, row for row. Memory of driver and workers is sampled, and processor time an image is printed
beside images per second: it says the same on a busy machine. For a machine that does nothing else; Ray must
be installed.
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

from analysis.runs.detect import detect_run
from analysis.runs.progress import watch
from detector import load_dataset
from tests.benchmarks.blobs import draw, load_blobs

PROMISED = 0.9


def on_ray(dataset, out: Path, progress=None):
    from analysis.runs.ray import detect_on_ray

    return detect_on_ray(load_blobs, dataset, out, workers=2, progress=progress)


def workers(pid: int) -> list:
    import psutil

    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


class Watcher(threading.Thread):
    """Resident megabytes of the driver and its largest worker, and the processor seconds of all its
    processes, once per second.
    """

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid = pid
        self.driver: list[float] = []
        self.worker: list[float] = []
        self.ended = threading.Event()
        self.start()

    def run(self) -> None:
        import psutil

        while not self.ended.wait(1.0):
            try:
                largest = max((p.memory_info().rss for p in workers(self.pid)), default=0)
                self.driver.append(psutil.Process(self.pid).memory_info().rss / 2**20)
                self.worker.append(largest / 2**20)
            except psutil.Error:
                continue

    def __str__(self) -> str:
        def halves(values: list[float]) -> str:
            values = [v for v in values if v]
            middle = len(values) // 2
            return (
                f"{max(values[:middle], default=0):.0f} MB in the first half,"
                f" {max(values[middle:], default=0):.0f} MB in the second"
            )

        return f"driver {halves(self.driver)}; largest worker {halves(self.worker)}"


def processor_seconds() -> float:
    """Of this process and everything below it that lives."""
    import psutil

    total = 0.0
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        try:
            times = process.cpu_times()
            total += times.user + times.system
        except psutil.Error:
            continue
    return total


class Cost:
    """A progress callback that measures processor time from the first images done to the last but some."""

    def __init__(self):
        self.marks: list[tuple[int, float]] = []

    def __call__(self, p) -> None:
        if p.done > p.reused:
            self.marks.append((p.done, processor_seconds()))

    @property
    def milliseconds(self) -> float:
        (first, start), (last, end) = self.marks[0], self.marks[-1]
        return 1e3 * (end - start) / max(last - first, 1)


def kill_both(pictures: Path, out: Path) -> str:
    """Start the run in another process, kill a worker of it at 30 %, and that process itself at 60 %; what
    happened.
    """
    driver = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.bench_ray", "--driver", str(pictures), str(out)]
    )
    watcher, killed = Watcher(driver.pid), None
    while driver.poll() is None:
        try:
            share = watch(out).fraction
        except Exception:  # the run is not there yet
            share = 0.0
        if killed is None and share >= 0.3 and (there := workers(driver.pid)):
            killed = there[0].pid
            os.kill(killed, signal.SIGKILL)
        if killed is not None and share >= 0.6:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        time.sleep(0.2)
    watcher.ended.set()
    print(watcher, flush=True)
    stored = watch(out)
    return f"worker {killed} killed at 30 %, driver killed with {stored.fraction:.0%} stored ({stored.state})"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--kills-only", action="store_true", help="leave the undisturbed Ray run out")
    parser.add_argument("--driver", nargs=2, type=Path)
    options = parser.parse_args()
    if options.driver:
        on_ray(load_dataset(options.driver[0]), options.driver[1])
        return 0
    ratio = PROMISED
    with tempfile.TemporaryDirectory() as scratch:
        pictures, out = options.pictures or Path(scratch) / "pictures", Path(scratch)
        draw(pictures, options.images)
        dataset = load_dataset(pictures)
        print(
            f"{os.cpu_count()} cores, load average before: {os.getloadavg()[0]:.1f}; {len(dataset):,}"
            " pictures",
            flush=True,
        )
        cost = Cost()
        local = detect_run([load_blobs(), load_blobs()], dataset, out / "local", progress=cost)
        here = local.manifest.timing.images_per_second
        print(
            f"local engine, two detectors: {here:.0f} images/s, {cost.milliseconds:.2f} ms of processor an"
            " image",
            flush=True,
        )
        equal = []
        if not options.kills_only:
            cost, watcher, start = Cost(), Watcher(os.getpid()), time.perf_counter()
            ray = on_ray(dataset, out / "ray", cost)
            watcher.ended.set()
            there = ray.manifest.timing.images_per_second
            equal.append(local.equals(ray))
            ratio = there / here
            print(
                f"Ray, two workers: {there:.0f} images/s ({time.perf_counter() - start:.1f} s in all with the"
                f" start of the cluster), {cost.milliseconds:.2f} ms of processor an image",
                flush=True,
            )
            print(f"{watcher}; equal: {equal[-1]}", flush=True)
        print(kill_both(pictures, out / "killed"), flush=True)
        cost = Cost()
        equal.append(local.equals(on_ray(dataset, out / "killed", cost)))
        print(
            f"called again: equal: {equal[-1]}; {cost.milliseconds:.2f} ms of processor an image", flush=True
        )
        print(
            f"{len(local.detections):,} detections, {len(local.failed)} pictures failed; equal row for row:"
            f" {equal}"
        )
    print(
        f"images per second, Ray to local: {ratio:.2f} (promised {PROMISED})"
        if not options.kills_only
        else "undisturbed Ray run left out"
    )
    return int(ratio < PROMISED or not all(equal))


if __name__ == "__main__":
    sys.exit(main())
