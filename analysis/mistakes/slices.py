"""Recall and precision on parts of the data, with intervals, so that no one chases noise.

An object slice (small, truncated, at the border, ...) is judged by recall, a slice of images (large, crowded,
of one split) and a class by recall and precision. Intervals come from a bootstrap over images: objects
of one image are found or missed together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from analysis.intervals import wilson
from analysis.matching.greedy import fitting_pairs
from analysis.matching.match import match_run
from analysis.matching.matches import Matches, Verdict
from analysis.matching.operating_point import OperatingPoint, Threshold, class_thresholds, operating_point
from analysis.queries import SIZES, object_areas, size_mask
from analysis.runs.store import Run
from detector.errors import InputError

CROWDED_IOU = 0.1
"""An object is crowded when its box overlaps another counted object's by at least this IoU."""
BORDER_PIXELS = 2.0
"""An object is at the border when its box comes this near to the image's edge."""


@dataclass(frozen=True)
class Slice:
    """One part of the data at one operating point.

    Args:
        group: what is divided ("size", "class", "border", "image size", ...); name: which part.
        objects, found: counted objects in it, and those found. images: images that hold any of it.
        detections, correct: judged detections in it, for slices of images and classes; None for object
            slices.
        recall, precision: shares, None without a denominator.
        recall_interval, precision_interval: bootstrap percentiles over images (Wilson's where none or all are
            found), None without a denominator.
    """

    group: str
    name: str
    images: int
    objects: int
    found: int
    detections: int | None
    correct: int | None
    recall: float | None
    recall_interval: tuple[float, float] | None
    precision: float | None = None
    precision_interval: tuple[float, float] | None = None

    @property
    def label(self) -> str:
        return self.name if self.group in ("class",) else f"{self.group}: {self.name}"

    def to_dict(self) -> dict[str, Any]:
        return {f: getattr(self, f) for f in self.__dataclass_fields__}


@dataclass(frozen=True)
class Slices:
    """All slices of a run, the whole first, with the operating point they hold at.

    confidence: of the intervals, e.g. 0.95; samples, seed: of the bootstrap.
    """

    whole: Slice
    slices: tuple[Slice, ...]
    point: OperatingPoint
    confidence: float
    samples: int
    seed: int

    def worst(self, n: int = 5, min_objects: int = 20) -> list[Slice]:
        """Slices whose whole recall interval lies below the recall of everything, the lowest upper end first.

        Slices of fewer than `min_objects` objects are never named.
        """
        if self.whole.recall is None:
            return []
        low = [
            s
            for s in self.slices
            if s.objects >= min_objects and s.recall_interval and s.recall_interval[1] < self.whole.recall
        ]
        return sorted(low, key=lambda s: s.recall_interval[1])[:n]

    def to_dict(self) -> dict[str, Any]:
        return {
            "operating_point": self.point.to_dict(),
            "interval": self.confidence,
            "bootstrap": {"samples": self.samples, "seed": self.seed, "over": "images"},
            "whole": self.whole.to_dict(),
            "slices": [s.to_dict() for s in self.slices],
        }


