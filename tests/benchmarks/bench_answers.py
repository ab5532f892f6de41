"""Seconds of the four answers at 5,000 images and 500,000 detections: guarantee, suspects, groups,
differences.

    python -m tests.benchmarks.bench_answers [--small]

Each is to take at most 5 s on an idle machine; the small mode (200 images) is a check that all of it runs.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable

from analysis.groups.run import groups_of_run
from analysis.matching.match import match_run
from analysis.mistakes.significance import significance
from analysis.runs.tables import DetectionTable
from analysis.suspects.finding import find_suspects
from analysis.thresholds.certificates import guarantee_run
from analysis.thresholds.guarantee import Goal
from tests.benchmarks.generated import big_run


def timed(name: str, work: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    print(
        f"{name:<34} {time.perf_counter() - wall:6.2f} s, {time.process_time() - cpu:6.2f} s of processor",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true")
    small = parser.parse_args().small
    run = big_run(images=200, objects=1500, detections=20_000) if small else big_run()
    d = run.detections
    moved = DetectionTable.build(d.rows, d.xyxy + 2, d.scores, d.class_ids, count=d.count)
    other = copy.copy(run)
    other.detections = moved
    matches = match_run(run)
    goal = Goal("recall", 0.6)
    timed("guarantee, all classes", lambda: guarantee_run(matches, goal))
    timed("guarantee, each class", lambda: guarantee_run(matches, goal, per_class=True))
    timed("suspects (and loading scikit-learn)", lambda: find_suspects(run, matches=matches))
    timed("suspects, again", lambda: find_suspects(run, matches=matches))
    timed("groups", lambda: groups_of_run(run, matches=matches))
    timed("differences of two runs", lambda: significance(run, other))


if __name__ == "__main__":
    main()
