"""AP of one ranking, in the three ways the field interpolates: 101 points (COCO), 11 points and every point
(VOC).
"""

from __future__ import annotations

import numpy as np

from detector.errors import InputError

INTERPOLATIONS = ("101", "11", "all")
# linspace's 0.6 (of 11) and 0.35 (of 101) lie a hair above 3/5 and 7/20, so recalls of exactly that do not
# reach
# them: pycocotools and the published VOC figures carry this, and equality with them is worth more.
RECALLS = {"101": np.linspace(0, 1, 101), "11": np.linspace(0, 1, 11), "tide": np.arange(101) / 100}


def precision_recall(correct: np.ndarray, objects: int) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall) float64 [n] after each of n detections in falling order of score; recall 0 without
    objects.
    """
    tp = np.cumsum(correct, dtype=np.float64)
    return tp / np.arange(1, len(tp) + 1), tp / objects if objects else np.zeros(len(tp))


def average_precision(correct: np.ndarray, objects: int, interpolation: str = "101") -> float:
    """AP in 0..1 of detections in falling order of score, `correct` bool [n]; NaN without objects.

    "101": mean of the best precision at recall >= r over r = 0, .01, ... 1 (COCO). "11": over r = 0, .1, ...
    1 (VOC before 2010). "all": the area under the precision envelope (VOC from 2010). "tide": 101 points as
    tidecv rounds them.

    Raises:
        InputError: no such interpolation.
    """
    if interpolation not in (*INTERPOLATIONS, "tide"):
        raise InputError(
            f"interpolation: expected one of {', '.join(INTERPOLATIONS)}, got {interpolation!r}."
        )
    if not objects:
        return float("nan")
    if not len(correct):
        return 0.0
    precision, recall = precision_recall(correct, objects)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if interpolation == "all":
        steps = np.diff(np.concatenate([[0.0], recall]))
        return float((steps * envelope).sum())
    points = RECALLS[interpolation]
    at = np.searchsorted(recall, points, side="left")
    return float(np.where(at < len(envelope), envelope[np.minimum(at, len(envelope) - 1)], 0.0).mean())


def mean_ap(classes: np.ndarray, scores: np.ndarray, correct: np.ndarray, objects: np.ndarray) -> float:
    """Mean 101-point AP over the classes that have an object or a detection; a class without objects counts
    as 0.

    The rule of TIDE. Columns [n]; equal scores keep the order given; `objects` int [K].
    """
    order = np.lexsort((-scores, classes))
    classes, correct = classes[order], correct[order]
    ends = np.searchsorted(classes, np.arange(len(objects) + 1))
    values = []
    for k, n in enumerate(objects.tolist()):
        part = correct[ends[k] : ends[k + 1]]
        if n or len(part):
            values.append(average_precision(part, n, "tide") if n else 0.0)
    return float(np.mean(values)) if values else 0.0
