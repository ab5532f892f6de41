"""What is to be explained, as a value: a detection, a missed object, or a class; frozen on the clean image.

A target names rows of the detector's candidates (anchors) and a weight for each; its evidence is the weighted
sum of their logits for its class. Frozen anchors are explained even where the changed picture moves the best
box elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from detector.boxes import iou as box_iou
from detector.core import Candidates
from detector.errors import InputError

MOST_ANCHORS, MOST_OF_CLASS = 8, 20
SIDES = ("left", "top", "right", "bottom")
OUTWARD = (-1.0, -1.0, 1.0, 1.0)
"""Which way each side goes to make a box larger: evidence for a side holds it out, evidence against draws it
in.
"""


@dataclass(frozen=True, eq=False)
class Target:
    """One question to a detector about one image.

    Args:
        kind: "detection", "missed", "class", "contrast" or "box".
        class_id: the detector's own, 0..K-1.
        box: float64 [4] xyxy pixels of the original image, or None for a class.
        anchor_ids: int64 [N], rows of the candidates; empty where the detector shows none.
        weights: float64 [N], which sum to 1 (to 0 for a contrast; for a side of a box, to -1 or 1).
        class_ids: int64 [N], the class whose logit counts at each row; `class_id` throughout, but for a
            contrast.
        sides: int64 [N] of a "box": places in `SIDES`, whose position counts at each row, as a share of the
            picture, instead of a logit; None for all others.
        note: how the rows were chosen.
    """

    kind: str
    class_id: int
    box: np.ndarray | None = None
    anchor_ids: np.ndarray = None  # type: ignore[assignment]
    weights: np.ndarray = None  # type: ignore[assignment]
    class_ids: np.ndarray = None  # type: ignore[assignment]
    note: str = ""
    sides: np.ndarray | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.box is not None:
            put(self, "box", np.asarray(self.box, np.float64).reshape(4))
        rows = np.zeros(0, np.int64) if self.anchor_ids is None else np.asarray(self.anchor_ids, np.int64)
        put(self, "anchor_ids", rows)
        put(
            self,
            "weights",
            (
                np.full(len(rows), 1 / max(1, len(rows)))
                if self.weights is None
                else np.asarray(self.weights, np.float64)
            ),
        )
        put(
            self,
            "class_ids",
            (
                np.full(len(rows), self.class_id)
                if self.class_ids is None
                else np.asarray(self.class_ids, np.int64)
            ),
        )
        if self.sides is not None:
            put(self, "sides", np.asarray(self.sides, np.int64))
        if not len(self.anchor_ids) == len(self.weights) == len(self.class_ids):
            raise InputError(
                f"Target: expected a weight and a class an anchor, got {len(self.anchor_ids)},"
                f" {len(self.weights)} and {len(self.class_ids)}."
            )

    def within(self, first: int, count: int) -> Target:
        """Only its rows first..first+count-1, with their weights made to sum up as before.

        Raises:
            InputError: none of them lies there.
        """
        inside = (self.anchor_ids >= first) & (self.anchor_ids < first + count)
        if inside.all():
            return self
        if not inside.any():
            raise InputError("Target: none of its anchors belongs to this frame.")
        weights = self.weights[inside]
        if self.kind not in ("contrast", "box"):
            weights = weights * (self.weights.sum() / weights.sum())
        sides = None if self.sides is None else self.sides[inside]
        return replace(
            self,
            anchor_ids=self.anchor_ids[inside],
            weights=weights,
            class_ids=self.class_ids[inside],
            sides=sides,
        )

    def outputs(self, classes: int) -> np.ndarray:
        """int64 [N], the network's output that counts at each row: a class, or behind all of them a side of
        the box.
        """
        return self.class_ids if self.sides is None else classes + self.sides

    def key(self) -> tuple:
        """Hashable, equal for equal targets."""
        box = None if self.box is None else tuple(np.round(self.box, 3).tolist())
        return (
            self.kind,
            self.class_id,
            box,
            tuple(self.anchor_ids.tolist()),
            tuple(np.round(self.weights, 6).tolist()),
            tuple(self.class_ids.tolist()),
            None if self.sides is None else tuple(self.sides.tolist()),
        )


def logits_of(candidates: Candidates) -> np.ndarray:
    """float32 [A, K]: the logits, from the scores where the network does not show them."""
    return candidates.logits if candidates.logits is not None else logit(candidates.scores)


def logit(scores: np.ndarray) -> np.ndarray:
    """The inverse sigmoid, scores held within 1e-6 of 0 and 1."""
    p = np.clip(np.asarray(scores, np.float64), 1e-6, 1 - 1e-6)
    return np.log(p) - np.log1p(-p)


def target_from_detection(
    candidates: Candidates | None, box: Sequence[float], class_id: int, score: float, anchor_id: int = -1
) -> Target:
    """A kept detection: the one anchor it came from.

    Args:
        candidates: of the image; None where the detector shows none: the target is then the box alone.
        box, class_id, score: of the detection.
        anchor_id: as the detection names it; -1: the row whose score is nearest, among boxes that overlap it
            by 0.9.

    Raises:
        InputError: the class or the anchor is not the candidates'.
    """
    if candidates is None:
        return Target("detection", class_id, box, note="the box it found")
    _check_class(candidates, class_id)
    if anchor_id >= len(candidates):
        raise InputError(f"anchor_id: expected 0..{len(candidates) - 1}, got {anchor_id}.")
    if anchor_id >= 0:
        return Target("detection", class_id, box, [anchor_id], note=f"its anchor {anchor_id}")
    width, height = candidates.image_size
    clipped = np.clip(candidates.xyxy, 0, [width, height, width, height])
    overlap = (
        box_iou(np.asarray(box, np.float64).reshape(1, 4), clipped)[0] if len(candidates) else np.zeros(0)
    )
    near = np.flatnonzero(overlap >= min(0.9, overlap.max(initial=0)))
    if not len(near):
        return Target("detection", class_id, box, note="the box it found")
    row = int(near[np.argmin(np.abs(candidates.scores[near, class_id] - score) - 1e-3 * overlap[near])])
    return Target(
        "detection",
        class_id,
        box,
        [row],
        note=f"the candidate {row}, whose score and box are the detection's",
    )


def target_from_truth(
    candidates: Candidates | None,
    box: Sequence[float],
    class_id: int,
    *,
    assigned: np.ndarray | None = None,
    iou: float = 0.5,
    most: int = MOST_ANCHORS,
) -> Target:
    """A missed object: the anchors that should have found it, frozen, each weighted by the softmax of its
    logit.

    Args:
        candidates: of the image; None where the detector shows none.
        box, class_id: of the object; class_id is the detector's.
        assigned: the anchors training would assign (`DifferentiableDetector.assigned_anchors`). None: those
            with at least this IoU, else the best one; where anchors are not known, decoded boxes stand for
            them.
        most: so many with the highest logits are kept.

    Raises:
        InputError: the class is not the candidates'.
    """
    box = np.asarray(box, np.float64).reshape(4)
    if candidates is None or not len(candidates):
        return Target("missed", class_id, box, note="the boxes that fit it")
    _check_class(candidates, class_id)
    if assigned is not None and len(assigned):
        rows, note = np.asarray(assigned, np.int64), "the anchors that training assigns to it"
    else:
        known = candidates.anchors is not None
        overlap = box_iou(box[None], candidates.anchors if known else candidates.xyxy)[0]
        rows = np.flatnonzero(overlap >= iou)
        what = "anchor" if known else "candidate box"
        note = (
            f"the {what}s with IoU of at least {iou:g}" if len(rows) else f"the {what} that overlaps it most"
        )
        rows = rows if len(rows) else np.array([int(np.argmax(overlap))])
    z = np.asarray(logits_of(candidates)[rows, class_id], np.float64)
    order = np.argsort(-z, kind="stable")[:most]
    rows, z = rows[order], z[order]
    weights = np.exp(z - z.max())
    return Target("missed", class_id, box, rows, weights / weights.sum(), note=note)


def target_class(
    candidates: Candidates, class_id: int, threshold: float, *, most: int = MOST_OF_CLASS
) -> Target:
    """A class in the whole image: its anchors at or above the threshold, the best `most` of them; the best
    one where none is.

    Raises:
        InputError: the class is not the candidates', or there are none.
    """
    _check_class(candidates, class_id)
    if not len(candidates):
        raise InputError("target_class: expected candidates, there are none.")
    scores = candidates.scores[:, class_id]
    order = np.argsort(-scores, kind="stable")[:most]
    rows = order[scores[order] >= threshold]
    return Target(
        "class",
        class_id,
        None,
        rows if len(rows) else order[:1],
        note="its anchors above the threshold" if len(rows) else "its best anchor",
    )


def contrast_target(target: Target, other_class: int) -> Target:
    """Why A and not B: at the target's own anchors, the logit of its class less that of another.

    Raises:
        InputError: it has no anchors (a black box's), or both classes are the same.
    """
    if not len(target.anchor_ids):
        raise InputError(
            "A contrast needs the class scores of single candidates, which this detector does not show."
        )
    if other_class == target.class_id:
        raise InputError("A contrast needs two different classes.")
    rows, w = np.tile(target.anchor_ids, 2), np.concatenate([target.weights, -target.weights])
    classes = np.concatenate([target.class_ids, np.full(len(target.anchor_ids), other_class)])
    return replace(target, kind="contrast", anchor_ids=rows, weights=w, class_ids=classes)


def box_target(target: Target, candidates: Candidates | None, side: str = "all") -> Target:
    """Why the box lies where it lies: at the target's likeliest anchor, how far out its sides stand.

    Args:
        target: of a detection or a missed object; candidates: of the image.
        side: one of `SIDES`, or "all": the mean of the four, how large the box is and not where.

    The box of the new target is the network's own, not clipped: for a missed object not the ground truth's.

    Raises:
        InputError: no such side, or a target without anchors.
    """
    if side not in (*SIDES, "all"):
        raise InputError(f"side: expected one of all, {', '.join(SIDES)}, got {side!r}.")
    if candidates is None or not len(target.anchor_ids):
        raise InputError(
            "Evidence for a box needs the boxes of single candidates, which this detector does not show."
        )
    row = int(target.anchor_ids[np.argmax(target.weights)])
    sides = np.arange(4) if side == "all" else np.array([SIDES.index(side)])
    what = "all sides of its box" if side == "all" else f"the {side} side of its box"
    return Target(
        "box",
        target.class_id,
        candidates.xyxy[row],
        np.full(len(sides), row),
        np.array(OUTWARD)[sides] / len(sides),
        np.full(len(sides), target.class_id),
        note=f"{what}, as candidate {row} has it",
        sides=sides,
    )


def _check_class(candidates: Any, class_id: int) -> None:
    k = candidates.scores.shape[1]
    if not 0 <= class_id < k:
        raise InputError(f"class_id: expected 0..{k - 1}, the detector's own classes, got {class_id}.")
