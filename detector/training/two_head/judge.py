"""Figures of a two-head detector on pictures with one known object, through the inference path of every
detector.
"""

from __future__ import annotations

import numpy as np

from detector import boxes
from detector.core import Detector
from detector.data.dataset import Dataset
from detector.training.two_head.data import OneObject

RIGHT = "right and IoU >= 0.5"
CHUNK = 32  # pictures in memory at once


def judge(detector: Detector, dataset: Dataset, chosen: OneObject, heads: str = "both") -> dict[str, float]:
    """Figures over the chosen pictures; the first decides which weights are best.

    Returns:
        With both heads "score" (the mean of top-1 and mean IoU), then "top-1" and "top-5" (share of pictures
            whose class is the
        likeliest, or among the five likeliest), "mean IoU" (of the box with the object's, clipped to the
            picture),
        "right and IoU >= 0.5" (share with both), "pictures". A head that is missing leaves its figures out.
    """
    places, overlaps = [], []
    table = dataset.objects
    for start in range(0, len(chosen.rows), CHUNK):
        part = slice(start, start + CHUNK)
        images = [dataset.load_image(int(row)) for row in chosen.rows[part]]
        for found, place in zip(detector.candidates(images), chosen.objects[part]):
            scores, true = found.scores[0], 0 if heads == "box" else table.class_ids[place]
            # Equal scores count against it: a network that says nothing is right by chance only.
            places.append(int((scores >= scores[true]).sum()) - 1)
            overlaps.append(
                float(
                    boxes.iou(
                        boxes.clip(found.xyxy, found.image_size),
                        boxes.clip(table.xyxy[place][None], found.image_size),
                    )[0, 0]
                )
            )
    return figures(np.array(places), np.array(overlaps), heads)


def figures(places: np.ndarray, overlaps: np.ndarray, heads: str) -> dict[str, float]:
    """The figures from each picture's place of the true class (0 is the likeliest) and IoU."""
    found: dict[str, float] = {}
    if heads == "both":
        found["score"] = float(((places == 0).mean() + overlaps.mean()) / 2)
    if heads != "box":
        found |= {"top-1": float((places == 0).mean()), "top-5": float((places < 5).mean())}
    if heads != "class":
        found["mean IoU"] = float(overlaps.mean())
        found[RIGHT] = float(((overlaps >= 0.5) & ((places == 0) | (heads == "box"))).mean())
    return found | {"pictures": float(len(places))}
