"""Words for where a finding occurs: an object, an image, the images of a class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from analysis.datasets.findings import Place
from detector.data.dataset import Dataset


def listed_names(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def rows_of(dataset: Dataset, class_id: int) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unique(dataset.objects.rows[dataset.objects.class_ids == class_id]))


def object_words(dataset: Dataset, k: int) -> str:
    """ "object 2 of 7 (RBC, 12x8 pixels at 40, 33)", counted within its image."""
    row = int(dataset.objects.rows[k])
    first, last = int(dataset.offsets[row]), int(dataset.offsets[row + 1])
    x1, y1, x2, y2 = (float(v) for v in dataset.objects.xyxy[k])
    return (
        f"object {k - first + 1} of {last - first} ({dataset.class_map.names[dataset.objects.class_ids[k]]},"
        f" {x2 - x1:.3g}x{y2 - y1:.3g} pixels at {x1:.4g}, {y1:.4g})"
    )


def object_place(dataset: Dataset, k: int, message: str = "", also: tuple[int, ...] = ()) -> Place:
    path, line = dataset.place_of(int(k))
    row = int(dataset.objects.rows[k])
    words = object_words(dataset, int(k)) + (f" {message}" if message else "")
    return Place(words, path or dataset.files[row], line, (row,), (int(k), *also))


def image_place(dataset: Dataset, i: int, message: str, objects: Iterable[int] = ()) -> Place:
    return Place(
        message, dataset.files[i] or dataset.sample_ids[i], None, (int(i),), tuple(int(k) for k in objects)
    )
