"""Drawing with cv2 in metres: a transparent sheet, shapes on it, and light."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

Colour = tuple[float, float, float]
Point = tuple[float, float]


@lru_cache(maxsize=8)
def _tile(octave: int) -> np.ndarray:
    """A float32 [2048, 2048] noise tile of mean 0 and about -1..1, twice the same 1024 pixels each way,
    without a seam; `octave` is the size of its grains in pixels."""
    cells = 1024 // octave
    grid = np.random.default_rng(1000 + octave).standard_normal((cells, cells)).astype(np.float32)
    round_about = np.pad(grid, 2, mode="wrap")
    tile = cv2.resize(round_about, None, fx=octave, fy=octave, interpolation=cv2.INTER_CUBIC)
    edge = 2 * octave
    return np.tile(tile[edge : edge + 1024, edge : edge + 1024] / np.float32(2.0), (2, 2))


def noise(random: np.random.Generator, shape: tuple[int, int], octave: int) -> np.ndarray:
    """Smooth noise float32 [H, W], about -1..1, at a random place of a fixed tile that repeats every 1024."""
    height, width = shape
    dy, dx = (int(v) for v in random.integers(0, 1024, 2))
    tile = _tile(octave)
    if height > 1024 or width > 1024:
        return np.take(
            np.take(tile, np.arange(dy, dy + height) % 1024, axis=0), np.arange(dx, dx + width) % 1024, axis=1
        )
    return tile[dy : dy + height, dx : dx + width]


def vary(random: np.random.Generator, colour: Colour, amount: float = 14) -> Colour:
    """A colour near this one, each channel within `amount` of 0..255 and all three moved together too."""
    together = random.uniform(-amount, amount)
    return tuple(min(255.0, max(0.0, c + together + random.uniform(-amount, amount) / 2)) for c in colour)


def dim(colour: Colour, factor: float) -> Colour:
    """The colour times a factor (below 1 darker), within 0..255."""
    return tuple(min(255.0, max(0.0, c * factor)) for c in colour)


def smooth(points: Sequence[Point], rounds: int = 2) -> list[Point]:
    """A closed outline with its corners cut (Chaikin 1974), each round twice the points."""
    outline = np.asarray(points, np.float64)
    for _ in range(rounds):
        after = np.roll(outline, -1, axis=0)
        outline = np.stack([0.8 * outline + 0.2 * after, 0.2 * outline + 0.8 * after], axis=1).reshape(-1, 2)
    return [tuple(p) for p in outline]


class Sheet:
    """A transparent drawing of `width` x `height` metres, (0, 0) at its lower left, y upwards.

    Shapes overwrite each other in the order drawn, on a grid `over` times finer than the result; `finish`
    shrinks it, which makes the edges soft.
    """

    def __init__(self, width: float, height: float, pixels_per_metre: float):
        self.over = 4 if pixels_per_metre * max(width, height) < 160 else 2
        self.scale = pixels_per_metre * self.over
        self.width, self.height = width, height
        columns = max(self.over, int(np.ceil(width * self.scale / self.over)) * self.over)
        rows = max(self.over, int(np.ceil(height * self.scale / self.over)) * self.over)
        self.pixels = np.zeros((rows, columns, 4), np.uint8)
        self._grain: np.ndarray | None = None

    def _at(self, points: Sequence[Point]) -> np.ndarray:
        p = np.asarray(points, np.float64).reshape(-1, 2) * self.scale
        p[:, 1] = self.pixels.shape[0] - p[:, 1]
        return np.round(p * 16).astype(np.int32)  # 4 fractional bits, as cv2's `shift` asks

    @staticmethod
    def _paint(colour: Colour) -> tuple[float, ...]:
        return (*(float(c) for c in colour), 255.0)

    def area(self, points: Sequence[Point], colour: Colour) -> None:
        cv2.fillPoly(self.pixels, [self._at(points)], self._paint(colour), cv2.LINE_8, 4)

    def box(self, x1: float, y1: float, x2: float, y2: float, colour: Colour, round_corners: int = 0) -> None:
        corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]
        self.area(smooth(corners, round_corners) if round_corners else corners, colour)

    def disc(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float | None,
        colour: Colour,
        angle: float = 0,
        start: float = 0,
        end: float = 360,
    ) -> None:
        """A filled ellipse (or the sector from `start` to `end` degrees, counted clockwise from the
        right).
        """
        centre = tuple(int(v) for v in self._at([(x, y)])[0])
        axes = (
            max(1, round(rx * self.scale * 16)),
            max(1, round((rx if ry is None else ry) * self.scale * 16)),
        )
        cv2.ellipse(self.pixels, centre, axes, angle, start, end, self._paint(colour), -1, cv2.LINE_8, 4)

    def ring(self, x: float, y: float, r: float, thick: float, colour: Colour) -> None:
        centre = tuple(int(v) for v in self._at([(x, y)])[0])
        cv2.circle(
            self.pixels,
            centre,
            max(1, round(r * self.scale * 16)),
            self._paint(colour),
            self._thick(thick),
            cv2.LINE_8,
            4,
        )

    def line(self, points: Sequence[Point], thick: float, colour: Colour) -> None:
        """A stroke with round joints through the points."""
        cv2.polylines(
            self.pixels, [self._at(points)], False, self._paint(colour), self._thick(thick), cv2.LINE_8, 4
        )

    def _thick(self, thick: float) -> int:
        return max(1, round(thick * self.scale))

    def texture(self, random: np.random.Generator, strength: float, metres: float = 0.05) -> None:
        """Darker and lighter patches of about this size over the whole drawing, `strength` as a part of the
        brightness.
        """
        octave = int(2 ** np.clip(round(np.log2(max(1.0, metres * self.scale / self.over))), 0, 6))
        shape = self.pixels.shape[0] // self.over, self.pixels.shape[1] // self.over
        self._grain = 1 + np.float32(strength) * noise(random, shape, octave)

    def finish(self, light: float = 0.5, relief: float = 0.35, mirror: bool = False) -> np.ndarray:
        """RGBA float32 [h, w, 4] (colour 0..255 multiplied by alpha 0..1), lit from the upper left or right.

        Args:
            light: -1 from the left to 1 from the right.
            relief: how much the outline looks rounded, 0..1.
            mirror: turn it to face the other way before lighting.
        """
        rows, columns = self.pixels.shape[0] // self.over, self.pixels.shape[1] // self.over
        # What is not painted is all zero, so shrinking gives colours already multiplied by alpha.
        planes = cv2.split(
            cv2.resize(self.pixels, (columns, rows), interpolation=cv2.INTER_AREA).reshape(rows, columns, 4)
        )
        planes = [plane.astype(np.float32)[:, :: -1 if mirror else 1] for plane in planes]
        alpha = np.ascontiguousarray(planes.pop() / np.float32(255))
        shade = np.linspace(1.07, 0.87, rows, dtype=np.float32)[:, None]
        if relief > 0 and min(rows, columns) > 3:
            shade = shade + np.clip(self._relief(alpha, np.float32(light)) * np.float32(relief), -0.45, 0.4)
        if self._grain is not None:
            shade = shade * self._grain
        brightest = 255 * alpha
        # Plane by plane: broadcasting over the three channels of a pixel takes longer.
        return cv2.merge([np.minimum(plane * shade, brightest) for plane in planes] + [alpha])

    @staticmethod
    def _relief(alpha: np.ndarray, light: np.float32) -> np.ndarray:
        """The slope of the blurred outline towards the light, as a change of brightness."""
        rows, columns = alpha.shape
        step = max(1, max(rows, columns) // 96)  # the relief is smooth: a coarse grid is enough
        coarse = cv2.resize(
            alpha, (max(2, columns // step), max(2, rows // step)), interpolation=cv2.INTER_AREA
        )
        sigma = max(0.8, 0.045 * max(coarse.shape))
        shape = cv2.GaussianBlur(coarse, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
        slope_x, slope_y = cv2.Sobel(shape, cv2.CV_32F, 1, 0), cv2.Sobel(shape, cv2.CV_32F, 0, 1)
        lit = np.float32(sigma / 4) * (np.float32(0.7) * slope_y - light * slope_x)
        return cv2.resize(lit, (columns, rows), interpolation=cv2.INTER_LINEAR)


def lay(picture: np.ndarray, sprite: np.ndarray, x: int, y: int) -> tuple[slice, slice, slice, slice] | None:
    """Composite a `Sheet.finish` sprite onto a float32 RGB picture with its corner at (x, y), in place.

    Returns:
        (rows, columns of the picture, rows, columns of the sprite) that overlap, or None.
    """
    top, left = max(0, y), max(0, x)
    bottom, right = min(picture.shape[0], y + sprite.shape[0]), min(picture.shape[1], x + sprite.shape[1])
    if top >= bottom or left >= right:
        return None
    here = (slice(top, bottom), slice(left, right))
    there = (slice(top - y, bottom - y), slice(left - x, right - x))
    part = sprite[there]
    picture[here] = picture[here] * (1 - part[:, :, 3:]) + part[:, :, :3]
    return (*here, *there)
