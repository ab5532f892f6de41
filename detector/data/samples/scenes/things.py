"""Traffic lights, umbrellas, balls, chairs, and the clutter that is not labelled, drawn in metres."""

from __future__ import annotations

import numpy as np

from detector.data.samples.scenes.living import leaves
from detector.data.samples.scenes.pen import Colour, Sheet, dim, smooth, vary

BRIGHT: tuple[Colour, ...] = (
    (206, 44, 52),
    (36, 94, 168),
    (246, 196, 52),
    (58, 148, 92),
    (238, 236, 230),
    (142, 72, 152),
    (240, 128, 52),
    (36, 40, 52),
)


def traffic_light(random: np.random.Generator, scale: float) -> Sheet:
    """The head alone; `pole` is clutter."""
    sheet = Sheet(0.5, 1.16, scale)
    case = vary(random, ((40, 44, 42), (206, 160, 40), (52, 72, 60))[random.integers(3)], 8)
    sheet.box(0.06, 0.03, 0.44, 1.12, case, 1)
    sheet.box(0.1, 0.07, 0.4, 1.08, dim(case, 0.62), 1)
    on = int(random.choice(3, p=[0.45, 0.15, 0.4]))
    for lamp, (y, colour) in enumerate(
        ((0.9, (255, 52, 44)), (0.575, (255, 190, 40)), (0.25, (72, 240, 130)))
    ):
        lit = lamp == on
        sheet.disc(0.25, y, 0.125, None, dim(case, 0.4))
        sheet.disc(0.25, y, 0.108, None, colour if lit else dim(colour, 0.27))
        if lit:
            sheet.disc(0.23, y + 0.02, 0.055, None, tuple(min(255, c + 70) for c in colour))
        sheet.line(
            [(0.13, y + 0.09), (0.17, y + 0.13), (0.33, y + 0.13), (0.37, y + 0.09)], 0.035, dim(case, 0.85)
        )
    return sheet


def umbrella(random: np.random.Generator, scale: float) -> Sheet:
    sheet = Sheet(1.24, 1.0, scale)
    first = vary(random, BRIGHT[random.integers(len(BRIGHT))])
    second = vary(random, BRIGHT[random.integers(len(BRIGHT))]) if random.random() < 0.5 else dim(first, 0.84)
    sheet.line([(0.62, 0.9), (0.62, 0.1), (0.58, 0.05), (0.53, 0.09)], 0.028, (70, 52, 40))

    def rib(x: float) -> list[tuple[float, float]]:
        """From the tip down to the hem, bulging like cloth under tension."""
        return [
            (0.62 + (x - 0.62) * t, 0.44 + 0.51 * np.cos(np.pi / 2 * t) ** 0.8) for t in np.linspace(0, 1, 9)
        ]

    hems = 0.62 - 0.59 * np.cos(np.linspace(0, np.pi, 8))
    for k, (a, b) in enumerate(zip(hems[:-1], hems[1:])):
        colour = dim(first if k % 2 else second, 1.14 - 0.07 * k)
        sheet.area([*rib(a), ((a + b) / 2, 0.49), *rib(b)[::-1]], colour)
        sheet.line(rib(b), 0.012, dim(colour, 0.7))
    sheet.line([(0.62, 0.95), (0.62, 0.985)], 0.03, (60, 60, 64))
    return sheet


def sports_ball(random: np.random.Generator, scale: float) -> Sheet:
    r = random.uniform(0.12, 0.2)
    sheet = Sheet(2 * r + 0.02, 2 * r + 0.02, scale)
    x = y = r + 0.01
    kind, spin = random.integers(3), random.uniform(0, 6.28)
    if kind == 0:
        sheet.disc(x, y, r, None, (236, 236, 232))
        for k in range(6):
            far = 0 if k == 0 else 0.82 * r
            cx, cy = x + far * np.cos(spin + k * 1.257), y + far * np.sin(spin + k * 1.257)
            size = r * (0.36 if k == 0 else 0.26)
            sheet.area(
                [(cx + size * np.cos(spin + t), cy + size * np.sin(spin + t)) for t in np.arange(5) * 1.2566],
                (36, 38, 42),
            )
    elif kind == 1:
        colour = vary(random, (214, 108, 46))
        sheet.disc(x, y, r, None, colour)
        dark, c, s = (52, 34, 28), np.cos(spin), np.sin(spin)
        sheet.line([(x - r * c, y - r * s), (x + r * c, y + r * s)], 0.07 * r, dark)
        sheet.line([(x + r * s, y - r * c), (x - r * s, y + r * c)], 0.07 * r, dark)
        for side in (-1, 1):
            curve = [
                (
                    x + side * r * (0.55 - 0.25 * np.cos(t)) * c - r * 0.95 * t / 1.5 * s,
                    y + side * r * (0.55 - 0.25 * np.cos(t)) * s + r * 0.95 * t / 1.5 * c,
                )
                for t in np.linspace(-1.2, 1.2, 9)
            ]
            sheet.line(curve, 0.06 * r, dark)
    else:
        colours = [vary(random, BRIGHT[k]) for k in random.choice(len(BRIGHT), 3, replace=False)]
        for k in range(6):
            sheet.disc(
                x,
                y,
                r,
                None,
                colours[k % 3],
                0,
                float(np.degrees(spin)) + 60 * k,
                float(np.degrees(spin)) + 60 * k + 61,
            )
        sheet.disc(x, y, r * 0.16, None, (240, 240, 236))
    return sheet


