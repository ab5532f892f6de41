"""Which objects the anchors of a network reach: known from the boxes alone, before any training.

An anchor answers for an object from IoU 0.5 on. The share of objects that some anchor reaches is the recall
the anchors have as they stand, and the ceiling of what the reference's matcher trains for; an object beyond
it is forced onto its one best anchor, where others are learnt by several. A trained network moves its anchors
and so finds some of these too, with less confidence: of the platelets of BCCD's test split an SSD MobileNetV2
FPNLite at 320 found 84 % of the reached and 58 % of the others at a threshold of 0.3 (mean scores 0.42 and
0.23; measured).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.core import frozen_array
from detector.data.dataset import Dataset
from detector.errors import InputError

INPUT_EDGES = (8.0, 16.0, 32.0, 64.0)
INPUT_SIZES = ("under 8 px", "8 to 16 px", "16 to 32 px", "32 to 64 px", "64 px and more")
"""Sizes of objects as the network sees them: the square root of width x height in pixels of its input."""


@dataclass(frozen=True, eq=False)
class AnchorSet:
    """The anchors of a network, as a value.

    Args:
        name: what people call the network.
        boxes: float32 [A, 4], normalised (ymin, xmin, ymax, xmax) of the input, may reach outside 0..1.
        levels: int32 [A], index of the feature map, 0 the finest.
        cells: int32 [A, 3], (row, column, type) within its level; a level's boxes of one type have one size,
            and their centres form a grid.
        input_size: (W, H) in pixels; pictures are stretched to it.
        match_iou: from which IoU an anchor answers for an object.

    Raises:
        InputError: lengths differ, or the boxes of a type are no grid.
    """

    name: str
    boxes: np.ndarray
    levels: np.ndarray
    cells: np.ndarray
    input_size: tuple[int, int]
    match_iou: float = 0.5

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "boxes", frozen_array(self.boxes, np.float32, (None, 4), "AnchorSet.boxes"))
        n = len(self.boxes)
        put(self, "levels", frozen_array(self.levels, np.int32, (n,), "AnchorSet.levels"))
        put(self, "cells", frozen_array(self.cells, np.int32, (n, 3), "AnchorSet.cells"))
        put(self, "_grids", [self._grid(rows) for rows in self._groups()])

    def __len__(self) -> int:
        return len(self.boxes)

    def _groups(self) -> list[np.ndarray]:
        kinds = np.stack([self.levels, self.cells[:, 2]], axis=1)
        _, group = np.unique(kinds, axis=0, return_inverse=True)
        return [np.flatnonzero(group.reshape(-1) == g) for g in range(int(group.max(initial=-1)) + 1)]

    def _grid(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
        """(centre y of each row, centre x of each column, height, width) of one level and type, in
        float64.
        """
        boxes = self.boxes[rows].astype(np.float64)
        y, x = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
        row, column = self.cells[rows, 0], self.cells[rows, 1]
        ys, xs = np.full(int(row.max()) + 1, np.nan), np.full(int(column.max()) + 1, np.nan)
        ys[row], xs[column] = y, x
        close = np.allclose(y, ys[row], atol=1e-5) and np.allclose(x, xs[column], atol=1e-5)
        even = np.allclose(height, height[0], atol=1e-5) and np.allclose(width, width[0], atol=1e-5)
        if not (close and even and len(rows) == len(ys) * len(xs)):
            raise InputError(
                f"AnchorSet {self.name}: expected the anchors of a level and type to form a grid of boxes of"
                " one size."
            )
        return np.sort(ys), np.sort(xs), float(height[0]), float(width[0])

    @property
    def cell(self) -> float:
        """Pixels of the input between two anchors of the finest map: what is smaller falls between them."""
        finest = self.levels == self.levels.min(initial=0)
        rows = int(self.cells[finest, 0].max(initial=0)) + 1
        return self.input_size[1] / rows


def best_iou(boxes: np.ndarray, anchors: AnchorSet) -> np.ndarray:
    """The IoU of each box with the anchor that overlaps it most: float64 [N] in 0..1; 0 of a box without
    area.

    Args:
        boxes: float [N, 4], normalised (ymin, xmin, ymax, xmax). Stretching both axes leaves IoU as it is.

    Of anchors of one size the one whose centre is nearest, in y and in x, overlaps most, as the overlap along
    an axis only falls with the distance of the centres. So a handful of comparisons a box stand for all of
    them.
    """
    y1, x1, y2, x2 = np.asarray(boxes, np.float64).reshape(-1, 4).T
    height, width = y2 - y1, x2 - x1
    cy, cx = (y1 + y2) / 2, (x1 + x2) / 2
    best = np.zeros(len(y1))
    for ys, xs, h, w in anchors._grids:
        inside = np.maximum(np.minimum(np.minimum(height, h), (height + h) / 2 - _distance(cy, ys)), 0)
        inside *= np.maximum(np.minimum(np.minimum(width, w), (width + w) / 2 - _distance(cx, xs)), 0)
        union = height * width + h * w - inside
        np.maximum(best, np.divide(inside, union, out=np.zeros_like(inside), where=union > 0), out=best)
    return best


def _distance(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Of each value to the nearest of the sorted places."""
    at = np.searchsorted(places, values)
    return np.minimum(
        np.abs(values - places[np.maximum(at - 1, 0)]),
        np.abs(values - places[np.minimum(at, len(places) - 1)]),
    )


