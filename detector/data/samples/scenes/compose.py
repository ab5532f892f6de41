"""One scene: a place, things in it from far to near, and the truth about what can be seen of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from detector.core import Annotations, ClassMap
from detector.data.samples.scenes import backgrounds, living, things, vehicles
from detector.data.samples.scenes.pen import Sheet, lay, noise

Drawer = Callable[[np.random.Generator, float], Sheet]

DEMO_CLASSES = ClassMap(
    (
        "person",
        "bicycle",
        "car",
        "bus",
        "traffic light",
        "dog",
        "umbrella",
        "sports ball",
        "chair",
        "potted plant",
    ),
    (1, 2, 3, 6, 10, 18, 28, 37, 62, 64),
)
"""Named and numbered as in COCO, so that a COCO network can be tried on the demo."""

_DRAW: dict[str, Drawer] = {
    "person": living.person,
    "bicycle": vehicles.bicycle,
    "car": vehicles.car,
    "bus": vehicles.bus,
    "traffic light": things.traffic_light,
    "dog": living.dog,
    "umbrella": things.umbrella,
    "sports ball": things.sports_ball,
    "chair": things.chair,
    "potted plant": living.potted_plant,
}
_CAST: dict[str, dict[str, float]] = {
    "street": {
        "car": 0.32,
        "person": 0.2,
        "bus": 0.16,
        "bicycle": 0.1,
        "traffic light": 0.1,
        "dog": 0.04,
        "umbrella": 0.05,
        "sports ball": 0.01,
    },
    "park": {
        "person": 0.34,
        "dog": 0.2,
        "bicycle": 0.14,
        "sports ball": 0.14,
        "umbrella": 0.12,
        "chair": 0.03,
        "potted plant": 0.03,
    },
    "room": {
        "chair": 0.32,
        "potted plant": 0.25,
        "person": 0.2,
        "dog": 0.12,
        "sports ball": 0.08,
        "umbrella": 0.03,
    },
}
_CLUTTER: dict[str, tuple[Drawer, ...]] = {
    "street": (things.tree, things.lamp_post, things.bin_, things.cone, things.sign, things.bush),
    "park": (things.tree, things.tree, things.bush, things.bush, things.bin_, things.lamp_post),
    "room": (things.floor_lamp, things.cardboard, things.shelf, things.cardboard),
}
_SMALLEST = 9
"""Shorter side in pixels below which a thing is not placed: nobody could label it."""
_SEEN = 0.3
"""Least part of a thing that must stay visible, else it, or what would hide it, is placed elsewhere."""


@dataclass
class _Thing:
    """A labelled thing: its pixels in all, those within the picture, and a mask of those still seen."""

    class_id: int
    full: int
    framed: int
    mask: np.ndarray
    corner: tuple[int, int]


@dataclass
class _Stage:
    """The picture being painted, and for each labelled thing which of its pixels can still be seen."""

    place: backgrounds.Place
    random: np.random.Generator
    picture: np.ndarray
    things: list[_Thing] = field(default_factory=list)

    def put(
        self,
        sheet: Sheet,
        x: float,
        row: float,
        class_id: int | None,
        *,
        lift: float = 0.0,
        shadow: bool = True,
    ) -> bool:
        """Paint a sheet with the middle of its base at (x, row); False where it would hide too much or be too
        small.
        """
        scale = self.place.scale(row)
        sprite = sheet.finish(self.place.light, mirror=self.random.random() < 0.5)
        height, width = sprite.shape[:2]
        left, top = round(x - width / 2), round(row - lift * scale - height)
        solid = sprite[:, :, 3] > 0.35
        if not self._room_for(solid, left, top, labelled=class_id is not None):
            return False
        if shadow:
            self._shadow(x, row, width, scale)
        sprite = self._faded(sprite, scale)
        where = lay(self.picture, sprite, left, top)
        if where is None:
            return False
        self._hide(solid, left, top)
        if class_id is not None:
            inside = solid[where[2], where[3]]
            full = int(solid.sum())
            self.things.append(
                _Thing(class_id, full, int(inside.sum()), inside.copy(), (where[1].start, where[0].start))
            )
        return True

    def _faded(self, sprite: np.ndarray, scale: float) -> np.ndarray:
        if self.place.kind == "room":
            return sprite
        far = np.float32(np.clip(0.42 - 0.0105 * scale, 0, 0.4))
        if far <= 0:
            return sprite
        faded = sprite.copy()
        faded[:, :, :3] = sprite[:, :, :3] * (1 - far) + np.float32(self.place.haze) * sprite[:, :, 3:] * far
        return faded

    def _shadow(self, x: float, row: float, width: int, scale: float) -> None:
        rx, ry = max(2.0, 0.5 * width), max(1.0, 0.09 * min(width, 2.2 * scale))
        x -= 0.12 * width * self.place.light
        top, bottom = max(0, int(row - 3 * ry)), min(self.picture.shape[0], int(row + 3 * ry) + 1)
        left, right = max(0, int(x - 1.6 * rx)), min(self.picture.shape[1], int(x + 1.6 * rx) + 1)
        if top >= bottom or left >= right:
            return
        ys, xs = np.mgrid[top:bottom, left:right].astype(np.float32)
        far = ((xs - x) / rx) ** 2 + ((ys - row) / ry) ** 2
        self.picture[top:bottom, left:right] *= (1 - np.float32(0.55) * np.clip(1.25 - far, 0, 1))[:, :, None]

    def _overlap(
        self, solid: np.ndarray, left: int, top: int, thing: _Thing
    ) -> tuple[slice, slice, np.ndarray] | None:
        tx, ty = thing.corner
        h, w = thing.mask.shape
        x1, y1, x2, y2 = (
            max(left, tx),
            max(top, ty),
            min(left + solid.shape[1], tx + w),
            min(top + solid.shape[0], ty + h),
        )
        if x1 >= x2 or y1 >= y2:
            return None
        return (
            slice(y1 - ty, y2 - ty),
            slice(x1 - tx, x2 - tx),
            solid[y1 - top : y2 - top, x1 - left : x2 - left],
        )

    def _room_for(self, solid: np.ndarray, left: int, top: int, labelled: bool) -> bool:
        height, width = self.picture.shape[:2]
        inside = solid[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
        if labelled and (inside.sum() < 0.4 * solid.sum() or min(inside.shape) < _SMALLEST):
            return False
        for thing in self.things:
            if (over := self._overlap(solid, left, top, thing)) is not None:
                lost = int((thing.mask[over[:2]] & over[2]).sum())
                if int(thing.mask.sum()) - lost < _SEEN * thing.framed:
                    return False
        return True

    def _hide(self, solid: np.ndarray, left: int, top: int) -> None:
        for thing in self.things:
            if (over := self._overlap(solid, left, top, thing)) is not None:
                thing.mask[over[:2]] &= ~over[2]

    def truth(self) -> Annotations:
        """Boxes round the pixels that can be seen; occluded below 90 %, truncated where the border cuts."""
        boxes, classes, cut, hidden, areas = [], [], [], [], []
        height, width = self.picture.shape[:2]
        for thing in self.things:
            rows, columns = np.flatnonzero(thing.mask.any(axis=1)), np.flatnonzero(thing.mask.any(axis=0))
            x, y = thing.corner
            boxes.append([x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1])
            classes.append(thing.class_id)
            cut.append(thing.framed < 0.985 * thing.full)
            seen = int(thing.mask.sum())
            hidden.append(seen < 0.9 * thing.framed)
            areas.append(seen)
        return Annotations(
            np.array(boxes).reshape(-1, 4),
            classes,
            (width, height),
            truncated=cut,
            occluded=hidden,
            area=areas,
        )


def draw_scene(
    random: np.random.Generator, kind: str, width: int, height: int
) -> tuple[np.ndarray, Annotations]:
    """Draw one scene: (RGB uint8 [H, W, 3], what can be seen in it)."""
    place = {"street": backgrounds.street, "park": backgrounds.park, "room": backgrounds.room}[kind](
        random, width, height
    )
    stage = _Stage(place, random, place.pixels.copy())
    for scale, name in sorted(_cast(random, place), key=lambda part: part[0]):
        for _ in range(6):
            if _enter(stage, name, scale):
                break
    return _photograph(random, stage.picture), stage.truth()


def _cast(random: np.random.Generator, place: backgrounds.Place) -> list[tuple[float, str]]:
    """(pixels a metre, name) of everything that shall appear; "" is clutter."""
    height = place.pixels.shape[0]
    nearest = place.scale(height * 1.12)
    farthest = (
        max(place.scale(place.horizon + 0.07 * height), 7.0)
        if place.kind != "room"
        else place.scale(0.62 * height)
    )
    names, weights = zip(*_CAST[place.kind].items())
    count = int(random.integers(3, 7)) if place.kind == "room" else int(random.integers(4, 11))
    chosen = [str(n) for n in random.choice(names, count, p=np.array(weights) / sum(weights))]
    chosen += [""] * int(random.integers(2, 5))
    # Even in the logarithm of the scale: as many twice as far, so that near and far things both occur.
    return [(float(np.exp(random.uniform(np.log(farthest), np.log(nearest)))), name) for name in chosen]


def _enter(stage: _Stage, name: str, scale: float) -> bool:
    random, place = stage.random, stage.place
    height, width = stage.picture.shape[:2]
    if name == "":
        draw = _CLUTTER[place.kind][random.integers(len(_CLUTTER[place.kind]))]
        scale = min(scale, (0.55 if place.kind != "street" else 0.3) * place.scale(height))
        return stage.put(draw(random, scale), _spread(random, width), place.row(scale), None)
    limit = {"bus": 0.62, "car": 0.85, "traffic light": 0.8, "umbrella": 0.8}.get(name, 1.0)
    scale = min(scale * random.uniform(0.9, 1.1), limit * place.scale(height * 1.05))
    if name in ("sports ball", "dog") and scale < 0.25 * place.scale(height):
        scale *= 2.2
    class_id, x, row = DEMO_CLASSES.index(name), random.uniform(-0.03, 1.03) * width, place.row(scale)
    if name == "traffic light":
        if place.row(scale) - 3.4 * scale < -0.3 * scale:
            return False
        if not stage.put(things.pole(random, scale), x, row, None):
            return False
        stage.put(_DRAW[name](random, scale), x, row, class_id, lift=2.45, shadow=False)
        return True  # a pole whose head found no place stays as clutter
    if name == "umbrella" and random.random() < 0.7:
        person = DEMO_CLASSES.index("person")
        if not stage.put(living.person(random, scale), x, row, person):
            return False
        return stage.put(
            things.umbrella(random, scale), x + 0.25 * scale, row, class_id, lift=1.0, shadow=False
        )
    lift = (
        random.uniform(0.2, 1.2)
        if name == "sports ball" and place.kind != "room" and random.random() < 0.3
        else 0.0
    )
    return stage.put(_DRAW[name](random, scale), x, row, class_id, lift=lift)


def _spread(random: np.random.Generator, width: int) -> float:
    """Clutter stands at the sides rather than in the middle."""
    side = random.uniform(-0.02, 0.3)
    return width * (side if random.random() < 0.5 else 1 - side)


def _photograph(random: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Exposure, colour cast, darker corners, a soft lens and sensor grain."""
    height, width = picture.shape[:2]
    cast = np.float32(random.uniform(0.95, 1.05, 3) * random.uniform(0.88, 1.1))
    xs, ys = (
        np.linspace(-1, 1, width, dtype=np.float32)[None, :],
        np.linspace(-1, 1, height, dtype=np.float32)[:, None],
    )
    corners = 1 - np.float32(random.uniform(0.05, 0.16)) * (xs**2 + ys**2)
    soft = cv2.split(cv2.GaussianBlur(picture, (3, 3), float(random.uniform(0.35, 0.7))))
    grain = np.float32(random.uniform(2.0, 5.0)) * noise(random, (height, width), 1)
    planes = [np.clip(np.round(plane * (tint * corners) + grain), 0, 255) for plane, tint in zip(soft, cast)]
    return cv2.merge([plane.astype(np.uint8) for plane in planes])
