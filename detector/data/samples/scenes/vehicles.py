"""Cars, buses and bicycles, drawn in metres."""

from __future__ import annotations

import numpy as np

from detector.data.samples.scenes.pen import Colour, Sheet, dim, smooth, vary

PAINTS: tuple[Colour, ...] = (
    (178, 34, 38),
    (32, 62, 122),
    (226, 228, 230),
    (28, 30, 34),
    (128, 134, 140),
    (196, 200, 204),
    (36, 94, 72),
    (222, 168, 40),
    (94, 150, 190),
    (110, 28, 44),
    (206, 104, 44),
    (70, 78, 66),
)
_GLASS = (58, 74, 88)
_RUBBER = (30, 30, 32)

_SEDAN = [
    (0.12, 0.26),
    (0.03, 0.5),
    (0.06, 0.86),
    (0.62, 0.95),
    (1.2, 1.38),
    (2.3, 1.42),
    (3.08, 0.96),
    (3.95, 0.84),
    (4.2, 0.62),
    (4.2, 0.32),
    (4.1, 0.24),
]
_SEDAN_GLASS = [(0.86, 0.95), (1.28, 1.31), (2.24, 1.34), (2.84, 0.96)]
_HATCH = [
    (0.1, 0.26),
    (0.02, 0.6),
    (0.1, 0.98),
    (0.42, 1.42),
    (2.1, 1.5),
    (2.9, 1.0),
    (3.55, 0.86),
    (3.82, 0.62),
    (3.82, 0.3),
    (3.7, 0.24),
]
_HATCH_GLASS = [(0.36, 1.0), (0.56, 1.34), (2.02, 1.41), (2.66, 1.0)]
_SUV = [
    (0.1, 0.34),
    (0.02, 0.7),
    (0.06, 1.1),
    (0.28, 1.66),
    (2.55, 1.72),
    (3.2, 1.16),
    (4.15, 1.02),
    (4.45, 0.8),
    (4.45, 0.42),
    (4.3, 0.32),
]
_SUV_GLASS = [(0.3, 1.12), (0.46, 1.56), (2.44, 1.6), (2.98, 1.14)]
_VAN = [
    (0.1, 0.3),
    (0.03, 0.6),
    (0.03, 1.85),
    (0.16, 1.98),
    (3.3, 2.0),
    (4.1, 1.2),
    (4.7, 1.02),
    (4.85, 0.7),
    (4.85, 0.36),
    (4.7, 0.28),
]
_VAN_GLASS = [(2.75, 1.18), (2.75, 1.82), (3.28, 1.84), (3.88, 1.18)]
_BODIES = (
    (_SEDAN, _SEDAN_GLASS, (0.85, 3.4), 0.33, 1.0),
    (_HATCH, _HATCH_GLASS, (0.72, 3.1), 0.32, 1.0),
    (_SUV, _SUV_GLASS, (0.88, 3.58), 0.39, 1.12),
    (_VAN, _VAN_GLASS, (0.95, 3.9), 0.36, 1.1),
)


def wheel(sheet: Sheet, x: float, r: float, rim: Colour, spokes: int, phase: float) -> None:
    """A car's wheel standing on the ground at x."""
    sheet.disc(x, r, r, None, _RUBBER)
    sheet.disc(x, r, r * 0.66, None, rim)
    sheet.disc(x, r, r * 0.58, None, dim(rim, 0.55))
    for k in range(spokes):
        turn = phase + 2 * np.pi * k / spokes
        sheet.line([(x, r), (x + 0.58 * r * np.cos(turn), r + 0.58 * r * np.sin(turn))], r * 0.16, rim)
    sheet.disc(x, r, r * 0.15, None, dim(rim, 0.8))


