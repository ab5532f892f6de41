"""Made-up candidates for the FakeDetector: a grid of anchors, each detection on one of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from detector import boxes
from detector.core import Candidates

LEVELS = (
    (16, 0.10),
    (8, 0.22),
    (4, 0.45),
    (2, 0.85),
)  # cells along the longer side, box side as a part of it
RATIOS = (1.0, 2.0, 0.5)  # width : height


def grid_anchors(size: tuple[int, int], at_least: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Anchors xyxy float32 [A, 4] in pixels of an image (W, H), finest level first, and their level int32
    [A].

    The finest level gets more cells until there are `at_least` anchors.
    """
    width, height = size
    longer = max(size)
    finer = 1
    while True:
        found, levels = [], []
        for level, (cells, side) in enumerate(LEVELS):
            cells = cells * finer if level == 0 else cells
            across, down = (max(1, round(cells * v / longer)) for v in size)
            cx, cy = np.meshgrid(
                (np.arange(across) + 0.5) * width / across, (np.arange(down) + 0.5) * height / down
            )
            w = side * longer * np.sqrt(RATIOS)
            h = side * longer / np.sqrt(RATIOS)
            centre = np.stack([cx, cy], axis=-1).reshape(-1, 1, 2)
            half = np.stack([w, h], axis=-1)[None] / 2
            found.append(np.concatenate([centre - half, centre + half], axis=-1).reshape(-1, 4))
            levels.append(np.full(len(found[-1]), level, np.int32))
        anchors = np.concatenate(found).astype(np.float32)
        if len(anchors) >= at_least:
            return anchors, np.concatenate(levels)
        finer *= 2


def assign_rows(xyxy: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The grid row of each detection, int32 [N], distinct: its best overlapping, nearest free anchor."""
    anchors, _, centres = _grid(size, 2 * len(xyxy))
    middle = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    fit = boxes.iou(xyxy, anchors) - np.hypot(*(middle[:, None] - centres[None]).transpose(2, 0, 1)) / max(
        size
    )
    rows = np.zeros(len(xyxy), np.int32)
    for j in range(len(xyxy)):
        rows[j] = np.argmax(fit[j])
        fit[j + 1 :, rows[j]] = -np.inf
    return rows


@lru_cache(maxsize=64)
def _grid(size: tuple[int, int], at_least: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    anchors, levels = grid_anchors(size, at_least)
    return anchors, levels, (anchors[:, :2] + anchors[:, 2:]) / 2


def grid_candidates(
    xyxy: np.ndarray,
    scores: np.ndarray,
    class_ids: np.ndarray,
    hints: np.ndarray,
    hint_classes: np.ndarray,
    size: tuple[int, int],
    classes: int,
    rng: np.random.Generator,
) -> Candidates:
    """Candidates that agree with these detections.

    Law, with `rows = assign_rows(xyxy, size)`: `candidates.xyxy[rows] == xyxy` and
    `candidates.scores[rows, class_ids] == scores`.
    Rows near a detection carry up to 0.8 of its score; rows near a hint (a missed object) under 0.01;
    all others noise under 0.005.
    """
    n = len(xyxy)
    anchors, levels, _ = _grid(size, 2 * n)
    rows = assign_rows(xyxy, size)
    shown = anchors.copy()
    belief = rng.uniform(0.0005, 0.005, (len(anchors), classes)).astype(np.float32)
    targets = np.concatenate([xyxy, hints]).astype(np.float32)
    strength = np.concatenate([scores, np.full(len(hints), 0.009, np.float32)])
    kinds = np.concatenate([class_ids, hint_classes]).astype(np.int64)
    overlap = boxes.iou(anchors, targets)
    for j in np.argsort(strength, kind="stable"):
        near = np.flatnonzero(overlap[:, j] > 0.3)
        belief[near, kinds[j]] = np.maximum(
            belief[near, kinds[j]], 0.8 * strength[j] * overlap[near, j].astype(np.float32)
        )
        shown[near] = 0.3 * shown[near] + 0.7 * targets[j]
    for j in range(n):
        others = np.arange(classes) != class_ids[j]
        shown[rows[j]] = xyxy[j]
        belief[rows[j], others] = np.minimum(belief[rows[j], others], 0.005)
        belief[rows[j], class_ids[j]] = scores[j]
    return Candidates(shown, belief, size, anchors=anchors, levels=levels)
