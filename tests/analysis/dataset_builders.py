"""Small data sets for the tests of figures and findings; pictures in memory unless a folder is given."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable


def table(
    objects,
    *,
    names=("car", "dog"),
    sizes=((200, 100),),
    splits=None,
    labelled=None,
    problems=(),
    format="test",
    files=None,
    external_ids=(),
    flags=None,
) -> Dataset:
    """objects: (image, class id, x1, y1, x2, y2); one image a size; `flags` {"crowd": [bool, ...], ...}."""
    n = len(sizes)
    rows, classes, boxes = [o[0] for o in objects], [o[1] for o in objects], [o[2:] for o in objects]
    return Dataset(
        name="small",
        format=format,
        source="small.json",
        class_map=ClassMap(tuple(names), tuple(external_ids)),
        sample_ids=[f"im{i}" for i in range(n)],
        files=files or [""] * n,
        sizes=np.array(sizes).reshape(-1, 2),
        labelled=np.ones(n, bool) if labelled is None else labelled,
        objects=ObjectTable.build(rows, np.array(boxes, np.float32).reshape(-1, 4), classes, **(flags or {})),
        splits=splits,
        problems=problems,
        loader=None if files else lambda i: scene(i, sizes[i]),
        place=lambda k: ("small.json", 10 + k),
    )


def scene(seed: int, size=(90, 60)) -> np.ndarray:
    """A drawn picture of its own: coloured blobs on a slope of grey, RGB uint8 [H, W, 3]."""
    rng, (width, height) = np.random.default_rng(seed), size
    slope = np.linspace(60, 190, width)[None, :] * np.ones((height, 1))
    image = np.repeat(slope[:, :, None], 3, axis=2).astype(np.uint8)
    for _ in range(9):
        centre = int(rng.integers(0, width)), int(rng.integers(0, height))
        cv2.circle(
            image,
            centre,
            int(rng.integers(height // 10 + 1, height // 4 + 2)),
            tuple(int(v) for v in rng.integers(0, 256, 3)),
            -1,
        )
    return image


def write(path: Path, rgb: np.ndarray, quality: int = 95) -> Path:
    """As JPEG, PNG or BMP by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return path
