"""What a push says while it works and when it is through. No FiftyOne in here."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PushProgress:
    """`stage` is "writing" or "finishing"; `seconds_left` is None until a rate is known."""

    done: int
    total: int
    stage: str
    rate: float = 0.0
    seconds_left: float | None = None


@dataclass(frozen=True)
class PushReport:
    """What a push did.

    Args:
        dataset: the FiftyOne data set's name; predictions, eval_key: the run's field and evaluation in it.
        inserted, updated: samples; objects, detections: labels written; below_lowest: detections left out for
            their score; kept_edits: ground-truth labels that people changed, added or deleted in FiftyOne and
            that were left so (pull takes them over).
        copies: images for which an upright PNG copy was made; views: saved views; problems: one sentence
            each.
        cancelled: stopped on request; pushing again goes on.
        seconds, words: how long it took, and the operating point.
    """

    dataset: str
    predictions: str
    eval_key: str
    inserted: int
    updated: int
    objects: int
    detections: int
    below_lowest: int
    kept_edits: int
    copies: int
    views: tuple[str, ...]
    problems: tuple[str, ...]
    cancelled: bool
    seconds: float
    words: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
