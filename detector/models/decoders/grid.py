"""The cells of a feature pyramid: how many there are for an input size, and where each lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRIDES = ((8, 16, 32), (8, 16, 32, 64))
"""Three levels, as nearly all YOLOs have them, and four (P6 networks)."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A row per cell and repetition, finest level first, rows of the image first.

    Args:
        strides: pixels of the input per cell, of each level.
        repeats: rows per cell of a level before the next (3 anchors: all cells of the first anchor, then the
            second's).
        levels: int32 [A]; corners: float32 [A, 2], x and y of each cell's top left, in cells.
        stride: float32 [A, 1], of each row.
    """

    strides: tuple[int, ...]
    repeats: int
    levels: np.ndarray
    corners: np.ndarray
    stride: np.ndarray

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def cells(self) -> np.ndarray:
        """float32 [A, 4], xyxy in pixels of the input."""
        low = self.corners * self.stride
        return np.concatenate([low, low + self.stride], axis=1)


def count(size: tuple[int, int], strides: tuple[int, ...]) -> int:
    """Cells of an input (W, H) over all levels; a side that a stride does not divide is rounded up."""
    return sum(-(-size[0] // s) * -(-size[1] // s) for s in strides)


def find(size: tuple[int, int], rows: int, repeats: int = 1) -> Grid | None:
    """The grid of an input (W, H) that has this many rows, or None."""
    for strides in STRIDES:
        if rows == repeats * count(size, strides):
            return make(size, strides, repeats)
    return None


def make(size: tuple[int, int], strides: tuple[int, ...], repeats: int = 1) -> Grid:
    """The grid of an input (W, H)."""
    levels, corners, stride = [], [], []
    for level, s in enumerate(strides):
        y, x = np.mgrid[: -(-size[1] // s), : -(-size[0] // s)]
        cells = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
        corners.append(np.tile(cells, (repeats, 1)))
        levels.append(np.full(len(corners[-1]), level, np.int32))
        stride.append(np.full((len(corners[-1]), 1), s, np.float32))
    return Grid(strides, repeats, np.concatenate(levels), np.concatenate(corners), np.concatenate(stride))