def car_side(random: np.random.Generator, scale: float) -> Sheet:
    outline, glass, axles, radius, belt = _BODIES[random.choice(4, p=[0.34, 0.28, 0.26, 0.12])]
    paint = vary(random, PAINTS[random.integers(len(PAINTS))])
    sheet = Sheet(max(x for x, _ in outline) + 0.08, max(y for _, y in outline) + 0.06, scale)
    sheet.area(smooth(outline), paint)
    low = [(x, y) for x, y in outline if y < 0.75]
    left, right = min(x for x, _ in low), max(x for x, _ in low)
    sheet.area([(left + 0.02, 0.5), (right, 0.5), (right - 0.1, 0.27), (left + 0.1, 0.27)], dim(paint, 0.68))
    sheet.line([(left + 0.08, 0.72 * belt), (right - 0.12, 0.7 * belt)], 0.03, dim(paint, 1.3))
    sheet.area(smooth(glass), _GLASS)
    low_y, high_y = glass[0][1], glass[1][1]
    shine = random.uniform(0.2, 0.8)
    x = glass[0][0] + (glass[-1][0] - glass[0][0]) * (0.25 + 0.4 * shine)
    sheet.area(
        [(x, low_y + 0.02), (x + 0.22, low_y + 0.02), (x + 0.42, high_y - 0.06), (x + 0.24, high_y - 0.06)],
        (128, 150, 166),
    )
    for pillar in np.linspace(glass[1][0], glass[2][0], 3 if len(outline) == 10 else 2)[1:]:
        sheet.line([(pillar - 0.08, low_y), (pillar, high_y)], 0.07, dim(paint, 0.75))
    if outline is not _VAN and random.random() < 0.7:  # a driver's head behind the glass
        sheet.disc(glass[2][0] - 0.22, low_y + 0.15, 0.11, 0.14, (66, 52, 46))
    for door in (axles[0] + 0.55, (axles[0] + axles[1]) / 2 + 0.1, axles[1] - 0.5):
        sheet.line([(door, 0.36), (door, low_y - 0.02)], 0.02, dim(paint, 0.6))
    handle = (axles[0] + axles[1]) / 2
    sheet.line([(handle - 0.22, low_y - 0.14), (handle - 0.08, low_y - 0.14)], 0.035, dim(paint, 0.5))
    sheet.area(
        [(right - 0.3, 0.64), (right - 0.02, 0.6), (right - 0.04, 0.74), (right - 0.24, 0.78)],
        (240, 238, 214),
    )
    sheet.area(
        [(left, 0.66), (left + 0.14, 0.66), (left + 0.12, 0.86 * belt), (left + 0.02, 0.86 * belt)],
        (170, 22, 26),
    )
    rim = vary(random, (176, 180, 184), 20)
    spokes, phase = int(random.integers(5, 9)), random.uniform(0, 6)
    for axle in axles:
        sheet.disc(axle, radius + 0.03, radius + 0.09, None, dim(paint, 0.28))
        wheel(sheet, axle, radius, rim, spokes, phase)
    sheet.texture(random, 0.05, 0.4)
    return sheet


def car_end(random: np.random.Generator, scale: float) -> Sheet:
    """A car from the front or the rear."""
    rear = random.random() < 0.5
    paint = vary(random, PAINTS[random.integers(len(PAINTS))])
    tall = random.choice([1.42, 1.5, 1.72])
    sheet = Sheet(1.9, tall + 0.05, scale)
    for x in (0.3, 1.6):
        sheet.box(x - 0.13, 0, x + 0.13, 0.5, _RUBBER, 1)
    sheet.area(
        smooth(
            [
                (0.1, 0.24),
                (0.03, 0.5),
                (0.06, 0.86),
                (0.22, 0.96),
                (0.42, tall - 0.06),
                (0.6, tall),
                (1.3, tall),
                (1.48, tall - 0.06),
                (1.68, 0.96),
                (1.84, 0.86),
                (1.87, 0.5),
                (1.8, 0.24),
            ]
        ),
        paint,
    )
    sheet.area([(0.34, 0.96), (0.52, tall - 0.1), (1.38, tall - 0.1), (1.56, 0.96)], _GLASS)
    sheet.area([(0.52, 0.98), (0.78, 0.98), (1.02, tall - 0.12), (0.8, tall - 0.12)], (126, 148, 164))
    for x in (0.6, 1.3):
        if not rear:
            sheet.disc(x, 1.1, 0.1, 0.13, (66, 54, 48))
    sheet.box(0.08, 0.24, 1.82, 0.42, dim(paint, 0.6), 1)
    for x in (0.12, 1.44):
        sheet.box(x, 0.62, x + 0.34, 0.8, (186, 24, 28) if rear else (246, 242, 220), 1)
    if rear:
        sheet.line([(0.3, 0.94), (1.6, 0.94)], 0.03, dim(paint, 0.55))
    else:
        sheet.box(0.56, 0.54, 1.34, 0.78, (34, 36, 40), 1)
        for y in (0.6, 0.66, 0.72):
            sheet.line([(0.6, y), (1.3, y)], 0.02, (120, 122, 126))
    sheet.box(0.68, 0.36, 1.22, 0.5, (232, 232, 226))
    sheet.line([(0.76, 0.43), (1.14, 0.43)], 0.05, (70, 72, 86))
    for x, far in ((0.2, -0.02), (1.7, 1.92)):
        sheet.box(min(x, far), 0.98, max(x, far), 1.12, dim(paint, 0.85), 1)
    sheet.texture(random, 0.05, 0.3)
    return sheet


