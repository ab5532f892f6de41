"""Which images matter: find_images_with_classes, and small filters that compose.

A filter is a bool array over the images [N]; `&`, `|` and `~` combine filters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from analysis.matching.operating_point import Threshold, class_thresholds
from analysis.runs.store import Run
from analysis.runs.streamed import StreamedRun
from detector.core import FLAGS, ClassMap
from detector.data.dataset import Dataset, ObjectTable
from detector.data.indexed.columns import ParquetTexts
from detector.errors import InputError

Source = Dataset | Run | StreamedRun
"""What can be asked for images: a data set by its ground truth, a run by both sides."""

MODES = {
    "any": "at least one of the classes",
    "all": "every one of the classes",
    "only": "at least one of the classes, and no other class at all",
    "none": "not one of the classes",
}
SIDES = ("truth", "predictions")
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, np.inf)}
"""COCO's sizes by area in square pixels: a size holds areas from its lower bound up to below its upper
one.
"""


def class_ids_of(class_map: ClassMap, classes: str | int | Iterable[str | int] | None) -> list[int]:
    """Class ids of names or ids, alone or in a sequence; None means all. Names match whatever their case.

    Raises:
        InputError: a name is unknown (the message offers the nearest) or an id is outside 0..K-1.
    """
    if classes is None:
        return list(range(len(class_map)))
    if isinstance(classes, (str, int, np.integer)):
        classes = [classes]
    lower = {name.casefold().strip(): k for k, name in reversed(list(enumerate(class_map.names)))}
    out = []
    for value in classes:
        if isinstance(value, str):
            k = class_map.index(value) if value in class_map else lower.get(value.casefold().strip())
            out.append(class_map.index(value) if k is None else k)
        elif 0 <= int(value) < len(class_map):
            out.append(int(value))
        else:
            raise InputError(f"classes: expected ids of 0..{len(class_map) - 1}, got {value}.")
    return out


def sides(source: Source, side: str | None) -> str:
    """ "truth" or "predictions": the side asked for, else predictions for a run and truth for a data set.

    Raises:
        InputError: no such side, or predictions are asked of a data set.
    """
    has_predictions = not isinstance(source, Dataset)
    if side is None:
        return "predictions" if has_predictions else "truth"
    if side not in SIDES:
        raise InputError(f"side: expected one of {', '.join(SIDES)}, got {side!r}.")
    if side == "predictions" and not has_predictions:
        raise InputError(
            "side: a data set has no predictions; run a detector over it first, or ask for its truth."
        )
    return side


class ClassIndex(NamedTuple):
    """Which images hold which class, how often.

    rows, counts: int64, one entry an (class, image) pair that occurs, by class and then image; ends: int64 [K
    + 1], class k holds entries `ends[k]:ends[k + 1]`; totals: int64 [N], objects of each image.
    """

    rows: np.ndarray
    counts: np.ndarray
    ends: np.ndarray
    totals: np.ndarray


def class_index(rows: np.ndarray, class_ids: np.ndarray, num_images: int, num_classes: int) -> ClassIndex:
    """The index of objects (or detections) given by image and class, both int [M]."""
    keys = np.sort(class_ids.astype(np.int64) * max(num_images, 1) + rows)
    first = (
        np.flatnonzero(np.concatenate([[True], np.diff(keys) > 0])) if len(keys) else np.zeros(0, np.int64)
    )
    counts = np.diff(np.append(first, len(keys)))
    pairs = keys[first]
    ends = np.searchsorted(pairs, np.arange(num_classes + 1) * max(num_images, 1))
    return ClassIndex(pairs % max(num_images, 1), counts, ends, np.bincount(rows, minlength=num_images))


_TRUTH_INDEX: WeakKeyDictionary[ObjectTable, ClassIndex] = WeakKeyDictionary()


def _index_of(source: Source, side: str, threshold: Threshold) -> ClassIndex:
    """The truth's index is kept while its table lives; that of predictions depends on the threshold."""
    n, k = len(source.sample_ids), len(source.class_map)
    if side == "truth":
        table = _truth(source)
        if table not in _TRUTH_INDEX:
            _TRUTH_INDEX[table] = class_index(table.rows, table.class_ids, n, k)
        return _TRUTH_INDEX[table]
    table = source.detections
    kept = table.scores >= class_thresholds(threshold, k)[table.class_ids]
    return class_index(table.rows[kept], table.class_ids[kept], n, k)


