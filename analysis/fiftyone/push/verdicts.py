"""One operating point: the verdict of every detection and object, in the columns a push writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.matching.counts import counts, verdicts
from analysis.matching.match import match_run
from analysis.matching.matches import Matches
from analysis.matching.operating_point import class_thresholds, operating_point
from analysis.mistakes.errors import CLASSIFICATION, KINDS, find_errors
from analysis.runs.store import Run
from detector.boxes import area
from detector.errors import InputError

COUNTED_DETECTIONS = ("correct", "wrong", "duplicate")
COUNTED_OBJECTS = ("found", "missed")
SMALL, LARGE = 32.0**2, 96.0**2  # square pixels: COCO's bounds of small, medium and large


@dataclass(frozen=True, eq=False)
class Judged:
    """A run at one operating point.

    Args:
        point: confidence, IoU and matcher as plain values, thresholds per class by name.
        words: the same in one line of text.
        matches: of the run at this IoU.
        thresholds: float32 [K], the confidence threshold of each class.
        det_verdict: [D] of "correct", "wrong", "duplicate", "ignored", "unjudged", "below".
        truth_verdict: [M] of "found", "missed", "ignored", "unjudged".
        det_error, truth_error: [D] and [M], the kind of mistake by TIDE ("classification", ..., "missed"), ""
            for none.
        confused: int32 [D], for a classification mistake the object of another class it lies on, else -1.
        counts: the totals, for the message and the data set's info.
        det_columns, truth_columns: more columns for the labels, by field name, [D] and [M].
    """

    point: dict[str, Any]
    words: str
    matches: Matches
    thresholds: np.ndarray
    det_verdict: np.ndarray
    truth_verdict: np.ndarray
    det_error: np.ndarray
    truth_error: np.ndarray
    confused: np.ndarray
    counts: dict[str, Any]
    det_columns: dict[str, np.ndarray] = field(default_factory=dict)
    truth_columns: dict[str, np.ndarray] = field(default_factory=dict)


def by_class(run: Run, threshold: Any) -> Any:
    """{class name: number} as one number per class, others at 0.5; anything else as it is.

    Raises:
        InputError: an unknown class.
    """
    if not isinstance(threshold, Mapping):
        return threshold
    values = np.full(len(run.class_map), 0.5)
    for name, value in threshold.items():
        values[run.class_map.index(name)] = value
    return values


def judge(
    run: Run,
    threshold: Any = 0.5,
    bound: float = 0.5,
    *,
    det_columns: Mapping[str, Any] | None = None,
    truth_columns: Mapping[str, Any] | None = None,
) -> Judged:
    """Match a run and give every detection and object its verdict.

    Args:
        run: a Run.
        threshold: confidence in 0..1, one number, one per class [K], or {class name: number} (others get
            0.5).
        bound: the IoU from which a detection fits.

    Raises:
        InputError: an unknown class, a number out of range, a column of another length or with a taken name.
    """
    threshold = by_class(run, threshold)
    thresholds = class_thresholds(threshold, len(run.class_map))
    if len(thresholds) and thresholds.max() > 1:
        raise InputError(f"threshold: expected at most 1, got {thresholds.max():g}.")
    plain = float(threshold) if np.ndim(threshold) == 0 else thresholds
    matches = match_run(run, bound)
    verdict = verdicts(matches, plain)
    point = operating_point(run, plain, iou=bound)
    checked = {
        "det_columns": _columns(det_columns, len(run.detections), "detection"),
        "truth_columns": (
            _causes(run, matches, plain, bound) | _columns(truth_columns, len(run.truth), "ground-truth")
        ),
    }
    return Judged(
        point=point.to_dict(run.class_map),
        words=str(point),
        matches=matches,
        thresholds=thresholds,
        det_verdict=verdict.detections,
        truth_verdict=verdict.objects,
        **_mistakes(run, matches, plain, bound),
        counts=counts(matches, plain).to_dict(),
        **checked,
    )


def _causes(run: Run, matches: Matches, threshold: Any, bound: float) -> dict[str, np.ndarray]:
    """The cause of each miss and its rescue, as far as the stored detections tell; none without labelled
    images.
    """
    from analysis.misses.run import autopsy_columns

    return autopsy_columns(run, threshold, bound) if len(run.truth) and matches.judged.any() else {}


def _mistakes(run: Run, matches: Matches, threshold: Any, bound: float) -> dict[str, np.ndarray]:
    found = find_errors(
        run, iou=bound, background_iou=min(0.1, bound / 2), max_detections=None, matches=matches
    )
    names = np.array(["", *KINDS])
    det, truth = found.at(threshold)
    return {
        "det_error": names[det],
        "truth_error": names[truth],
        "confused": np.where(det == CLASSIFICATION, found.det_truth, -1),
    }


def sizes(xyxy: np.ndarray, stated_area: np.ndarray | None = None) -> np.ndarray:
    """ "small", "medium" or "large" by COCO's bounds; the area the file states counts before the box's."""
    square = area(xyxy).astype(np.float64)
    if stated_area is not None:
        square = np.where(np.isfinite(stated_area), stated_area, square)
    return np.array(["small", "medium", "large"])[(square >= SMALL).astype(int) + (square >= LARGE)]


def _columns(columns: Mapping[str, Any] | None, length: int, what: str) -> dict[str, np.ndarray]:
    from analysis.fiftyone.fields import RESERVED

    out = {}
    for name, values in (columns or {}).items():
        values = np.asarray(values)
        if not name.isidentifier() or name.startswith("_"):
            raise InputError(f"A {what} column needs a name of letters, digits and _, got {name!r}.")
        if name in RESERVED:
            raise InputError(
                f"A {what} column may not be named {name!r}; the push writes a field of that name itself."
            )
        if values.shape != (length,):
            raise InputError(
                f"The {what} column {name!r}: expected {length} values, got shape {list(values.shape)}."
            )
        out[name] = values
    return out
