"""find_images_with_classes over a COCO-train-sized data set (118,287 images, 860,001 objects): at least 50
times the way through pycocotools: getImgIds where it answers the question (all), getAnnIds where it does
not."""

from __future__ import annotations

import contextlib
import io
import sys

import numpy as np

from analysis.queries import find_images_with_classes
from detector.core import ClassMap
from detector.data.dataset import Dataset, ObjectTable
from tests.benchmarks.table import row, scaled
from tests.benchmarks.timing import compare

IMAGES, OBJECTS, CLASSES = scaled(118_287), scaled(860_001), 80


def make() -> tuple[Dataset, object]:
    rng = np.random.default_rng(0)
    weights = 1 / np.arange(1, CLASSES + 1)
    rows = np.sort(rng.integers(0, IMAGES, OBJECTS))
    kinds = rng.choice(CLASSES, OBJECTS, p=weights / weights.sum())
    names = tuple(f"class {k}" for k in range(CLASSES))
    boxes = np.tile(np.float32([10, 20, 50, 40]), (OBJECTS, 1))
    data = Dataset(
        name="train",
        format="coco",
        source="",
        class_map=ClassMap(names),
        sample_ids=[str(i) for i in range(IMAGES)],
        files=[""] * IMAGES,
        objects=ObjectTable.build(rows, boxes, kinds),
    )
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {
        "images": [{"id": i} for i in range(IMAGES)],
        "categories": [{"id": k, "name": n} for k, n in enumerate(names)],
        "annotations": [
            {"id": j + 1, "image_id": r, "category_id": k, "area": 800.0, "iscrowd": 0}
            for j, (r, k) in enumerate(zip(rows.tolist(), kinds.tolist()))
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return data, coco


def main() -> int:
    data, coco = make()
    a, b, c = 0, 2, 7

    def holding(k: int, least: int) -> list[int]:
        return [i for i in coco.getImgIds(catIds=[k]) if len(coco.getAnnIds(imgIds=[i], catIds=[k])) >= least]

    def alone(k: int) -> list[int]:
        return [
            i
            for i in coco.getImgIds(catIds=[k])
            if len(coco.getAnnIds(imgIds=[i])) == len(coco.getAnnIds(imgIds=[i], catIds=[k]))
        ]

    def none_of(ks: list[int]) -> set[int]:
        held = {ann["image_id"] for ann in coco.loadAnns(coco.getAnnIds(catIds=ks))}
        return set(coco.getImgIds()) - held

    def find(ks: list[int], mode: str, least: int = 1) -> list[str]:
        return find_images_with_classes(data, ks, mode, least)

    questions = {
        "all of two": (lambda: coco.getImgIds(catIds=[a, b]), lambda: find([a, b], "all")),
        "any of three": (
            lambda: {ann["image_id"] for ann in coco.loadAnns(coco.getAnnIds(catIds=[a, b, c]))},
            lambda: find([a, b, c], "any"),
        ),
        "none of three": (lambda: none_of([a, b, c]), lambda: find([a, b, c], "none")),
        "only one": (lambda: alone(c), lambda: find([c], "only")),
        "at least three": (lambda: holding(c, 3), lambda: find([c], "any", 3)),
    }
    theirs_total = ours_total = 0.0
    for name, (theirs, ours) in questions.items():
        assert {str(i) for i in theirs()} == set(ours()), f"{name}: the two sides disagree"
        took = compare(theirs, ours, 5)
        theirs_total, ours_total = theirs_total + took.a, ours_total + took.b
        print(
            f"{name:15} pycocotools {took.a * 1e3:7.1f} ms, here {took.b * 1e3:5.2f} ms, {took.ratio:4.0f}"
            " times faster"
        )
    ratio = theirs_total / ours_total
    print(
        f"{'together':15} pycocotools {theirs_total * 1e3:7.1f} ms, here {ours_total * 1e3:5.2f} ms,"
        f" {ratio:4.0f} times faster (promised: 50)"
    )
    row("find images with classes, against pycocotools", ours_total, theirs_total, ratio, 50)
    return int(ratio < 50)


if __name__ == "__main__":
    sys.exit(main())