def chair(random: np.random.Generator, scale: float) -> Sheet:
    wood = vary(
        random,
        (
            (150, 102, 62),
            (92, 60, 42),
            (214, 188, 150),
            (60, 62, 66),
            (226, 224, 218),
            (170, 54, 50),
            (58, 104, 118),
        )[random.integers(7)],
    )
    sheet = Sheet(0.62, 0.96, scale)
    for x in (0.16, 0.46):
        sheet.line([(x + 0.03, 0.46), (x + 0.05, 0.12)], 0.042, dim(wood, 0.66))
    for x in (0.16, 0.48):
        sheet.line([(x, 0.45), (x + 0.02, 0.93)], 0.05, dim(wood, 0.9))
    if random.random() < 0.5:
        sheet.area([(0.16, 0.58), (0.48, 0.58), (0.5, 0.92), (0.18, 0.92)], wood)
        sheet.box(0.22, 0.63, 0.44, 0.87, dim(wood, 1.14), 1)
    else:
        for y in (0.62, 0.75, 0.88):
            sheet.line([(0.17, y), (0.49, y)], 0.055, wood)
    sheet.area([(0.08, 0.42), (0.46, 0.42), (0.55, 0.51), (0.18, 0.51)], dim(wood, 1.16))
    if random.random() < 0.5:
        sheet.area(
            smooth([(0.1, 0.43), (0.45, 0.43), (0.53, 0.52), (0.19, 0.52)], 1),
            vary(random, BRIGHT[random.integers(len(BRIGHT))], 20),
        )
    sheet.area([(0.07, 0.37), (0.47, 0.37), (0.47, 0.43), (0.07, 0.43)], dim(wood, 0.82))
    sheet.area([(0.47, 0.37), (0.56, 0.46), (0.56, 0.51), (0.47, 0.43)], dim(wood, 0.62))
    for x in (0.1, 0.44):
        sheet.line([(x, 0.4), (x - 0.02 * (x < 0.3), 0.02)], 0.05, wood)
    sheet.texture(random, 0.08, 0.03)
    return sheet


def tree(random: np.random.Generator, scale: float) -> Sheet:
    tall = random.uniform(4.5, 7.5)
    sheet = Sheet(4.6, tall, scale)
    bark = vary(random, (92, 72, 56))
    sheet.area(
        smooth(
            [(2.05, 0.0), (2.18, 0.5), (2.15, 0.55 * tall), (2.5, 0.55 * tall), (2.46, 0.5), (2.62, 0.0)], 1
        ),
        bark,
    )
    for side in (-1, 1):
        sheet.line([(2.32, 0.4 * tall), (2.32 + side * 0.9, 0.62 * tall)], 0.16, dim(bark, 0.8))
    green = vary(
        random,
        ((78, 116, 58), (96, 128, 62), (62, 98, 62), (156, 122, 54))[
            random.choice(4, p=[0.35, 0.3, 0.25, 0.1])
        ],
        14,
    )
    leaves(sheet, random, (2.3, 0.68 * tall), (1.75, 0.27 * tall), 0.42, 120, green)
    sheet.texture(random, 0.12, 0.12)
    return sheet


def bush(random: np.random.Generator, scale: float) -> Sheet:
    sheet = Sheet(1.8, 1.0, scale)
    leaves(sheet, random, (0.9, 0.42), (0.72, 0.38), 0.17, 70, vary(random, (76, 110, 60), 18))
    sheet.texture(random, 0.12, 0.06)
    return sheet


def pole(random: np.random.Generator, scale: float) -> Sheet:
    sheet = Sheet(0.3, 3.4, scale)
    sheet.line([(0.15, 0.0), (0.15, 3.35)], 0.12, (84, 88, 90))
    sheet.box(0.05, 0, 0.25, 0.3, (70, 74, 76))
    return sheet


def lamp_post(random: np.random.Generator, scale: float) -> Sheet:
    sheet = Sheet(1.5, 5.4, scale)
    iron = vary(random, (70, 78, 80))
    sheet.line([(0.2, 0), (0.2, 4.9), (0.5, 5.25), (1.1, 5.28)], 0.11, iron)
    sheet.area([(0.9, 5.2), (1.45, 5.24), (1.4, 5.36), (0.95, 5.36)], dim(iron, 0.7))
    sheet.box(0.08, 0, 0.32, 0.5, dim(iron, 0.85))
    return sheet


