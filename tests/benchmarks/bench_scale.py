"""A run of 10 million detections over 200,000 images: AP, threshold table, class query and error kinds, each
within 2 GB.

    python -m tests.benchmarks.bench_scale [--images N] [--keep FOLDER]

Each question is asked in a process of its own, and the most memory that process ever held is printed beside
its time. The time depends on the machine and is not judged. `--keep` makes the run in a folder once and uses
it again.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROMISED_MB = 2048


def ask(question: str, folder: Path) -> str:
    """The answer in a few words, for the eye."""
    from analysis import evaluate, find_images_with_classes, match
    from analysis.mistakes.errors import find_errors
    from analysis.runs.streamed import open_streamed
    from analysis.thresholds.curves import suggest

    run = open_streamed(folder)
    if question == "open":
        return repr(run)
    if question == "AP":
        result = evaluate(run)
        return f"AP {result['AP']:.6f}, AP50 {result['AP50']:.6f}"
    if question == "threshold table":
        overall, classes = suggest(match(run))
        return f"{overall.threshold} for all, {len(classes)} classes"
    if question == "class query":
        return f"{len(find_images_with_classes(run, ['class 3', 'class 7'], 'all')):,} images with both"
    found = find_errors(run)
    return f"AP {found.ap:.4f}, {found.counts}"


QUESTIONS = ("open", "class query", "threshold table", "AP", "error kinds")


def child(question: str, folder: Path) -> None:
    start = time.perf_counter()
    answer = ask(question, folder)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    seconds = time.perf_counter() - start
    print(
        json.dumps(
            {
                "answer": answer,
                "seconds": seconds,
                "cpu": usage.ru_utime + usage.ru_stime,
                "megabytes": usage.ru_maxrss / 1024,
            }
        )
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--child", nargs=2)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], Path(options.child[1]))
        return 0
    from tests.benchmarks.generated_runs import store_generated

    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch) / "run"
        if not (folder / "manifest.json").exists():
            store_generated(folder, images=options.images)
        worst = 0.0
        for question in QUESTIONS:
            command = [sys.executable, "-m", "tests.benchmarks.bench_scale", "--child", question, str(folder)]
            found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            worst = max(worst, found["megabytes"])
            print(
                f"{question:16} {found['megabytes']:7.0f} MB  {found['seconds']:7.1f} s ({found['cpu']:.1f} s"
                f" of processor)  {found['answer']}",
                flush=True,
            )
    print(f"most memory {worst:.0f} MB (promised {PROMISED_MB})")
    return int(worst > PROMISED_MB)


if __name__ == "__main__":
    sys.exit(main())
