"""Augmentation of a picture with one box: crop, zoom, mirror and colour. Each draws from the generator it is
given.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detector.training.two_head.recipe import TwoHeadRecipe
from detector.two_head.frames import Frame, fitted

TRIES = 20  # windows drawn before the picture is taken whole
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True)
class Shown:
    """What the network gets: uint8 [h, w, 3], and the box float32 [4] xyxy as shares of it, clipped to
    0..1.
    """

    pixels: np.ndarray
    box: np.ndarray


def random_window(
    image_size: tuple[int, int],
    box: np.ndarray | None,
    rng: np.random.Generator,
    *,
    crop: float,
    zoom_out: float,
    min_visible: float,
) -> tuple[float, float, float, float]:
    """A window of a picture of (W, H): each side moved in by up to `crop` or out by up to `zoom_out` of the
    picture.

    Each side is drawn on its own, so place, size and shape of the object all change. Drawn again until at
    least `min_visible` of the box's area lies inside; after `TRIES` the whole picture. Without a box the
    first is taken.
    """
    width, height = image_size
    for _ in range(TRIES):
        left, top, right, bottom = rng.uniform(-zoom_out, crop, 4)
        window = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
        if box is None:
            return window
        wide = min(box[2], window[2]) - max(box[0], window[0])
        tall = min(box[3], window[3]) - max(box[1], window[1])
        area = (box[2] - box[0]) * (box[3] - box[1])
        if wide > 0 and tall > 0 and wide * tall >= min_visible * area:
            return window
    return (0, 0, width, height)


def mirrored(shown: Shown) -> Shown:
    """Left and right exchanged; its own inverse."""
    x1, y1, x2, y2 = shown.box
    return Shown(shown.pixels[:, ::-1], np.array([1 - x2, y1, 1 - x1, y2], np.float32))


def recoloured(pixels: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Brightness, contrast and saturation each times a factor in 1 - strength .. 1 + strength."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, 3).astype(np.float32)
    values = pixels.astype(np.float32) * brightness
    grey = cv2.transform(values, LUMINANCE[None])[..., None]
    values = grey + (values - grey) * saturation
    mean = float(grey.mean())
    return np.clip(np.rint(mean + (values - mean) * contrast), 0, 255).astype(np.uint8)


def augmented(
    image: np.ndarray, box: np.ndarray | None, recipe: TwoHeadRecipe, rng: np.random.Generator
) -> Shown:
    """A picture and its box as a training step sees them.

    Args:
        image: RGB uint8 [H, W, 3]; box: float [4] xyxy in its pixels, or None where only the class counts.
    """
    height, width = image.shape[:2]
    window = random_window(
        (width, height), box, rng, crop=recipe.crop, zoom_out=recipe.zoom_out, min_visible=recipe.min_visible
    )
    if recipe.resize == "letterbox":
        window = fitted(window, recipe.input_size)
    frame = Frame(window, recipe.input_size)
    shares = np.array([0, 0, 1, 1]) if box is None else np.clip(frame.to_input(box), 0, 1)
    shown = Shown(frame.pixels(image), shares.astype(np.float32))
    if recipe.flip and rng.random() < 0.5:
        shown = mirrored(shown)
    if recipe.colour:
        shown = Shown(recoloured(shown.pixels, rng, recipe.colour), shown.box)
    return shown
