"""Generated tables of the sizes that count: COCO val2017 with 100 detections per image, COCO train2017."""

from __future__ import annotations

import numpy as np

from analysis.runs.in_memory import run_from_tables
from analysis.runs.tables import DetectionTable
from detector.core import ClassMap
from detector.data.dataset import ObjectTable
from tests.benchmarks.table import scaled

IMAGES, OBJECTS, DETECTIONS = scaled(5_000), scaled(36_000), scaled(500_000)


def big_run(
    images: int = IMAGES,
    objects: int = OBJECTS,
    detections: int = DETECTIONS,
    classes: int = 80,
    seed: int = 0,
):
    """A run-like value: two detections in five lie near an object, the rest anywhere."""
    rng = np.random.default_rng(seed)
    size = np.float32([640, 480])

    def boxes(n):
        low = rng.random((n, 2)) * (size - 20)
        extent = np.exp(rng.normal(4, 0.9, (n, 2)))
        return np.concatenate([low, np.minimum(low + np.maximum(extent, 4), size)], axis=1)

    rows = np.sort(rng.integers(0, images, objects))
    weights = 1 / np.arange(1, classes + 1)
    kinds = rng.choice(classes, objects, p=weights / weights.sum())
    truth = ObjectTable.build(
        rows, boxes(objects), kinds, ids=np.arange(1, objects + 1), crowd=rng.random(objects) < 0.012
    )
    near = rng.random(detections) < 0.4
    partner = rng.integers(0, objects, detections)
    det_rows = np.where(near, truth.rows[partner], rng.integers(0, images, detections))
    shape = truth.xyxy[partner]
    jitter = rng.normal(0, 0.1, (detections, 4)) * np.tile(shape[:, 2:] - shape[:, :2], 2)
    xyxy = np.where(near[:, None], shape + jitter, boxes(detections))
    xyxy = np.clip(xyxy, 0, np.tile(size, 2))
    xyxy[:, 2:] = np.maximum(xyxy[:, 2:], xyxy[:, :2])
    det_kinds = np.where(
        near & (rng.random(detections) < 0.9), truth.class_ids[partner], rng.integers(0, classes, detections)
    )
    scores = np.where(near, rng.beta(2, 3, detections), rng.beta(1, 12, detections))
    table = DetectionTable.build(det_rows, xyxy, scores, det_kinds, count=images)
    return run_from_tables(
        ClassMap(tuple(f"class {k}" for k in range(classes))),
        [str(i) for i in range(images)],
        np.tile(np.int32([640, 480]), (images, 1)),
        truth,
        table,
        floor=0.01,
    )
