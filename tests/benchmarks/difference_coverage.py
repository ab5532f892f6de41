"""How often the interval of a difference covers the truth: draws of images out of a run and a disturbed copy
of it.

    python -m tests.benchmarks.difference_coverage RUN [--draws 300] [--images 100]

The truth is the difference over all images of the run. Images are drawn without replacement, which narrows
the spread by the square root of the share left out; the interval is narrowed likewise before it is judged.
"""

from __future__ import annotations

import argparse
import copy

import numpy as np

from analysis.matching.match import match_run
from analysis.mistakes import influence
from analysis.mistakes.influence import METRICS, measure
from analysis.mistakes.significance import difference_of
from analysis.runs.store import open_run
from analysis.runs.tables import DetectionTable


def disturbed(run, seed: int = 0):
    """The run with scores and boxes shaken a little."""
    rng, d = np.random.default_rng(seed), run.detections
    extent = np.tile(d.xyxy[:, 2:] - d.xyxy[:, :2], 2)
    scores = np.clip(d.scores * rng.uniform(0.8, 1.15, len(d.scores)), 0.01, 1)
    xyxy = d.xyxy + rng.normal(0, 0.03, extent.shape) * extent
    xyxy[:, 2:] = np.maximum(xyxy[:, 2:], xyxy[:, :2])
    table = DetectionTable.build(d.rows, xyxy, scores, d.class_ids, count=d.count)
    other = copy.copy(run)
    other.detections = table
    return other


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--images", type=int, default=100)
    options = parser.parse_args()
    first = open_run(options.run)
    runs = [first, disturbed(first)]
    matches = {(id(run), iou): match_run(run, iou) for run in runs for iou in influence.IOUS}
    # Matching does not depend on the images drawn: once per run and IoU is enough.
    influence.match_run = lambda run, iou: matches[id(run), iou]
    influence._kinds_at = lambda run, base, iou: matches[id(run), iou].det_kind
    everything = np.flatnonzero(first.usable)
    wholes = [measure(run, everything, 0.5) for run in runs]
    truth = {name: wholes[1].values[name] - wholes[0].values[name] for name in METRICS}
    shrink = np.sqrt(1 - options.images / len(everything))
    rng = np.random.default_rng(5)
    covered = {name: [] for name in METRICS}
    for _ in range(options.draws):
        images = np.sort(rng.choice(everything, options.images, replace=False))
        a, b = (measure(run, images, 0.5) for run in runs)
        for name in METRICS:
            sway = b.influence[name] - a.influence[name]
            d = difference_of(name, "", a.values[name], b.values[name], sway, 0.95)
            covered[name].append(abs(d.difference - truth[name]) <= shrink * (d.high - d.low) / 2)
    for name in METRICS:
        print(
            f"{name:<7} true difference {truth[name]:+.4f}, covered in {np.mean(covered[name]):.1%} of draws"
        )


if __name__ == "__main__":
    main()
