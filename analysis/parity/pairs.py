"""Two detectors on the same images, object by object: which of the first's detections the second keeps,
loses, moves or rescores.

An object is a detection at or above its side's threshold; ground truth is not needed. Two boxes are the same
object where class and image agree and their IoU reaches a bound; each box is paired once, those above both
thresholds first, the first side's best score first. What an object lost became below the threshold, or under
another class, stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from analysis.matching.greedy import Pairs, fitting_pairs, greedy
from analysis.matching.operating_point import Threshold, class_thresholds
from analysis.mistakes.compare import Comparison, compare
from analysis.runs.classes import unify
from analysis.runs.tables import DetectionTable
from detector.boxes import paired_iou
from detector.errors import InputError

KEPT, LOST, GAINED = range(3)
KINDS = ("kept", "lost", "gained")
SCORE_STEP, BOX_STEP = 0.01, 1.0
"""From these differences on (score; pixels of any edge) a kept object counts as rescored or moved."""


@dataclass(frozen=True, eq=False)
class Pairing:
    """Every object of either side, P rows: lost, then gained, then kept, each the largest difference of score
    first.

    Args:
        a, b: the runs.
        cuts_a, cuts_b: float32, the threshold of each class of each run.
        iou: from which two boxes of a class are the same object.
        images: int64 [N], positions in a of the images both sides ran on; b_images: the same in b.
        to_a: int32 [K of b], b's class ids in a's numbering; classes a lacks follow its own.
        names: class names in that numbering.
        kind: uint8 [P], one of KEPT, LOST, GAINED.
        image: int64 [P], position in a.
        det_a, det_b: int64 [P], rows of the runs' detection tables; of a lost (gained) object the other
            side's box below its threshold that fits, or -1.
        class_id: int32 [P], in the joint numbering.
        overlap: float32 [P], IoU of the two boxes, 0 where there is one.
        shift: float32 [P], largest distance in pixels of an edge of the two, NaN where there is one.
        other: int64 [P], for a lost (gained) object the other side's detection of another class that stands
            there and is no pair of its own, or -1.
        left_out: images of a that take no part.
    """

    a: Any
    b: Any
    cuts_a: np.ndarray
    cuts_b: np.ndarray
    iou: float
    images: np.ndarray
    b_images: np.ndarray
    to_a: np.ndarray
    names: tuple[str, ...]
    kind: np.ndarray
    image: np.ndarray
    det_a: np.ndarray
    det_b: np.ndarray
    class_id: np.ndarray
    overlap: np.ndarray
    shift: np.ndarray
    other: np.ndarray
    left_out: int

    def __len__(self) -> int:
        return len(self.kind)

    @cached_property
    def score_a(self) -> np.ndarray:
        """float32 [P], -1 where a has no box."""
        return _scores(self.a.detections, self.det_a)

    @cached_property
    def score_b(self) -> np.ndarray:
        return _scores(self.b.detections, self.det_b)

    @cached_property
    def step(self) -> np.ndarray:
        """float32 [P], b's score less a's; a box that is not there counts as 0."""
        return np.maximum(self.score_b, 0) - np.maximum(self.score_a, 0)

    def rescored(self, least: float = SCORE_STEP) -> np.ndarray:
        """bool [P]: kept, with a score that differs by more than this."""
        return (self.kind == KEPT) & (np.abs(self.step) > least)

    def moved(self, least: float = BOX_STEP) -> np.ndarray:
        """bool [P]: kept, with an edge that differs by more pixels than this."""
        return (self.kind == KEPT) & (np.nan_to_num(self.shift) > least)

    def threshold_a(self, class_id: int) -> float:
        """The first side's threshold of a class of a."""
        return float(self.cuts_a[class_id])

    def threshold_b(self, class_id: int) -> float:
        """The second side's threshold of a class of a, known there by its name."""
        at = np.flatnonzero(self.to_a == class_id)
        return float(self.cuts_b[at[0] if len(at) else 0])

    def box_of(self, p: int) -> np.ndarray:
        """float32 [4], the box of row p: a's, or b's where only b has the object."""
        if self.kind[p] == GAINED:
            return self.b.detections.xyxy[self.det_b[p]]
        return self.a.detections.xyxy[self.det_a[p]]

    @cached_property
    def truth(self) -> Comparison | None:
        """The same against ground truth, or None where no image both sides ran on has any."""
        if not (self.a.usable[self.images] & self.b.usable[self.b_images]).any():
            return None
        return compare(self.a, self.b, threshold=self.cuts_a, threshold_b=self.cuts_b, iou=self.iou)

    def figures(self, score_step: float = SCORE_STEP, box_step: float = BOX_STEP) -> dict[str, Any]:
        """Counts and differences; see `describe_figures` for their words. Differences are over kept objects,
        None without any.
        """
        kept, lost, gained = (int((self.kind == k).sum()) for k in (KEPT, LOST, GAINED))
        c = self.truth
        tp = None if c is None else int((c.state >= 2).sum())
        return {
            "images": len(self.images),
            "left_out": self.left_out,
            "objects_a": kept + lost,
            "objects_b": kept + gained,
            "kept": kept,
            "lost": lost,
            "gained": gained,
            "lost_share": lost / (kept + lost) if kept + lost else 0.0,
            "renamed": int(((self.kind == LOST) & (self.other >= 0)).sum()),
            "rescored": int(self.rescored(score_step).sum()),
            "moved": int(self.moved(box_step).sum()),
            "score_step": score_step,
            "box_step": box_step,
            "score_difference": _spread(np.abs(self.step[self.kind == KEPT])),
            "box_difference": _spread(self.shift[self.kind == KEPT]),
            "least_iou": float(self.overlap[self.kind == KEPT].min()) if kept else None,
            "true_positives_a": tp,
            "true_positives_lost": None if c is None else c.lost,
            "true_positives_gained": None if c is None else c.gained,
            "true_positives_lost_share": None if c is None else (c.lost / tp if tp else 0.0),
        }


