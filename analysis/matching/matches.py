"""Matches: one verdict per detection and per object, in columns beside the run's own tables.

The matching is greedy from the best score down, so what happens above any threshold does not depend on
what lies below it: one pass at the score floor answers every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from detector.bridges import notebook
from detector.core import frozen_array
from detector.errors import InputError


class Verdict(IntEnum):
    """The judgement on one detection or one object; `word` is its name in files, filters and the browser.

    Detections are WRONG, CORRECT, DUPLICATE, IGNORED or UNJUDGED (their image, or their class, has no
    ground truth); at a threshold those under it are BELOW. Objects are FOUND, MISSED, IGNORED (crowd, or
    difficult where that is chosen) or UNJUDGED (no detector has looked at their image). The numbers of the
    first five are stored with a matching (`Matches.det_kind`): they must not change.
    """

    WRONG = 0
    CORRECT = 1
    DUPLICATE = 2
    IGNORED = 3
    UNJUDGED = 4
    BELOW = 5
    MISSED = 6
    FOUND = 7

    @property
    def word(self) -> str:
        return self.name.lower()


MATCHED = (Verdict.WRONG, Verdict.CORRECT, Verdict.DUPLICATE, Verdict.IGNORED, Verdict.UNJUDGED)
"""The verdicts that matching gives detections, at any threshold."""
FALSE_POSITIVES = (Verdict.WRONG, Verdict.DUPLICATE)

VERDICT_WORDS = np.array([verdict.word for verdict in Verdict])
"""The words in the order of the numbers: `VERDICT_WORDS[codes]` names an array of verdicts."""

DIFFICULT = ("count", "ignore")


@dataclass(frozen=True, eq=False)
class Matches:
    """The outcome of matching D detections with M objects over N images.

    Args:
        iou: a detection fits an object from this IoU on.
        class_aware: whether only an object of its own class can make a detection correct.
        difficult: "count": an object flagged difficult is an object like any other (COCO);
            "ignore": it is neither found nor missed, and any number of detections on it are neither
            correct nor wrong (the VOC devkit's rule).
        num_classes: K.
        judged: bool [N], images with known ground truth on which detection has run.
        det_rows, det_classes, det_scores: [D], the image, class and score of each detection.
        det_kind: uint8 [D], the `Verdict` of each detection, one of `MATCHED`.
        det_truth: int32 [D], the object: its partner (correct, ignored) or the object already taken
            (duplicate); -1 for the rest.
        det_iou: float32 [D], the IoU with `det_truth` (crowd: share of the detection inside it), 0 without.
        truth_rows, truth_classes: [M].
        truth_ignored: bool [M], neither found nor missed: crowd regions, and difficult objects if so chosen.
        truth_det: int32 [M], the detection that found it (ignored: the best-scored on it), or -1.
        truth_iou, truth_score: float32 [M], IoU and score of `truth_det`; 0 and -1 without.

    Raises:
        InputError: columns differ in length.
    """

    iou: float
    class_aware: bool
    difficult: str
    num_classes: int
    judged: np.ndarray
    det_rows: np.ndarray = field(repr=False)
    det_classes: np.ndarray = field(repr=False)
    det_scores: np.ndarray = field(repr=False)
    det_kind: np.ndarray = field(repr=False)
    det_truth: np.ndarray = field(repr=False)
    det_iou: np.ndarray = field(repr=False)
    truth_rows: np.ndarray = field(repr=False)
    truth_classes: np.ndarray = field(repr=False)
    truth_ignored: np.ndarray = field(repr=False)
    truth_det: np.ndarray = field(repr=False)
    truth_iou: np.ndarray = field(repr=False)
    truth_score: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        if self.difficult not in DIFFICULT:
            raise InputError(f"difficult: expected one of {', '.join(DIFFICULT)}, got {self.difficult!r}.")
        put = object.__setattr__
        d, m = len(self.det_rows), len(self.truth_rows)
        columns = {
            "judged": (bool, None),
            "det_rows": (np.int32, d),
            "det_classes": (np.int32, d),
            "det_scores": (np.float32, d),
            "det_kind": (np.uint8, d),
            "det_truth": (np.int32, d),
            "det_iou": (np.float32, d),
            "truth_rows": (np.int32, m),
            "truth_classes": (np.int32, m),
            "truth_ignored": (bool, m),
            "truth_det": (np.int32, m),
            "truth_iou": (np.float32, m),
            "truth_score": (np.float32, m),
        }
        for name, (dtype, length) in columns.items():
            put(self, name, frozen_array(getattr(self, name), dtype, (length,), f"Matches.{name}"))

    @property
    def num_images(self) -> int:
        return len(self.judged)

    @property
    def truth_counted(self) -> np.ndarray:
        """bool [M]: the objects that are either found or missed."""
        return ~self.truth_ignored & self.judged[self.truth_rows]

    def _repr_html_(self) -> str:
        found = np.bincount(self.det_kind, minlength=len(MATCHED))
        counted = self.truth_counted
        rows = [(f"detections {verdict.word}", int(found[verdict])) for verdict in MATCHED if found[verdict]]
        rows += [
            ("objects found", int((counted & (self.truth_det >= 0)).sum())),
            ("objects missed", int((counted & (self.truth_det < 0)).sum())),
            ("objects not counted", int((~counted).sum())),
        ]
        fits = f"IoU from {self.iou:g}, {'of its class' if self.class_aware else 'of any class'}"
        judged = f"{int(self.judged.sum()):,} of {self.num_images:,} images judged"
        return notebook.table(f"Matches at the score floor ({fits}; {judged})", (), rows)
