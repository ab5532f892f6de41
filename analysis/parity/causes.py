"""Why an object of one detector is lost by another: the step between the two that loses it, proved by
changing that step.

A detector is a chain: the picture is prepared, the network scores and places candidates, post-processing
picks from them. Where both show their candidates row for row, one is turned into the other a step at a time
(given the first's prepared picture: scores, boxes, the rule of suppression, the score cut, the caps; last the
prepared picture); the first step after which the object is gone is the cause, and that one step put back in
the second detector as it stands is the second proof. Where less is shown, less is said: `how` tells which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.drawing.style import shown_score
from analysis.parity.pairs import KEPT, LOST, Pairing
from analysis.parity.replay import Exchange, SideReplay, Target
from detector.core import Detector
from detector.errors import BoxscopeError

CAUSES = {
    "preprocessing": "preprocessing",
    "score": "score",
    "box": "box decoding",
    "nms": "NMS rule",
    "cut": "score cut",
    "cap": "box cap",
    "threshold": "threshold",
    "unknown": "unknown",
}
"""Cause -> what people read."""

EXCHANGED, CANDIDATES, STORED = "exchanged", "candidates", "stored"
HOW = {
    EXCHANGED: "proved by exchanging one step of the two detectors after another",
    CANDIDATES: "proved on the second detector's own candidates",
    STORED: "inferred from what both detectors returned",
}


@dataclass(frozen=True)
class Cause:
    """Why one object is lost.

    Args:
        pair: row of the `Pairing`.
        of: "pair" (the first's detection is gone) or "truth" (the pair is kept, but it fits its object no
            longer).
        cause: a key of `CAUSES`.
        how: a key of `HOW`.
        alone: whether that one step, put back in the second detector as it stands, brings the object back.
        sentence: what happened, with its numbers.
    """

    pair: int
    of: str
    cause: str
    how: str
    alone: bool
    sentence: str

    @property
    def proved(self) -> bool:
        return self.how != STORED

    def to_dict(self) -> dict[str, Any]:
        return {
            "cause": self.cause,
            "how": self.how,
            "proved": self.proved,
            "alone": self.alone,
            "of": self.of,
            "sentence": self.sentence,
        }


def lost_objects(p: Pairing) -> list[Target]:
    """What is to be explained: every lost object, and every true positive that is kept but fits its object no
    longer.
    """
    out = [
        Target(int(q), "pair", int(p.image[q]), int(p.class_id[q]), p.box_of(q))
        for q in np.flatnonzero(p.kind == LOST)
    ]
    if p.truth is None:
        return out
    c = p.truth
    row_of = {int(d): q for q, d in enumerate(p.det_a) if d >= 0 and p.kind[q] == KEPT}
    for o in c.objects[c.state == 2].tolist():
        q = row_of.get(int(c.a.matches.truth_det[o]))
        if q is not None:
            out.append(Target(q, "truth", int(p.image[q]), int(p.class_id[q]), p.a.truth.xyxy[o]))
    return out


def explain_lost(
    p: Pairing,
    a: Detector | None = None,
    b: Detector | None = None,
    *,
    load: Callable[[int], np.ndarray] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> list[Cause]:
    """The cause of each lost object, in the pairing's order.

    Args:
        p: the pairing; its runs hold what these detectors returned.
        a, b: the detectors, each in the class numbering of its run's manifest; None where one cannot be had.
        load: position in run a -> picture; the run's own where None.
        progress: called with (images done, images with lost objects).

    Returns:
        One entry a lost object. A detector that fails on an image leaves its objects to what was stored.
    """
    targets = lost_objects(p)
    by_image: dict[int, list[Target]] = {}
    for target in targets:
        by_image.setdefault(target.image, []).append(target)
    found: dict[tuple[int, str], Cause] = {}
    for done, (i, wanted) in enumerate(by_image.items()):
        exchange, why = None, ""
        if b is not None:
            try:
                exchange = Exchange(p, i, (load or p.a.load_image)(i), a, b)
            except BoxscopeError as error:
                why = f" (the detectors could not be asked: {error.message})"
        for target in wanted:
            found[target.pair, target.of] = _cause(p, target, exchange, why)
        if progress is not None:
            progress(done + 1, len(by_image))
    return [found[t.pair, t.of] for t in targets]


def _cause(p: Pairing, t: Target, x: Exchange | None, why: str) -> Cause:
    if p.score_a[t.pair] < p.threshold_b(t.class_id):
        return Cause(
            t.pair,
            t.of,
            "threshold",
            STORED,
            True,
            f"Its score {p.score_a[t.pair]:.3f} passes the first side's threshold and not the second's.",
        )
    if x is not None:
        for attempt in (_by_exchange, _by_candidates, _by_input):
            cause = attempt(p, t, x)
            if cause is not None:
                return cause
    return _from_stored(p, t, why)


def _by_exchange(p: Pairing, t: Target, x: Exchange) -> Cause | None:
    """Walk from the first detector to the second; None where the two cannot be exchanged row by row."""
    if not x.aligned:
        return None
    before: SideReplay | None = None
    for step, side in _walk(x):
        if not x.finds(side, t):
            if before is None:
                return None  # the first detector's own replay lacks it, so nothing follows
            sentence = _says(step, p, t, x, before, side)
            alone = x.finds(x.second.with_step(step, x.first), t) if step != "preprocessing" else True
            return Cause(
                t.pair,
                t.of,
                step,
                EXCHANGED,
                alone,
                sentence
                + (
                    ""
                    if alone
                    else " That step alone does not bring it back: another one stands in its way too."
                ),
            )
        before = side
    return None


def _walk(x: Exchange) -> Iterator[tuple[str, SideReplay]]:
    """(the step just changed, the chain after it), from the first detector to the second."""
    first, last = x.first, x.second_fed
    yield "", first
    for step in ("score", "box", "nms", "cut", "cap"):
        first = first.with_step(step, last)
        yield step, first
    if x.fed:
        yield "preprocessing", x.second


def _says(step: str, p: Pairing, t: Target, x: Exchange, before: SideReplay, after: SideReplay) -> str:
    threshold = p.threshold_b(t.class_id)
    was, now = x.best(before, t), x.best(after, t)
    same = "On the same input its" if x.fed else "Its"
    if step == "preprocessing":
        return (
            f"Given the first detector's resized picture it is found at {x.best(x.second_fed, t).score:.3f};"
            f" from its own, {_left(x.best(x.second, t), threshold)}."
        )
    if step == "score":
        anchor = was.anchor
        to = float(after.score(anchor, t.class_id)) if anchor >= 0 else float("nan")
        by = x.suppressor(after, t, anchor)
        end = (
            f"below {threshold:.2f}"
            if to < threshold
            else f"and now {by}"
            if by
            else "and other candidates, now stronger, take its place"
        )
        return (
            f"{same} score goes from {was.score:.3f} to {to:.3f}, {end}; with the first detector's scores it"
            " is found."
            + ("" if x.fed else " The prepared pictures could not be exchanged, so they may be behind it.")
        )
    if step == "box":
        shift, by = (
            float(np.abs(before.box(was.anchor) - after.box(was.anchor)).max()),
            x.suppressor(after, t, was.anchor),
        )
        return (
            f"{same} box lies {shift:.1f} pixels off{f', so that {by}' if by else ''}; with the first"
            " detector's boxes it is found."
        )
    if step == "nms":
        by = x.suppressor(after, t, was.anchor)
        by = f": {by}" if by else ""
        rule = (
            "boxes of all classes suppress each other (fast NMS)"
            if after.pooled and not before.pooled
            else (
                f"NMS at IoU {after.settings.iou_threshold:.2f} in place of"
                f" {before.settings.iou_threshold:.2f}"
            )
        )
        return f"{rule[0].upper()}{rule[1:]}{by}; with the first detector's rule it is found."
    if step == "cut":
        return (
            f"Its score {was.score:.3f} is below the second detector's own cut of"
            f" {after.settings.score_threshold:g}; without it, it is found."
        )
    return (
        f"The second detector's list of {after.settings.max_total_detections} is full before it; with room it"
        f" is found at {was.score:.3f}, {_left(now, threshold)} now."
    )


def _left(best: Any, threshold: float) -> str:
    return f"its best fitting box has {best.score:.3f}" if best.score >= 0 else "no box fits it"


def _by_candidates(p: Pairing, t: Target, x: Exchange) -> Cause | None:
    """From the second detector's candidates alone; None where its post-processing cannot be replayed."""
    second = x.second
    if second is None:
        return None
    threshold = p.threshold_b(t.class_id)
    if x.fed and x.fed_finds(t):
        return Cause(
            t.pair,
            t.of,
            "preprocessing",
            CANDIDATES,
            True,
            "Given the first detector's resized picture it is found; from its own,"
            f" {_left(x.best(second, t), threshold)}.",
        )
    for step in ("nms", "cut", "cap"):
        freed = second.freed(step)
        if freed is None or not x.finds(freed, t):
            continue
        best = x.best(freed, t)
        words = {
            "nms": (
                "Boxes of all classes suppress each"
                f" other{f': {by}' if (by := x.suppressor(second, t, best.anchor)) else ''}; class by class"
                f" it is found at {best.score:.3f}."
            ),
            "cut": (
                f"The detector's own score cut {second.settings.score_threshold:g} takes it; without it, it"
                f" is found at {best.score:.3f}."
            ),
            "cap": (
                f"Its list of {second.settings.max_total_detections} is full; with room it is found at"
                f" {best.score:.3f}."
            ),
        }[step]
        return Cause(t.pair, t.of, step, CANDIDATES, True, words)
    near = x.candidate(second, t)
    if near.overlap < p.iou:
        return Cause(
            t.pair,
            t.of,
            "box",
            CANDIDATES,
            False,
            "None of its candidates of that class lies on it: the best has an IoU of"
            f" {max(near.overlap, 0):.2f}.",
        )
    if near.score < np.float32(threshold):
        return Cause(
            t.pair,
            t.of,
            "score",
            CANDIDATES,
            False,
            f"Its surest candidate there has {shown_score(near.score, threshold, 3):.3f}, below"
            f" {threshold:.2f}.",
        )
    return Cause(
        t.pair,
        t.of,
        "nms",
        CANDIDATES,
        False,
        f"Its candidate there has {near.score:.3f} and is suppressed by one that fits less.",
    )


