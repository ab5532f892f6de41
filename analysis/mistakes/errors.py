"""What kind of mistake costs most: TIDE's six kinds, for every detection and object, with what each costs in
AP.

Bolya, Foley, Hays, Hoffman, "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020,
with the definitions of its package tidecv 1.0.1. Every detection that is not correct has exactly one kind, by
the first test that holds:

    background       no object in the image at all
    localisation     background_iou <= IoU <= iou with an object of its class
    classification   IoU >= iou with an object of another class
    duplicate        IoU >= iou with an object of its class that a better-scored detection took
    background       IoU <= background_iou with every object
    both             anything else: badly placed and wrongly named

An object that nothing found is *missed*, unless a localisation or classification mistake stands on it:
fixing that mistake would find it. dAP is what AP at this IoU would gain if all mistakes of one kind were
fixed and nothing else changed; fixing two kinds does not gain the sum.

The matching is `analysis.matching.match`'s. It differs from tidecv's in two rare cases: equal IoU with two
objects (COCO takes the later one, tidecv the first) and IoU of exactly the bound with a crowd region.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analysis.average_precision import mean_ap
from analysis.matching.greedy import fitting_pairs
from analysis.matching.match import GatheredMatches, Progress, match_run
from analysis.matching.matches import Matches, Verdict
from analysis.matching.operating_point import Threshold, class_thresholds
from analysis.runs.reader import RunReader
from analysis.runs.store import Run
from detector.errors import InputError

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE_OF, BACKGROUND, MISSED = range(1, 7)
"""Codes of the kinds in the columns of `Errors`; 0 is no mistake."""

SENTENCES = {
    "classification": "On an object, under the wrong name.",
    "localisation": "The right class, but the box fits its object badly.",
    "both": "On an object, under the wrong name and badly placed.",
    "duplicate": "Fits an object that a better-scored detection already found.",
    "background": "There is nothing of any class.",
    "missed": "Missed, and no wrong detection stands on it that could be fixed.",
}
NOT_ADDITIVE = (
    "Each figure says what fixing that kind alone would gain; fixing several does not gain their sum."
)


@dataclass(frozen=True, eq=False)
class Errors:
    """The mistakes of a run at one IoU, over every stored detection.

    Args:
        matches: the matching they rest on.
        background_iou: below or at this IoU with every object a detection stands on background.
        max_detections: of each image only so many best-scored detections take part (tidecv's rule: over all
            classes together), None for all.
        det_error: uint8 [D], code of the kind, 0 for none (correct, ignored, unlabelled, cut by the cap).
        det_truth: int32 [D], the object a classification, localisation or duplicate mistake stands on, else
            -1.
        det_mends: bool [D], the detection which, fixed, would find its object: the best-scored one on it.
        truth_error: uint8 [M], for objects that no detection found: MISSED, or the kind of the mistake on it.
        truth_near_score: float32 [M], the best score of a localisation or classification mistake on the
            object, -1 without.
        counts: how many of each kind; missed counts objects, the others detections.
        ap: mean AP at this IoU in 0..1, as tidecv measures it: 101 points, a class without objects but with
            detections counts as 0.
        dap: what fixing each kind alone gains; plus "false positives" (all of them ranked last) and
            "false negatives" (all unfound objects forgiven).
    """

    matches: Matches
    background_iou: float
    max_detections: int | None
    det_error: np.ndarray
    det_truth: np.ndarray
    det_mends: np.ndarray
    truth_error: np.ndarray
    truth_near_score: np.ndarray
    counts: dict[str, int]
    ap: float
    dap: dict[str, float]

    def at(self, threshold: Threshold = 0.5) -> tuple[np.ndarray, np.ndarray]:
        """(uint8 [D], uint8 [M]): kinds at a threshold: of detections that reach it, and of objects unfound
        there.

        The kind of a detection does not depend on the threshold; whether an object is missed does.
        """
        m = self.matches
        thresholds = class_thresholds(threshold, m.num_classes)
        kept = m.det_scores >= thresholds[m.det_classes]
        found = m.truth_det >= 0
        found[found] = kept[m.truth_det[found]]
        unfound = m.truth_counted & ~found
        near = np.zeros(len(m.truth_rows), np.uint8)
        pointing = np.flatnonzero(kept & np.isin(self.det_error, (CLASSIFICATION, LOCALISATION)))[::-1]
        pointing = pointing[
            np.argsort(m.det_scores[pointing], kind="stable")
        ]  # the best-scored is written last
        near[self.det_truth[pointing]] = self.det_error[pointing]
        return np.where(kept, self.det_error, 0).astype(np.uint8), np.where(
            unfound, np.where(near > 0, near, MISSED), 0
        ).astype(np.uint8)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "iou": self.matches.iou,
            "background_iou": self.background_iou,
            "max_detections": self.max_detections,
            "ap": self.ap,
            "counts": self.counts,
            "dap": self.dap,
            "note": NOT_ADDITIVE,
        }


def find_errors(
    run: RunReader,
    *,
    iou: float = 0.5,
    background_iou: float = 0.1,
    max_detections: int | None = 100,
    matches: Matches | None = None,
    ignored_too: bool = False,
    progress: Progress | None = None,
) -> Errors:
    """The kind of every mistake of a run.

    Args:
        run: a run of any size.
        iou, background_iou: TIDE's two bounds.
        max_detections: of each image only so many best-scored detections take part; None for all.
        matches: class-aware matches of this run at this IoU, to save time; a streamed run makes its own.
        ignored_too: also give a kind to detections on crowd regions, as tidecv does; by default they are no
            mistakes.
        progress: called after each window of a run with (images done, images).

    Raises:
        InputError: the bounds do not ascend, or the matches are others.
    """
    if not 0 <= background_iou < iou <= 1:
        raise InputError(
            f"find_errors: expected 0 <= background_iou < iou <= 1, got {background_iou} and {iou}."
        )
    options = (iou, background_iou, max_detections, ignored_too)
    if matches is None or not isinstance(run, Run):
        matches, kinds = _over_windows(run, *options, progress)
    else:
        if matches.iou != iou or not matches.class_aware or len(matches.det_rows) != run.detection_count:
            raise InputError("find_errors: expected class-aware matches of this run at this IoU.")
        kinds = kinds_of(run, matches, *options)
    return put_together(matches, kinds, background_iou, max_detections)


@dataclass(frozen=True, eq=False)
class Kinds:
    """The columns of `Errors` that look at one image at a time, and which detections (`part` bool [D]) and
    objects (`unfound` bool [M]: counted, and found by none of these) they are about."""

    det_error: np.ndarray
    det_truth: np.ndarray
    det_mends: np.ndarray
    truth_error: np.ndarray
    near_score: np.ndarray
    part: np.ndarray
    unfound: np.ndarray

    @classmethod
    def none(cls) -> Kinds:
        """The columns of a run without detections and objects."""
        dtypes = (np.uint8, np.int32, bool, np.uint8, np.float32, bool, bool)
        return cls(*(np.zeros(0, dtype) for dtype in dtypes))


def kinds_of(
    run: Run, m: Matches, iou: float, background_iou: float, max_detections: int | None, ignored_too: bool
) -> Kinds:
    """The kind of every mistake of the images of a run; the arguments are `find_errors`'."""
    d, t = run.detections, run.truth
    counted = m.truth_counted
    rank = np.arange(len(d.rows)) - d.offsets[d.rows] if len(d.rows) else np.zeros(0, int)
    part = m.det_kind != Verdict.UNJUDGED
    if max_detections is not None:
        part &= rank < max_detections
    same, same_iou, other, other_iou = _nearest(
        d, t, np.where(part, d.rows, -1), np.where(counted, t.rows, -1)
    )
    used = (m.truth_det >= 0) & counted
    used[used] = part[m.truth_det[used]]
    lone = np.bincount(t.rows[counted], minlength=m.num_images)[d.rows] == 0

    det_error = np.full(len(d.rows), BOTH, np.uint8)
    det_error[np.maximum(same_iou, other_iou) <= background_iou] = BACKGROUND
    if len(used):  # without an object `same` points at nothing
        det_error[(same_iou >= iou) & used[same]] = DUPLICATE_OF
    det_error[other_iou >= iou] = CLASSIFICATION
    det_error[(same_iou >= background_iou) & (same_iou <= iou) & (same_iou > 0)] = LOCALISATION
    det_error[lone] = BACKGROUND
    det_error[~part | (m.det_kind == Verdict.CORRECT)] = 0
    if not ignored_too:
        det_error[m.det_kind == Verdict.IGNORED] = 0
    det_truth = np.full(len(d.rows), -1, np.int32)
    on_same = np.isin(det_error, (LOCALISATION, DUPLICATE_OF))
    det_truth[on_same] = same[on_same]
    det_truth[det_error == CLASSIFICATION] = other[det_error == CLASSIFICATION]

    near = np.flatnonzero(np.isin(det_error, (LOCALISATION, CLASSIFICATION)))
    near = near[np.argsort(-d.scores[near], kind="stable")]
    best = np.full(len(t.rows), -1, np.int64)
    first, at = np.unique(det_truth[near], return_index=True)
    at = near[at]
    best[first] = at
    near_score = np.full(len(t.rows), -1, np.float32)
    near_score[first] = d.scores[at]
    truth_error = np.zeros(len(t.rows), np.uint8)
    open_ = counted & ~used
    truth_error[open_] = MISSED
    mended = open_ & (best >= 0)
    truth_error[mended] = det_error[best[mended]]
    det_mends = np.zeros(len(d.rows), bool)
    det_mends[best[mended]] = True
    return Kinds(det_error, det_truth, det_mends, truth_error, near_score, part, open_)