def bin_(random: np.random.Generator, scale: float) -> Sheet:
    sheet = Sheet(0.6, 1.0, scale)
    colour = vary(random, ((58, 92, 68), (66, 70, 76), (40, 74, 120))[random.integers(3)])
    sheet.area([(0.1, 0.02), (0.04, 0.82), (0.56, 0.82), (0.5, 0.02)], colour)
    for x in (0.18, 0.3, 0.42):
        sheet.line([(x, 0.1), (x, 0.74)], 0.025, dim(colour, 0.7))
    sheet.area(smooth([(0.02, 0.8), (0.06, 0.94), (0.54, 0.94), (0.58, 0.8)], 1), dim(colour, 0.75))
    sheet.texture(random, 0.06, 0.1)
    return sheet


def cone(random: np.random.Generator, scale: float) -> Sheet:
    sheet = Sheet(0.5, 0.72, scale)
    sheet.area([(0.02, 0.0), (0.48, 0.0), (0.46, 0.06), (0.04, 0.06)], (196, 84, 30))
    sheet.area([(0.1, 0.06), (0.21, 0.7), (0.29, 0.7), (0.4, 0.06)], (236, 106, 38))
    sheet.area([(0.14, 0.26), (0.17, 0.44), (0.33, 0.44), (0.36, 0.26)], (238, 236, 230))
    return sheet


def sign(random: np.random.Generator, scale: float) -> Sheet:
    sheet = Sheet(0.8, 2.5, scale)
    sheet.line([(0.4, 0), (0.4, 2.4)], 0.06, (150, 154, 156))
    if random.random() < 0.5:
        sheet.disc(0.4, 2.1, 0.32, None, (214, 216, 216))
        sheet.disc(0.4, 2.1, 0.29, None, vary(random, ((196, 36, 40), (34, 86, 160))[random.integers(2)], 8))
        sheet.line([(0.22, 2.1), (0.58, 2.1)], 0.09, (238, 238, 234))
    else:
        sheet.area([(0.4, 2.46), (0.72, 2.1), (0.4, 1.76), (0.08, 2.1)], (240, 190, 44))
        sheet.line([(0.4, 1.95), (0.4, 2.25)], 0.07, (40, 40, 40))
    return sheet


def cardboard(random: np.random.Generator, scale: float) -> Sheet:
    wide, tall = random.uniform(0.4, 0.8), random.uniform(0.3, 0.6)
    sheet = Sheet(wide + 0.25, tall + 0.16, scale)
    tone = vary(random, (184, 146, 100))
    sheet.box(0.01, 0, wide, tall, tone)
    sheet.area([(wide, 0), (wide + 0.2, 0.12), (wide + 0.2, tall + 0.12), (wide, tall)], dim(tone, 0.72))
    sheet.area([(0.01, tall), (0.2, tall + 0.12), (wide + 0.2, tall + 0.12), (wide, tall)], dim(tone, 1.16))
    sheet.line([(wide / 2, 0.02), (wide / 2, tall)], 0.06, dim(tone, 1.25))
    sheet.texture(random, 0.06, 0.05)
    return sheet


def floor_lamp(random: np.random.Generator, scale: float) -> Sheet:
    sheet = Sheet(0.6, 1.75, scale)
    sheet.line([(0.3, 0.02), (0.3, 1.4)], 0.04, (60, 58, 56))
    sheet.disc(0.3, 0.03, 0.18, 0.03, (52, 50, 48))
    shade = vary(random, ((240, 222, 180), (196, 92, 70), (96, 120, 132))[random.integers(3)])
    sheet.area([(0.03, 1.3), (0.16, 1.72), (0.44, 1.72), (0.57, 1.3)], shade)
    sheet.area([(0.05, 1.3), (0.06, 1.36), (0.54, 1.36), (0.55, 1.3)], dim(shade, 1.2))
    return sheet


def shelf(random: np.random.Generator, scale: float) -> Sheet:
    sheet = Sheet(1.2, 1.9, scale)
    wood = vary(random, ((128, 88, 58), (220, 214, 204), (70, 56, 48))[random.integers(3)])
    sheet.box(0.01, 0, 1.19, 1.88, wood)
    for level in range(4):
        y = 0.08 + 0.45 * level
        sheet.box(0.07, y, 1.13, y + 0.39, dim(wood, 0.5))
        x = 0.09
        while x < 1.02:
            thick = random.uniform(0.03, 0.09)
            if random.random() < 0.86:
                sheet.box(
                    x,
                    y,
                    x + thick,
                    y + random.uniform(0.22, 0.37),
                    vary(random, BRIGHT[random.integers(len(BRIGHT))], 30),
                )
            x += thick + 0.006
    sheet.texture(random, 0.05, 0.08)
    return sheet
