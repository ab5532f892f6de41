"""Four pictures with known objects, drawn for the tests: rectangles, ellipses and triangles on texture."""

from __future__ import annotations

import cv2
import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable

CLASSES = ClassMap(("box", "disc", "wedge"))

# (class, x1, y1, x2, y2) of each object, for a canvas of 200 x 160
SCENES = (
    ((0, 20, 30, 80, 100), (1, 110, 60, 180, 130)),
    ((1, 15, 15, 75, 65), (2, 90, 40, 180, 140)),
    ((2, 30, 50, 110, 130), (0, 130, 20, 185, 70)),
    ((0, 60, 20, 150, 80), (1, 20, 95, 90, 150), (2, 120, 95, 190, 152)),
)
COLOURS = ((220, 40, 40), (40, 200, 60), (60, 80, 230))


def draw(scene: tuple, size: tuple[int, int] = (200, 160), seed: int = 0) -> np.ndarray:
    """RGB uint8 [H, W, 3]."""
    width, height = size
    noise = np.random.default_rng(seed).integers(90, 150, (height // 4, width // 4, 3), dtype=np.uint8)
    image = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    for kind, x1, y1, x2, y2 in scene:
        colour = COLOURS[kind]
        if kind == 0:
            cv2.rectangle(image, (x1, y1), (x2 - 1, y2 - 1), colour, -1)
        elif kind == 1:
            cv2.ellipse(
                image,
                ((x1 + x2) // 2, (y1 + y2) // 2),
                ((x2 - x1) // 2, (y2 - y1) // 2),
                0,
                0,
                360,
                colour,
                -1,
            )
        else:
            cv2.fillPoly(image, [np.array([[(x1 + x2) // 2, y1], [x2, y2], [x1, y2]])], colour)
    return image


def drawn_dataset(scenes: tuple = SCENES, name: str = "drawn", **changes) -> Dataset:
    """The scenes as a labelled data set in memory."""
    images = [draw(scene, seed=i) for i, scene in enumerate(scenes)]
    rows = [i for i, scene in enumerate(scenes) for _ in scene]
    objects = [o for scene in scenes for o in scene]
    table = ObjectTable.build(rows, [o[1:] for o in objects] or np.zeros((0, 4)), [o[0] for o in objects])
    settings = {
        "name": name,
        "format": "memory",
        "source": "",
        "class_map": CLASSES,
        "sample_ids": [f"{name} {i}" for i in range(len(scenes))],
        "files": [""] * len(scenes),
        "sizes": np.tile([200, 160], (len(scenes), 1)),
        "objects": table,
        "loader": lambda i: images[i],
    }
    return Dataset(**(settings | changes))
