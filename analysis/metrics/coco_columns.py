"""What COCO's evaluation needs, in float64 columns, from a run or from two files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.metrics.coco_json import TruthColumns
from analysis.queries import class_ids_of, object_areas
from analysis.runs.store import Run
from detector.boxes import xyxy_to_xywh
from detector.core import ClassMap
from detector.data.dataset import ObjectTable
from detector.data.results import Results
from detector.data.results_check import find_mistakes
from detector.errors import DataError, InputError


@dataclass(frozen=True, eq=False)
class Truth:
    """M objects: rows (image) and kinds (class) int64, xywh and areas float64, crowd and difficult bool."""

    rows: np.ndarray
    kinds: np.ndarray
    xywh: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray

    def take(self, mask: np.ndarray) -> Truth:
        return Truth(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Found:
    """D detections: rows and kinds int64, xywh and scores float64."""

    rows: np.ndarray
    kinds: np.ndarray
    xywh: np.ndarray
    scores: np.ndarray

    def take(self, mask: np.ndarray) -> Found:
        return Found(*(getattr(self, name)[mask] for name in self.__dataclass_fields__))


@dataclass
class Columns:
    """N images and K classes with their objects and detections.

    Args:
        names: K; sizes: [N, 2] (W, H), 0 where unknown.
        truth, found: rows are positions among the N images.
        rank: int64 [N], each image's turn (`image_ranks`).
        seen: bool [N], images that take part. class_ids: those that take part.
        notes: what was left out, or looks wrong.
    """

    names: list[str]
    sizes: np.ndarray
    truth: Truth
    found: Found
    rank: np.ndarray
    seen: np.ndarray
    class_ids: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.class_ids = self.class_ids or list(range(len(self.names)))

    def narrow(self, classes: Iterable[str | int] | None, images: np.ndarray | None) -> None:
        """Let only these classes and the images under this mask take part; None leaves all.

        Raises:
            InputError: an unknown class, or a mask of another shape.
        """
        if images is not None:
            images = np.asarray(images)
            if images.dtype != bool or images.shape != self.seen.shape:
                got = f"{images.dtype} {list(images.shape)}"
                raise InputError(f"images: expected a mask over {len(self.seen)} images, got {got}.")
            self.seen = self.seen & images
        if classes is not None:
            self.class_ids = sorted(set(class_ids_of(ClassMap(tuple(self.names)), classes)))

    def chosen(self) -> tuple[Truth, Found]:
        """What takes part, its rows replaced by the images' ranks."""
        wanted = np.zeros(len(self.names), bool)
        wanted[self.class_ids] = True
        truth = self.truth.take(self.seen[self.truth.rows] & wanted[self.truth.kinds])
        found = self.found.take(self.seen[self.found.rows] & wanted[self.found.kinds])
        return replace(truth, rows=self.rank[truth.rows]), replace(found, rows=self.rank[found.rows])


def image_ranks(ids: Sequence) -> np.ndarray:
    """int64 [N], each image's turn in COCO's evaluation: by number where every id is one, else by text.

    It decides between detections of equal score on different images, and so the last digits of AP.
    """
    texts = [str(i) for i in ids]
    numeric = all(t.isascii() and t.isdigit() for t in texts)
    order = sorted(range(len(texts)), key=(lambda i: int(texts[i])) if numeric else (lambda i: texts[i]))
    rank = np.empty(len(texts), np.int64)
    rank[order] = np.arange(len(texts))
    return rank


def columns_of_run(run: Run) -> Columns:
    """The judged images of a run and the classes of its data set."""
    t: ObjectTable = run.truth
    d, k = run.detections, run.labelled_classes
    truth = Truth(
        t.rows,
        t.class_ids.astype(np.int64),
        xyxy_to_xywh(t.xyxy.astype(np.float64)),
        object_areas(t),
        t.crowd,
        t.difficult,
    )
    found = Found(
        d.rows,
        d.class_ids.astype(np.int64),
        xyxy_to_xywh(d.xyxy.astype(np.float64)),
        d.scores.astype(np.float64),
    )
    seen, notes = run.usable, []
    if left := int((~seen).sum()):
        notes.append(
            f"{left} of {len(seen)} images take no part: not labelled, not finished or not readable."
        )
    known = d.class_ids < k
    if other := int((~known).sum()):
        notes.append(f"{other} detections take no part: the data set has no such class.")
        found = found.take(known)
    names = list(run.class_map.names[:k])
    return Columns(
        names, run.sizes, truth.take(t.class_ids < k), found, image_ranks(run.sample_ids), seen, notes=notes
    )


def columns_of_files(truth: TruthColumns, results: Results, check: bool) -> Columns:
    """An annotation file and a results file; detections of unknown images and categories are left out and
    noted.

    Raises:
        DataError: `check` is on and the results hold a mistake that would make every figure meaningless.
    """
    mistakes = find_mistakes(
        results.xywh,
        results.scores,
        results.image_ids,
        results.category_ids,
        truth_xywh=truth.xywh,
        truth_rows=truth.rows,
        truth_kinds=truth.classes,
        truth_image_ids=truth.image_ids,
        truth_category_ids=truth.category_ids,
        sizes=truth.sizes,
    )
    if check and mistakes and mistakes[0].fatal:
        raise DataError(
            f"{mistakes[0]} (Evaluate with check=False to score it as written.)", path=results.path
        )
    at = {str(i): n for n, i in enumerate(truth.image_ids)}
    kind_at = {str(c): k for k, c in enumerate(truth.category_ids)}
    rows = np.array([at.get(str(i), -1) for i in results.image_ids], np.int64)
    kinds = np.array([kind_at.get(str(c), -1) for c in results.category_ids], np.int64)
    found = Found(rows, kinds, results.xywh, results.scores).take((rows >= 0) & (kinds >= 0))
    objects = Truth(truth.rows, truth.classes, truth.xywh, truth.area, truth.crowd, truth.difficult)
    seen, notes = np.ones(len(truth.image_ids), bool), [*truth.notes, *map(str, mistakes)]
    return Columns(truth.names, truth.sizes, objects, found, image_ranks(truth.image_ids), seen, notes=notes)
