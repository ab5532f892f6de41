"""Small stored-run-like values with real image files, for pushing to FiftyOne."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from analysis.runs.in_memory import run_from_detections
from analysis.runs.store import Run
from detector.core import ClassMap, Detections, DetectorInfo
from detector.data.dataset import Dataset, ObjectTable

NAMES = ("car", "dog", "cup", "tree")


def draw(path: Path, size: tuple[int, int], boxes: np.ndarray, seed: int = 0) -> None:
    """A picture (W, H) with a filled rectangle a box."""
    rng = np.random.default_rng(seed)
    image = np.full((size[1], size[0], 3), 200, np.uint8)
    for x1, y1, x2, y2 in boxes.astype(int).tolist():
        cv2.rectangle(image, (x1, y1), (x2, y2), rng.integers(0, 255, 3).tolist(), -1)
    cv2.imwrite(str(path), image)


def random_run(
    folder: Path | None,
    *,
    images: int = 12,
    objects: int = 4,
    dets: int = 8,
    seed: int = 0,
    size=(120, 80),
    detector: str = "fake",
    crowd: float = 0.1,
    unlabelled: tuple[int, ...] = (),
    missing: tuple[int, ...] = (),
    name: str = "little",
) -> Run:
    """A run with true, wrong, duplicate and confused detections; with a folder its pictures exist.

    `detector` changes the detections but not the truth; `missing` images were not run on.
    """
    rng = np.random.default_rng(seed)
    rows, boxes, classes, flags = [], [], [], []
    for i in range(images):
        for _ in range(int(rng.integers(0, objects + 1)) if objects < 10 else objects):
            low = rng.integers(0, (size[0] - 41, size[1] - 41))
            boxes.append([*low, *(low + rng.integers(8, 40, 2))])
            rows.append(i)
            classes.append(int(rng.integers(0, 3)))
            flags.append(bool(rng.random() < crowd))
    boxes = np.array(boxes, np.float64).reshape(-1, 4)
    rows_array = np.array(rows, np.int64)
    table = ObjectTable.build(rows_array, boxes, classes, ids=np.arange(len(rows)) + 100, crowd=flags)
    files = [""] * images
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        files = [str(folder / f"picture {i:04d}.jpg") for i in range(images)]
        for i, file in enumerate(files):
            draw(Path(file), size, boxes[rows_array == i], seed=i)
    labelled = np.ones(images, bool)
    labelled[list(unlabelled)] = False
    dataset = Dataset(
        name=name,
        format="coco",
        source=str(folder or "memory"),
        class_map=ClassMap(NAMES),
        sample_ids=[f"s{i}" for i in range(images)],
        files=files,
        sizes=np.tile(np.int32(size), (images, 1)),
        labelled=labelled,
        objects=table.take(labelled[table.rows]),
        splits=["val"] * images,
    )
    rng = np.random.default_rng(seed + sum(detector.encode()))
    found = []
    starts, all_kinds = np.searchsorted(rows_array, np.arange(images + 1)), np.array(classes, np.int64)
    for i in range(images):
        mine, kinds = (column[starts[i] : starts[i + 1]] for column in (boxes, all_kinds))
        n = int(rng.integers(0, dets + 1)) if dets < 10 else dets
        low = rng.integers(0, (size[0] - 41, size[1] - 41), (n, 2))
        xyxy = np.concatenate([low, low + rng.integers(8, 40, (n, 2))], axis=1).astype(float)
        ids = rng.integers(0, 4, n)
        if len(mine):
            near = rng.random(n) < 0.7
            pick = rng.integers(0, len(mine), n)
            xyxy = np.where(near[:, None], mine[pick] + rng.integers(-2, 3, (n, 4)), xyxy)
            ids = np.where(near & (rng.random(n) < 0.8), kinds[pick], ids)
        xyxy = np.clip(xyxy, 0, [size[0], size[1], size[0], size[1]])
        scores = np.sort(rng.random(n) * 0.98 + 0.02)[::-1]
        found.append(None if i in missing else Detections(xyxy, scores, ids, size))
    info = DetectorInfo(
        name=detector,
        kind="fake",
        class_map=ClassMap(NAMES),
        weights_hash=f"hash of {detector}",
        simulated=True,
    )
    return run_from_detections(dataset, found, info, floor=0.01)


def store_run(folder: Path, pictures: Path, **options) -> Path:
    """A stored run on disk, detected by replaying `random_run`'s detections; returns its folder."""
    from analysis.runs.detect import detect_run
    from detector.data.dataset import Dataset as Data

    run = random_run(pictures, **options)
    data = Data(
        name=run.manifest.dataset.name,
        format="coco",
        source=str(pictures),
        class_map=ClassMap(NAMES),
        sample_ids=run.sample_ids,
        files=run.files,
        sizes=run.sizes,
        labelled=run.labelled,
        objects=run.truth,
        splits=run.splits,
    )
    answers = iter(range(len(run)))

    class Replay:
        info = DetectorInfo(
            name="replay", kind="fake", class_map=ClassMap(NAMES), weights_hash="replay", simulated=True
        )

        def detect(self, images):
            return [run.detections_of(next(answers)) for _ in images]

    detect_run(Replay(), data, folder, floor=0.01, batch_size=8)
    return folder
