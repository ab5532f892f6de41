"""What is in a data set, in figures: classes, images, boxes. No picture is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detector.core import FLAGS
from detector.data.dataset import Dataset

GRID = 24
"""Rows and columns of the map of centres."""
SIDE_EDGES = (0.0, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.32, 0.48, 0.64, 0.8, 1.0)
"""Edges of the histogram of relative size: sqrt(share of the frame)."""
RATIO_EDGES = (0.0, 1 / 8, 1 / 5, 1 / 3, 1 / 2, 2 / 3, 4 / 5, 5 / 4, 3 / 2, 2.0, 3.0, 5.0, 8.0, float("inf"))
"""Edges of the histogram of aspect ratios, width / height."""
COCO_EDGES = (32.0**2, 96.0**2)
COCO_SIZES = ("small", "medium", "large")
"""COCO's sizes, by width x height in square pixels of the picture: under 32 x 32, under 96 x 96, the rest."""


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts between edges: `counts[i]` of edges[i] <= value < edges[i + 1]; the last interval holds its
    upper edge too.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, values: np.ndarray, edges: Sequence[float]) -> Histogram:
        counts, _ = np.histogram(values, np.array(edges))
        return cls(tuple(float(e) for e in edges), tuple(int(c) for c in counts))

    def to_dict(self) -> dict[str, Any]:
        return {"edges": [e if np.isfinite(e) else None for e in self.edges], "counts": list(self.counts)}


@dataclass(frozen=True)
class ClassRow:
    """One class: its objects (crowds are counted apart), the images with one, objects by split and by COCO's
    sizes.

    `side` and `ratio` are medians over its objects: sqrt(share of the frame), width / height; None of none.
    """

    name: str
    objects: int
    images: int
    crowds: int
    splits: dict[str, int]
    sizes: dict[str, int]
    side: float | None
    ratio: float | None


@dataclass(frozen=True, eq=False)
class Summary:
    """A data set in figures.

    Args:
        images: by kind: "all", "labelled", "unlabelled", "empty" (labelled, no object), "unknown size".
        objects: "all", and by flag ("crowd", "difficult", ...).
        splits: split ("" where none is named) -> {"images", "labelled", "objects"}.
        classes: in the order of the class map.
        frames: ((W, H), images) of the commonest picture sizes, and how many sizes there are.
        frame_quantiles: width and height at 0, 25, 50, 75, 100 percent of the pictures of known size; empty
            of none.
        per_image: objects -> labelled images with so many.
        sides: histogram of sqrt(share of the frame); ratios: of width / height in pixels; sizes: COCO's, over
            all.
        centres: int [24, 24], boxes by the place of their centre, rows from the top.
        covered: median share of the frame a labelled image with objects has under boxes (overlaps count
            twice, at most 1).
        measured: how many boxes these histograms are of: no crowds, pictures of known size.
    """

    name: str
    format: str
    images: dict[str, int]
    objects: dict[str, int]
    splits: dict[str, dict[str, int]]
    classes: tuple[ClassRow, ...]
    frames: tuple[tuple[tuple[int, int], int], ...]
    frame_kinds: int
    frame_quantiles: dict[str, tuple[float, ...]]
    per_image: dict[int, int]
    sides: Histogram
    ratios: Histogram
    sizes: dict[str, int]
    centres: np.ndarray
    covered: float | None
    measured: int

    @property
    def imbalance(self) -> float | None:
        """Objects of the most frequent class for one of the rarest that occurs; None of fewer than two
        classes.
        """
        counts = [c.objects for c in self.classes if c.objects]
        return max(counts) / min(counts) if len(counts) > 1 else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "format": self.format,
            "images": self.images,
            "objects": self.objects,
            "splits": self.splits,
            "classes": [vars(c) for c in self.classes],
            "imbalance": self.imbalance,
            "image_sizes": {
                "kinds": self.frame_kinds,
                "commonest": [{"width": w, "height": h, "images": n} for (w, h), n in self.frames],
                **{k: list(v) for k, v in self.frame_quantiles.items()},
            },
            "objects_per_image": {str(k): n for k, n in self.per_image.items()},
            "box_sizes": self.sizes,
            "relative_side": self.sides.to_dict(),
            "aspect_ratio": self.ratios.to_dict(),
            "centres": self.centres.tolist(),
            "frame_covered_median": self.covered,
            "boxes_measured": self.measured,
        }


