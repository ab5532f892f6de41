"""Box layouts, clipping, area and IoU: the only file that knows a layout other than xyxy pixels."""

from __future__ import annotations

import numpy as np


def _rows(boxes: np.ndarray) -> np.ndarray:
    boxes = np.asarray(boxes)
    if boxes.dtype.kind != "f":
        boxes = boxes.astype(np.float64)
    return boxes.reshape(-1, 4)


def xywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """[x, y, width, height] (COCO) to [x1, y1, x2, y2]. [N, 4], dtype kept."""
    boxes = _rows(boxes)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def xyxy_to_xywh(boxes: np.ndarray) -> np.ndarray:
    boxes = _rows(boxes)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def cxcywh_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """[centre x, centre y, width, height] (YOLO) to [x1, y1, x2, y2], in the units given."""
    boxes = _rows(boxes)
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def xyxy_to_cxcywh(boxes: np.ndarray) -> np.ndarray:
    boxes = _rows(boxes)
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def yxyx_to_xyxy(boxes: np.ndarray) -> np.ndarray:
    """[ymin, xmin, ymax, xmax] (TensorFlow) to [x1, y1, x2, y2]; its own inverse."""
    return _rows(boxes)[:, [1, 0, 3, 2]]


xyxy_to_yxyx = yxyx_to_xyxy


def _wh(image_size: tuple[int, int], dtype) -> np.ndarray:
    width, height = image_size
    return np.array([width, height, width, height], dtype=dtype)


def denormalise(boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """xyxy in 0..1 to xyxy in pixels of an image of size (W, H)."""
    boxes = _rows(boxes)
    return boxes * _wh(image_size, boxes.dtype)


def normalise(boxes: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    boxes = _rows(boxes)
    return boxes / _wh(image_size, boxes.dtype)


def clip(xyxy: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """xyxy moved into the image; a box wholly outside becomes a zero-area box on its border. [N, 4]."""
    boxes = _rows(xyxy)
    return np.clip(boxes, 0, _wh(image_size, boxes.dtype))


def ordered(xyxy: np.ndarray) -> np.ndarray:
    """The same boxes with x1 <= x2 and y1 <= y2: two corners in any order become the box between them. [N,
    4], dtype kept.
    """
    boxes = _rows(xyxy)
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, high], axis=1)


def area(xyxy: np.ndarray) -> np.ndarray:
    """Square pixels, [N]; 0 where x2 < x1 or y2 < y1."""
    boxes = _rows(xyxy)
    return np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0)


def intersection(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Square pixels that every box in `a` [N, 4] shares with every box in `b` [M, 4], float64 [N, M]."""
    a = _rows(a).astype(np.float64)
    b = _rows(b).astype(np.float64)
    # One [N, M] array a side: several times quicker than [N, M, 2] and a product over its last axis, and bit-
    # equal to it.
    sides = [
        np.minimum(a[:, k + 2, None], b[None, :, k + 2]) - np.maximum(a[:, k, None], b[None, :, k])
        for k in (0, 1)
    ]
    return np.maximum(sides[0], 0) * np.maximum(sides[1], 0)


def iou(a: np.ndarray, b: np.ndarray, crowd: np.ndarray | None = None) -> np.ndarray:
    """Intersection over union of every box in `a` [N, 4] with every box in `b` [M, 4].

    Computed in float64. Where `crowd` [M] is True the union is the area of the `a` box alone, so that a
    detection inside a crowd region fits it fully (COCO's rule). Two zero-area boxes have IoU 0.

    Returns:
        float64 [N, M] in 0..1; [0, M] or [N, 0] where a side is empty.
    """
    a = _rows(a).astype(np.float64)
    b = _rows(b).astype(np.float64)
    inter = intersection(a, b)
    area_a, area_b = area(a)[:, None], area(b)[None, :]
    union = area_a + area_b - inter
    if crowd is not None:
        union = np.where(np.asarray(crowd, bool)[None, :], area_a, union)
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def iou_with_few(boxes: np.ndarray, few: np.ndarray) -> np.ndarray:
    """IoU of each of a few boxes [M, 4] with every box [N, 4], float64 [M, N]: as `iou`, bit for bit, and
    several times as quick where hardly any of thousands touch them."""
    boxes, few = _rows(boxes), _rows(few)
    found = np.zeros((len(few), len(boxes)))
    x1, y1, x2, y2 = np.ascontiguousarray(boxes.T)
    for row, box in zip(found, few):
        near = np.flatnonzero((x1 < box[2]) & (x2 > box[0]) & (y1 < box[3]) & (y2 > box[1]))
        row[near] = iou(boxes[near], box)[:, 0]
    return found


def paired_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of row i of `a` with row i of `b`, float64 [N]."""
    a = _rows(a).astype(np.float64)
    b = _rows(b).astype(np.float64)
    size = np.maximum(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0)
    inter = size[:, 0] * size[:, 1]
    union = area(a) + area(b) - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
