"""What running the network again would do to the whole set: contrast stretched, or 1.6 times the input size,
over every judged image.

A crop around a missed object needs to know where it is, and so has no price over a set; these two changes do
not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from analysis.matching.counts import counts
from analysis.matching.matches import Matches
from analysis.misses.prices import Rescue, add_counts, priced
from analysis.misses.replay import Boxes, TrialRun, image_counts_of
from analysis.misses.retries import Detect, enlarged, stretched
from analysis.runs.store import Run
from detector.core import Detections

RETRIES: dict[str, Callable[[Detect, np.ndarray], Detections]] = {
    "contrast stretched": lambda detect, image: detect([stretched(image)])[0],
    "1.6 times the input size": lambda detect, image: enlarged(detect, image),
}
"""The changes by name: (detect, picture) -> what is found in it."""


def price_retries(
    change: str,
    detect: Detect,
    run: Run,
    m: Matches,
    thresholds: np.ndarray,
    class_ids: Sequence[int],
    images: Sequence[int] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Rescue:
    """Detect every judged image anew with this change, match, and count.

    Args:
        change: a key of `RETRIES`; detect: pictures -> Detections, in the detector's own classes.
        run, m, thresholds: the run, its class-aware matches, thresholds float32 [K] of the run's classes.
        class_ids: the run's class of each class of the detector.
        images: positions; None takes every judged one. progress: told (done, total).

    Returns:
        a Rescue whose rule is the change; before and value are NaN. Counts before are of the stored
            detections.
    """
    chosen = np.flatnonzero(m.judged).tolist() if images is None else [int(i) for i in images if m.judged[i]]
    own, then, now = np.asarray(class_ids, np.int32), [], []
    for done, i in enumerate(chosen, 1):
        found, bench = RETRIES[change](detect, run.load_image(i)), TrialRun(run, m, i)
        anchors = np.full(len(found), -1, np.int32)
        then.append(
            image_counts_of(bench, Boxes(found.xyxy, found.scores, own[found.class_ids], anchors), thresholds)
        )
        now.append(image_counts_of(bench, bench.stored, thresholds))
        if progress is not None:
            progress(done, len(chosen))
    whole = len(chosen) == int(m.judged.sum())
    before = counts(m, thresholds) if whole else add_counts(now)
    return priced(change, -1, float("nan"), float("nan"), before, add_counts(then), len(chosen), whole)
