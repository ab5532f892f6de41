"""The places: a street, a park, a room. Float32 RGB, with the horizon that sets the perspective."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from detector.data.samples.scenes.pen import Colour, dim, noise, vary


@dataclass(frozen=True)
class Place:
    """A drawn background and its camera.

    Args:
        kind: "street", "park" or "room".
        pixels: float32 [H, W, 3], 0..255.
        horizon: its row in pixels; camera: metres above the ground. A thing of h metres that stands at row y
            has h * (y - horizon) / camera pixels.
        haze: colour that far things fade into.
        light: -1 from the left .. 1 from the right.
    """

    kind: str
    pixels: np.ndarray
    horizon: float
    camera: float
    haze: Colour
    light: float

    def scale(self, row: float) -> float:
        """Pixels a metre for what stands at this row."""
        return max(0.0, row - self.horizon) / self.camera

    def row(self, scale: float) -> float:
        return self.horizon + scale * self.camera


def _gradient(height: int, width: int, top: Colour, bottom: Colour) -> np.ndarray:
    t = np.linspace(0, 1, max(1, height), dtype=np.float32)[:, None, None]
    column = np.float32(top) * (1 - t) + np.float32(bottom) * t
    return np.repeat(column, width, axis=1)


def _ground(
    random: np.random.Generator, place: np.ndarray, start: int, colour: Colour, grain: float, patches: float
) -> None:
    """Fill from row `start` down: fine grain near, smooth far away."""
    height, width = place.shape[0] - start, place.shape[1]
    near = np.linspace(0.15, 1, height, dtype=np.float32)[:, None]
    fine, coarse = noise(random, (height, width), 2), noise(random, (height, width), 64)
    shade = 1 + near * grain * fine + patches * coarse - 0.08 * (1 - near)
    place[start:] = np.float32(colour) * shade[:, :, None]


def _poly(place: np.ndarray, points, colour: Colour) -> None:
    cv2.fillPoly(
        place, [np.round(np.asarray(points, np.float64) * 16).astype(np.int32)], colour, cv2.LINE_AA, 4
    )


def _textured(
    place: np.ndarray, mask_points, random: np.random.Generator, colour: Colour, grain: float
) -> None:
    height, width = place.shape[:2]
    points = np.asarray(mask_points, np.float64)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    fine, coarse = noise(random, (height, width), 2), noise(random, (height, width), 64)
    left, top, wide, tall = cv2.boundingRect(mask)
    here = (slice(top, top + tall), slice(left, left + wide))
    shade = 1 + grain * fine[here] + 0.06 * coarse[here]
    inside = mask[here] > 0
    place[here][inside] = np.float32(colour) * shade[inside][:, None]


def _sky(random: np.random.Generator, place: np.ndarray, rows: int) -> Colour:
    hour = random.random()
    if hour < 0.55:
        top, low = vary(random, (96, 148, 206)), vary(random, (198, 218, 232), 8)
    elif hour < 0.8:
        top, low = vary(random, (158, 168, 178)), vary(random, (210, 212, 212), 8)
    else:
        top, low = vary(random, (112, 124, 172)), vary(random, (246, 200, 158), 10)
    width = place.shape[1]
    place[:rows] = _gradient(rows, width, top, low)
    cloud = (
        noise(random, (rows, width), 128)
        + 0.5 * noise(random, (rows, width), 32)
        + 0.25 * noise(random, (rows, width), 8)
    )
    cover = np.clip((cloud - random.uniform(-0.1, 0.5)) * 0.9, 0, 0.85)[:, :, None]
    cover = cover * np.linspace(1, 0.4, rows, dtype=np.float32)[:, None, None]
    place[:rows] = place[:rows] * (1 - cover) + np.float32(dim(low, 1.08)) * cover
    return low


def _houses(random: np.random.Generator, place: np.ndarray, base: int, tallest: float, haze: Colour) -> None:
    x, width = -random.uniform(0, 60), place.shape[1]
    walls = (
        (176, 120, 94),
        (202, 186, 160),
        (150, 148, 148),
        (214, 206, 190),
        (124, 96, 84),
        (168, 160, 138),
        (132, 146, 156),
    )
    while x < width:
        wide, tall = random.uniform(0.14, 0.3) * width, tallest * random.uniform(0.45, 1)
        wall = vary(random, walls[random.integers(len(walls))])
        wall = tuple(0.78 * c + 0.22 * h for c, h in zip(wall, haze))
        _poly(place, [(x, base), (x, base - tall), (x + wide, base - tall), (x + wide, base)], wall)
        if random.random() < 0.4:
            _poly(
                place,
                [(x - 3, base - tall), (x + wide / 2, base - tall * 1.16), (x + wide + 3, base - tall)],
                dim(wall, 0.55),
            )
        else:
            _poly(
                place,
                [
                    (x - 2, base - tall),
                    (x - 2, base - tall - 5),
                    (x + wide + 2, base - tall - 5),
                    (x + wide + 2, base - tall),
                ],
                dim(wall, 0.75),
            )
        floors, panes = max(2, int(tall / random.uniform(24, 34))), max(2, int(wide / random.uniform(20, 32)))
        glass = tuple(0.7 * c + 0.3 * h for c, h in zip((84, 100, 118), haze))
        step_y, step_x = tall / floors, wide / panes
        for f in range(floors):
            for p in range(panes):
                left, top = x + p * step_x + 0.27 * step_x, base - tall + f * step_y + 0.25 * step_y
                right, low = left + 0.46 * step_x, top + 0.52 * step_y
                ground_floor = f == floors - 1
                tint = dim(glass, random.uniform(0.7, 1.3)) if random.random() < 0.9 else (236, 210, 150)
                _poly(
                    place,
                    [
                        (left - 1.5, top - 1.5),
                        (right + 1.5, top - 1.5),
                        (right + 1.5, low + 2),
                        (left - 1.5, low + 2),
                    ],
                    dim(wall, 1.18),
                )
                _poly(
                    place,
                    [
                        (left, top),
                        (right, top),
                        (right, base if ground_floor and p % 3 == 1 else low),
                        (left, base if ground_floor and p % 3 == 1 else low),
                    ],
                    tint,
                )
        if random.random() < 0.5:
            awning = vary(random, ((178, 50, 50), (52, 104, 84), (60, 84, 130))[random.integers(3)])
            y = base - 0.75 * step_y
            _poly(
                place,
                [(x + 4, y - 8), (x + wide * 0.6, y - 8), (x + wide * 0.63, y + 2), (x + 2, y + 2)],
                awning,
            )
        x += wide + (random.uniform(0, 12) if random.random() < 0.3 else 0)


def street(random: np.random.Generator, width: int, height: int) -> Place:
    place = np.zeros((height, width, 3), np.float32)
    horizon = height * random.uniform(0.36, 0.47)
    camera = random.uniform(1.55, 2.3)
    haze = _sky(random, place, int(horizon) + 2)
    base = int(horizon + 0.03 * height) + 2
    _houses(random, place, base, horizon * random.uniform(0.55, 0.95), haze)
    walk = vary(random, (158, 154, 148))
    _ground(random, place, base, walk, 0.07, 0.06)
    vanish = width * random.uniform(0.3, 0.7)
    left, right = -random.uniform(0.1, 0.7) * width, width * random.uniform(1.1, 1.7)
    asphalt = vary(random, (96, 97, 100), 12)

    def edge(side: float, row: float) -> float:
        return vanish + (side - vanish) * (row - horizon) / (height - horizon)

    for side, direction in ((left, -1), (right, 1)):
        kerb = 14 * direction
        _poly(
            place,
            [
                (edge(side, base), base),
                (edge(side + kerb * 4, base), base),
                (edge(side + kerb * 4, height), height),
                (edge(side, height), height),
            ],
            dim(walk, 1.16),
        )
    _textured(
        place,
        [
            (edge(left, base), base),
            (edge(right, base), base),
            (edge(right, height), height),
            (edge(left, height), height),
        ],
        random,
        asphalt,
        0.11,
    )
    middle, mark = (left + right) / 2, vary(random, (224, 222, 210), 8)
    near = 1.0
    while near < 40:
        rows = [horizon + (height - horizon) / near, horizon + (height - horizon) / (near + 0.35)]
        half = 0.011 * (right - left)
        if rows[1] > base:
            _poly(
                place,
                [
                    (edge(middle - half, rows[0]), rows[0]),
                    (edge(middle + half, rows[0]), rows[0]),
                    (edge(middle + half, rows[1]), rows[1]),
                    (edge(middle - half, rows[1]), rows[1]),
                ],
                mark,
            )
        near += 0.85
    if random.random() < 0.4:
        row1 = horizon + (height - horizon) * random.uniform(0.5, 0.7)
        row0 = row1 + 0.12 * (height - horizon)
        for a in np.arange(0.04, 0.96, 0.08):
            b = a + 0.04
            xs = [left + (right - left) * v for v in (a, b)]
            _poly(
                place,
                [
                    (edge(xs[0], row0), row0),
                    (edge(xs[1], row0), row0),
                    (edge(xs[1], row1), row1),
                    (edge(xs[0], row1), row1),
                ],
                mark,
            )
    return Place("street", place, horizon, camera, haze, random.uniform(-1, 1))


def park(random: np.random.Generator, width: int, height: int) -> Place:
    place = np.zeros((height, width, 3), np.float32)
    horizon = height * random.uniform(0.34, 0.46)
    haze = _sky(random, place, int(horizon) + 2)
    for layer in range(3):
        ridge = (
            horizon
            - (0.2 - 0.06 * layer) * height * (0.6 + 0.5 * noise(random, (1, width), (128, 64, 16)[layer])[0])
            - 2
        )
        green = vary(random, ((132, 154, 150), (96, 126, 98), (72, 104, 64))[layer], 10)
        points = [
            (0, horizon + 6),
            *((x, ridge[x]) for x in range(0, width, 3)),
            (width, ridge[-1]),
            (width, horizon + 6),
        ]
        _textured(place, points, random, green, (0.04, 0.12, 0.2)[layer])
    grass = vary(random, ((104, 138, 66), (122, 144, 76), (88, 126, 62))[random.integers(3)])
    _ground(random, place, int(horizon) + 3, grass, 0.2, 0.12)
    if random.random() < 0.75:
        far, near_x, wide = (
            width * random.uniform(0.2, 0.8),
            width * random.uniform(0.0, 1.0),
            width * random.uniform(0.25, 0.5),
        )
        bend = width * random.uniform(-0.25, 0.25)
        steps = np.linspace(0, 1, 16)
        rows = horizon + 4 + (height - horizon) * steps**1.6
        centre = far + (near_x - far) * steps + bend * np.sin(np.pi * steps)
        half = 2 + wide * steps**1.6
        outline = [*zip(centre - half, rows), *zip((centre + half)[::-1], rows[::-1])]
        _textured(place, outline, random, vary(random, (186, 170, 140), 14), 0.09)
    return Place("park", place, horizon, random.uniform(1.5, 2.2), haze, random.uniform(-1, 1))


def _painting(
    random: np.random.Generator, place: np.ndarray, left: int, top: int, right: int, bottom: int
) -> None:
    """Soft hills in three colours behind glass."""
    left, right = max(0, left), min(place.shape[1], right)
    height, width = bottom - top, right - left
    if height < 4 or width < 4:
        return
    low, high = vary(random, (212, 206, 190), 40), vary(random, (150, 160, 176), 60)
    view = _gradient(height, width, high, low)
    for layer in range(2):
        ridge = height * (0.45 + 0.25 * layer) - 0.22 * height * noise(random, (1, width), 32)[0]
        hill = np.arange(height, dtype=np.float32)[:, None] > ridge[None, :]
        view[hill] = np.float32(vary(random, (110, 118, 96), 60))
    view *= 1 + 0.06 * noise(random, (height, width), 4)[:, :, None]
    place[top:bottom, left:right] = view


def room(random: np.random.Generator, width: int, height: int) -> Place:
    place = np.zeros((height, width, 3), np.float32)
    meet = height * random.uniform(0.5, 0.62)
    horizon = meet - height * random.uniform(0.2, 0.3)
    wall = vary(
        random,
        (
            (214, 204, 186),
            (170, 188, 190),
            (200, 184, 170),
            (178, 188, 162),
            (222, 216, 208),
            (156, 166, 186),
        )[random.integers(6)],
    )
    floor = vary(
        random, ((160, 116, 76), (124, 92, 66), (190, 160, 122), (128, 126, 124))[random.integers(4)]
    )
    light = random.uniform(-1, 1)
    rows = int(meet)
    side = (
        1
        + 0.13 * light * np.linspace(-1, 1, width, dtype=np.float32)[None, :]
        + 0.015 * noise(random, (rows, width), 2)
        + 0.03 * noise(random, (rows, width), 128)
    )
    place[:rows] = np.float32(wall) * side[:, :, None]
    if random.random() < 0.35:
        gap = int(width * random.uniform(0.03, 0.06))
        for x in range(0, width, gap):
            place[:rows, x : x + max(1, gap // 3)] *= np.float32(0.955)
    x = width * random.uniform(0.02, 0.15)
    while x < width * 0.9:
        wide, tall = width * random.uniform(0.1, 0.22), meet * random.uniform(0.3, 0.5)
        top = meet * random.uniform(0.08, 0.25)
        frame = vary(random, ((236, 234, 230), (84, 60, 44), (40, 40, 44))[random.integers(3)])
        if random.random() < 0.4:
            tall = meet * 0.6
            _poly(
                place, [(x, top), (x + wide, top), (x + wide, top + tall), (x, top + tall)], (238, 236, 230)
            )
            view = _gradient(int(tall) + 1, int(wide) + 1, (150, 190, 224), (206, 220, 204))
            above, left, below, right = (
                int(top) + 5,
                int(x) + 5,
                int(top + tall) - 5,
                min(width, int(x + wide) - 5),
            )
            if below > above and right > left:
                leaves = noise(random, (below - above, right - left), 32)[:, :, None]
                place[above:below, left:right] = view[: below - above, : right - left] * (1 + 0.1 * leaves)
            _poly(
                place,
                [
                    (x + wide / 2 - 2, top),
                    (x + wide / 2 + 2, top),
                    (x + wide / 2 + 2, top + tall),
                    (x + wide / 2 - 2, top + tall),
                ],
                (232, 230, 224),
            )
            _poly(
                place,
                [
                    (x, top + tall * 0.5 - 2),
                    (x + wide, top + tall * 0.5 - 2),
                    (x + wide, top + tall * 0.5 + 2),
                    (x, top + tall * 0.5 + 2),
                ],
                (232, 230, 224),
            )
        elif random.random() < 0.7:
            _poly(place, [(x, top), (x + wide, top), (x + wide, top + tall), (x, top + tall)], frame)
            _painting(random, place, int(x) + 6, int(top) + 6, int(x + wide) - 6, int(top + tall) - 6)
        x += wide * random.uniform(1.2, 2)
    start = int(meet)
    _ground(random, place, start, floor, 0.05, 0.07)
    vanish, below = width * random.uniform(0.35, 0.65), height - horizon
    for x in np.arange(-2.5, 3.5, 0.14):
        bottom = vanish + x * width
        top = vanish + (bottom - vanish) * (meet - horizon) / below
        tint = dim(floor, random.uniform(0.86, 1.0))
        cv2.line(place, (round(top), start), (round(bottom), height), tint, 1, cv2.LINE_AA)
    if random.random() < 0.7:
        rug = vary(random, ((158, 60, 56), (70, 96, 132), (206, 192, 164), (92, 116, 92))[random.integers(4)])
        row0, row1 = (
            meet + (height - meet) * random.uniform(0.1, 0.3),
            meet + (height - meet) * random.uniform(0.6, 0.95),
        )
        centre = width * random.uniform(0.3, 0.7)
        w1 = width * random.uniform(0.2, 0.36)
        w0 = w1 * (row0 - horizon) / (row1 - horizon)
        _textured(
            place,
            [(centre - w0, row0), (centre + w0, row0), (centre + w1, row1), (centre - w1, row1)],
            random,
            rug,
            0.16,
        )
        _textured(
            place,
            [
                (centre - w0 * 0.85, row0 + 4),
                (centre + w0 * 0.85, row0 + 4),
                (centre + w1 * 0.88, row1 - 8),
                (centre - w1 * 0.88, row1 - 8),
            ],
            random,
            dim(rug, 1.18),
            0.16,
        )
    board = dim(wall, 1.12)
    _poly(
        place,
        [(0, meet - 0.025 * height), (width, meet - 0.025 * height), (width, meet + 2), (0, meet + 2)],
        board,
    )
    place[start + 1 : start + 6] *= np.float32(0.8)
    return Place("room", place, horizon, random.uniform(1.35, 1.7), wall, light)
