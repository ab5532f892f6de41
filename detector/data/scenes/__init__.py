"""The built-in demo: scenes drawn by the project, with exact ground truth, the same for the same seed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from detector.core import Annotations
from detector.data.dataset import Dataset
from detector.data.scenes.compose import DEMO_CLASSES, draw_scene

__all__ = ["DEMO_CLASSES", "SIZES", "demo_dataset", "scene"]

SIZES = ((640, 427), (427, 640), (500, 375), (800, 450), (640, 480), (375, 500))
_VERSION = 1  # raise when the pictures change, so that an older demo is drawn anew
_JPEG_QUALITY = 92


def scene(seed: int, size: tuple[int, int] | None = None, kind: str | None = None) -> tuple[np.ndarray, Annotations]:
    """One drawn scene.

    Args:
        seed: decides everything; the same seed gives the same scene.
        size: (W, H) in pixels; one of `SIZES` where not given.
        kind: "street", "park" or "room"; chosen by the seed where not given.

    Returns:
        (RGB uint8 [H, W, 3], Annotations with classes of `DEMO_CLASSES`, boxes round what can be seen, `occluded`
        where other things hide a tenth or more, `truncated` where the border cuts, `area` the visible pixels).
    """
    random = np.random.default_rng([seed, _VERSION])
    chosen_size = SIZES[random.integers(len(SIZES))]
    chosen_kind = str(random.choice(["street", "street", "street", "park", "park", "room", "room"]))
    width, height = size or chosen_size
    return draw_scene(random, kind or chosen_kind, width, height)


def demo_dataset(root: str | os.PathLike, count: int = 120, seed: int = 2024) -> Dataset:
    """The demo scenes as a COCO data set with the splits train (4 of 5) and val, drawn once into `root`.

    The folder is named by count, seed and version. It is put together beside its place and moved there whole, so
    that a kill or a second process never leaves half a demo.

    Raises:
        OSError: `root` cannot be written.
    """
    from detector.data.coco import read_coco

    root = Path(root)
    folder = root / f"scenes-v{_VERSION}-{count}-{seed}"
    if not folder.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=root))
        try:
            _draw(work, count, seed)
            try:
                os.replace(work, folder)
            except OSError:
                if not folder.is_dir():  # else another process was first, with the same pixels
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    dataset = read_coco(folder)
    dataset.name, dataset.format = "demo", "demo"
    return dataset


def _draw(folder: Path, count: int, seed: int) -> None:
    import cv2

    def one(k: int) -> tuple[str, str, Annotations]:
        split = "val" if k % 5 == 4 else "train"
        name = f"{split}/scene-{k + 1:04d}.jpg"
        image, truth = scene(seed * 10_007 + k)
        encoded = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1]
        (folder / name).write_bytes(encoded.tobytes())
        return split, name, truth

    for split in ("train", "val", "annotations"):
        (folder / split).mkdir()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        drawn = list(pool.map(one, range(count)))
    for split in ("train", "val"):
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(_document(drawn, split)), encoding="utf-8")


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
                    "id": first + n, "image_id": k + 1, "category_id": DEMO_CLASSES.to_external(int(truth.class_ids[n])),
                    "bbox": [x1, y1, x2 - x1, y2 - y1], "area": float(truth.area[n]), "iscrowd": 0,
                    "truncated": bool(truth.truncated[n]), "occluded": bool(truth.occluded[n]),
                }
            )
    categories = [{"id": i, "name": n} for n, i in zip(DEMO_CLASSES.names, DEMO_CLASSES.external_ids)]
    return {"info": {"description": "Boxscope demo scenes"}, "images": images, "annotations": annotations, "categories": categories}
