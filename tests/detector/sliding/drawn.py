"""Small patches and pictures whose object is easy to tell: a bright bar with two dark wheels, 28x20
pixels.
"""

from __future__ import annotations

import numpy as np

from detector.training.sliding.patches import Patches
from detector.training.sliding.recipe import SlidingRecipe

SIZE = (28, 20)  # (W, H)
QUICK = SlidingRecipe(
    class_name="bar",
    widths=(4, 6),
    dense=12,
    steps=14,
    batch_size=16,
    rounds=2,
    mosaics=3,
    hard_negatives=50,
    held_out=0.25,
    evaluate_every=5,
    checkpoint_every=3,
    seed=5,
    window_widths=(28.0, 40.0),
    learning_rate=0.01,
    shift=1.0,
    label_smoothing=0.05,
)


def ground(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Grey with a slope and noise, uint8."""
    slope = (
        np.linspace(0, rng.uniform(-30, 30), width)[None, :]
        + np.linspace(0, rng.uniform(-30, 30), height)[:, None]
    )
    return np.clip(110 + slope + rng.normal(0, 12, (height, width)), 0, 255).astype(np.uint8)


def put_bar(image: np.ndarray, x: int, y: int) -> None:
    """Draw the object into a window of `SIZE` whose corner is (x, y)."""
    image[y + 5 : y + 12, x + 3 : x + 25] = 235
    for wheel in (6, 18):
        image[y + 11 : y + 16, x + wheel : x + wheel + 5] = 15


def drawn_patches(objects: int = 24, others: int = 26, seed: int = 3) -> Patches:
    rng = np.random.default_rng(seed)
    width, height = SIZE
    patches = [ground(rng, height, width) for _ in range(objects + others)]
    for patch in patches[:objects]:
        put_bar(patch, 0, 0)
    for patch in patches[objects::2]:  # half of the backgrounds hold a part of the object, upside down
        patch[8:13, 5:20] = 235
    return Patches(np.stack(patches), np.repeat([1, 0], [objects, others]).astype(np.int32))


def scene(places: list[tuple[int, int]], size: tuple[int, int] = (97, 61), seed: int = 0) -> np.ndarray:
    """RGB uint8 of (W, H) with objects at these corners."""
    image = ground(np.random.default_rng(seed), size[1], size[0])
    for x, y in places:
        put_bar(image, x, y)
    return np.repeat(image[..., None], 3, axis=2)
