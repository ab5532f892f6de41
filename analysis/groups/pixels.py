"""Brightness, contrast, sharpness and colour of each object's crop: one look at every picture, kept with the
run.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detector.errors import ImageError
from detector.paths import write_atomically

MEASURES = ("brightness", "contrast", "sharpness", "colour")
LOOK = "look"
LOOK_SIZE = 112
"""Numbers that describe how a crop looks: colours on a grid of 4 x 4, and strengths of four edge directions
on it.
"""
FILE = "object_pixels.npz"
CROP = 64


def measure_crop(crop: np.ndarray) -> tuple[float, float, float, float]:
    """(brightness, contrast, sharpness, colour) of an RGB uint8 crop [H, W, 3]; NaN for an empty one.

    brightness: mean luma, 0..255; contrast: its standard deviation; sharpness: variance of the Laplacian at a
    common size, which a blurred crop lacks; colour: mean saturation, 0..255.
    """
    if not crop.size:
        return (float("nan"),) * 4
    small = cv2.resize(crop, (CROP, CROP), interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    saturation = cv2.cvtColor(small, cv2.COLOR_RGB2HSV)[:, :, 1]
    sharp = float(np.log1p(cv2.Laplacian(grey, cv2.CV_64F).var()))
    return float(grey.mean()), float(grey.std()), sharp, float(saturation.mean())


def describe_crop(crop: np.ndarray) -> np.ndarray:
    """float32 [112], how an RGB uint8 crop [H, W, 3] looks: 48 mean colours in 0..1 and 64 edge strengths
    that sum to 1; NaN for an empty one."""
    if not crop.size:
        return np.full(LOOK_SIZE, np.nan, np.float32)
    small = cv2.resize(crop, (CROP, CROP), interpolation=cv2.INTER_AREA)
    colours = cv2.resize(small, (4, 4), interpolation=cv2.INTER_AREA).astype(np.float32).ravel() / 255
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, dx, 1 - dx) for dx in (1, 0))
    strength = np.hypot(across, down)
    direction = ((np.arctan2(down, across) % np.pi) / (np.pi / 4)).astype(int) % 4
    block = np.arange(CROP) // (CROP // 4)
    cell = block[:, None] * 4 + block
    edges = np.bincount((cell * 4 + direction).ravel(), weights=strength.ravel(), minlength=64)
    return np.concatenate([colours, edges / max(float(edges.sum()), 1e-6)]).astype(np.float32)


def object_pixels(
    run: Any, progress: Callable[[int, int], None] | None = None, workers: int = 4
) -> dict[str, np.ndarray]:
    """The four measures of each object of the run, float64 [M], and its look, float32 [M, 112]; NaN where the
    picture cannot be read.

    Kept in the run's folder, so a second call opens no picture.
    """
    path = None if run.path is None else Path(run.path) / FILE
    m = len(run.truth.rows)
    if path is not None and path.is_file():
        with np.load(path) as kept:
            if set(kept.files) == {*MEASURES, LOOK} and len(kept[LOOK]) == m:
                return {name: kept[name] for name in kept.files}
    looks = np.full((m, LOOK_SIZE), np.nan, np.float32)
    table = np.full((m, len(MEASURES)), np.nan)
    images = np.unique(run.truth.rows).tolist()

    def look(i: int) -> None:
        places = range(int(run.truth_offsets[i]), int(run.truth_offsets[i + 1]))
        try:
            picture = run.load_image(i)
        except ImageError:
            return
        for place in places:
            x1, y1, x2, y2 = run.truth.xyxy[place]
            crop = picture[max(0, int(y1)) : int(np.ceil(y2)), max(0, int(x1)) : int(np.ceil(x2))]
            table[place], looks[place] = measure_crop(crop), describe_crop(crop)

    with ThreadPoolExecutor(workers) as pool:
        for n, _ in enumerate(pool.map(look, images), 1):
            if progress is not None:
                progress(n, len(images))
    columns = {name: table[:, j] for j, name in enumerate(MEASURES)} | {LOOK: looks}
    if path is not None:
        content = io.BytesIO()
        np.savez_compressed(content, **columns)
        write_atomically(path, content.getvalue())
    return columns


def kept_pixels(run: Any) -> dict[str, np.ndarray] | None:
    """The measures where they were taken before, else None."""
    if run.path is None or not (Path(run.path) / FILE).is_file():
        return None
    return object_pixels(run)
