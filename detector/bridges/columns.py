"""The columns of one image's detections on their way in from another library."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from detector.errors import InputError


class Columns(NamedTuple):
    """N rows, best score first, boxes clipped to the image.

    xyxy: float32 [N, 4] pixels; scores: float32 [N]; class_ids: int64 [N]; image_size: (W, H).
    """

    xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    image_size: tuple[int, int]


def array_of(values: Any) -> np.ndarray:
    """A NumPy array of an array or a tensor of PyTorch, on whatever device and with a gradient or without."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return np.asarray(values.numpy() if hasattr(values, "numpy") else values)


def make_columns(xyxy: Any, scores: Any, class_ids: Any, image_size: Any, what: str) -> Columns:
    """The columns of N rows; rows of equal score keep their order.

    Raises:
        InputError: the columns differ in length, or boxes are not [N, 4].
    """
    scores = np.asarray(scores, np.float32).reshape(-1)
    class_ids = np.asarray(class_ids)
    xyxy = np.asarray(xyxy, np.float32)
    if not len(scores) and not xyxy.size:
        return Columns(np.zeros((0, 4), np.float32), scores, np.zeros(0, np.int64), image_size)
    if xyxy.ndim != 2 or xyxy.shape[1] != 4 or not len(xyxy) == len(scores) == len(class_ids):
        raise InputError(
            f"{what}: expected boxes [N, 4] with a score and a class each, got boxes {list(xyxy.shape)},"
            f" {len(scores)} scores and {len(class_ids)} classes."
        )
    try:
        width, height = (int(v) for v in image_size)
    except (TypeError, ValueError):
        raise InputError(
            f"{what}: expected image_size=(width, height) in pixels, got {image_size!r}."
        ) from None
    order = np.argsort(-scores, kind="stable")
    inside = np.clip(xyxy[order], 0, np.float32([width, height, width, height]))
    return Columns(inside, scores[order], class_ids.astype(np.int64)[order], (width, height))
