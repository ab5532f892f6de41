"""What ended each missed object, as far as the detections that a run stored can tell: every miss of a run at
once.

The causes, in the words of the pipeline; the first that holds is the verdict:

    unknown class     the detector has no such class
    outscored         a box of its class fits and is kept, but in matching it went to another object
    wrong class       a kept box fits under another name, and that name stands on no object of its own
    below threshold   a box of its class fits, with a score under the confidence threshold
    not stored        nothing the run kept fits it; only the network's candidates can tell why

With candidates (`analysis.misses.image_verdicts`) "not stored" becomes one of

    no anchor         no anchor reaches it, and no decoded box fits
    no box            an anchor does, but no decoded box fits
    suppressed        a box fits and passes the threshold, but non-maximum suppression removed it
    capped            the same, but more detections stood before it than the cap allows

After Miller et al., "What's in the black box? The false negative mechanisms inside object detectors", 2022;
unlike there, one detection explains at most one object.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from analysis.matching.counts import found_objects
from analysis.matching.greedy import Pairs, fitting_pairs, greedy
from analysis.matching.matches import Matches, Verdict
from analysis.runs.store import Run

CAUSES = (
    "unknown class",
    "no anchor",
    "no box",
    "wrong class",
    "below threshold",
    "suppressed",
    "capped",
    "outscored",
    "not stored",
)
UNKNOWN_CLASS, NO_ANCHOR, NO_BOX, WRONG_CLASS, BELOW_THRESHOLD, SUPPRESSED, CAPPED, OUTSCORED, NOT_STORED = (
    range(1, 10)
)
"""Codes of the causes in columns; 0 is no miss."""

RUN_CAUSES = ("below threshold", "wrong class", "outscored", "not stored", "unknown class")
"""Those that stored detections alone can tell."""

SENTENCES = {
    "unknown class": "The detector has no such class.",
    "no anchor": "No anchor reaches it, and no decoded box fits it.",
    "no box": "An anchor reaches it, but no decoded box fits it.",
    "wrong class": "A box fits it, under another name.",
    "below threshold": "A box of its class fits it, with a score below the threshold.",
    "suppressed": "It was found, and removed by non-maximum suppression.",
    "capped": "It was found, and cut by a cap on the number of detections.",
    "outscored": "A box of its class fits it, but in matching went to another object.",
    "not stored": "Nothing the run kept fits it; the network's candidates would tell why.",
}
TIERS = ("run", "candidates", "replay")
RUN, SHOWN, REPLAYED = range(3)
"""How a verdict was reached: from stored detections, with the candidates too, or by replaying post-processing
exactly.
"""


@dataclass(frozen=True, eq=False)
class Evidence:
    """One row a missed object, Q of them, in the order of the truth table.

    Args:
        truth: int64 [Q], row of the run's truth table.
        cause: uint8 [Q], a code of `CAUSES`; tier: uint8 [Q], an index into `TIERS`.
        score: float32 [Q], the score for its own class of the best box that fits, -1 where none is known.
        iou: float32 [Q], IoU of the box in question with the object: the one that fits, or where none does
            the nearest.
        det: int32 [Q], the stored detection the verdict rests on (row of the run's table), or -1: the box
            below the threshold, the one under another name, the one that went to another object, the
            suppressor, the nearest.
        other_class: int32 [Q], the name it went under, -1 for none; other_score: float32 [Q], -1 for none.
        rival: int32 [Q], the object (truth row) that its box went to, -1 for none.
        by_iou, by_score: float32 [Q], of the box that suppressed it: IoU of the two boxes and its score; -1
            for none.
        anchor, level: int32 [Q], of the box in question, -1 unknown.
        anchor_iou: float32 [Q], of the anchor that reaches the object best; -1 unknown.
        back_score: float32 [Q], the score of the stored detection that finds it at a lower threshold, -1 for
            none.
    """

    truth: np.ndarray
    cause: np.ndarray
    tier: np.ndarray
    score: np.ndarray
    iou: np.ndarray
    det: np.ndarray
    other_class: np.ndarray
    other_score: np.ndarray
    rival: np.ndarray
    by_iou: np.ndarray
    by_score: np.ndarray
    anchor: np.ndarray
    level: np.ndarray
    anchor_iou: np.ndarray
    back_score: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)

    def with_rows(self, rows: dict[int, dict[str, Any]]) -> Evidence:
        """A copy in which some rows hold other values."""
        columns = {f.name: getattr(self, f.name).copy() for f in fields(self)}
        for q, values in rows.items():
            for name, value in values.items():
                columns[name][q] = value
        return replace(self, **columns)

    def take(self, rows: np.ndarray) -> Evidence:
        """The rows of a mask or index array."""
        return Evidence(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def known_classes(run: Run) -> np.ndarray:
    """bool [K]: classes of the run's map that the detector can answer with."""
    known = np.zeros(len(run.class_map), bool)
    known[[link.class_id for link in run.manifest.classes.links]] = True
    return known


def missed_objects(m: Matches, thresholds: np.ndarray) -> np.ndarray:
    """int64 [Q], truth rows of the counted objects that nothing finds at these thresholds (float32 [K])."""
    return np.flatnonzero(m.truth_counted & ~found_objects(m, thresholds))


def run_evidence(run: Run, m: Matches, thresholds: np.ndarray) -> Evidence:
    """The causes of all misses, from the stored detections alone.

    Args:
        run: a Run.
        m: its class-aware matches.
        thresholds: float32 [K], the threshold of each class.
    """
    missed = missed_objects(m, thresholds)
    place = np.full(len(m.truth_rows), -1, np.int64)
    place[missed] = np.arange(len(missed))
    d, t = run.detections, run.truth
    # Crowd regions are never missed, so none takes part.
    crowd, bound = np.zeros(len(t.rows), bool), min(m.iou, 1 - 1e-10)

    def overlapping(open_: np.ndarray, det_keys: np.ndarray, truth_keys: np.ndarray, least: float) -> Pairs:
        return fitting_pairs(
            det_keys.astype(np.int64),
            d.xyxy,
            np.where(open_, truth_keys, -1).astype(np.int64),
            t.xyxy,
            crowd,
            least,
        )

    pairs = overlapping(place >= 0, d.rows, t.rows, bound)
    own = m.det_classes[pairs.det] == m.truth_classes[pairs.truth]
    kept = m.det_scores[pairs.det] >= thresholds[m.det_classes[pairs.det]]
    e = _blank(missed, m)

    # Pairs come best score first within an image, so the first of an object is the best scored on it.
    best, at = _first(pairs.truth, own)
    e["score"][place[best]] = m.det_scores[pairs.det[at]]
    _point(e, place, pairs, best, at)
    bare = np.zeros(len(t.rows), bool)
    bare[missed[e["det"] < 0]] = True
    k = max(m.num_classes, 1)
    near = overlapping(
        bare, d.rows.astype(np.int64) * k + d.class_ids, t.rows.astype(np.int64) * k + t.class_ids, 0.0
    )
    _point(e, place, near, *_nearest(near))

    cause = np.full(len(missed), NOT_STORED, np.uint8)
    back = m.truth_det[missed]
    low = back >= 0
    cause[low] = BELOW_THRESHOLD
    for name, value in (
        ("score", m.truth_score),
        ("iou", m.truth_iou),
        ("det", m.truth_det),
        ("back_score", m.truth_score),
    ):
        e[name][low] = value[missed[low]]
    # A box fits at some score, but none is left for it at any.
    elsewhere = (e["score"] >= 0) & ~low
    cause[elsewhere] = OUTSCORED
    above, at = _first(pairs.truth, own & kept)
    cause[place[above]] = OUTSCORED
    _point(e, place, pairs, above, at)
    e["score"][place[above]] = m.det_scores[pairs.det[at]]
    rivals = cause == OUTSCORED
    e["rival"][rivals] = m.det_truth[e["det"][rivals]]

    # A detection on an object of its own name is no mistake about this one; each explains one object.
    free = (
        np.isin(m.det_kind[pairs.det], (Verdict.WRONG, Verdict.UNJUDGED))
        & ~own
        & kept
        & ~rivals[place[pairs.truth]]
    )
    named, _ = greedy(
        Pairs(*(c[free] for c in pairs)), np.arange(len(d.rows)), np.arange(len(t.rows)), crowd, crowd
    )
    at = place[named.truth]
    cause[at] = WRONG_CLASS
    e["det"][at], e["iou"][at] = named.det, named.iou
    e["other_class"][at], e["other_score"][at] = m.det_classes[named.det], m.det_scores[named.det]

    cause[~known_classes(run)[m.truth_classes[missed]]] = UNKNOWN_CLASS
    return Evidence(truth=missed, cause=cause, **e)


def _blank(missed: np.ndarray, m: Matches) -> dict[str, np.ndarray]:
    q = len(missed)
    e: dict[str, np.ndarray] = {"tier": np.zeros(q, np.uint8), "iou": np.zeros(q, np.float32)}
    e |= {name: np.full(q, -1, np.int32) for name in ("det", "other_class", "rival", "anchor", "level")}
    return e | {
        name: np.full(q, -1, np.float32)
        for name in ("score", "other_score", "by_iou", "by_score", "anchor_iou", "back_score")
    }


def _point(
    e: dict[str, np.ndarray], place: np.ndarray, pairs: Pairs, truth: np.ndarray, at: np.ndarray
) -> None:
    e["det"][place[truth]], e["iou"][place[truth]] = pairs.det[at], pairs.iou[at]


def _first(values: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct values under the mask, where each comes first)."""
    at = np.flatnonzero(mask)
    found, first = np.unique(values[at], return_index=True)
    return found, at[first]


def _nearest(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """(objects, the pair of largest IoU of each)."""
    at = np.argsort(-pairs.iou, kind="stable")
    found, first = np.unique(pairs.truth[at], return_index=True)
    return found, at[first]