def summarise(dataset: Dataset) -> Summary:
    """The figures of a data set. Boxes of crowds, and on pictures whose size nobody knows, are in no
    histogram.
    """
    n, t = len(dataset), dataset.objects
    per_image = np.diff(dataset.offsets)
    known = (dataset.sizes > 0).all(axis=1)
    single = ~t.crowd
    use = single & known[t.rows] if len(t) else np.zeros(0, bool)
    rows, boxes = t.rows[use], t.xyxy[use].astype(np.float64)
    frame = dataset.sizes[rows].astype(np.float64)
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    share = wide * high / np.maximum(frame.prod(axis=1), 1)
    side, ratio = np.sqrt(share), wide / np.maximum(high, 1e-6)
    band = np.searchsorted(COCO_EDGES, wide * high, side="right")
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 / np.maximum(frame, 1)
    cell = np.clip((centre * GRID).astype(int), 0, GRID - 1)
    centres = np.zeros((GRID, GRID), np.int64)
    np.add.at(centres, (cell[:, 1], cell[:, 0]), 1)
    covered = np.minimum(np.bincount(rows, share, minlength=n), 1) if n else np.zeros(0)
    frames = Counter(tuple(int(v) for v in size) for size in dataset.sizes[known])
    sizes = dataset.sizes[known]
    quantiles = (
        {
            axis: tuple(float(q) for q in np.percentile(sizes[:, k], (0, 25, 50, 75, 100)))
            for k, axis in enumerate(("width", "height"))
        }
        if len(sizes)
        else {}
    )
    split_of = np.array([s or "" for s in dataset.splits] or [""])[: max(n, 1)]
    names = sorted(set(split_of.tolist())) if n else []
    classes = []
    for k, name in enumerate(dataset.class_map.names):
        mine = (t.class_ids == k) & single
        of_mine = t.class_ids[use] == k
        splits = Counter(split_of[t.rows[mine]].tolist())
        classes.append(
            ClassRow(
                name,
                int(mine.sum()),
                len(np.unique(t.rows[mine])),
                int(((t.class_ids == k) & t.crowd).sum()),
                {s: splits.get(s, 0) for s in names},
                {size: int((of_mine & (band == b)).sum()) for b, size in enumerate(COCO_SIZES)},
                float(np.median(side[of_mine])) if of_mine.any() else None,
                float(np.median(ratio[of_mine])) if of_mine.any() else None,
            )
        )
    tally = Counter(per_image[dataset.labelled].tolist())
    return Summary(
        name=dataset.name,
        format=dataset.format,
        images={
            "all": n,
            "labelled": int(dataset.labelled.sum()),
            "unlabelled": int((~dataset.labelled).sum()),
            "empty": int((dataset.labelled & (per_image == 0)).sum()),
            "unknown size": int((~known).sum()),
        },
        objects={"all": len(t)} | {flag: int(getattr(t, flag).sum()) for flag in FLAGS},
        splits={
            s: {
                "images": int((split_of == s).sum()),
                "labelled": int(((split_of == s) & dataset.labelled).sum()),
                "objects": int((split_of[t.rows] == s).sum()),
            }
            for s in names
        },
        classes=tuple(classes),
        frames=tuple(frames.most_common(8)),
        frame_kinds=len(frames),
        frame_quantiles=quantiles,
        per_image={int(k): tally[k] for k in sorted(tally)},
        sides=Histogram.of(side, SIDE_EDGES),
        ratios=Histogram.of(ratio, RATIO_EDGES),
        sizes={size: int((band == b).sum()) for b, size in enumerate(COCO_SIZES)},
        centres=centres,
        covered=float(np.median(covered[np.unique(rows)])) if len(rows) else None,
        measured=int(use.sum()),
    )