def _by_input(p: Pairing, t: Target, x: Exchange) -> Cause | None:
    """Without candidates: only the prepared picture can be exchanged."""
    if x.fed and x.fed_finds(t):
        return Cause(
            t.pair,
            t.of,
            "preprocessing",
            CANDIDATES,
            True,
            "Given the first detector's resized picture it is found; from its own it is not.",
        )
    return None


def _from_stored(p: Pairing, t: Target, why: str) -> Cause:
    """What the two runs say by themselves."""
    q, b = t.pair, p.b
    threshold = p.threshold_b(t.class_id)
    score, floor = float(p.score_b[q]), float(b.manifest.floor)

    def told(cause: str, sentence: str) -> Cause:
        return Cause(q, t.of, cause, STORED, False, sentence + why)

    if t.of == "truth":
        return told("box", f"Its box lies {p.shift[q]:.1f} pixels off and fits the object no longer.")
    if score >= 0:
        return told(
            "score",
            f"The second detector has its box at {shown_score(score, threshold, 3):.3f}, below"
            f" {threshold:.2f}.",
        )
    if p.other[q] >= 0:
        d = p.other[q]
        name = p.names[p.to_a[b.detections.class_ids[d]]]
        return told("score", f"The second detector calls it {name}, {b.detections.scores[d]:.3f}.")
    i = int(p.b_images[np.flatnonzero(p.images == t.image)[0]])
    rows = int(b.detections.offsets[i + 1] - b.detections.offsets[i])
    most = next(
        (
            int(v)
            for k in ("max_total_detections", "max_detections")
            if (v := b.manifest.detector.settings.get(k))
        ),
        0,
    )
    if most and rows >= most:
        return told("cap", f"The second detector's list is full at {most}.")
    return told(
        "score",
        f"The second detector has no box of that class there: its score is below {floor:g}, or suppression"
        " took it.",
    )


def counted(causes: list[Cause]) -> dict[str, int]:
    """How many lost objects have each cause, the commonest first."""
    out: dict[str, int] = {}
    for cause in causes:
        out[cause.cause] = out.get(cause.cause, 0) + 1
    return dict(sorted(out.items(), key=lambda item: -item[1]))