def pair_runs(
    run_a: Any,
    run_b: Any,
    threshold: Threshold = 0.5,
    *,
    threshold_b: Threshold | None = None,
    iou: float = 0.5,
) -> Pairing:
    """Pair the detections of two runs over the images both went through.

    Law: a run paired with itself keeps every object, with no difference.

    Args:
        run_a, run_b: the reference, and the one that should agree with it.
        threshold: of a, and of b unless `threshold_b` says otherwise: a number, or one per class.
        iou: from which two boxes of a class are the same object.

    Raises:
        InputError: no image in common; an IoU that is not above 0 and at most 1.
    """
    if not 0 < iou <= 1:
        raise InputError(f"iou: expected a number above 0, at most 1, got {iou!r}.")
    images, b_images = _common(run_a, run_b)
    if not len(images):
        raise InputError("expected two runs over the same images; no image went through both.")
    linked = unify(run_a.class_map, run_b.class_map)
    names = tuple(linked.class_map.names)
    cuts_a = class_thresholds(threshold, len(run_a.class_map))
    cuts_b = (
        class_thresholds(threshold if threshold_b is None else threshold_b, len(run_b.class_map))
        if not (threshold_b is None and np.ndim(threshold))
        else _cuts_by_name(cuts_a, linked.from_detector)
    )
    a, b = run_a.detections, run_b.detections
    back = np.full(len(run_b), -1, np.int64)
    back[b_images] = images
    takes_part = np.zeros(len(run_a), bool)
    takes_part[images] = True
    image_a, image_b = np.where(takes_part[a.rows], a.rows, -1).astype(np.int64), back[b.rows]
    class_a, class_b = a.class_ids, linked.from_detector[b.class_ids] if len(b) else np.zeros(0, np.int32)
    above_a, above_b = a.scores >= cuts_a[a.class_ids], b.scores >= cuts_b[b.class_ids]
    k = max(len(names), 1)
    keys_a, keys_b = (
        np.where(image_a < 0, -1, image_a * k + class_a),
        np.where(image_b < 0, -1, image_b * k + class_b),
    )
    # Two boxes below both thresholds are no object; leaving them out is most of the time saved.
    plain = np.zeros(len(b), bool)
    fits = fitting_pairs(np.where(above_a, keys_a, -1), a.xyxy, keys_b, b.xyxy, plain, iou)
    fits_below = fitting_pairs(
        np.where(above_a, -1, keys_a), a.xyxy, np.where(above_b, keys_b, -1), b.xyxy, plain, iou
    )
    kept = _take(fits, above_a, above_b, len(a), len(b))
    free_a, free_b = np.ones(len(a), bool), np.ones(len(b), bool)
    free_a[kept.det], free_b[kept.truth] = False, False
    near_b = _take(fits, free_a & above_a, free_b & ~above_b, len(a), len(b))
    near_a = _take(fits_below, free_a & ~above_a, free_b & above_b, len(a), len(b))
    lost = np.flatnonzero(free_a & above_a & (image_a >= 0))
    gained = np.flatnonzero(free_b & above_b & (image_b >= 0))
    # A lost object and a gained one of another class on one spot are one object under two names.
    renamed = fitting_pairs(
        np.where(np.isin(np.arange(len(a)), lost), image_a, -1),
        a.xyxy,
        np.where(np.isin(np.arange(len(b)), gained), image_b, -1),
        b.xyxy,
        plain,
        iou,
    )
    renamed = _take(renamed, np.ones(len(a), bool), np.ones(len(b), bool), len(a), len(b))

    def partner(rows: np.ndarray, own: np.ndarray, theirs: np.ndarray, size: int) -> np.ndarray:
        table = np.full(size, -1, np.int64)
        table[own] = theirs
        return table[rows]

    kind = np.repeat(np.array([LOST, GAINED, KEPT], np.uint8), [len(lost), len(gained), len(kept.det)])
    det_a = np.concatenate([lost, partner(gained, near_a.truth, near_a.det, len(b)), kept.det])
    det_b = np.concatenate([partner(lost, near_b.det, near_b.truth, len(a)), gained, kept.truth])
    other = np.concatenate(
        [
            partner(lost, renamed.det, renamed.truth, len(a)),
            partner(gained, renamed.truth, renamed.det, len(b)),
            np.full(len(kept.det), -1),
        ]
    )
    image = np.concatenate([image_a[lost], image_b[gained], image_a[kept.det]])
    class_id = np.concatenate([class_a[lost], class_b[gained], class_a[kept.det]]).astype(np.int32)
    both = (det_a >= 0) & (det_b >= 0)
    overlap, shift = np.zeros(len(kind), np.float32), np.full(len(kind), np.nan, np.float32)
    if both.any():
        one, two = a.xyxy[det_a[both]].astype(np.float64), b.xyxy[det_b[both]].astype(np.float64)
        overlap[both], shift[both] = paired_iou(one, two), np.abs(one - two).max(axis=1)
    step = np.abs(np.maximum(_scores(b, det_b), 0) - np.maximum(_scores(a, det_a), 0))
    order = np.lexsort((image, -step, np.array([2, 0, 1])[kind]))
    rows = (kind, image, det_a, det_b, class_id, overlap, shift, other)
    return Pairing(
        run_a,
        run_b,
        cuts_a,
        cuts_b,
        iou,
        images,
        b_images,
        linked.from_detector,
        names,
        *(column[order] for column in rows),
        len(run_a) - len(images),
    )


