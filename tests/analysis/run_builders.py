"""Small data sets without files, and a detector whose answer is read off the first pixel."""

from __future__ import annotations

import threading
import time

import numpy as np

from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable
from detector.errors import ImageError, ModelError

SIZE = (21, 13)  # (W, H)


def picture(i: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    image = np.zeros((size[1], size[0], 3), np.uint8)
    image[0, 0] = (i // 256, i % 256, 7)
    return image


def numbered(
    n: int = 10,
    *,
    broken: tuple[int, ...] = (),
    sizes: dict[int, tuple[int, int]] | None = None,
    name: str = "numbers",
) -> Dataset:
    """n pictures that carry their number; those in `broken` cannot be read; `sizes` are the decoded sizes
    that differ from 21x13.
    """

    def load(i: int) -> np.ndarray:
        if i in broken:
            raise ImageError(f"picture {i} is torn")
        return picture(i, (sizes or {}).get(i, SIZE))

    rows = np.repeat(np.arange(n), 2)
    boxes = np.tile([[1, 2, 9, 11], [10, 3, 21, 13]], (n, 1))
    return Dataset(
        name=name,
        format="memory",
        source="memory",
        class_map=ClassMap(("cat", "aeroplane"), (3, 7)),
        sample_ids=[f"s{i:04d}" for i in range(n)],
        files=[""] * n,
        sizes=np.tile(SIZE, (n, 1)),
        objects=ObjectTable.build(rows, boxes, np.tile([0, 1], n)),
        loader=load,
    )


INFO = DetectorInfo(
    "stub",
    "stub",
    ClassMap(("airplane", "dog", "Cat"), (5, 18, 17)),
    "weights-1",
    capabilities=frozenset({"low_scores"}),
    simulated=True,
)


class StubDetector:
    """Answers 0 to 4 boxes that depend on the picture's number alone; fails on the numbers in `fails_on`."""

    def __init__(self, *, delay: float = 0.0, fails_on: tuple[int, ...] = (), info: DetectorInfo = INFO):
        self.info, self.delay, self.fails_on = info, delay, fails_on
        self.seen: list[int] = []
        self.threads: set[int] = set()

    def detect(self, images):
        self.threads.add(threading.get_ident())
        time.sleep(self.delay * len(images))
        numbers = [int(im[0, 0, 0]) * 256 + int(im[0, 0, 1]) for im in images]
        if bad := [n for n in numbers if n in self.fails_on]:
            raise ModelError(f"cannot do picture {bad[0]}")
        self.seen += numbers
        return [answer(n, (im.shape[1], im.shape[0])) for n, im in zip(numbers, images)]


def answer(number: int, size: tuple[int, int] = SIZE) -> Detections:
    rng = np.random.default_rng(number)
    k = number % 5
    low = rng.uniform(0, 6, (k, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 6, (k, 2))], axis=1)
    scores = np.sort(rng.uniform(0, 1, k).astype(np.float32).round(1))[::-1]  # rounded, so that ties occur
    return Detections(boxes, scores, rng.integers(0, 3, k), size, rng.integers(0, 99, k))
