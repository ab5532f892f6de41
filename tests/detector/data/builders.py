"""Small files for the tests of readers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image


def pixels(width: int = 7, height: int = 5, seed: int = 0) -> np.ndarray:
    """Smooth colours, different in every corner, so that a wrong turn shows; RGB uint8."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float64)
    red, green = 20 + 200 * xs / max(1, width - 1), 20 + 200 * ys / max(1, height - 1)
    blue = np.full_like(red, 40 + 20 * (seed % 8))
    return np.stack([red, green, blue], axis=2).astype(np.uint8)


def encoded(image: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(out, kind, **options)
    return out.getvalue()


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def picture(path: Path, width: int = 40, height: int = 30, **options) -> Path:
    """A picture file; JPEG or PNG by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "PNG" if path.suffix == ".png" else "JPEG"
    path.write_bytes(encoded(pixels(width, height), kind, **options))
    return path


def coco_json(
    path: Path, images: list[dict], annotations: list[dict], categories: list[dict] | None = None, **more
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    categories = (
        categories if categories is not None else [{"id": 3, "name": "car"}, {"id": 18, "name": "dog"}]
    )
    path.write_text(
        json.dumps({"images": images, "annotations": annotations, "categories": categories, **more}),
        encoding="utf-8",
    )
    return path


def voc_xml(
    path: Path, objects: list[tuple], size: tuple[int, int] = (40, 30), filename: str | None = None
) -> Path:
    """objects: (name, xmin, ymin, xmax, ymax) with an optional dict of flags; one line a tag, object k starts
    on line 4 + 8k.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        "<annotation>",
        f"<filename>{filename or path.stem + '.jpg'}</filename>",
        f"<size><width>{size[0]}</width><height>{size[1]}</height></size>",
    ]
    for name, x1, y1, x2, y2, *flags in objects:
        marks = "".join(f"<{k}>{v}</{k}>" for k, v in (flags[0] if flags else {}).items())
        lines += [
            "<object>",
            f"<name>{name}</name>{marks}<bndbox>",
            f"<xmin>{x1}</xmin>",
            f"<ymin>{y1}</ymin>",
            f"<xmax>{x2}</xmax>",
            f"<ymax>{y2}</ymax>",
            "</bndbox>",
            "</object>",
        ]
    path.write_text("\n".join([*lines, "</annotation>"]), encoding="utf-8")
    return path


def kinds(dataset) -> list[str]:
    return [problem.kind for problem in dataset.problems]
