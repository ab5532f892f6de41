"""People, dogs and plants, drawn in metres."""

from __future__ import annotations

import numpy as np

from detector.data.samples.scenes.pen import Colour, Sheet, dim, smooth, vary

SKIN: tuple[Colour, ...] = (
    (244, 206, 178),
    (226, 178, 142),
    (196, 142, 104),
    (150, 102, 70),
    (104, 68, 48),
    (236, 190, 160),
)
HAIR: tuple[Colour, ...] = (
    (38, 28, 24),
    (84, 54, 34),
    (150, 104, 58),
    (206, 172, 110),
    (120, 116, 114),
    (22, 20, 22),
    (140, 62, 32),
)
CLOTH: tuple[Colour, ...] = (
    (186, 52, 54),
    (44, 78, 138),
    (236, 234, 228),
    (40, 42, 50),
    (74, 124, 84),
    (232, 176, 62),
    (120, 80, 140),
    (214, 120, 92),
    (90, 150, 170),
    (150, 140, 124),
    (236, 160, 180),
    (64, 66, 72),
)
TROUSERS: tuple[Colour, ...] = (
    (44, 58, 92),
    (34, 34, 40),
    (120, 108, 88),
    (78, 82, 88),
    (66, 52, 44),
    (150, 150, 150),
)


def person(random: np.random.Generator, scale: float) -> Sheet:
    child = random.random() < 0.18
    k = random.uniform(0.62, 0.75) if child else random.uniform(0.94, 1.06)
    sheet = Sheet(1.3 * k, 1.86 * k, scale)
    skin, hair = (
        vary(random, SKIN[random.integers(len(SKIN))], 8),
        vary(random, HAIR[random.integers(len(HAIR))], 8),
    )
    shirt, leg = (
        vary(random, CLOTH[random.integers(len(CLOTH))]),
        vary(random, TROUSERS[random.integers(len(TROUSERS))]),
    )
    shoe = vary(random, ((40, 36, 36), (228, 226, 222), (120, 50, 40))[random.integers(3)], 10)
    broad = random.uniform(0.9, 1.2)
    walk = random.uniform(0.02, 0.24)
    front = random.random() < 0.6
    head_r = 0.112 * (1.15 if child else 1)
    dress = random.random() < 0.24

    def p(x: float, y: float) -> tuple[float, float]:
        return (x + 0.65) * k, y * k

    def limb(points: list[tuple[float, float]], thick: float, colour: Colour) -> None:
        sheet.line([p(x, y) for x, y in points], thick * k, colour)

    def arm(side: int, colour: Colour, swing: float) -> None:
        elbow = (side * 0.27 * broad + swing * 0.3, 1.12)
        hand = (side * 0.29 * broad + swing, 0.88 + abs(swing) * 0.2)
        limb([hand, hand], 0.1, skin)
        limb([(side * 0.2 * broad, 1.38), elbow, hand], 0.09, skin if bare else colour)
        limb([(side * 0.2 * broad, 1.38), elbow], 0.115, colour)
        limb([hand, (hand[0] + 0.01, hand[1] - 0.03)], 0.085, skin)

    bare = random.random() < 0.4
    swing = random.uniform(0.02, 0.16)
    arm(-1, dim(shirt, 0.82), swing if not front else -swing / 3)
    for side, shade in ((-1, 0.8), (1, 1.0)):
        hip, foot = (side * 0.085 * broad, 0.86), (side * walk, 0.05)
        knee = ((hip[0] + foot[0]) / 2 + 0.05 * (side if front else 1) * (walk > 0.12), 0.47)
        colour = skin if dress else leg
        limb([hip, knee, (foot[0], 0.1)], 0.16 if not dress else 0.11, dim(colour, shade))
        toe = 0.07 * (0.4 * side if front else 1)
        limb([(foot[0], 0.045), (foot[0] + toe, 0.04)], 0.085, dim(shoe, shade))
    if dress:
        sheet.area(
            smooth(
                [
                    p(-0.2 * broad, 1.4),
                    p(-0.15 * broad, 1.0),
                    p(-0.3 * broad, 0.52),
                    p(0.3 * broad, 0.52),
                    p(0.15 * broad, 1.0),
                    p(0.2 * broad, 1.4),
                ],
                1,
            ),
            shirt,
        )
    else:
        sheet.area(
            smooth(
                [p(-0.17 * broad, 0.9), p(0.17 * broad, 0.9), p(0.16 * broad, 0.72), p(-0.16 * broad, 0.72)],
                1,
            ),
            leg,
        )
        coat = random.choice([0.84, 0.84, 0.62])
        sheet.area(
            smooth(
                [
                    p(-0.22 * broad, 1.44),
                    p(-0.2 * broad, 1.15),
                    p(-0.185 * broad, coat),
                    p(0.185 * broad, coat),
                    p(0.2 * broad, 1.15),
                    p(0.22 * broad, 1.44),
                    p(0.08, 1.5),
                    p(-0.08, 1.5),
                ],
                2,
            ),
            shirt,
        )
        style = random.integers(4)
        if style == 0:
            for y in np.arange(0.92, 1.4, 0.11):
                limb([(-0.17 * broad, y), (0.17 * broad, y)], 0.035, dim(shirt, 0.6))
        elif style == 1:
            limb([(0, 0.86), (0, 1.42)], 0.02, dim(shirt, 0.55))
        elif style == 2:
            sheet.disc(*p(0.0, 1.2), 0.09 * k, None, vary(random, CLOTH[random.integers(len(CLOTH))]))
    if random.random() < 0.25:
        bag = vary(random, ((110, 70, 44), (52, 60, 92), (150, 40, 60))[random.integers(3)])
        sheet.box(*p(-0.38, 0.72), *p(-0.16, 0.98), bag, 1)
        limb([(-0.27, 0.97), (0.14, 1.42)], 0.03, dim(bag, 0.7))
    limb([(0, 1.42), (0, 1.54)], 0.1, dim(skin, 0.85))
    if random.random() < 0.4:
        sheet.disc(*p(0, 1.58), (head_r + 0.03) * k, 0.2 * k, hair)
    sheet.disc(*p(0, 1.64), head_r * 0.92 * k, head_r * 1.16 * k, skin)
    sheet.disc(*p(0, 1.68), head_r * 1.0 * k, head_r * 1.05 * k, hair, 0, 180, 360)
    if front:
        for x in (-0.04, 0.04):
            sheet.disc(*p(x, 1.645), 0.013 * k, None, (40, 32, 30))
        limb([(-0.025, 1.58), (0.025, 1.58)], 0.014, (160, 76, 70))
    elif random.random() < 0.5:
        sheet.disc(*p(-0.02, 1.66), head_r * 0.95 * k, head_r * 1.1 * k, hair, 0, 90, 320)
    if random.random() < 0.25:
        cap = vary(random, CLOTH[random.integers(len(CLOTH))])
        sheet.disc(*p(0, 1.7), head_r * 1.06 * k, head_r * 0.9 * k, cap, 0, 180, 360)
        limb([(0.0, 1.705), (0.17, 1.7)], 0.03, dim(cap, 0.8))
    arm(1, shirt, -swing if not front else swing / 3)
    sheet.texture(random, 0.07, 0.06)
    return sheet


