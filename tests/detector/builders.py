"""Small data sets made in memory, for tests of detectors."""

from __future__ import annotations

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.testing import patterned

SIZES = ((83, 61), (45, 97), (83, 61), (120, 70))


def small_dataset(
    images: list[np.ndarray] | None = None,
    objects_each: int = 6,
    seed: int = 0,
    known_sizes: bool = True,
    **flags,
) -> Dataset:
    """Four non-square pictures (or those given) with `objects_each` objects of three classes in each."""
    images = [patterned(h, w, i) for i, (w, h) in enumerate(SIZES)] if images is None else images
    rng = np.random.default_rng(seed)
    rows, xyxy = [], []
    for i, image in enumerate(images):
        height, width = image.shape[:2]
        for _ in range(objects_each):
            x, y = rng.uniform(0, width * 0.7), rng.uniform(0, height * 0.7)
            rows.append(i)
            xyxy.append([x, y, x + width * rng.uniform(0.1, 0.3), y + height * rng.uniform(0.1, 0.3)])
    class_ids = rng.integers(0, 3, len(rows))
    sizes = np.array([(i.shape[1], i.shape[0]) for i in images]).reshape(-1, 2)
    return Dataset(
        name="small",
        format="memory",
        source="",
        class_map=ClassMap(("car", "dog", "kite"), (3, 18, 38)),
        sample_ids=[f"s{i}" for i in range(len(images))],
        files=[""] * len(images),
        sizes=sizes if known_sizes else np.zeros_like(sizes),
        objects=ObjectTable.build(rows, xyxy, class_ids, **flags),
        loader=lambda i: images[i],
    )
