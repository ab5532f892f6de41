"""Anchor boxes: the fixed boxes that the network's answers are offsets from.

float32, normalised [ymin, xmin, ymax, xmax] of the network's input, never clipped. Order: levels fine to
coarse, rows, columns, and the anchor types of a cell fastest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detector.ssd.config import MultiscaleAnchors, SSDAnchors, SSDConfig


@dataclass(frozen=True, eq=False)
class Anchors:
    """All anchors of a network.

    Args:
        boxes: float32 [A, 4], normalised yxyx, may reach outside 0..1.
        levels: int32 [A], index of the feature map, 0 the finest.
        cells: int32 [A, 3], (row, column, type) within its level.
    """

    boxes: np.ndarray
    levels: np.ndarray
    cells: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)


def anchors(config: SSDConfig) -> Anchors:
    """The anchors of a network; bit-equal to the reference's for the three zoo configs."""
    grids = config.grids()
    if isinstance(config.anchors, MultiscaleAnchors):
        per_level = [_multiscale_level(config.anchors, i, grid, config) for i, grid in enumerate(grids)]
    else:
        per_level = [_ssd_level(config.anchors, i, grid, config) for i, grid in enumerate(grids)]
    levels, cells = [], []
    for i, ((rows, columns), boxes) in enumerate(zip(grids, per_level)):
        levels.append(np.full(len(boxes), i, np.int32))
        types = len(boxes) // (rows * columns)
        cells.append(np.stack(np.unravel_index(np.arange(len(boxes)), (rows, columns, types)), axis=1))
    return Anchors(np.concatenate(per_level), np.concatenate(levels), np.concatenate(cells).astype(np.int32))


def _tile(
    grid: tuple[int, int], heights: np.ndarray, widths: np.ndarray, stride: tuple, offset: tuple
) -> np.ndarray:
    """Every box size at every cell centre: float32 [rows * columns * types, 4] yxyx, all in float32 steps."""
    f = np.float32
    y = np.arange(grid[0], dtype=f) * f(stride[0]) + f(offset[0])
    x = np.arange(grid[1], dtype=f) * f(stride[1]) + f(offset[1])
    centre = np.stack(
        np.broadcast_arrays(y[:, None, None], x[None, :, None], heights[None, None, :])[:2], axis=-1
    )
    half = f(0.5) * np.stack([heights, widths], axis=-1)
    return np.concatenate([centre - half, centre + half], axis=-1).reshape(-1, 4)


def _sizes(scales: np.ndarray, ratios: np.ndarray, base: tuple) -> tuple[np.ndarray, np.ndarray]:
    root = np.sqrt(ratios)
    return scales / root * np.float32(base[0]), scales * root * np.float32(base[1])


def ssd_types(spec: SSDAnchors, level: int) -> list[tuple[float, float]]:
    """(scale, aspect ratio) of each anchor type of a feature map, in the reference's order."""
    # A config file's floats are float32, and the reference goes on from them in float64.
    low, high = float(np.float32(spec.min_scale)), float(np.float32(spec.max_scale))
    scales = [low + (high - low) * i / (spec.num_layers - 1) for i in range(spec.num_layers)] + [1.0]
    scale = scales[level]
    if level == 0 and spec.reduce_boxes_in_lowest_layer:
        return [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
    types = [(scale, ratio) for ratio in spec.aspect_ratios]
    if spec.interpolated_scale_aspect_ratio > 0:
        types.append((float(np.sqrt(scale * scales[level + 1])), spec.interpolated_scale_aspect_ratio))
    return types


def _ssd_level(spec: SSDAnchors, level: int, grid: tuple[int, int], config: SSDConfig) -> np.ndarray:
    scales, ratios = np.array(ssd_types(spec, level), np.float32).T
    f = np.float32
    # Scales are fractions of the shorter side, so that a ratio of 1 is square in pixels.
    short = f(min(config.height, config.width))
    heights, widths = _sizes(scales, ratios, (short / f(config.height), short / f(config.width)))
    stride = (f(1) / f(grid[0]), f(1) / f(grid[1]))
    return _tile(grid, heights, widths, stride, (f(0.5) * stride[0], f(0.5) * stride[1]))


def multiscale_types(spec: MultiscaleAnchors) -> list[tuple[float, float]]:
    """(octave scale, aspect ratio) of each anchor type: ratio slow, scale fast."""
    octave = [2 ** (i / spec.scales_per_octave) for i in range(spec.scales_per_octave)]
    return [(scale, ratio) for ratio in spec.aspect_ratios for scale in octave]


def grid_offset(side: int, stride: int) -> float:
    """Where the first centre lies, in pixels: half a stride, but 0 where the stride does not divide the
    side.
    """
    return stride / 2 if side % stride == 0 else 0.0


def _multiscale_level(
    spec: MultiscaleAnchors, index: int, grid: tuple[int, int], config: SSDConfig
) -> np.ndarray:
    stride = 2 ** (spec.min_level + index)
    base = spec.anchor_scale * stride
    scales, ratios = np.array(multiscale_types(spec), np.float32).T
    heights, widths = _sizes(scales, ratios, (base, base))
    offset = (grid_offset(config.height, stride), grid_offset(config.width, stride))
    boxes = _tile(grid, heights, widths, (stride, stride), offset)
    f = np.float32
    # Multiplied by the float32 reciprocal, as the reference does: a division differs in the last bit.
    by_height, by_width = f(1) / f(config.height), f(1) / f(config.width)
    return boxes * np.array([by_height, by_width, by_height, by_width], f)
