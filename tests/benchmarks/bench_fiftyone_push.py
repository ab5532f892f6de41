"""Pushing 1,000 samples of 20 boxes against building `fo.Sample`s and `add_samples`: at least twice as fast.

    python -m tests.benchmarks.bench_fiftyone_push [--samples 1000] [--repeats 3] [--flat 0]

Both sides write to the same mongod in one process, alternately, each time into a new data set. The plain side
writes images, ground truth and predictions with the same label fields, and neither an evaluation nor views;
the push includes matching, the evaluation, views and sidebar. `--flat 20000` does both once at that size too,
with the push's memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.timing import compare

PROMISE = 2.0


def plain(run, judged, name: str) -> None:
    """The documented way: one fo.Sample an image, add_samples."""
    import fiftyone as fo

    dataset = fo.Dataset(name, persistent=True)
    d, t, names = run.detections, run.truth, run.class_map.names
    starts = run.truth_offsets
    samples = []
    for i, sample_id in enumerate(run.sample_ids):
        width, height = (int(v) for v in run.sizes[i])

        def box(b, width=width, height=height):
            x1, y1, x2, y2 = (float(v) for v in b)
            return [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]

        sample = fo.Sample(
            run.files[i], metadata=fo.ImageMetadata(width=width, height=height), image_id=sample_id
        )
        sample["ground_truth"] = fo.Detections(
            detections=[
                fo.Detection(
                    label=names[t.class_ids[k]],
                    bounding_box=box(t.xyxy[k]),
                    object_id=int(t.ids[k]),
                    verdict=str(judged.truth_verdict[k]),
                )
                for k in range(starts[i], starts[i + 1])
            ]
        )
        rows = d.of(i)
        sample["predictions"] = fo.Detections(
            detections=[
                fo.Detection(
                    label=names[d.class_ids[k]],
                    bounding_box=box(d.xyxy[k]),
                    confidence=float(d.scores[k]),
                    verdict=str(judged.det_verdict[k]),
                    object_id=k - rows.start,
                )
                for k in range(rows.start, rows.stop)
            ]
        )
        samples.append(sample)
    dataset.add_samples(samples, dynamic=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--flat", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="boxscope-bench-") as home:
        os.environ["BOXSCOPE_HOME"] = home
        from analysis.fiftyone.service import environment, server

        os.environ.update(environment.child_environment(environment.with_timeout(server.start_database())))
        try:
            return measure(options, Path(home))
        finally:
            server.stop()


def measure(options, home: Path) -> int:
    import fiftyone as fo

    from analysis.fiftyone.push.dataset import push
    from analysis.fiftyone.push.options import PushOptions
    from analysis.fiftyone.push.verdicts import judge
    from tests.analysis.fiftyone_runs import random_run

    def run_of(images: int):
        run = random_run(None, images=images, objects=20, dets=20, size=(640, 480), crowd=0.0)
        run.files[:] = [str(home / f"picture {i:06d}.jpg") for i in range(images)]  # neither side opens them
        return run

    run = run_of(options.samples)
    number = iter(range(10**6))

    def ours() -> None:
        push(run, judge(run), PushOptions(name=f"ours {next(number)}"))

    def theirs() -> None:
        plain(run, judge(run), f"plain {next(number)}")

    ours()  # both sides past the first use of everything
    result = compare(theirs, ours, options.repeats)
    n = options.samples
    print(f"{n} samples, {len(run.truth)} objects, {len(run.detections)} detections")
    print(f"fo.Sample and add_samples  {result.a:6.2f} s  {n / result.a:6.0f} samples/s")
    print(f"push (with evaluation)     {result.b:6.2f} s  {n / result.b:6.0f} samples/s")
    print(f"ratio {result.ratio:.1f}, promised {PROMISE:.1f}", flush=True)
    if options.flat:
        for name in fo.list_datasets():
            fo.delete_dataset(name)
        large = run_of(options.flat)
        judged = judge(large)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        peaks: list[float] = []
        start = time.perf_counter()
        push(
            large,
            judged,
            PushOptions(name="large"),
            progress=lambda p: peaks.append(
                (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            ),
        )
        spent = time.perf_counter() - start
        print(
            f"{options.flat} samples: {spent:.1f} s, {options.flat / spent:.0f} samples/s; peak memory above"
            f" the run's own {peaks[len(peaks) // 2]:.0f} MB half-way, {peaks[-2]:.0f} MB after writing,"
            f" {peaks[-1]:.0f} MB at the end",
            flush=True,
        )
        start = time.perf_counter()
        plain(large, judged, "large, plain")
        slow = time.perf_counter() - start
        print(
            f"{options.flat} samples by fo.Sample and add_samples: {slow:.1f} s, {options.flat / slow:.0f}"
            f" samples/s; ratio {slow / spent:.1f}"
        )
    return 0 if result.ratio >= PROMISE else 1


if __name__ == "__main__":
    sys.exit(main())
