"""Greedy suppression in blocks against the walk that takes one kept box after another: bit-equal answers, and
the ratio.

    python -m tests.benchmarks.bench_nms

Candidates as an SSD has them, 12,804 boxes in clusters: the 100 best detections of three classes, and one
class to its end. Exits 1 where an answer differs, or where the walk box by box is not at least 1.3 times
slower.
"""

from __future__ import annotations

import sys

import numpy as np

from detector.greedy_nms import NOBODY, GreedyNMS
from detector.nms import PostprocessSettings, select
from tests.benchmarks.table import row, scaled
from tests.benchmarks.timing import compare

CANDIDATES = scaled(12_804)


def candidates(count: int = CANDIDATES, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(boxes, scores): around each of 60 places boxes that nearly agree, the rest anywhere with low
    scores.
    """
    rng = np.random.default_rng(0)
    centres = rng.uniform(20, 300, (60, 2))[rng.integers(0, 60, count)] + rng.normal(0, 6, (count, 2))
    far = rng.random(count) < 0.7
    centres[far] = rng.uniform(0, 320, (int(far.sum()), 2))
    sides = np.exp(rng.normal(3.6, 0.5, (count, 2)))
    scores = rng.beta(0.3, 6, (count, classes)) * np.where(far, 0.2, 1)[:, None]
    return np.concatenate([centres - sides / 2, centres + sides / 2], axis=1).astype(
        np.float32
    ), scores.astype(np.float32)


def box_by_box(boxes: np.ndarray, threshold: float) -> list[int]:
    """Places of the kept boxes, best first: each kept one against all that are left."""
    corners = np.ascontiguousarray(boxes.T).reshape(2, 2, -1)
    low, high = corners.min(axis=0), corners.max(axis=0)
    area = (high[0] - low[0]) * (high[1] - low[1])
    gone, kept = np.zeros(len(boxes), bool), []
    for i in range(len(boxes)):
        if gone[i]:
            continue
        kept.append(i)
        rest = slice(i + 1, None)
        side = np.maximum(
            np.minimum(high[:, rest], high[:, i : i + 1]) - np.maximum(low[:, rest], low[:, i : i + 1]),
            np.float32(0),
        )
        inter = side[0] * side[1]
        over = np.zeros(len(inter), np.float32)
        np.divide(inter, area[rest] + area[i] - inter, out=over, where=inter > 0)
        gone[rest] |= over > np.float32(threshold)
    return kept


def blocks(boxes: np.ndarray, threshold: float) -> list[int]:
    greedy = GreedyNMS(threshold)
    greedy.add(boxes, np.zeros(len(boxes), np.int32))
    return np.flatnonzero(greedy.by == NOBODY).tolist()


def main() -> int:
    boxes, scores = candidates()
    bad = False
    for what, most in (("the best 1,500", 1_500), ("all 12,804", len(boxes))):
        ordered = boxes[np.argsort(-scores[:, 0], kind="stable")[:most]]
        bad |= blocks(ordered, 0.6) != box_by_box(ordered, 0.6)
        times = compare(lambda o=ordered: box_by_box(o, 0.6), lambda o=ordered: blocks(o, 0.6))
        bad |= times.ratio < 1.3
        row(
            f"greedy suppression, {what}, against box by box",
            times.b,
            times.a,
            times.ratio,
            1.3,
            times.spread,
        )
        print(
            f"one class, {what}, {len(blocks(ordered, 0.6)):,} kept: {1e3 * times.b:.1f} ms,"
            f" {times.ratio:.1f} times faster than box by box ({1e3 * times.a:.1f} ms)"
        )

    def post(every: bool) -> None:
        select(scores, lambda rows: boxes[rows], PostprocessSettings(), window=(0, 0, 320, 320), every=every)

    times = compare(lambda: post(False), lambda: post(True))
    print(
        f"post-processing to 100 detections of three classes: {1e3 * times.a:.1f} ms; with the fate of every"
        f" candidate {1e3 * times.b:.1f} ms"
    )
    row("every candidate's fate, three classes", times.b, None, None, None, times.spread)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
