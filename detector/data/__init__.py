"""Reading and writing labelled images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detector.data.dataset import Dataset, ObjectTable, Problem, Sample, count_problems

if TYPE_CHECKING:
    from detector.data.check import check_images
    from detector.data.images import image_size, read_image, thumbnail
    from detector.data.load import load_dataset

_LAZY = {
    "check_images": "detector.data.check",
    "image_size": "detector.data.images",
    "load_dataset": "detector.data.load",
    "read_image": "detector.data.images",
    "thumbnail": "detector.data.images",
}
__all__ = [
    "Dataset",
    "ObjectTable",
    "Problem",
    "Sample",
    "check_images",
    "count_problems",
    "image_size",
    "load_dataset",
    "read_image",
    "thumbnail",
]


def __getattr__(name: str):
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'detector.data' has no attribute {name!r}")
