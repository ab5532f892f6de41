"""What a pairing of two detectors says: rows, figures for files, a text for terminals, and whether stated
bounds hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.parity.causes import CAUSES, Cause, counted
from analysis.parity.pairs import BOX_STEP, GAINED, KEPT, KINDS, LOST, SCORE_STEP, Pairing
from analysis.runs.store import Run
from detector.errors import InputError

CHANGES = ("lost", "gained", "moved", "rescored")


@dataclass(frozen=True)
class Bounds:
    """How far the second detector may be from the first; None where nothing is asked.

    Args:
        lost: most lost objects, as a share 0..1 where `lost_is_share`, else their number. Of the first's true
            positives where there is ground truth, of all its objects where there is none or `every_object` is
            set.
        score: largest difference of a kept object's score; box: of an edge of its box, in pixels.
    """

    lost: float | None = None
    lost_is_share: bool = True
    every_object: bool = False
    score: float | None = None
    box: float | None = None

    @classmethod
    def parse(
        cls,
        lost: str | None = None,
        *,
        every_object: bool = False,
        score: float | None = None,
        box: float | None = None,
    ) -> Bounds:
        """`lost` as people write it: "0.5%", or "3" for a number of objects.

        Raises:
            InputError: it is neither, or a bound is negative.
        """
        share, number = False, None
        if lost is not None:
            share = lost.strip().endswith("%")
            try:
                number = float(lost.strip().rstrip("%")) / (100 if share else 1)
            except ValueError:
                raise InputError(
                    f'--max-lost: expected a share such as "0.5%" or a number of objects, got {lost!r}.'
                ) from None
        for name, value in (("lost", number), ("score", score), ("box", box)):
            if value is not None and not value >= 0:
                raise InputError(f"a bound must not be negative, {name} is {value:g}.")
        return cls(number, share, every_object, score, box)

    def broken(self, figures: dict[str, Any]) -> list[str]:
        """A sentence for each bound that the figures of a pairing do not keep."""
        out = []
        if self.lost is not None:
            truth = figures["true_positives_a"] is not None and not self.every_object
            lost, of = (
                (figures["true_positives_lost"], figures["true_positives_a"])
                if truth
                else (figures["lost"], figures["objects_a"])
            )
            value = (lost / of if of else 0.0) if self.lost_is_share else lost
            if value > self.lost:
                bound = f"{100 * self.lost:g} %" if self.lost_is_share else f"{self.lost:g}"
                out.append(
                    f"{lost} of {of} {'true positives' if truth else 'objects'} are lost"
                    f" ({100 * lost / of:.2f} %), more than {bound}."
                )
        for name, bound, unit in (("score", self.score, ""), ("box", self.box, " pixels")):
            spread = figures[f"{name}_difference"]
            if bound is not None and spread is not None and spread["largest"] > bound:
                out.append(f"a {name} differs by {spread['largest']:.3g}{unit}, more than {bound:g}.")
        return out


def rows_of(
    p: Pairing, changes: tuple[str, ...], score_step: float = SCORE_STEP, box_step: float = BOX_STEP
) -> np.ndarray:
    """int64, rows of the pairing with any of these changes, in its order; an object can be moved and
    rescored.
    """
    wanted = np.zeros(len(p), bool)
    for change in changes:
        if change in ("lost", "gained"):
            wanted |= p.kind == (LOST if change == "lost" else GAINED)
        else:
            wanted |= p.moved(box_step) if change == "moved" else p.rescored(score_step)
    return np.flatnonzero(wanted)


def row_dict(p: Pairing, q: int, causes: dict[int, Cause] | None = None) -> dict[str, Any]:
    """One row as plain values; None where a side has no box, not even below its threshold."""

    def box(table: Any, d: int) -> list[float] | None:
        return None if d < 0 else [float(v) for v in table.xyxy[d]]

    def number(value: float, none: bool) -> float | None:
        return None if none else float(value)

    a, b, other = int(p.det_a[q]), int(p.det_b[q]), int(p.other[q])
    out = {
        "change": KINDS[p.kind[q]],
        "sample": p.a.sample_ids[p.image[q]],
        "class": p.names[p.class_id[q]],
        "score_a": number(p.score_a[q], a < 0),
        "score_b": number(p.score_b[q], b < 0),
        "box_a": box(p.a.detections, a),
        "box_b": box(p.b.detections, b),
        "iou": number(p.overlap[q], a < 0 or b < 0),
        "box_difference": number(p.shift[q], a < 0 or b < 0),
    }
    if other >= 0:
        side, ids = (p.b, p.to_a) if p.kind[q] == LOST else (p.a, np.arange(len(p.a.class_map)))
        out["renamed"] = {
            "class": p.names[ids[side.detections.class_ids[other]]],
            "score": float(side.detections.scores[other]),
        }
    if causes and q in causes:
        out["why"] = causes[q].to_dict()
    return out


def side_dict(run: Run) -> dict[str, Any]:
    d = run.manifest.detector
    return {
        "name": d.name,
        "kind": d.kind,
        "source": d.source,
        "weights_hash": d.weights_hash,
        "settings": dict(d.settings),
        "floor": run.manifest.floor,
    }


def report(
    p: Pairing,
    causes: list[Cause] | None,
    *,
    score_step: float = SCORE_STEP,
    box_step: float = BOX_STEP,
    rows: bool = True,
) -> dict[str, Any]:
    """Everything, as plain values for JSON; `rows` adds each object that is lost, gained, moved or
    rescored.
    """
    thresholds = {float(v) for v in p.cuts_a}
    out: dict[str, Any] = {
        "a": side_dict(p.a),
        "b": side_dict(p.b),
        "data": {"name": p.a.manifest.dataset.name, "fingerprint": p.a.manifest.dataset.fingerprint},
        "threshold": (
            thresholds.pop()
            if len(thresholds) == 1
            else {n: float(v) for n, v in zip(p.a.class_map.names, p.cuts_a)}
        ),
        "iou": p.iou,
        **p.figures(score_step, box_step),
    }
    if causes is not None:
        out["causes"] = counted(causes)
        out["causes_proved"] = sum(c.proved for c in causes)
    if rows:
        by_row = {c.pair: c for c in causes or ()}
        shown = rows_of(p, CHANGES, score_step, box_step).tolist()
        shown += sorted(set(by_row) - set(shown))
        out["objects"] = [row_dict(p, q, by_row) for q in shown]
    return out


def text(
    p: Pairing,
    causes: list[Cause] | None,
    *,
    score_step: float = SCORE_STEP,
    box_step: float = BOX_STEP,
    most: int = 20,
) -> str:
    """The same for a terminal: figures, causes, and the first lost objects."""
    f = p.figures(score_step, box_step)
    one = len(set(p.cuts_a.tolist())) == 1
    lines = [
        f"A  {_who(p.a)}",
        f"B  {_who(p.b)}",
        f"{f['images']} images"
        + (f" ({f['left_out']} left out)" if f["left_out"] else "")
        + f" · confidence ≥ {p.cuts_a[0]:.2f}" * one
        + " · confidence per class" * (not one)
        + f" · IoU ≥ {p.iou:.2f}",
        "",
        f"objects           A {f['objects_a']}, B {f['objects_b']}",
        (
            f"kept              {f['kept']}, of them moved by more than {box_step:g} px {f['moved']},"
            f" rescored by more than {score_step:g} {f['rescored']}"
        ),
        f"lost              {f['lost']} ({100 * f['lost_share']:.2f} %)"
        + (f", {f['renamed']} of them under another class" if f["renamed"] else ""),
        f"gained            {f['gained']}",
    ]
    for name, title, unit in (("score", "score difference", ""), ("box", "box difference", " px")):
        if s := f[f"{name}_difference"]:
            lines.append(
                f"{title:17} largest {s['largest']:.3g}{unit}, typical {s['median']:.2g}{unit} (median), 95"
                f" of 100 under {s['of_95_percent']:.2g}{unit}"
            )
    if f["true_positives_a"] is not None:
        lines.append(
            f"true positives    A {f['true_positives_a']}, lost {f['true_positives_lost']}"
            f" ({100 * f['true_positives_lost_share']:.2f} %), gained {f['true_positives_gained']}"
        )
    if causes:
        lines += [
            "",
            "lost because of   "
            + ", ".join(f"{CAUSES[k]} {n}" for k, n in counted(causes).items())
            + f" ({sum(c.proved for c in causes)} of {len(causes)} proved)",
        ]
        for c in causes[:most]:
            was = f"{p.score_a[c.pair]:.3f} → " + (
                f"{p.score_b[c.pair]:.3f}" if p.score_b[c.pair] >= 0 else "-"
            )
            lines.append(
                f"  {p.a.sample_ids[p.image[c.pair]]}  {p.names[p.class_id[c.pair]]}  {was} "
                f" {CAUSES[c.cause]}{'' if c.proved else ' (inferred)'}: {c.sentence}"
            )
        if len(causes) > most:
            lines.append(f"  ... {len(causes) - most} more; --out FILE lists them all")
    return "\n".join(lines)


def _who(run: Run) -> str:
    d = run.manifest.detector
    return f"{d.name} ({d.kind}, {d.weights_hash[:8]})"


__all__ = [
    "CHANGES",
    "GAINED",
    "KEPT",
    "LOST",
    "Bounds",
    "report",
    "row_dict",
    "rows_of",
    "side_dict",
    "text",
]