def car(random: np.random.Generator, scale: float) -> Sheet:
    return car_side(random, scale) if random.random() < 0.66 else car_end(random, scale)


BUS_PAINTS: tuple[Colour, ...] = (
    (196, 40, 40),
    (40, 96, 164),
    (236, 190, 48),
    (60, 138, 90),
    (232, 232, 228),
    (228, 112, 40),
)


def bus_side(random: np.random.Generator, scale: float) -> Sheet:
    long, tall = random.uniform(7.5, 10.5), random.uniform(2.9, 3.2)
    base = BUS_PAINTS[random.integers(len(BUS_PAINTS))]
    paint, stripe = vary(random, base), vary(random, BUS_PAINTS[random.integers(len(BUS_PAINTS))])
    sheet = Sheet(long, tall + 0.05, scale)
    sheet.area(
        smooth(
            [
                (0.05, 0.34),
                (0.02, tall - 0.2),
                (0.2, tall),
                (long - 0.35, tall),
                (long - 0.08, tall - 0.3),
                (long - 0.02, 1.2),
                (long - 0.04, 0.34),
            ],
            3,
        ),
        paint,
    )
    sheet.box(0.06, 0.34, long - 0.06, 0.62, dim(paint, 0.6))
    sheet.box(0.05, 0.98, long - 0.05, 1.2, stripe)
    sheet.box(0.25, tall - 0.16, long - 0.5, tall - 0.06, dim(paint, 0.82))
    low, high = 1.36, tall - 0.45
    panes = int(long / 1.25)
    edges = np.linspace(0.3, long - 1.5, panes + 1)
    for a, b in zip(edges[:-1], edges[1:]):
        sheet.box(a + 0.05, low, b - 0.05, high, vary(random, _GLASS, 8), 1)
        sheet.area(
            [(a + 0.15, low + 0.05), (a + 0.35, low + 0.05), (a + 0.75, high - 0.05), (a + 0.5, high - 0.05)],
            (104, 124, 140),
        )
        if random.random() < 0.55:
            x = random.uniform(a + 0.3, b - 0.3)
            sheet.disc(x, low + 0.28, 0.13, 0.17, vary(random, (122, 92, 78), 30))
            sheet.box(x - 0.22, low, x + 0.22, low + 0.12, vary(random, (92, 84, 112), 50), 1)
    door = long - 1.35
    sheet.box(door, 0.42, door + 0.95, high, (40, 48, 56), 1)
    sheet.box(door + 0.06, 0.5, door + 0.44, high - 0.08, (94, 112, 124))
    sheet.box(door + 0.51, 0.5, door + 0.89, high - 0.08, (88, 106, 118))
    sheet.box(long - 0.3, 1.3, long - 0.05, tall - 0.5, _GLASS)
    sheet.box(long - 2.6, tall - 0.4, long - 1.6, tall - 0.2, (26, 26, 28))
    sheet.line([(long - 2.5, tall - 0.3), (long - 1.75, tall - 0.3)], 0.06, (250, 176, 40))
    sheet.box(long - 0.2, 0.62, long - 0.03, 0.84, (244, 240, 214), 1)
    sheet.box(0.03, 0.7, 0.14, 1.0, (176, 22, 26))
    for axle in (1.9, long - 2.4):
        sheet.disc(axle, 0.54, 0.6, None, dim(paint, 0.25))
        wheel(sheet, axle, 0.48, (150, 152, 156), 8, random.uniform(0, 6))
    sheet.texture(random, 0.05, 0.5)
    return sheet


