"""The reference augmentations, pixels and boxes together: horizontal flip and two random crops.

The rules are those of the TF2 Object Detection API's preprocessor, the crop window that of
`tf.image.sample_distorted_bounding_box`; only the random numbers differ. Every function takes its own
`numpy.random.Generator`, so that one sample's augmentation depends on nothing but its seed.

Boxes here are normalised (ymin, xmin, ymax, xmax) of the image at hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detector.errors import ConfigError

# of ssd_random_crop: one of these seven is drawn, for min_object_covered and overlap_thresh alike
SSD_CROP_OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
MAX_ATTEMPTS = 100


@dataclass(frozen=True, eq=False)
class Labelled:
    """One picture with its boxes while it is being augmented.

    Args:
        image: [H, W, 3], any dtype; may be a view.
        boxes: float32 [N, 4] normalised (ymin, xmin, ymax, xmax) in 0..1.
        rows: int [N], the row of each box in the picture's own annotation; boxes that a crop removed are
            missing.
    """

    image: np.ndarray
    boxes: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, boxes: np.ndarray) -> Labelled:
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        return cls(image, boxes, np.arange(len(boxes)))


Augmentation = Callable[[Labelled, np.random.Generator], Labelled]


def flip_horizontally(sample: Labelled) -> Labelled:
    """Left and right exchanged; its own inverse."""
    y1, x1, y2, x2 = sample.boxes.T
    flipped = np.stack([y1, np.float32(1) - x2, y2, np.float32(1) - x1], axis=1)
    return Labelled(sample.image[:, ::-1], flipped, sample.rows)


def random_horizontal_flip(sample: Labelled, rng: np.random.Generator, probability: float = 0.5) -> Labelled:
    return flip_horizontally(sample) if rng.random() < probability else sample


def _draw_window(
    width: int, height: int, area: tuple[float, float], aspect: float, rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """A window (y, x, h, w) in pixels with this width/height ratio and an area in this range, or None."""
    low, high = (a * width * height for a in area)
    h = round(math.sqrt(low / aspect))
    tallest = round(math.sqrt(high / aspect))
    if round(tallest * aspect) > width:
        tallest = int((width + 0.5 - 1e-7) / aspect)
        if round(tallest * aspect) > width:
            tallest -= 1
    tallest = min(tallest, height)
    h = int(rng.integers(h, tallest + 1)) if h < tallest else tallest
    w = round(h * aspect)
    # Rounding may have moved the area just outside its range: one pixel taller, then one shorter, then give
    # up.
    if h * w < low:
        h += 1
        w = round(h * aspect)
    if h * w > high:
        h -= 1
        w = round(h * aspect)
    if not (low <= h * w <= high and 0 < w <= width and 0 < h <= height):
        return None
    y = int(rng.integers(height - h)) if h < height else 0
    x = int(rng.integers(width - w)) if w < width else 0
    return y, x, h, w


def sample_window(
    image_size: tuple[int, int],
    boxes: np.ndarray,
    rng: np.random.Generator,
    *,
    min_object_covered: float,
    aspect_ratio: tuple[float, float],
    area: tuple[float, float],
) -> tuple[int, int, int, int]:
    """A crop window (y, x, height, width) in pixels that covers at least one object well enough.

    Follows tf.image.sample_distorted_bounding_box with 100 attempts: the aspect ratio (width / height) is
    uniform, the height uniform among those that keep the area (a share of the image) in its range, the
    place uniform; a window is good once it covers at least `min_object_covered` of any one object. Without
    objects the whole image counts as one; without success the window is the whole image.

    Args:
        image_size: (W, H) in pixels.
        boxes: float [N, 4] normalised (ymin, xmin, ymax, xmax).
    """
    width, height = image_size
    whole = (0, 0, height, width)
    # The reference truncates the objects to whole pixels and leaves those of less than one pixel aside.
    pixels = (np.clip(boxes, 0, 1) * np.array([height, width, height, width], np.float32)).astype(np.int64)
    if not len(boxes):
        pixels = np.array([[0, 0, height, width]])
    object_area = np.maximum(pixels[:, 2] - pixels[:, 0], 0) * np.maximum(pixels[:, 3] - pixels[:, 1], 0)
    pixels, object_area = pixels[object_area >= 1], object_area[object_area >= 1]
    for _ in range(MAX_ATTEMPTS):
        window = _draw_window(width, height, area, rng.uniform(*aspect_ratio), rng)
        if window is None or not len(pixels):
            continue
        y, x, h, w = window
        tall = np.minimum(pixels[:, 2], y + h) - np.maximum(pixels[:, 0], y)
        wide = np.minimum(pixels[:, 3], x + w) - np.maximum(pixels[:, 1], x)
        covered = np.maximum(tall, 0) * np.maximum(wide, 0) / object_area
        if (covered >= min_object_covered).any():
            return window
    return whole


def crop_to(sample: Labelled, window: tuple[int, int, int, int], overlap_thresh: float) -> Labelled:
    """The part of a picture in a window (y, x, height, width), boxes re-framed and clipped to it.

    A box is dropped when it lies outside, or when the part inside is less than `overlap_thresh` of its area.
    """
    y, x, h, w = window
    height, width = sample.image.shape[:2]
    frame = np.array([y / height, x / width, (y + h) / height, (x + w) / width], np.float32)
    boxes = sample.boxes
    inside = (
        (boxes[:, 0] < frame[2])
        & (boxes[:, 2] > frame[0])
        & (boxes[:, 1] < frame[3])
        & (boxes[:, 3] > frame[1])
    )
    tall = np.maximum(np.minimum(boxes[:, 2], frame[2]) - np.maximum(boxes[:, 0], frame[0]), 0)
    wide = np.maximum(np.minimum(boxes[:, 3], frame[3]) - np.maximum(boxes[:, 1], frame[1]), 0)
    box_area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    # As in the reference a box without area divides 0 by 0, which is never >= the threshold: it is dropped.
    share = np.divide(tall * wide, box_area, out=np.full(len(boxes), -1, np.float32), where=box_area > 0)
    keep = inside & (share >= np.float32(overlap_thresh))
    origin, size = np.tile(frame[:2], 2), np.tile(frame[2:] - frame[:2], 2)
    cropped = np.clip((boxes[keep] - origin) / size, 0, 1)
    return Labelled(sample.image[y : y + h, x : x + w], cropped, sample.rows[keep])


def random_crop_image(
    sample: Labelled,
    rng: np.random.Generator,
    *,
    min_object_covered: float = 1.0,
    aspect_ratio: tuple[float, float] = (0.75, 1.33),
    area: tuple[float, float] = (0.1, 1.0),
    overlap_thresh: float = 0.3,
    keep_original: float = 0.0,
) -> Labelled:
    """A random window of the picture. Defaults are the reference's; the zoo's FPN models set others
    (`zoo_crop`).

    Args:
        keep_original: probability of leaving the picture as it is (`random_coef` in pipeline.config).
    """
    if keep_original > 0 and rng.random() <= keep_original:
        return sample
    height, width = sample.image.shape[:2]
    window = sample_window(
        (width, height),
        sample.boxes,
        rng,
        min_object_covered=min_object_covered,
        aspect_ratio=aspect_ratio,
        area=area,
    )
    return crop_to(sample, window, overlap_thresh)


def ssd_random_crop(sample: Labelled, rng: np.random.Generator) -> Labelled:
    """One of seven settings, each cropping with probability 0.85 (SSD MobileNetV2's augmentation)."""
    overlap = SSD_CROP_OVERLAPS[int(rng.integers(len(SSD_CROP_OVERLAPS)))]
    return random_crop_image(
        sample,
        rng,
        min_object_covered=overlap,
        aspect_ratio=(0.5, 2.0),
        area=(0.1, 1.0),
        overlap_thresh=overlap,
        keep_original=0.15,
    )


def zoo_crop(sample: Labelled, rng: np.random.Generator) -> Labelled:
    """random_crop_image as the zoo's FPNLite and RetinaNet configs set it: at least three quarters of the
    picture.
    """
    return random_crop_image(
        sample, rng, min_object_covered=0.0, aspect_ratio=(0.75, 3.0), area=(0.75, 1.0), overlap_thresh=0.0
    )


AUGMENTATIONS: dict[str, Augmentation] = {
    "random_horizontal_flip": random_horizontal_flip,
    "random_crop_image": zoo_crop,
    "ssd_random_crop": ssd_random_crop,
}


def compose(names: Sequence[str]) -> Augmentation:
    """The named augmentations one after the other, all drawing from one generator.

    Raises:
        ConfigError: an unknown name.
    """
    unknown = [name for name in names if name not in AUGMENTATIONS]
    if unknown:
        raise ConfigError(f"augment: {unknown[0]!r} is not known; known are {', '.join(AUGMENTATIONS)}.")
    steps = [AUGMENTATIONS[name] for name in names]

    def apply(sample: Labelled, rng: np.random.Generator) -> Labelled:
        for step in steps:
            sample = step(sample, rng)
        return sample

    return apply
