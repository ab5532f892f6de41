"""Greedy non-maximum suppression per class, for model files that come without any."""

from __future__ import annotations

import numpy as np

from detector import boxes


def per_class_nms(xyxy: np.ndarray, scores: np.ndarray, *, floor: float, iou: float, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and classes that survive, best score first.

    In each class alone: best score first (ties: lower row), drop what overlaps a kept box by more than `iou`.

    Args:
        xyxy: float32 [A, 4]; scores: float32 [A, K] in 0..1.
        floor: rows below it are not looked at. limit: at most this many in all.

    Returns:
        rows int32 [N] and class ids int32 [N]; both empty where nothing reaches the floor.
    """
    found: list[tuple[float, int, int]] = []
    for k in range(scores.shape[1]):
        rows = np.flatnonzero(scores[:, k] >= floor)
        rows = rows[np.argsort(-scores[rows, k], kind="stable")]
        kept = 0
        while len(rows) and kept < limit:
            best, rows = rows[0], rows[1:]
            found.append((-float(scores[best, k]), k, int(best)))
            kept += 1
            rows = rows[boxes.iou(xyxy[best], xyxy[rows])[0] <= iou]
    found = sorted(found)[:limit]
    return np.array([f[2] for f in found], np.int32), np.array([f[1] for f in found], np.int32)