def put_together(m: Matches, k: Kinds, background_iou: float, max_detections: int | None) -> Errors:
    """The counts of kinds over all images, and what each costs in AP."""
    counts = {name: int((k.det_error == code).sum()) for code, name in enumerate(KINDS, 1)}
    counts["missed"] = int((k.truth_error == MISSED).sum())
    ap, dap = _costs(
        m,
        m.truth_classes,
        k.part,
        k.det_error,
        k.det_truth,
        k.det_mends,
        k.truth_error,
        k.unfound,
        m.truth_counted,
    )
    return Errors(
        m,
        background_iou,
        max_detections,
        k.det_error,
        k.det_truth,
        k.det_mends,
        k.truth_error,
        k.near_score,
        counts,
        ap,
        dap,
    )


def _nearest(
    d, t, det_keys: np.ndarray, truth_keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each detection the object of its class, and of another, with the largest IoU (ties: the first).

    Returns:
        Index and IoU in its own class, index and IoU in others; 0 and 0 without an overlap.
    """
    pairs = fitting_pairs(
        det_keys.astype(np.int64),
        d.xyxy,
        truth_keys.astype(np.int64),
        t.xyxy,
        np.zeros(len(t.rows), bool),
        0.0,
    )
    own = d.class_ids[pairs.det] == t.class_ids[pairs.truth]
    out = []
    for mask in (own, ~own):
        det, truth, iou = (column[mask] for column in pairs)
        order = np.lexsort((truth, -iou, det))
        first, at = np.unique(det[order], return_index=True)
        index, value = np.zeros(len(d.rows), np.int64), np.zeros(len(d.rows))
        index[first], value[first] = truth[order][at], iou[order][at]
        out += [index, value]
    return tuple(out)


def _costs(
    m, truth_classes, part, det_error, det_truth, det_mends, truth_error, unfound, counted
) -> tuple[float, dict[str, float]]:
    k = m.num_classes
    objects = np.bincount(truth_classes[counted], minlength=k)
    correct = part & (m.det_kind == Verdict.CORRECT)
    wrong = part & ~correct & (m.det_kind != Verdict.IGNORED)
    scores, classes = m.det_scores.astype(np.float64), m.det_classes
    rows = np.flatnonzero(correct | wrong)
    ap = mean_ap(classes[rows], scores[rows], correct[rows], objects)
    dap: dict[str, float] = {}
    for code, name in enumerate(KINDS, 1):
        if code == MISSED:
            # tidecv lists mistakes before correct detections whenever it mends; that decides between equal
            # scores.
            points = np.concatenate([np.flatnonzero(wrong), np.flatnonzero(correct)])
            fixed = mean_ap(
                classes[points],
                scores[points],
                correct[points],
                objects - np.bincount(truth_classes[truth_error == MISSED], minlength=k),
            )
        else:
            mended = (det_error == code) & det_mends
            errors = np.flatnonzero((wrong & (det_error != code)) | mended)
            points = np.concatenate([errors, np.flatnonzero(correct)])
            claimed = classes.copy()
            claimed[mended] = truth_classes[det_truth[mended]]
            fixed = mean_ap(claimed[points], scores[points], (correct | mended)[points], objects)
        dap[name] = max(fixed - ap, 0.0)
    points = np.concatenate([np.flatnonzero(wrong), np.flatnonzero(correct)])
    ideal = mean_ap(classes[points], correct[points].astype(float), correct[points], objects)
    forgiven = mean_ap(
        classes[points],
        scores[points],
        correct[points],
        objects - np.bincount(truth_classes[unfound], minlength=k),
    )
    dap["false positives"], dap["false negatives"] = ideal - ap, forgiven - ap
    return ap, dap


def _over_windows(
    run: RunReader,
    iou: float,
    background_iou: float,
    max_detections: int | None,
    ignored_too: bool,
    progress: Progress | None,
) -> tuple[Matches, Kinds]:
    """The matches and the error kinds of a run of any size; about 27 bytes per detection are kept."""
    gathered, kinds = GatheredMatches(run), [Kinds.none()]
    for first, window in run.windows():
        m = match_run(window, iou)
        k = kinds_of(window, m, iou, background_iou, max_detections, ignored_too)
        pointed = k.det_truth >= 0
        moved = np.where(pointed, k.det_truth + np.int32(gathered.truth_count), np.int32(-1))
        kinds.append(replace(k, det_truth=moved))
        gathered.add(first, m)
        if progress is not None:
            progress(first + len(window), len(run))
    names = Kinds.__dataclass_fields__
    whole = Kinds(**{name: np.concatenate([getattr(k, name) for k in kinds]) for name in names})
    kinds.clear()
    return gathered.matches(float(iou), True, "count"), whole
