"""Rescues that run the network again: a crop around the missed object, a larger input, more contrast, a
neighbour hidden.

Each is a changed picture of the same scene; what is found in it is put back into the frame of the whole
picture. It says whether the object is within the network's reach at all, which no setting of post-processing
can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.boxes import area, clip, iou
from detector.core import Detections

CROPS = (2.0, 4.0)
"""Sides of the crops in sides of the object: it then fills a half, or a quarter, of what the network sees."""

Detect = Callable[[Sequence[np.ndarray]], list[Detections]]


@dataclass(frozen=True)
class Retry:
    """One changed picture and what the network made of the object in it.

    Args:
        change: what was changed, in words.
        score, iou: of the surest detection of its class that fits it, at any score; -1 and 0 without.
        found: whether that score reaches the threshold.
    """

    change: str
    score: float
    iou: float
    found: bool

    def to_dict(self) -> dict[str, Any]:
        return {
            "change": self.change,
            "found": self.found,
            "score": None if self.score < 0 else self.score,
            "iou": self.iou,
        }


def crop_window(box: np.ndarray, times: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(x1, y1, x2, y2) of a crop `times` the object's sides, at least 16 pixels, moved into the picture,
    never larger than it.
    """
    out = []
    for low, high, limit in ((box[0], box[2], size[0]), (box[1], box[3], size[1])):
        side = int(min(limit, max(16, round(float(high - low) * times))))
        start = int(np.clip(round(float(low + high) / 2 - side / 2), 0, limit - side))
        out.append((start, start + side))
    return out[0][0], out[1][0], out[0][1], out[1][1]


def stretched(image: np.ndarray) -> np.ndarray:
    """The picture with each channel's 1st and 99th percentile drawn apart to 0 and 255; a flat channel stays
    as it is.
    """
    low, high = np.percentile(image, (1, 99), axis=(0, 1))
    flat = high - low < 1
    low, scale = np.where(flat, 0, low), np.where(flat, 1, 255 / np.maximum(high - low, 1))
    return np.clip((image - low) * scale, 0, 255).astype(np.uint8)


def quarters(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """Four windows (x1, y1, x2, y2) of 5/8 of each side, one in each corner: they overlap by a quarter of the
    picture.
    """
    w, h = (max(1, -(-5 * side // 8)) for side in size)
    return [(x, y, x + w, y + h) for y in (0, size[1] - h) for x in (0, size[0] - w)]


def enlarged(detect: Detect, image: np.ndarray, iou_threshold: float = 0.5) -> Detections:
    """The picture seen at 1.6 times the size each way: four overlapping quarters besides the whole, put
    together by class-wise NMS.

    Networks have a fixed input; showing them the quarters is the larger input they can take, at five times
    the cost. Boxes that a quarter's inner edge cuts (within 2 pixels) are left to the others.
    """
    size = image.shape[1], image.shape[0]
    windows = quarters(size)
    whole, *parts = detect(
        [image, *(np.ascontiguousarray(image[y1:y2, x1:x2]) for x1, y1, x2, y2 in windows)]
    )
    boxes, scores, classes = [whole.xyxy], [whole.scores], [whole.class_ids]
    for (x1, y1, x2, y2), found in zip(windows, parts):
        moved = found.xyxy + np.float32([x1, y1, x1, y1])
        inner = [
            (x1 > 0) & (moved[:, 0] <= x1 + 2),
            (y1 > 0) & (moved[:, 1] <= y1 + 2),
            (x2 < size[0]) & (moved[:, 2] >= x2 - 2),
            (y2 < size[1]) & (moved[:, 3] >= y2 - 2),
        ]
        keep = ~np.any(inner, axis=0)
        boxes.append(moved[keep])
        scores.append(found.scores[keep])
        classes.append(found.class_ids[keep])
    xyxy, score, class_ids = np.concatenate(boxes), np.concatenate(scores), np.concatenate(classes)
    kept: list[int] = []
    for k in np.argsort(-score, kind="stable").tolist():
        rivals = [j for j in kept if class_ids[j] == class_ids[k]]
        if not rivals or iou(xyxy[rivals], xyxy[k][None])[:, 0].max() <= iou_threshold:
            kept.append(k)
    return Detections(clip(xyxy[kept], size), score[kept], class_ids[kept], size)


def hidden(image: np.ndarray, box: np.ndarray, neighbours: np.ndarray) -> np.ndarray | None:
    """The picture with the neighbours [N, 4] filled by its mean colour, the object's own pixels kept; None
    without any.
    """
    if not len(neighbours):
        return None
    out = image.copy()
    for x1, y1, x2, y2 in np.round(neighbours).astype(int):
        out[y1:y2, x1:x2] = image.mean(axis=(0, 1)).astype(np.uint8)
    x1, y1, x2, y2 = np.round(box).astype(int)
    out[y1:y2, x1:x2] = image[y1:y2, x1:x2]
    return out


def retry(
    detect: Detect,
    image: np.ndarray,
    box: np.ndarray,
    class_id: int,
    *,
    threshold: float = 0.5,
    bound: float = 0.5,
    others: np.ndarray | None = None,
) -> list[Retry]:
    """The object looked for in changed pictures, the surest first; crops that would be the whole picture are
    left out.

    Args:
        detect: pictures -> Detections.
        image: RGB uint8 [H, W, 3]; box: float [4], the object; class_id: its class, **as the detector
            counts**.
        threshold, bound: the confidence threshold, and the IoU from which a detection fits.
        others: float [N, 4], the other objects of the picture; those that overlap the object are hidden.
    """
    size = image.shape[1], image.shape[0]
    box = clip(box, size)[0]
    pictures: list[tuple[str, np.ndarray, tuple[int, int]]] = []
    for times in CROPS:
        x1, y1, x2, y2 = crop_window(box, times, size)
        if (x2 - x1, y2 - y1) != size:
            pictures.append(
                (
                    f"a crop of {x2 - x1}×{y2 - y1} pixels around it",
                    np.ascontiguousarray(image[y1:y2, x1:x2]),
                    (x1, y1),
                )
            )
    pictures.append(("contrast stretched", stretched(image), (0, 0)))
    others = np.zeros((0, 4)) if others is None else clip(others, size)
    near = others[(iou(others, box)[:, 0] > 0) & (area(others) < 0.5 * size[0] * size[1])]
    if (covered := hidden(image, box, near)) is not None:
        pictures.append((f"{len(near)} neighbour{'s' if len(near) > 1 else ''} hidden", covered, (0, 0)))
    out = []
    answers = [*detect([p for _, p, _ in pictures]), enlarged(detect, image)]
    pictures.append(("1.6 times the input size (in overlapping quarters)", image, (0, 0)))
    for (change, _, (x, y)), found in zip(pictures, answers):
        mine = found.of_classes([class_id])
        overlap = iou(mine.xyxy + np.float32([x, y, x, y]), box)[:, 0]
        fits = np.flatnonzero(overlap >= bound)
        best = int(fits[np.argmax(mine.scores[fits])]) if len(fits) else -1
        score = float(mine.scores[best]) if best >= 0 else -1.0
        out.append(
            Retry(
                change,
                score,
                float(overlap[best]) if best >= 0 else 0.0,
                bool(score >= np.float32(threshold)),
            )
        )
    return sorted(out, key=lambda a: -a.score)
