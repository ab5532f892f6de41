"""What the columns and values of a SavedModel's `raw_detection_scores` are, found by looking at them.

TF Hub's pages speak of logits without background where the exporter writes probabilities with it, so
neither is believed: a detection of a probe picture names its anchor, class and score, and the raw row of
that anchor must hold that score in that class's column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RawScores:
    """Args: width: columns in the file; background: whether column 0 is background; logits: before the
    sigmoid; usable: False where the numbers fit no reading; notes: what was found, in sentences."""

    width: int
    background: bool
    logits: bool
    usable: bool
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        return self.width - self.background

    def columns(self, raw: np.ndarray, external_ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """Scores float32 [A, K] in 0..1 of these label map ids, and the logits where the file holds them.

        An id beyond the file's columns gets zeros.
        """
        wanted = np.asarray(external_ids, np.int64) - (0 if self.background else 1)
        inside = (wanted >= 0) & (wanted < raw.shape[1])
        values = raw[:, np.where(inside, wanted, 0)].astype(np.float32)
        scores = _sigmoid(values) if self.logits else np.clip(values, 0, 1)
        scores[:, ~inside] = 0
        return scores, values if self.logits and inside.all() else None


def read_layout(probe: dict[str, np.ndarray]) -> RawScores:
    """The layout from one picture's outputs (without batch axis), by value where anchors are named, else by
    range.
    """
    raw, yxyx = probe["raw_detection_scores"], probe["raw_detection_boxes"]
    width = raw.shape[-1]
    if raw.ndim != 2 or yxyx.shape != (len(raw), 4):
        found = f"raw_detection_boxes {list(yxyx.shape)} and raw_detection_scores {list(raw.shape)}"
        return RawScores(
            width, False, False, False, (f"Its {found} do not belong together, so candidates are not shown.",)
        )
    if not np.isfinite(raw).all():
        return RawScores(
            width,
            True,
            False,
            False,
            ("Its raw_detection_scores are not finite numbers, so candidates are not shown.",),
        )
    proven = _by_value(probe)
    if proven is not None:
        return proven
    logits = bool(raw.size) and bool(raw.min() < 0 or raw.max() > 1)
    multi = probe.get("detection_multiclass_scores")
    background = width in (91, 81, 2) or (multi is not None and multi.shape[-1] == width)
    kind = "logits" if logits else "probabilities"
    first = "with a background column" if background else "without background"
    return RawScores(
        width,
        background,
        logits,
        True,
        (f"raw_detection_scores were taken for {kind} {first}, by their range and width only.",),
    )


def _by_value(probe: dict[str, np.ndarray]) -> RawScores | None:
    """None where no detection of the probe says which reading is right."""
    anchors = probe.get("detection_anchor_indices")
    scores, raw = probe["detection_scores"], probe["raw_detection_scores"]
    count = int(np.rint(probe.get("num_detections", len(scores))))
    rows = [j for j in range(min(count, len(scores), 20)) if scores[j] > 1e-6]
    if anchors is None or not rows:
        return None
    anchor = np.rint(anchors[rows]).astype(int)
    ids = np.rint(probe["detection_classes"][rows]).astype(int)
    if anchor.min() < 0 or anchor.max() >= len(raw):
        return None
    readings = []
    for logits in (False, True):
        for background in (True, False):
            column = ids - (0 if background else 1)
            if column.min() < 0 or column.max() >= raw.shape[1]:
                continue
            value = raw[anchor, column]
            value = _sigmoid(value) if logits else value
            if np.allclose(value, scores[rows], rtol=1e-3, atol=1e-5):
                readings.append((logits, background))
    if len(readings) == 1:
        logits, background = readings[0]
        notes = (
            ("raw_detection_scores are logits here; they are turned into scores by a sigmoid.",)
            if logits
            else ()
        )
        return RawScores(raw.shape[1], background, logits, True, notes)
    if not readings:
        note = (
            "Its detections are not found in raw_detection_scores at the anchor and class they name, so"
            " candidates are not shown."
        )
        return RawScores(raw.shape[1], True, False, False, (note,))
    return None


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return (0.5 * (1 + np.tanh(0.5 * np.asarray(x, np.float32)))).astype(np.float32)