def images_with_classes(
    source: Source,
    classes: Iterable[str | int] | str | int,
    mode: str = "any",
    min_count: int = 1,
    threshold: Threshold = 0.5,
    side: str | None = None,
) -> np.ndarray:
    """bool [N]: the filter behind `find_images_with_classes`; the same arguments and errors."""
    if mode not in MODES:
        raise InputError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}.")
    if int(min_count) != min_count or min_count < 1:
        raise InputError(f"min_count: expected a whole number of at least 1, got {min_count!r}.")
    side = sides(source, side)
    wanted = sorted(set(class_ids_of(source.class_map, classes)))
    if isinstance(source, StreamedRun):
        return _over_windows(source, wanted, mode, min_count, threshold, side)
    n = len(source.sample_ids)
    # One image's state is unknown where nobody labelled it or no detector ran: it matches nothing, "none"
    # included.
    known = np.asarray(source.labelled if side == "truth" else source.readable, bool)
    if not wanted:
        return known & (mode in ("all", "none"))
    index = _index_of(source, side, threshold)
    there, inside = np.zeros(n, np.int16), np.zeros(n, np.int64 if mode == "only" else np.int8)
    for k in wanted:
        part = slice(index.ends[k], index.ends[k + 1])
        rows, counts = index.rows[part], index.counts[part]
        there[rows if min_count == 1 else rows[counts >= min_count]] += 1
        if mode == "only":
            inside[rows] += counts
    if mode == "all":
        return known & (there == len(wanted))
    if mode == "none":
        return known & (there == 0)
    if mode == "only":
        return known & (there > 0) & (inside == index.totals)
    return known & (there > 0)


def _over_windows(
    run: StreamedRun, wanted: list[int], mode: str, min_count: int, threshold: Threshold, side: str
) -> np.ndarray:
    """The same of a run that is read in windows: whether an image matches depends on that image alone."""
    windows = run.windows(detections=side == "predictions", boxes=False, truth=side == "truth")
    found = [images_with_classes(window, wanted, mode, min_count, threshold, side) for _, window in windows]
    return np.concatenate(found) if found else np.zeros(0, bool)


_IDS: WeakKeyDictionary[ObjectTable, tuple[Sequence[str], np.ndarray]] = WeakKeyDictionary()


def _ids_as_array(source: Source) -> np.ndarray:
    """The sample ids as an object array [N], kept while the truth's table lives: picking from it is quick."""
    ids, table = source.sample_ids, _truth(source)
    kept = _IDS.get(table)
    if kept is None or kept[0] is not ids or len(kept[1]) != len(ids):
        kept = _IDS[table] = (ids, np.array(ids, object))
    return kept[1]


def find_images_with_classes(
    dataset_or_run: Source,
    classes: Sequence[str | int] | str,
    mode: str = "any",
    min_count: int = 1,
    threshold: Threshold = 0.5,
    side: str | None = None,
) -> list[str]:
    """The ids of the samples that hold these classes, in the order of the data set.

    Args:
        dataset_or_run: a Dataset (its ground truth is asked) or a Run (its predictions, unless `side` says
            "truth").
        classes: names (any case) or class ids; one or several.
        mode: a class is *there* when the image holds at least `min_count` objects of it.
            "any": at least one of the classes is there. "all": every one is there.
            "only": at least one is there, and the image holds no object of any other class, not even one.
            "none": not one of them is there (fewer than `min_count` of each).
        min_count: objects of one class, not of all together. Crowd regions and difficult objects count as one
            each.
        threshold: predictions below it do not count; one number, or one per class. Truth does not use it.
        side: "truth", "predictions", or None for the default above.

    An image whose state is unknown (never labelled; for predictions: detection has not finished on it) is
    never returned, not by "none" either. An empty `classes` holds in every known image for "all" and
    "none", in no image for "any" and "only".

    Raises:
        InputError: an unknown class, mode or side, a `min_count` below 1, a bad threshold.
    """
    found = images_with_classes(dataset_or_run, classes, mode, min_count, threshold, side)
    if isinstance(dataset_or_run.sample_ids, ParquetTexts):  # a column that stays in its file
        return dataset_or_run.sample_ids.take(np.flatnonzero(found))
    return _ids_as_array(dataset_or_run)[found].tolist()


def having(rows: np.ndarray, which: np.ndarray, num_images: int) -> np.ndarray:
    """bool [N]: images of the table rows under the mask `which`."""
    out = np.zeros(num_images, bool)
    out[rows[which]] = True
    return out


def object_areas(table: ObjectTable) -> np.ndarray:
    """float64 [M], square pixels: as the file states them (COCO: of the mask), else of the box."""
    box = table.xyxy.astype(np.float64)
    own = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
    return np.where(np.isnan(table.area), own, table.area)


def size_mask(areas: np.ndarray, size: str) -> np.ndarray:
    """bool: areas of one of COCO's sizes ("small", "medium", "large").

    Raises:
        InputError: no such size.
    """
    if size not in SIZES:
        raise InputError(f"size: expected one of {', '.join(SIZES)}, got {size!r}.")
    low, high = SIZES[size]
    return (areas >= low) & (areas < high)


def with_size(source: Source, size: str) -> np.ndarray:
    """bool [N]: images with an object of this size.

    Raises:
        InputError: no such size.
    """
    truth = _truth(source)
    return having(truth.rows, size_mask(object_areas(truth), size), len(source.sample_ids))


def with_flag(source: Source, flag: str) -> np.ndarray:
    """bool [N]: images with an object flagged crowd, difficult, truncated or occluded.

    Raises:
        InputError: no such flag.
    """
    if flag not in FLAGS:
        raise InputError(f"flag: expected one of {', '.join(FLAGS)}, got {flag!r}.")
    truth = _truth(source)
    return having(truth.rows, getattr(truth, flag), len(source.sample_ids))


def _truth(source: Source) -> ObjectTable:
    return source.objects if isinstance(source, Dataset) else source.truth
