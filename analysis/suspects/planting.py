"""Label errors made on purpose: what the ranking learns from, and what it is measured on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.suspects.boxes import Labels, Scene, overlaps

KINDS = ("wrong name", "badly placed", "missing", "spurious", "duplicate")
"""Of label errors. A missing one shows as a detection, the others as a label."""

SHIFTS = (0.2, 0.6)
"""A badly placed box lies this share of its width or height off, at least and at most."""


@dataclass(frozen=True, eq=False)
class Planted:
    """Labels with errors.

    Args:
        labels: what a data set with these errors would hold.
        kind: int64 [M], the index into KINDS of each label's error, -1 where it is as it was.
        removed: the labels that are missing.
    """

    labels: Labels
    kind: np.ndarray
    removed: Labels


def plant(scene: Scene, shares: Mapping[str, float], seed: int = 0) -> Planted:
    """Labels of a scene with these shares of them spoilt, each by one error.

    Args:
        shares: kind -> share of the labels in 0..1, together at most 1. Spurious and duplicate ones are
            added.
    """
    rng = np.random.default_rng(seed)
    labels = scene.labels
    m = len(labels)
    turn = rng.permutation(m)
    counts = {kind: round(shares.get(kind, 0.0) * m) for kind in KINDS}
    parts = dict(zip(KINDS, np.split(turn, np.cumsum([counts[kind] for kind in KINDS])[:-1])))
    parts["duplicate"] = parts["duplicate"][: counts["duplicate"]]
    kind = np.full(m, -1, np.int64)
    classes, xyxy = labels.classes.copy(), labels.xyxy.copy()
    renamed = parts["wrong name"]
    if scene.classes > 1 and len(renamed):
        classes[renamed] = _other_classes(labels, renamed, rng)
        kind[renamed] = KINDS.index("wrong name")
    moved = parts["badly placed"]
    xyxy[moved] = _moved(labels.xyxy[moved], scene.sizes[labels.rows[moved]], rng)
    kind[moved] = KINDS.index("badly placed")
    spoilt = Labels(labels.rows, classes, xyxy, labels.source)
    keep = np.ones(m, bool)
    keep[parts["missing"]] = False
    added = _spurious(scene, labels.take(parts["spurious"]), rng)
    twins = _twins(labels.take(parts["duplicate"]), scene.sizes, rng)
    kinds = np.concatenate(
        [
            kind[keep],
            np.full(len(added), KINDS.index("spurious")),
            np.full(len(twins), KINDS.index("duplicate")),
        ]
    )
    return Planted(spoilt.take(keep).plus(added).plus(twins), kinds, labels.take(~keep))


def _other_classes(labels: Labels, places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another class for each, drawn as often as the classes occur; any other where only one occurs."""
    there, counts = np.unique(labels.classes, return_counts=True)
    if len(there) < 2:
        return labels.classes[places]
    out = labels.classes[places].copy()
    while (same := np.flatnonzero(out == labels.classes[places])).size:
        out[same] = rng.choice(there, len(same), p=counts / counts.sum())
    return out


def _moved(xyxy: np.ndarray, sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    extent = xyxy[:, 2:] - xyxy[:, :2]
    angle = rng.uniform(0, 2 * np.pi, len(xyxy))
    step = rng.uniform(*SHIFTS, len(xyxy))[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]) * extent
    low = np.clip(xyxy[:, :2] + step, 0, np.maximum(sizes - extent, 0))
    # A box at the image's edge that cannot go there goes the other way.
    stuck = np.abs(low - xyxy[:, :2]).max(axis=1) < 0.5 * np.abs(step).max(axis=1)
    back = np.clip(xyxy[:, :2] - step, 0, np.maximum(sizes - extent, 0))
    low = np.where(stuck[:, None], back, low)
    return np.concatenate([low, low + extent], axis=1)


def _twins(labels: Labels, sizes: np.ndarray, rng: np.random.Generator) -> Labels:
    extent = np.tile(labels.xyxy[:, 2:] - labels.xyxy[:, :2], 2)
    moved = labels.xyxy + rng.normal(0, 0.04, labels.xyxy.shape) * extent
    moved = np.clip(moved, 0, np.tile(sizes[labels.rows], 2))
    moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
    return Labels(labels.rows, labels.classes, moved, np.full(len(labels), -1))


def _spurious(scene: Scene, like: Labels, rng: np.random.Generator) -> Labels:
    """Boxes of these sizes and classes on other places: another image, where they overlap no label much."""
    judged = np.unique(np.concatenate([scene.labels.rows, scene.det_rows]))
    if not len(like) or not len(judged):
        return like.take(np.zeros(len(like), bool))
    rows = rng.choice(judged, len(like))
    shape = (like.xyxy[:, 2:] - like.xyxy[:, :2]) / scene.sizes[like.rows]
    extent = np.maximum(shape * scene.sizes[rows], 2)
    out = np.zeros((len(like), 4))
    least = np.full(len(like), np.inf)
    for _ in range(8):
        low = rng.random((len(like), 2)) * np.maximum(scene.sizes[rows] - extent, 0)
        boxes = np.concatenate([low, low + extent], axis=1)
        worst = np.zeros(len(like))
        pairs = overlaps(rows, boxes, scene.labels.rows, scene.labels.xyxy)
        np.maximum.at(worst, pairs.det, pairs.iou)
        better = worst < least
        out[better], least[better] = boxes[better], worst[better]
    return Labels(rows, like.classes, out, np.full(len(like), -1))
