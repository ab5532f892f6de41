"""Stored runs with everything in them that windows could get wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.runs.writer import RunWriter, create_run
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable

NAMES = ("car", "dog", "cup")
INFO = DetectorInfo(
    "stub",
    "stub",
    ClassMap((*NAMES, "kite")),
    "weights-1",
    capabilities=frozenset({"low_scores"}),
    simulated=True,
)


def crowded(images: int = 40, seed: int = 0, *, ids: str = "numbers") -> Dataset:
    """Images of 100x80 with tied boxes, crowd regions, difficult objects, unlabelled ones; ids that do not
    sort as they come.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.integers(0, images, 4 * images))
    m = len(rows)
    low = rng.integers(0, 50, (m, 2))
    boxes = np.concatenate([low, low + rng.integers(4, 25, (m, 2))], axis=1)
    objects = ObjectTable.build(
        rows,
        boxes,
        rng.integers(0, 3, m),
        ids=np.arange(m),
        crowd=rng.random(m) < 0.1,
        difficult=rng.random(m) < 0.1,
        area=np.where(rng.random(m) < 0.5, np.nan, rng.integers(20, 2000, m)),
    )
    numbers = rng.permutation(images * 3)[:images]
    labelled = rng.random(images) < 0.9
    labelled[rows] = True
    return Dataset(
        name="crowded",
        format="memory",
        source="memory",
        class_map=ClassMap(NAMES),
        labelled=labelled,
        sample_ids=[str(n) if ids == "numbers" else f"a{n}" for n in numbers],
        files=[""] * images,
        sizes=np.tile([100, 80], (images, 1)),
        objects=objects,
        splits=[("train", "val", None)[i % 3] for i in range(images)],
    )


def answer(dataset: Dataset, i: int, seed: int = 0) -> Detections:
    """0 to 11 detections: half near an object, scores of one digit, so that ties occur within and across
    images.
    """
    rng = np.random.default_rng([seed, i])
    n = int(rng.integers(0, 12))
    low = rng.integers(0, 50, (n, 2)).astype(float)
    boxes = np.concatenate([low, low + rng.integers(4, 25, (n, 2))], axis=1)
    t = dataset.objects.xyxy[dataset.offsets[i] : dataset.offsets[i + 1]]
    if len(t) and n:
        near = rng.random(n) < 0.6
        boxes = np.where(near[:, None], t[rng.integers(0, len(t), n)] + rng.integers(-2, 3, (n, 4)), boxes)
    boxes = np.clip(boxes, 0, [90, 80, 90, 80])
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    scores = np.sort(rng.integers(1, 11, n) / 10)[::-1]
    return Detections(
        boxes, scores, rng.integers(0, 4, n), (100, 80) if i % 7 else (90, 80), rng.integers(0, 99, n)
    )


def store(
    folder: Path, dataset: Dataset, *, seed: int = 0, part_images: int = 7, open_images: int = 2
) -> Path:
    """The run of `answer` in parts of several workers, images in no order, one failed, some done twice, the
    last few not at all.
    """
    create_run(folder, dataset, INFO, floor=0.15)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(dataset) - open_images)
    halves = np.array_split(rows, 2)
    writers = [RunWriter(folder, name, part_images=part_images, part_seconds=1e9) for name in ("one", "two")]
    twice = halves[0][:3]
    writers[1].done[:] = False
    for writer, half in zip(writers, (halves[0], np.concatenate([halves[1], twice]))):
        for row in half.tolist():
            if row == 5:
                writer.add_failed(row, "picture 5 is torn")
            else:
                writer.add(row, answer(dataset, row, seed + (writer.worker == "two" and row in twice)))
        writer.close()
    return folder
