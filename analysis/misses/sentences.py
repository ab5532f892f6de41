"""A verdict in one sentence."""

from __future__ import annotations

from typing import Any

from analysis.drawing.style import shown_score
from analysis.misses.causes import CAUSES
from analysis.runs.store import Run


def shown(score: float, threshold: float) -> str:
    """Two digits that never seem to pass a threshold the score misses; more where two would say 0.00."""
    if 0 < score < 0.005:
        return f"{score:.1g}"
    return f"{shown_score(score, threshold):.2f}"


def a(name: str) -> str:
    """The name with its article, as a sentence begins."""
    return f"A{_n(name)} {name}"


def _n(name: str) -> str:
    return "n" if name[:1].lower() in "aeiou" else ""


def _window_widths(run: Run) -> list[float] | None:
    """The widths in pixels that a sliding-window detector looks for; None for other detectors, whose anchors
    adapt.
    """
    detector = run.manifest.detector
    if detector.kind != "sliding_window":
        return None
    return [float(w) for w in detector.settings["window_widths"]]


def sentence(result: Any, q: int) -> str:
    """What became of miss `q` of an `Autopsy`, in one sentence."""
    e, m, names = result.evidence, result.matches, result.run.class_map.names
    j = int(e.truth[q])
    name, threshold = names[m.truth_classes[j]], float(result.thresholds[m.truth_classes[j]])
    score, iou, cause = float(e.score[q]), float(e.iou[q]), CAUSES[e.cause[q] - 1]
    width, height = (float(v) for v in result.run.truth.xyxy[j][2:] - result.run.truth.xyxy[j][:2])
    level = f", from level {int(e.level[q])}" if e.level[q] >= 0 else ""
    floor = result.run.floor
    if cause == "below threshold":
        if e.by_iou[q] >= 0:
            return (
                f"{a(name)} was found here at {shown(score, threshold)} with IoU {iou:.2f}{level}, below the"
                f" threshold {threshold:.2f}, and suppressed by a better one of {e.by_score[q]:.2f} at IoU"
                f" {e.by_iou[q]:.2f}."
            )
        if e.det[q] >= 0:
            return (
                f"{a(name)} was found here at {shown(score, threshold)} with IoU {iou:.2f} and cut by the"
                f" threshold {threshold:.2f}."
            )
        return (
            f"A box fits this {name} with IoU {iou:.2f}{level}, but its score is only"
            f" {shown(score, threshold)}; the threshold is {threshold:.2f}."
        )
    if cause == "wrong class":
        own = (
            f"; {name} had {shown(score, threshold)}"
            if score >= 0
            else f"; {name} had less than the run kept"
            if floor
            else ""
        )
        return f"Seen as {names[e.other_class[q]]} at {e.other_score[q]:.2f}{own} (IoU {iou:.2f})."
    if cause == "suppressed":
        by = names[e.other_class[q]] if e.other_class[q] >= 0 else name
        return (
            f"{a(name)} was found here at {score:.2f} and suppressed by a{_n(by)} {by} of"
            f" {e.by_score[q]:.2f}: their boxes overlap by IoU {e.by_iou[q]:.2f}."
        )
    if cause == "capped":
        return (
            f"{a(name)} was found here at {score:.2f} with IoU {iou:.2f} and cut by the cap on the number of"
            " detections."
        )
    if cause == "outscored":
        return (
            f"{a(name)} of {score:.2f} fits this object with IoU {iou:.2f}, but in matching it went to"
            f" another {name} (object {result.run.truth.ids[e.rival[q]]})."
        )
    if cause == "no anchor":
        if (widths := _window_widths(result.run)) is not None:
            sizes = f"{min(widths):g}" if len(widths) == 1 else f"{min(widths):g} to {max(widths):g}"
            return (
                f"No window of this size is looked at here: this {name} has {width:.0f}×{height:.0f} pixels,"
                f" the detector's windows are {sizes} wide, and the best has IoU {iou:.2f}."
            )
        return (
            f"No anchor reaches this {name} of {width:.0f}×{height:.0f} pixels (best anchor IoU"
            f" {e.anchor_iou[q]:.2f}), and no decoded box fits it (best box IoU {iou:.2f})."
        )
    if cause == "no box":
        if e.anchor_iou[q] < 0:
            return f"No decoded box fits this {name}: the best has IoU {iou:.2f}."
        return (
            f"An anchor reaches this {name} (IoU {e.anchor_iou[q]:.2f}), but no decoded box fits it: the best"
            f" has IoU {iou:.2f}."
        )
    if cause == "unknown class":
        return f"The detector knows no class {name}."
    near = f"the nearest of its class has IoU {iou:.2f}" if e.det[q] >= 0 else "none of its class overlaps it"
    low = f" down to {floor:g}" if floor else ""
    return f"No stored detection of {name}{low} fits this object: {near}."
