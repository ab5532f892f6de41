"""Matches of some images or some classes: the same verdicts, fewer of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from analysis.matching.matches import Matches
from analysis.matching.operating_point import Threshold, class_thresholds
from analysis.queries import MODES, having
from analysis.runs.reader import RunReader
from analysis.runs.streamed import StreamedRun
from detector.errors import InputError


def narrow(
    matches: Matches, *, images: np.ndarray | None = None, class_ids: Iterable[int] | None = None
) -> Matches:
    """The matches of the images under a mask (bool [N]) and of these classes; None keeps all.

    N and K stay. Class-aware matching pairs only objects and detections of one class, so no pair is torn and
    every law of the counts still holds. Law: narrowing to everything gives the same columns.

    Raises:
        InputError: classes are asked of a matching that ignores the class.
    """
    keep_images = np.ones(matches.num_images, bool) if images is None else np.asarray(images, bool)
    keep_classes = np.ones(matches.num_classes, bool)
    if class_ids is not None:
        if not matches.class_aware:
            raise InputError(
                "narrow: a matching that ignores the class cannot be narrowed to classes: pairs would be"
                " torn."
            )
        keep_classes[:] = False
        keep_classes[list(class_ids)] = True
    det = keep_images[matches.det_rows] & keep_classes[matches.det_classes]
    truth = keep_images[matches.truth_rows] & keep_classes[matches.truth_classes]

    def moved(pointers: np.ndarray, kept: np.ndarray) -> np.ndarray:
        place = np.append(np.cumsum(kept) - 1, -1)  # the last entry serves the pointer -1
        return place[pointers]

    return Matches(
        iou=matches.iou,
        class_aware=matches.class_aware,
        difficult=matches.difficult,
        num_classes=matches.num_classes,
        judged=matches.judged & keep_images,
        det_rows=matches.det_rows[det],
        det_classes=matches.det_classes[det],
        det_scores=matches.det_scores[det],
        det_kind=matches.det_kind[det],
        det_truth=moved(matches.det_truth[det], truth),
        det_iou=matches.det_iou[det],
        truth_rows=matches.truth_rows[truth],
        truth_classes=matches.truth_classes[truth],
        truth_ignored=matches.truth_ignored[truth],
        truth_det=moved(matches.truth_det[truth], det),
        truth_iou=matches.truth_iou[truth],
        truth_score=matches.truth_score[truth],
    )


def images_showing(
    run: RunReader, class_ids: Iterable[int], mode: str = "any", threshold: Threshold = 0.5
) -> np.ndarray:
    """bool [N]: images whose ground truth *or* predictions at the threshold hold these classes.

    The two sides together, so that a false positive on an image without the class is not lost from sight.
    Modes as in `analysis.queries.MODES`. An image that is neither labelled nor done never matches.

    Raises:
        InputError: no such mode.
    """
    if mode not in MODES:
        raise InputError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}.")
    if isinstance(run, StreamedRun):
        wanted = list(class_ids)
        shown = [images_showing(window, wanted, mode, threshold) for _, window in run.windows(boxes=False)]
        return np.concatenate(shown) if shown else np.zeros(0, bool)
    n, k = len(run.sample_ids), len(run.class_map)
    d, t = run.detections, run.truth
    kept = d.scores >= class_thresholds(threshold, k)[d.class_ids]

    def there(wanted: list[int]) -> np.ndarray:
        of = np.zeros(k, bool)
        of[wanted] = True
        return having(d.rows, kept & of[d.class_ids], n) | having(t.rows, of[t.class_ids], n)

    wanted = sorted(set(class_ids))
    known = np.asarray(run.labelled, bool) | np.asarray(run.done, bool)
    if mode == "all":
        found = np.ones(n, bool)
        for c in wanted:
            found &= there([c])
    else:
        found = there(wanted)
        if mode == "only":
            found &= ~there(sorted(set(range(k)) - set(wanted)))
        elif mode == "none":
            found = ~found
    return known & found