COATS: tuple[Colour, ...] = (
    (176, 124, 72),
    (60, 46, 40),
    (226, 214, 192),
    (124, 84, 54),
    (40, 38, 40),
    (196, 150, 96),
    (150, 146, 142),
)


def dog(random: np.random.Generator, scale: float) -> Sheet:
    k = random.uniform(0.75, 1.2)
    coat = vary(random, COATS[random.integers(len(COATS))], 12)
    dark, pale = dim(coat, 0.72), dim(coat, 1.22)
    sheet = Sheet(1.16 * k, 0.84 * k, scale)
    stride, long_ears, shaggy = random.uniform(-0.06, 0.06), random.random() < 0.5, random.random() < 0.4

    def line(points: list[tuple[float, float]], thick: float, colour: Colour) -> None:
        sheet.line([(x * k, y * k) for x, y in points], thick * k, colour)

    tail = random.uniform(0.5, 0.78)
    line([(0.16, 0.46), (0.08, 0.58), (0.06, tail)], 0.05, dark)
    for x, s, shade in ((0.26, stride, dark), (0.74, -stride, dark)):
        line([(x + 0.03, 0.38), (x + 0.03 + s, 0.2), (x + 0.02 + s, 0.04)], 0.075, shade)
    sheet.area(
        smooth(
            [
                (x * k, y * k)
                for x, y in [
                    (0.12, 0.5),
                    (0.16, 0.32),
                    (0.36, 0.27),
                    (0.6, 0.25),
                    (0.82, 0.32),
                    (0.86, 0.5),
                    (0.72, 0.56),
                    (0.3, 0.55),
                ]
            ]
        ),
        coat,
    )
    line([(0.26, 0.3), (0.6, 0.28)], 0.06, pale)
    for x, s in ((0.21, -stride), (0.78, stride)):
        line([(x, 0.38), (x + s, 0.2), (x + s, 0.04)], 0.09, coat)
        line([(x + s, 0.03), (x + s + 0.05, 0.03)], 0.06, pale)
    line([(0.78, 0.48), (0.88, 0.62)], 0.17, coat)
    collar = vary(random, ((196, 40, 44), (40, 92, 170), (60, 140, 80))[random.integers(3)])
    line([(0.76, 0.6), (0.9, 0.5)], 0.045, collar)
    sheet.disc(0.91 * k, 0.68 * k, 0.115 * k, 0.1 * k, coat)
    sheet.area(
        smooth([(x * k, y * k) for x, y in [(0.94, 0.74), (1.1, 0.68), (1.12, 0.62), (0.95, 0.58)]]), pale
    )
    sheet.disc(1.115 * k, 0.67 * k, 0.024 * k, None, (24, 20, 22))
    sheet.disc(0.96 * k, 0.715 * k, 0.016 * k, None, (24, 18, 16))
    if long_ears:
        sheet.area(
            smooth([(x * k, y * k) for x, y in [(0.84, 0.76), (0.78, 0.6), (0.84, 0.52), (0.92, 0.68)]]), dark
        )
    else:
        sheet.area([(x * k, y * k) for x, y in [(0.82, 0.73), (0.83, 0.835), (0.91, 0.76)]], dark)
        sheet.area([(x * k, y * k) for x, y in [(0.9, 0.76), (0.94, 0.83), (0.97, 0.74)]], coat)
    if random.random() < 0.35:
        for _ in range(3):
            sheet.disc(
                random.uniform(0.25, 0.75) * k,
                random.uniform(0.36, 0.5) * k,
                random.uniform(0.05, 0.1) * k,
                random.uniform(0.03, 0.06) * k,
                dark,
                random.uniform(0, 90),
            )
    sheet.texture(random, 0.16 if shaggy else 0.09, 0.03)
    return sheet


