"""The objects of one image as a table, and what became of one of them in words. Pure: no Streamlit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.drawing.style import shown_score
from analysis.matching.matches import Verdict
from detector.core import FLAGS

ORDER = ("missed", "wrong", "duplicate", "correct", "unjudged", "ignored")


@dataclass(frozen=True)
class Row:
    """One line of the table: a detection with its partner, or an object without one.

    Args:
        verdict: one of `ORDER`.
        det, truth: rows within the image, -1 where that side is missing.
        score: of the detection, or for a missed object of the box that finds it below the threshold; NaN
            without.
        iou: with the partner, NaN without one.
    """

    verdict: str
    name: str
    score: float
    iou: float
    width: float
    height: float
    flags: str
    det: int
    truth: int

    @property
    def size(self) -> str:
        return f"{self.width:.0f}×{self.height:.0f}"

    def selection(self) -> dict[str, Any]:
        return (
            {"side": "det", "index": self.det}
            if self.verdict != "missed" and self.det >= 0
            else {"side": "truth", "index": self.truth}
        )


def rows_of(s: Any, i: int) -> list[Row]:
    """The lines for image i at the operating point of `s` (`app.frame.state.Shared`): what is missed first,
    then what is wrong.
    """
    d, t, m = s.run.detections, s.run.truth, s.matches
    names = s.run.class_map.names
    shown = None if s.counted_classes is None else set(s.counted_classes)
    first_det, first_truth = int(d.offsets[i]), int(s.run.truth_offsets[i])
    out = []
    for k in range(first_det, int(d.offsets[i + 1])):
        if d.scores[k] < s.class_thresholds[d.class_ids[k]] or (
            shown is not None and int(d.class_ids[k]) not in shown
        ):
            continue
        j = int(m.det_truth[k])
        x1, y1, x2, y2 = (float(v) for v in d.xyxy[k])
        out.append(
            Row(
                Verdict(m.det_kind[k]).word,
                names[d.class_ids[k]],
                float(d.scores[k]),
                float(m.det_iou[k]) if j >= 0 else np.nan,
                x2 - x1,
                y2 - y1,
                _flags(t, j) if j >= 0 else "",
                k - first_det,
                j - first_truth if j >= 0 else -1,
            )
        )
    for j in range(first_truth, int(s.run.truth_offsets[i + 1])):
        if not m.judged[i] or m.truth_ignored[j] or (shown is not None and int(t.class_ids[j]) not in shown):
            continue
        k, score = int(m.truth_det[j]), float(m.truth_score[j])
        if k >= 0 and score >= s.class_thresholds[t.class_ids[j]]:
            continue
        x1, y1, x2, y2 = (float(v) for v in t.xyxy[j])
        out.append(
            Row(
                "missed",
                names[t.class_ids[j]],
                score if k >= 0 else np.nan,
                float(m.truth_iou[j]) if k >= 0 else np.nan,
                x2 - x1,
                y2 - y1,
                _flags(t, j),
                k - first_det if k >= 0 else -1,
                j - first_truth,
            )
        )
    return sorted(out, key=lambda r: (ORDER.index(r.verdict), -np.nan_to_num(r.score), r.name))


def _flags(table: Any, j: int) -> str:
    return " ".join(flag for flag in FLAGS if getattr(table, flag)[j])


def find(rows: list[Row], selected: dict[str, Any] | None) -> int | None:
    """The line a selection in the viewer belongs to: a found object shares the line of its detection."""
    if not selected or selected["side"] not in ("det", "truth"):
        return None
    side, index = selected["side"], selected["index"]
    candidates = [n for n, r in enumerate(rows) if (r.det if side == "det" else r.truth) == index]
    # A duplicate names the object it repeats; the object itself is the other line. A missed object names the
    # box below the threshold; that box has no line of its own.
    proper = [n for n in candidates if side == "det" or rows[n].verdict in ("missed", "correct", "ignored")]
    return proper[0] if proper else (candidates[0] if candidates else None)


def sentence(row: Row, threshold: float, iou: float, *, labelled: bool = False, near: str = "") -> str:
    """What became of it, in a sentence or two.

    Args:
        labelled: whether the image has ground truth; then a detection that is not judged has a class nobody
            labelled.
        near: of a wrong detection: what `nearest` says.
    """
    what = f"**{row.name}**"
    partner = f" with IoU {row.iou:.2f}" if np.isfinite(row.iou) else ""
    if row.verdict == "missed":
        if row.det >= 0:
            return (
                f"A {what} was found here at {shown_score(row.score, threshold):.2f}{partner} and cut by the"
                f" threshold {threshold:.2f} (a false negative)."
            )
        return (
            f"This {what} was missed (a false negative): no detection of its class reaches IoU {iou:.2f} with"
            " it, at any stored score."
        )
    if row.verdict == "wrong":
        return (
            f"This {what} of {row.score:.2f} is a false alarm (a false positive): no free object of its class"
            f" overlaps it by IoU {iou:.2f}.{f' {near}' if near else ''}"
        )
    if row.verdict == "duplicate":
        return (
            f"This {what} of {row.score:.2f} repeats an object{partner} that a surer detection already has;"
            " it counts as a false positive."
        )
    if row.verdict == "ignored":
        return (
            f"This {what} of {row.score:.2f} lies on ground truth that is not counted"
            f" ({row.flags or 'ignored'}): neither right nor wrong."
        )
    if row.verdict == "unjudged":
        why = (
            f"the ground truth knows no {row.name}, so nobody can say whether it is right"
            if labelled
            else "the image has no ground truth to judge it by"
        )
        return f"This {what} has confidence {row.score:.2f}; {why}."
    return f"This {what} of {row.score:.2f} is correct (a true positive): it overlaps its object{partner}."


def nearest(s: Any, i: int, row: Row) -> str:
    """The object a detection overlaps most, of any class, in a sentence."""
    from detector.boxes import iou as box_iou

    truth = s.run.annotations(i)
    if row.det < 0 or truth is None or not len(truth):
        return ""
    overlap = box_iou(truth.xyxy, s.run.detections_of(i).xyxy[row.det : row.det + 1])[:, 0]
    j = int(np.argmax(overlap))
    if overlap[j] <= 0:
        return "It touches no object at all."
    name = s.run.class_map.names[truth.class_ids[j]]
    return f"It lies nearest to a {name}, with IoU {overlap[j]:.2f}."


def rivals(s: Any, i: int, row: Row, most: int = 4) -> list[dict[str, Any]]:
    """The detections that overlap a line's box most, of any class and score: what else the detector said
    here.
    """
    from detector.boxes import iou as box_iou

    d, t = s.run.detections, s.run.truth
    first, last = int(d.offsets[i]), int(d.offsets[i + 1])
    if row.truth >= 0 and row.verdict != "duplicate":
        box = t.xyxy[int(s.run.truth_offsets[i]) + row.truth]
    else:
        box = d.xyxy[first + row.det]
    overlap = box_iou(box[None], d.xyxy[first:last])[0] if last > first else np.zeros(0)
    best = [
        int(k)
        for k in np.argsort(-overlap, kind="stable")[: most + 1]
        if overlap[k] > 0.1 and (row.verdict == "missed" or k != row.det)
    ]
    return [
        {
            "class": s.run.class_map.names[d.class_ids[first + k]],
            "confidence": shown_score(
                float(d.scores[first + k]), float(s.class_thresholds[d.class_ids[first + k]])
            ),
            "IoU": float(overlap[k]),
            "verdict": (
                "below the threshold"
                if d.scores[first + k] < s.class_thresholds[d.class_ids[first + k]]
                else Verdict(s.matches.det_kind[first + k]).word
            ),
        }
        for k in best[:most]
    ]
