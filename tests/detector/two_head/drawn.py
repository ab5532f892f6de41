"""Drawn pictures with one coloured rectangle each, held in memory: two classes, red and blue."""

from __future__ import annotations

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.training.two_head.recipe import Stage, TwoHeadRecipe

COLOURS = {"red": (230, 30, 30), "blue": (30, 30, 230)}


def rectangle(
    width: int, height: int, box: tuple[float, float, float, float], colour=(255, 255, 255), ground=0
) -> np.ndarray:
    """A filled box, xyxy in whole pixels, on a plain ground."""
    image = np.full((height, width, 3), ground, np.uint8)
    x1, y1, x2, y2 = (int(v) for v in box)
    image[y1:y2, x1:x2] = colour
    return image


def drawn_pictures(count: int, seed: int = 0) -> Dataset:
    """`count` pictures of 90x70 and 70x90 pixels, half of each class, on a noisy ground."""
    rng = np.random.default_rng(seed)
    images, boxes, sizes = [], [], []
    for i in range(count):
        width, height = ((90, 70), (70, 90))[i % 3 == 0]
        w, h = rng.integers(25, 45, 2)
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        image = rectangle(width, height, (x, y, x + w, y + h), list(COLOURS.values())[i % 2], 120)
        images.append(np.clip(image + rng.normal(0, 12, image.shape), 0, 255).astype(np.uint8))
        boxes.append((x, y, x + w, y + h))
        sizes.append((width, height))
    objects = ObjectTable.build(np.arange(count), np.array(boxes, np.float32), [i % 2 for i in range(count)])
    return Dataset(
        name="drawn",
        format="demo",
        source="drawn",
        class_map=ClassMap(tuple(COLOURS)),
        sample_ids=[f"{i:03d}" for i in range(count)],
        files=[""] * count,
        sizes=np.array(sizes),
        objects=objects,
        loader=lambda i: images[i],
    )


SMALL = TwoHeadRecipe(
    name="drawn",
    backbone="MobileNet",
    alpha=0.25,
    input_size=(64, 32),
    start="none",
    freeze_batchnorm=False,
    class_widths=(8,),
    box_channels=8,
    box_widths=(16,),
    dropout=0.1,
    stages=(Stage(4, 0.3, 0.003), Stage(4, 1.0, 0.002)),
    batch_size=4,
    held_out=5,
    average=0.5,
    flip=True,
    crop=0.2,
    zoom_out=0.1,
    evaluate_every=3,
    checkpoint_every=2,
    workers=2,
    seed=3,
)