def leaves(
    sheet: Sheet,
    random: np.random.Generator,
    centre: tuple[float, float],
    spread: tuple[float, float],
    leaf: float,
    count: int,
    green: Colour,
) -> None:
    """A crown of overlapping leaf clumps, light above and dark below."""
    for step in range(count):
        turn, far = random.uniform(0, 2 * np.pi), np.sqrt(random.random())
        x, y = centre[0] + spread[0] * far * np.cos(turn), centre[1] + spread[1] * far * np.sin(turn)
        lift = (y - centre[1]) / spread[1]
        shade = 0.72 + 0.22 * lift + 0.24 * step / count + random.uniform(-0.1, 0.1)
        sheet.disc(
            x,
            y,
            leaf * random.uniform(0.6, 1.2),
            leaf * random.uniform(0.4, 0.9),
            dim(green, shade),
            random.uniform(0, 180),
        )


def potted_plant(random: np.random.Generator, scale: float) -> Sheet:
    tall = random.uniform(0.7, 1.15)
    sheet = Sheet(0.9, tall, scale)
    pot = vary(random, ((176, 96, 62), (210, 206, 198), (84, 98, 112), (60, 56, 54))[random.integers(4)])
    green = vary(random, ((70, 126, 62), (92, 144, 70), (52, 104, 76))[random.integers(3)], 16)
    top = random.uniform(0.26, 0.34)
    if random.random() < 0.5:
        leaves(sheet, random, (0.45, (tall + top) / 2), (0.33, (tall - top) / 2 - 0.08), 0.1, 60, green)
    else:
        for _ in range(18):
            lean, reach = random.uniform(-0.36, 0.36), random.uniform(0.55, 0.97) * (tall - top)
            tip, bend = (
                (0.45 + lean, top + reach * (1 - 0.3 * abs(lean))),
                (
                    0.45 + lean * 0.3,
                    top + reach * 0.6,
                ),
            )
            width = random.uniform(0.035, 0.06)
            blade = [(0.45, top - 0.02), (bend[0] - width, bend[1]), tip, (bend[0] + width, bend[1])]
            sheet.area(smooth(blade, 1), dim(green, random.uniform(0.7, 1.3)))
    sheet.area([(0.27, 0.02), (0.2, top), (0.7, top), (0.63, 0.02)], pot)
    sheet.box(0.17, top - 0.06, 0.73, top + 0.02, dim(pot, 1.12))
    sheet.disc(0.45, 0.025, 0.18, 0.025, dim(pot, 0.8))
    sheet.texture(random, 0.06, 0.04)
    return sheet
