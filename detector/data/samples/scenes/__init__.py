"""The built-in demo: scenes drawn by the project, with exact ground truth, the same for the same seed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from detector.core import Annotations
from detector.data.dataset import Dataset
from detector.data.samples.scenes.compose import DEMO_CLASSES, draw_scene
from detector.errors import DataError, InputError

__all__ = ["DEMO_CLASSES", "DEMO_SEED", "MOST_SCENES", "SIZES", "demo_dataset", "scene", "write_scenes"]

SIZES = ((640, 427), (427, 640), (500, 375), (800, 450), (640, 480), (375, 500))
DEMO_SEED = 2024
"""Of the scenes that the demo shows; the demo's detector was trained on scenes of another."""
MOST_SCENES = 10_007
"""Scenes a seed; the next seed's come after them."""
_VERSION = 1  # raise when the pictures change, so that an older demo is drawn anew
_JPEG_QUALITY = 92
_TRAINING = ("train", "train", "train", "train", "val")  # the split of scene k is that of k modulo 5


def scene(
    seed: int, size: tuple[int, int] | None = None, kind: str | None = None
) -> tuple[np.ndarray, Annotations]:
    """One drawn scene.

    Args:
        seed: decides everything; the same seed gives the same scene.
        size: (W, H) in pixels; one of `SIZES` where not given.
        kind: "street", "park" or "room"; chosen by the seed where not given.

    Returns:
        (RGB uint8 [H, W, 3], Annotations with classes of `DEMO_CLASSES`, boxes round what can be seen,
            `occluded`
        where other things hide a tenth or more, `truncated` where the border cuts, `area` the visible
            pixels).
    """
    random = np.random.default_rng([seed, _VERSION])
    chosen_size = SIZES[random.integers(len(SIZES))]
    chosen_kind = str(random.choice(["street", "street", "street", "park", "park", "room", "room"]))
    width, height = size or chosen_size
    return draw_scene(random, kind or chosen_kind, width, height)


def demo_dataset(
    root: str | os.PathLike,
    count: int = 120,
    seed: int = DEMO_SEED,
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Dataset:
    """The demo scenes as a COCO data set of one split, test, drawn once into `root`.

    The folder is named by count, seed and version. It is put together beside its place and moved there whole,
    so that a kill or a second process never leaves half a demo.

    Args:
        progress: called with (scenes drawn, of how many), from any thread; not at all where they are drawn
            already.

    Raises:
        OSError: `root` cannot be written.
        InputError: more than `MOST_SCENES`, or less than one.
    """
    from detector.data.formats.coco import read_coco

    folder = Path(root) / f"demo-v{_VERSION}-{count}-{seed}"
    if not folder.is_dir():
        _draw_whole(folder, count, seed, ("test",), progress)
    dataset = read_coco(folder)
    dataset.name, dataset.format = "demo", "demo"
    return dataset


def write_scenes(
    folder: str | os.PathLike, count: int, seed: int, *, progress: Callable[[int, int], object] | None = None
) -> Path:
    """Draw scenes to train on into a new folder: a COCO data set with the splits train (4 of 5) and val.

    Args:
        folder: made by this call, whole or not at all.
        seed: another than `DEMO_SEED`, or a detector is trained on the scenes that the demo shows.
        progress: as in `demo_dataset`.

    Raises:
        DataError: the folder is there already.
        InputError: more than `MOST_SCENES`, or less than one.
        OSError: it cannot be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise DataError("expected a folder to make for the scenes; this one is there already.", path=folder)
    _draw_whole(folder, count, seed, _TRAINING, progress)
    return folder


def _draw_whole(
    folder: Path,
    count: int,
    seed: int,
    splits: tuple[str, ...],
    progress: Callable[[int, int], object] | None,
) -> None:
    if not 1 <= count <= MOST_SCENES:
        raise InputError(f"expected 1 to {MOST_SCENES:,} scenes of one seed, got {count:,}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        _draw(work, count, seed, splits, progress)
        work.chmod(0o755)  # mkdtemp's folder is its maker's alone
        try:
            os.replace(work, folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same pixels
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _draw(
    folder: Path,
    count: int,
    seed: int,
    splits: tuple[str, ...],
    progress: Callable[[int, int], object] | None,
) -> None:
    import cv2

    drawn = 0

    def one(k: int) -> tuple[str, str, Annotations]:
        nonlocal drawn
        split = splits[k % len(splits)]
        name = f"{split}/scene-{k + 1:04d}.jpg"
        image, truth = scene(seed * MOST_SCENES + k)
        encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        (folder / name).write_bytes(encoded.tobytes())
        drawn += 1
        if progress is not None:
            progress(drawn, count)
        return split, name, truth

    for split in {*splits, "annotations"}:
        (folder / split).mkdir()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        done = list(pool.map(one, range(count)))
    for split in set(splits):
        (folder / "annotations" / f"instances_{split}.json").write_text(
            json.dumps(_document(done, split)), encoding="utf-8"
        )


def _document(drawn: list[tuple[str, str, Annotations]], split: str) -> dict:
    images, annotations = [], []
    number = 0
    for k, (own, name, truth) in enumerate(drawn):
        first, number = number + 1, number + len(truth)
        if own != split:
            continue
        width, height = truth.image_size
        images.append({"id": k + 1, "file_name": name, "width": width, "height": height})
        for n in range(len(truth)):
            x1, y1, x2, y2 = (float(v) for v in truth.xyxy[n])
            annotations.append(
                {
                    "id": first + n,
                    "image_id": k + 1,
                    "category_id": DEMO_CLASSES.to_external(int(truth.class_ids[n])),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": float(truth.area[n]),
                    "iscrowd": 0,
                    "truncated": bool(truth.truncated[n]),
                    "occluded": bool(truth.occluded[n]),
                }
            )
    categories = [{"id": i, "name": n} for n, i in zip(DEMO_CLASSES.names, DEMO_CLASSES.external_ids)]
    return {
        "info": {"description": "Boxscope demo scenes"},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