@dataclass(frozen=True)
class Part:
    """How many of some objects are reached. `ceiling` is reached / objects, None of none."""

    name: str
    objects: int
    reached: int

    @property
    def ceiling(self) -> float | None:
        return self.reached / self.objects if self.objects else None


@dataclass(frozen=True, eq=False)
class Reach:
    """What the anchors reach of a data set.

    Args:
        iou: float64 [M], the best anchor's IoU with each object of the data set; NaN of those not judged
            (crowd, or an image whose size is unknown).
        side: float64 [M], sqrt(width x height) in pixels of the network's input; NaN likewise.
        shorter: float64 [M], the shorter side in pixels of the network's input; NaN likewise.
        whole: over every judged object; classes, sizes: by class (those with objects) and by size at the
            input.
        table: int [K, 5, 2], objects and reached by class and size.
    """

    anchors: AnchorSet
    iou: np.ndarray
    side: np.ndarray
    shorter: np.ndarray
    whole: Part
    classes: tuple[Part, ...]
    sizes: tuple[Part, ...]
    table: np.ndarray

    @property
    def judged(self) -> np.ndarray:
        return ~np.isnan(self.iou)

    @property
    def unreached(self) -> np.ndarray:
        """bool [M]: the objects no anchor answers for."""
        return self.judged & ~(self.iou >= self.anchors.match_iou)

    def to_dict(self, names: Sequence[str]) -> dict:
        def part(p: Part) -> dict:
            return {"objects": p.objects, "reached": p.reached, "ceiling": p.ceiling}

        return {
            "network": self.anchors.name,
            "input_size": list(self.anchors.input_size),
            "anchors": len(self.anchors),
            "iou": self.anchors.match_iou,
            "all": part(self.whole),
            "classes": {p.name: part(p) for p in self.classes},
            "sizes": {p.name: part(p) for p in self.sizes},
            "classes_by_size": {
                names[k]: {
                    size: part(Part(size, int(n), int(r))) for size, (n, r) in zip(INPUT_SIZES, self.table[k])
                }
                for k in range(len(names))
                if self.table[k, :, 0].any()
            },
            "not_judged": int((~self.judged).sum()),
        }


def normalised_boxes(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """(float64 [M, 4] yxyx as fractions of the image, bool [M] where that is known and the object is no
    crowd).
    """
    sizes = dataset.sizes[dataset.objects.rows].astype(np.float64)
    known = (sizes > 0).all(axis=1) & ~dataset.objects.crowd
    sizes[~known] = 1
    x1, y1, x2, y2 = dataset.objects.xyxy.astype(np.float64).T
    width, height = sizes.T
    return np.stack([y1 / height, x1 / width, y2 / height, x2 / width], axis=1), known


def reach(dataset: Dataset, anchors: AnchorSet) -> Reach:
    """What the anchors of a network reach of a data set's objects; crowds are no single objects and are left
    out.
    """
    boxes, known = normalised_boxes(dataset)
    width, height = anchors.input_size
    wide, high = (boxes[:, 3] - boxes[:, 1]) * width, (boxes[:, 2] - boxes[:, 0]) * height
    iou = np.where(known, best_iou(boxes, anchors), np.nan)
    side, shorter = (
        np.where(known, np.sqrt(wide * high), np.nan),
        np.where(known, np.minimum(wide, high), np.nan),
    )
    reached = known & (iou >= anchors.match_iou)
    names, class_ids = dataset.class_map.names, dataset.objects.class_ids
    band = np.searchsorted(INPUT_EDGES, side, side="right")
    table = np.zeros((len(names), len(INPUT_SIZES), 2), np.int64)
    np.add.at(table, (class_ids[known], band[known], 0), 1)
    np.add.at(table, (class_ids[reached], band[reached], 1), 1)
    by_class, by_size = table.sum(axis=1), table.sum(axis=0)
    return Reach(
        anchors,
        iou,
        side,
        shorter,
        Part("all", int(known.sum()), int(reached.sum())),
        tuple(Part(names[k], int(n), int(r)) for k, (n, r) in enumerate(by_class) if n),
        tuple(Part(name, int(n), int(r)) for name, (n, r) in zip(INPUT_SIZES, by_size)),
        table,
    )