def _take(fits: Pairs, of_a: np.ndarray, of_b: np.ndarray, n_a: int, n_b: int) -> Pairs:
    """One-to-one pairs among the fitting ones whose sides are under these masks, a's best score first."""
    keep = of_a[fits.det] & of_b[fits.truth]
    none = np.zeros(n_b, bool)
    # Of equal IoUs the better score, which stands first in its image.
    taken, _ = greedy(Pairs(*(column[keep] for column in fits)), np.arange(n_a), -np.arange(n_b), none, none)
    return taken


def _common(run_a: Any, run_b: Any) -> tuple[np.ndarray, np.ndarray]:
    """Positions in a and in b of the images that both read and went through, in a's order."""
    at = {s: i for i, s in enumerate(run_b.sample_ids)}
    pairs = [
        (i, at[s])
        for i, s in enumerate(run_a.sample_ids)
        if s in at and run_a.readable[i] and run_b.readable[at[s]]
    ]
    return np.array([i for i, _ in pairs], np.int64), np.array([j for _, j in pairs], np.int64)


def _cuts_by_name(cuts_a: np.ndarray, to_a: np.ndarray) -> np.ndarray:
    """b's thresholds where a's were given one per class: by name; a class that a lacks gets a's lowest."""
    known = to_a < len(cuts_a)
    return np.where(known, cuts_a[np.where(known, to_a, 0)], cuts_a.min(initial=1.0)).astype(np.float32)


def _scores(table: DetectionTable, rows: np.ndarray) -> np.ndarray:
    out = np.full(len(rows), -1, np.float32)
    out[rows >= 0] = table.scores[rows[rows >= 0]]
    return out


def _spread(values: np.ndarray) -> dict[str, float] | None:
    """The largest and the typical difference (median, and what 95 of 100 stay under)."""
    if not len(values):
        return None
    return {
        "largest": float(values.max()),
        "median": float(np.median(values)),
        "of_95_percent": float(np.percentile(values, 95)),
    }