def object_slices(run: Run, counted: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """(group, name) -> bool [M] over the truth table; `counted` bool [M] are the objects that can crowd one
    another.
    """
    t = run.truth
    areas = object_areas(t)
    masks = {("size", size): size_mask(areas, size) for size in SIZES}
    for flag in ("truncated", "occluded", "difficult"):
        column = getattr(t, flag)
        if column.any():
            masks[flag, "yes"], masks[flag, "no"] = column, ~column
    crowded = crowded_objects(run, counted)
    masks["crowded", "overlapped by another object"], masks["crowded", "alone"] = crowded, ~crowded
    border = border_objects(run)
    masks["border", "at the image's edge"], masks["border", "inside"] = border, ~border
    return masks


def crowded_objects(run: Run, counted: np.ndarray) -> np.ndarray:
    """bool [M]: the object's box overlaps another counted object's by `CROWDED_IOU`."""
    t = run.truth
    keys = np.where(counted, t.rows, -1).astype(np.int64)
    pairs = fitting_pairs(keys, t.xyxy, keys, t.xyxy, np.zeros(len(t.rows), bool), CROWDED_IOU)
    out = np.zeros(len(t.rows), bool)
    out[pairs.det[pairs.det != pairs.truth]] = True
    return out


def border_objects(run: Run) -> np.ndarray:
    """bool [M]: the box comes within `BORDER_PIXELS` of an edge; False where the image's size is unknown."""
    t = run.truth
    size = np.asarray(run.sizes)[t.rows].astype(float)
    near = (t.xyxy[:, :2] <= BORDER_PIXELS).any(axis=1) | (t.xyxy[:, 2:] >= size - BORDER_PIXELS).any(axis=1)
    return near & (size > 0).all(axis=1)


def image_slices(run: Run, counted: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """(group, name) -> bool [N]: by picture size, shape, number of objects, and split."""
    sizes = np.asarray(run.sizes).astype(float)
    n = len(sizes)
    pixels, known = sizes.prod(axis=1), (sizes > 0).all(axis=1)
    masks: dict[tuple[str, str], np.ndarray] = {}
    if known.any():
        wide = np.divide(sizes[:, 0], sizes[:, 1], out=np.ones(n), where=known)
        masks["image shape", "portrait"], masks["image shape", "landscape"] = (
            known & (wide < 0.95),
            known & (wide > 1.05),
        )
        masks["image shape", "square"] = known & (wide >= 0.95) & (wide <= 1.05)
        masks["image size", "under 0.2 megapixels"], masks["image size", "over 1 megapixel"] = (
            known & (pixels < 2e5),
            known & (pixels > 1e6),
        )
    number = np.bincount(run.truth.rows[counted], minlength=n)
    masks["objects in the image", "1 or 2"], masks["objects in the image", "10 or more"] = (
        (number > 0) & (number <= 2),
        number >= 10,
    )
    masks["objects in the image", "3 to 9"] = (number >= 3) & (number <= 9)
    splits = run.splits
    for name in sorted({s for s in splits if s}):
        masks["split", name] = np.array([s == name for s in splits], bool)
    return {k: v for k, v in masks.items() if v.any()}


def slice_run(
    run: Run,
    threshold: Threshold = 0.5,
    *,
    iou: float = 0.5,
    matches: Matches | None = None,
    extra: dict[tuple[str, str], np.ndarray] | None = None,
    parts: tuple[dict[tuple[str, str], np.ndarray], dict[tuple[str, str], np.ndarray]] | None = None,
    samples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Slices:
    """Every slice of a run at one operating point.

    Args:
        run: a Run.
        threshold: one number, or one per class.
        matches: class-aware matches of this run at this IoU, to save time.
        extra: further slices of images, (group, name) -> bool [N].
        parts: what `object_slices` and `image_slices` gave for this run, to save time: they do not depend on
            the threshold.
        samples, confidence, seed: of the bootstrap over the judged images.

    Raises:
        InputError: too few samples, a confidence outside (0, 1), or a mask of another length.
    """
    if samples < 10 or not 0 < confidence < 1:
        raise InputError(
            f"slice_run: expected at least 10 samples and a confidence in (0, 1), got {samples} and"
            f" {confidence}."
        )
    m = match_run(run, iou) if matches is None else matches
    t, n = run.truth, m.num_images
    kept = m.det_scores >= class_thresholds(threshold, m.num_classes)[m.det_classes]
    found = m.truth_det >= 0
    found[found] = kept[m.truth_det[found]]
    counted = m.truth_counted
    judged = kept & np.isin(m.det_kind, (Verdict.CORRECT, Verdict.WRONG, Verdict.DUPLICATE))
    # From here on detections are the judged ones alone: usually few of all that are stored.
    det_rows, det_classes, correct = (
        m.det_rows[judged],
        m.det_classes[judged],
        m.det_kind[judged] == Verdict.CORRECT,
    )

    of_objects, of_images = parts or (object_slices(run, counted), image_slices(run, counted))
    objects: list[tuple[str, str, np.ndarray, np.ndarray | None]] = [
        ("everything", "everything", counted, np.ones(len(det_rows), bool))
    ]
    objects += [(g, name, counted & mask, None) for (g, name), mask in of_objects.items()]
    for k in range(m.num_classes):
        objects.append(("class", run.class_map.names[k], counted & (t.class_ids == k), det_classes == k))
    for (g, name), mask in {**of_images, **(extra or {})}.items():
        mask = np.asarray(mask, bool)
        if mask.shape != (n,):
            raise InputError(
                f"slice_run: expected a mask over {n} images for {name!r}, got {list(mask.shape)}."
            )
        objects.append((g, name, counted & mask[t.rows], mask[det_rows]))
    objects = [o for o in objects if o[2].any() or (o[3] is not None and o[3].any()) or o[0] == "everything"]

    # One column a slice, one row an image: objects, found, judged detections, correct ones.
    tables = np.zeros((4, n, len(objects)), np.float32)
    for j, (_, _, mine, dets) in enumerate(objects):
        tables[0, :, j] = np.bincount(t.rows[mine], minlength=n)
        tables[1, :, j] = np.bincount(t.rows[mine & found], minlength=n)
        if dets is not None:
            tables[2, :, j] = np.bincount(det_rows[dets], minlength=n)
            tables[3, :, j] = np.bincount(det_rows[dets & correct], minlength=n)
    tables = tables if m.judged.all() else tables[:, m.judged]
    weights = bootstrap_weights(tables.shape[1], samples, seed)
    recall = _intervals(weights, tables[1], tables[0], confidence)
    precision = _intervals(weights, tables[3], tables[2], confidence)
    sums = tables.sum(axis=1, dtype=np.float64).astype(int)
    rows = []
    for j, (group, name, _, dets) in enumerate(objects):
        o, f, d, c = sums[:, j].tolist()
        rows.append(
            Slice(
                group,
                name,
                int((tables[0, :, j] > 0).sum()),
                o,
                f,
                d if dets is not None else None,
                c if dets is not None else None,
                f / o if o else None,
                recall[j],
                c / d if dets is not None and d else None,
                precision[j] if dets is not None else None,
            )
        )
    return Slices(
        rows[0], tuple(rows[1:]), operating_point(run, threshold, iou=m.iou), confidence, samples, seed
    )


@lru_cache(maxsize=2)
def bootstrap_weights(n: int, samples: int, seed: int) -> np.ndarray:
    """float32 [samples, n]: how often each of n images is drawn, n draws a sample. Cannot be written to."""
    if not n:
        weights = np.zeros((samples, 0), np.float32)
    else:
        weights = (
            np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=samples).astype(np.float32)
        )
    weights.setflags(write=False)
    return weights


def _intervals(
    weights: np.ndarray, part: np.ndarray, whole: np.ndarray, confidence: float
) -> list[tuple[float, float] | None]:
    """Percentile intervals of sum(part) / sum(whole) over resampled images, one per column; None where whole
    is 0.

    Where every resampling gives the same share (none found, all found, one image), the bootstrap knows of no
    doubt: Wilson's interval stands in, with the images that hold any of it as the independent units.
    """
    top, bottom = weights @ part, weights @ whole
    ratio = np.divide(top, bottom, out=np.full(top.shape, np.nan, np.float32), where=bottom > 0)
    tails = 100 * np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    out: list[tuple[float, float] | None] = [None] * ratio.shape[1]
    gaps = np.isnan(ratio).any(axis=0)
    for j, pair in zip(
        np.flatnonzero(~gaps).tolist(), np.percentile(ratio[:, ~gaps], tails, axis=0).T.tolist()
    ):
        out[j] = tuple(pair)
    for j in np.flatnonzero(gaps & whole.any(axis=0)).tolist():
        values = ratio[:, j][~np.isnan(ratio[:, j])]
        out[j] = tuple(float(v) for v in np.percentile(values, tails)) if len(values) else None
    units = (whole > 0).sum(axis=0)
    for j in np.flatnonzero(units).tolist():
        low, high = out[j] or (0.0, 0.0)
        if high - low <= np.finfo(np.float32).eps:
            share = float(part[:, j].sum()) / float(whole[:, j].sum())
            out[j] = wilson(share * units[j], int(units[j]), confidence)
    return out
