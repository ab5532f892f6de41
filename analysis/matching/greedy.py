"""COCO's greedy matching on columns: IoU of all pairs of one image (and class) at once, then one pass.

The rule, as in pycocotools' `COCOeval.evaluateImg`: detections take their turn by falling score (ties in
file order). Each takes the free counted object with the largest IoU, if that is at least the bound (ties:
the later object); only if there is none, an ignored region, of which a crowd can be taken any number of
times and its IoU is measured over the detection's area alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PAIRS_AT_ONCE = 2_000_000


class Pairs(NamedTuple):
    """Detection and object pairs that fit: indices into both tables, and their IoU (float64)."""

    det: np.ndarray
    truth: np.ndarray
    iou: np.ndarray


def fitting_pairs(
    det_keys: np.ndarray,
    det_xyxy: np.ndarray,
    truth_keys: np.ndarray,
    truth_xyxy: np.ndarray,
    crowd: np.ndarray,
    least_iou: float,
) -> Pairs:
    """Every pair with the same key (image, or image and class) whose IoU is at least `least_iou`.

    Keys are int64 [D] and [M]; a negative key takes no part. `least_iou` of 0 still asks for an overlap.
    """
    truth_order = np.argsort(truth_keys, kind="stable")
    truth_order = truth_order[truth_keys[truth_order] >= 0]
    groups, starts, sizes = np.unique(truth_keys[truth_order], return_index=True, return_counts=True)
    empty = Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    if not len(groups) or not len(det_keys):
        return empty
    place = np.minimum(np.searchsorted(groups, det_keys), len(groups) - 1)
    dets = np.flatnonzero(groups[place] == det_keys)
    place, counts = place[dets], sizes[place[dets]]
    ends = np.cumsum(counts)
    found: list[Pairs] = []
    d, t = (np.ascontiguousarray(np.asarray(x, np.float64).T) for x in (det_xyxy, truth_xyxy))
    det_area, truth_area = (d[2] - d[0]) * (d[3] - d[1]), (t[2] - t[0]) * (t[3] - t[1])
    first = 0
    while first < len(dets):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + PAIRS_AT_ONCE, side="right")))
        n = counts[first:last]
        det = np.repeat(dets[first:last], n)
        within = np.arange(len(det)) - np.repeat(np.cumsum(n) - n, n)
        truth = truth_order[np.repeat(starts[place[first:last]], n) + within]
        # Most pairs of an image do not even share a column of pixels: they go before the rest is computed.
        width = np.minimum(d[2][det], t[2][truth]) - np.maximum(d[0][det], t[0][truth])
        near = np.flatnonzero(width > 0)
        det, truth, width = det[near], truth[near], width[near]
        height = np.minimum(d[3][det], t[3][truth]) - np.maximum(d[1][det], t[1][truth])
        near = np.flatnonzero(height > 0)
        det, truth, inter = det[near], truth[near], width[near] * height[near]
        # The order of operations of pycocotools' bbIou, so that ties and bounds agree to the last bit.
        union = np.where(crowd[truth], det_area[det], det_area[det] + truth_area[truth] - inter)
        iou = np.divide(inter, union, out=np.zeros_like(inter), where=inter > 0)
        keep = np.flatnonzero((iou >= least_iou) & (iou > 0))
        found.append(Pairs(det[keep], truth[keep], iou[keep]))
        first = last
    return Pairs(*(np.concatenate(column) for column in zip(*found))) if found else empty


def greedy(
    pairs: Pairs, det_rank: np.ndarray, truth_rank: np.ndarray, ignored: np.ndarray, reusable: np.ndarray
) -> tuple[Pairs, Pairs]:
    """Who takes what, and who found it taken.

    Args:
        pairs: those that fit.
        det_rank: int [D], the turn of each detection among those it competes with.
        truth_rank: int [M]; of equal IoUs the higher rank wins.
        ignored: bool [M], taken only where no counted object is free.
        reusable: bool [M], can be taken any number of times.

    Returns:
        (taken, blocked): each detection at most once in all; `blocked` holds the detections left without
        a partner although a counted object fits, with the best-fitting of those objects.
    """
    order = np.lexsort((-truth_rank[pairs.truth], -pairs.iou, ignored[pairs.truth], det_rank[pairs.det]))
    dets, truths = pairs.det[order].tolist(), pairs.truth[order].tolist()
    once, counted = (~reusable).tolist(), (~ignored).tolist()
    used = bytearray(len(ignored))
    taken: list[int] = []
    blocked: dict[int, int] = {}
    served = -1
    for i, (d, t) in enumerate(zip(dets, truths)):
        if d == served:
            continue
        if used[t] and once[t]:
            if counted[t]:
                blocked.setdefault(d, i)
            continue
        used[t] = 1
        served = d
        taken.append(i)
        blocked.pop(d, None)
    pick = order[np.array(taken, np.int64)]
    rest = order[np.array(list(blocked.values()), np.int64)]
    return Pairs(*(c[pick] for c in pairs)), Pairs(*(c[rest] for c in pairs))