def bus_end(random: np.random.Generator, scale: float) -> Sheet:
    tall = random.uniform(2.9, 3.15)
    paint = vary(random, BUS_PAINTS[random.integers(len(BUS_PAINTS))])
    sheet = Sheet(2.9, tall + 0.05, scale)
    for x in (0.55, 2.35):
        sheet.box(x - 0.18, 0, x + 0.18, 0.6, _RUBBER, 1)
    sheet.area(
        smooth(
            [(0.22, 0.3), (0.2, tall - 0.25), (0.4, tall), (2.5, tall), (2.7, tall - 0.25), (2.68, 0.3)], 2
        ),
        paint,
    )
    sheet.box(0.24, 0.3, 2.66, 0.62, dim(paint, 0.55), 1)
    sheet.box(0.36, 1.2, 2.54, tall - 0.55, _GLASS, 2)
    sheet.area([(0.7, 1.24), (1.1, 1.24), (1.6, tall - 0.6), (1.2, tall - 0.6)], (108, 130, 148))
    sheet.disc(2.0, 1.55, 0.15, 0.19, (120, 92, 78))
    sheet.box(1.72, 1.2, 2.28, 1.4, (44, 58, 96), 1)
    sheet.box(0.6, tall - 0.45, 2.3, tall - 0.18, (24, 24, 26), 1)
    sheet.line([(0.85, tall - 0.31), (2.05, tall - 0.31)], 0.09, (252, 180, 44))
    for x in (0.34, 2.2):
        sheet.box(x, 0.7, x + 0.36, 0.9, (248, 244, 222), 1)
    sheet.box(1.15, 0.42, 1.75, 0.58, (232, 232, 226))
    for x in (0.06, 2.7):
        sheet.box(x, 1.5, x + 0.14, 2.0, (34, 36, 38), 1)
    sheet.line([(1.45, 1.24), (1.1, 1.7)], 0.03, (26, 26, 28))
    sheet.texture(random, 0.05, 0.4)
    return sheet


def bus(random: np.random.Generator, scale: float) -> Sheet:
    return bus_side(random, scale) if random.random() < 0.62 else bus_end(random, scale)


def bicycle(random: np.random.Generator, scale: float) -> Sheet:
    paint = vary(random, PAINTS[random.integers(len(PAINTS))], 20)
    sheet = Sheet(1.84, 1.12, scale)
    r, rear, front = 0.34, (0.37, 0.35), (1.44, 0.35)
    steel = (150, 152, 156)
    for x, y in (rear, front):
        for k in range(9):
            turn = np.pi * k / 9 + 0.2
            dx, dy = r * np.cos(turn), r * np.sin(turn)
            sheet.line([(x - dx, y - dy), (x + dx, y + dy)], 0.008, steel)
        sheet.ring(x, y, r, 0.055, (34, 34, 36))
        sheet.ring(x, y, r - 0.035, 0.014, steel)
        sheet.disc(x, y, 0.04, None, (90, 92, 96))
        if random.random() < 0.5:
            sheet.ring(x, y, r + 0.03, 0.02, dim(paint, 0.7))
    crank, seat, head = (0.82, 0.32), (0.66, 0.82), (1.26, 0.84)
    tube = 0.052
    for a, b in (
        (rear, crank),
        (rear, (0.7, 0.7)),
        (crank, (0.68, 0.78)),
        (crank, (1.28, 0.74)),
        ((0.7, 0.7), (1.27, 0.8)),
        (front, (1.25, 0.9)),
    ):
        sheet.line([a, b], tube, paint)
    sheet.line([(0.68, 0.76), seat], 0.03, steel)
    sheet.area(smooth([(0.5, 0.84), (0.52, 0.92), (0.84, 0.9), (0.86, 0.86)]), (38, 30, 28))
    sheet.line([head, (1.24, 0.98), (1.4, 1.04), (1.34, 0.94)], 0.035, (52, 54, 58))
    sheet.line([(1.36, 1.03), (1.42, 1.04)], 0.06, (30, 30, 30))
    sheet.disc(*crank, 0.1, None, (66, 68, 72))
    turn = random.uniform(0, 6.28)
    for side in (0, np.pi):
        foot = (crank[0] + 0.17 * np.cos(turn + side), crank[1] + 0.17 * np.sin(turn + side))
        sheet.line([crank, foot], 0.03, (90, 92, 96))
        sheet.line([(foot[0] - 0.05, foot[1]), (foot[0] + 0.05, foot[1])], 0.04, (32, 32, 34))
    if random.random() < 0.4:
        sheet.area([(1.44, 0.72), (1.74, 0.72), (1.78, 0.94), (1.42, 0.94)], vary(random, (168, 128, 82)))
        for y in (0.78, 0.84, 0.9):
            sheet.line([(1.43, y), (1.77, y)], 0.012, (110, 80, 48))
    return sheet
