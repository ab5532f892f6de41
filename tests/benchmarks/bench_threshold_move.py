"""A threshold move over 5,000 images and 500,000 detections: counts for the whole and per class, at most 5
ms; all tables that follow the slider at most 20 ms.

The other side is the plain way: masks over all detections at each move.
"""

from __future__ import annotations

import itertools
import sys

import numpy as np

from analysis.matching.counts import counts, image_counts, verdicts
from analysis.matching.match import match_run
from analysis.matching.matches import Verdict
from analysis.mistakes.confusion import Confusions
from analysis.thresholds.curves import grid_curves
from tests.benchmarks.generated import big_run
from tests.benchmarks.table import row
from tests.benchmarks.timing import compare, seconds


def main() -> int:
    run = big_run()
    matched = seconds(lambda: match_run(run))
    m = match_run(run)
    first = seconds(lambda: counts(m, 0.5))
    moves = itertools.cycle(np.linspace(0.05, 0.95, 19))

    def plain():
        kept = m.det_scores >= np.float32(next(moves))
        k = m.num_classes
        return [
            np.bincount(m.det_classes[kept & (m.det_kind == kind)], minlength=k)
            for kind in (Verdict.WRONG, Verdict.CORRECT, Verdict.DUPLICATE)
        ]

    one = compare(plain, lambda: counts(m, next(moves)), 19)
    per_class = compare(plain, lambda: counts(m, np.full(80, next(moves))), 19)
    gallery = compare(plain, lambda: image_counts(m, next(moves)), 9)
    named = compare(plain, lambda: verdicts(m, next(moves)), 9)
    print(
        f"matching 500,000 detections with 36,000 objects: {matched:.2f} s; first counts (sorting):"
        f" {first * 1e3:.0f} ms"
    )
    print(
        f"threshold move: {one.b * 1e3:.2f} ms, {one.ratio:.0f} times faster than masks"
        f" ({one.a * 1e3:.1f} ms)"
    )
    print(
        f"one threshold a class: {per_class.b * 1e3:.2f} ms; counts of each image: {gallery.b * 1e3:.1f} ms;"
        f" verdicts by name: {named.b * 1e3:.1f} ms"
    )
    table = Confusions(run, matches=m)
    curves = seconds(lambda: grid_curves(m))

    def everything(threshold: float):
        return counts(m, threshold), image_counts(m, threshold), table.at(threshold)

    at = {t: min(seconds(lambda t=t: everything(t)) for _ in range(5)) for t in (0.3, 0.5, 0.7)}
    print(f"curves over 101 thresholds (once): {curves * 1e3:.0f} ms")
    print(
        "all tables of a moved slider (counts, each class, each image, confusion): "
        + ", ".join(f"{v * 1e3:.1f} ms at {t}" for t, v in at.items())
    )
    row("threshold move, counts", one.b, one.a, one.ratio, None, one.spread)
    row("threshold move, counts", one.b, None, None, 0.005, one.spread, at_most=True)
    row("threshold move, all tables", max(at.values()), None, None, 0.02, at_most=True)
    slow = [
        name
        for name, took in (("threshold move", one.b), ("thresholds per class", per_class.b))
        if took > 0.005
    ]
    slow += [f"all tables at {t}" for t, took in at.items() if took > 0.02]
    if matched > 3:
        slow.append("matching")
    if slow:
        print(f"missed: {', '.join(slow)}")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
