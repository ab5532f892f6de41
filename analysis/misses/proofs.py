"""A verdict put to the test: the rules changed for a replay, and whether the object came back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SETTINGS = ("score_threshold", "iou_threshold", "max_detections_per_class", "max_total_detections")


@dataclass(frozen=True)
class Change:
    """One rule changed for a replay.

    Args:
        rule: a setting of post-processing by its name, "threshold" (confidence, of the object's class),
            "name" (the box is given the object's class), "rival" (the other objects are taken away before
            matching), "box" (the candidate is put beside the stored detections).
        before, value: numbers where the rule has them, NaN else.
    """

    rule: str
    before: float = float("nan")
    value: float = float("nan")

    def words(self) -> str:
        if self.rule in ("threshold", *SETTINGS):
            name = "the confidence threshold" if self.rule == "threshold" else self.rule
            return f"{name} {self.before:.6g} → {self.value:.6g}"
        return {
            "name": "the box given the object's class",
            "rival": "the other objects taken away before matching",
            "box": "the candidate put beside the stored detections",
        }[self.rule]


@dataclass(frozen=True)
class Proof:
    """A verdict put to the test.

    Args:
        changes: the rules changed, most often one; none where the verdict is that no rule can bring it back.
        by: "post-processing" (replayed from candidates) or "matching" (of stored detections).
        expected, found: whether the object was to come back, and whether it did.
        score, iou: of the detection that found it, NaN without.
    """

    changes: tuple[Change, ...]
    by: str
    expected: bool
    found: bool
    score: float = float("nan")
    iou: float = float("nan")

    @property
    def holds(self) -> bool:
        return self.expected == self.found

    def sentence(self) -> str:
        what = (
            "Post-processing and matching replayed"
            if self.by == "post-processing"
            else "The stored detections matched again"
        )
        if not self.expected:
            return (
                f"{what} with every rule lifted:"
                f" {'the object is still not found' if self.holds else 'the object is found after all'}."
            )
        end = (
            f"it is found, score {self.score:.3g}, IoU {self.iou:.2f}"
            if self.found
            else "it does not come back"
        )
        return f"{what} with {' and '.join(c.words() for c in self.changes)}: {end}."

    def to_dict(self) -> dict[str, Any]:
        def number(v: float) -> float | None:
            return None if np.isnan(v) else float(v)

        changes = [
            {"rule": c.rule, "before": number(c.before), "value": number(c.value)} for c in self.changes
        ]
        return {
            "by": self.by,
            "changes": changes,
            "expected": self.expected,
            "found": self.found,
            "holds": self.holds,
            "score": number(self.score),
            "iou": number(self.iou),
            "sentence": self.sentence(),
        }
