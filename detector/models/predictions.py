"""A COCO results file as a detector over a data set: somebody else's detections, looked at like our own.

No network runs. Faults that would make every figure meaningless (normalised boxes, ids of another data set,
shifted categories, corners for width and height) are refused in one sentence; the rest is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from detector import boxes
from detector.core import Candidates, ClassMap, Detections, DetectorInfo, check_images
from detector.data.dataset import Dataset
from detector.data.results import Results, read_results
from detector.data.results_check import find_mistakes
from detector.errors import CapabilityError, DataError
from detector.models.hashing import hash_answers, hash_files
from detector.models.pixel_index import PixelIndex

EDGE = 0.5  # pixels a box may reach past the image without being counted; files round


class PredictionsDetector:
    """Answers with the rows of a results file.

    Images are known by id, file name, name without ending, or number in the name, whichever fits most
    rows; by pixels in `detect`. An image that is not in the data set, or without rows, has no detections.

    Args:
        path: a list of {image_id, category_id, bbox: [x, y, width, height] in pixels, score}, or a dict with
            it.
        dataset: the images. Its class map gives the names, unless the file brings its own `categories`.
        classes: names for the category ids, instead of either.

    Raises:
        DataError: not a results file, or one of the faults above.
    """

    def __init__(
        self, path: str | Path, *, dataset: Dataset, name: str | None = None, classes: ClassMap | None = None
    ):
        path = Path(path)
        results = read_results(path)
        self.dataset = dataset
        self._index = PixelIndex(dataset)
        class_map = classes or _own_classes(results) or dataset.class_map
        if not len(class_map):
            raise DataError(
                "the results file names its classes by id and the data set has none; give the names"
                " (classes=...).",
                path=path,
            )
        rows, how = _rows_of(results, dataset)
        class_ids = _class_ids(results, class_map)
        notes = _check(results, rows, class_ids, class_map, dataset, path)
        scores = results.scores
        if len(scores) and scores.max() > 1:
            if scores.max() > 100:
                raise DataError(f"expected scores in 0..1, the largest is {scores.max():g}.", path=path)
            scores = scores / 100
            notes += ("The scores run to over 1 and were taken for percent.",)
        if len(scores) and scores.min() < 0:
            raise DataError(
                f"expected scores in 0..1, the smallest is {scores.min():g}; apply a sigmoid to logits"
                " first.",
                path=path,
            )
        keep = np.flatnonzero((rows >= 0) & (class_ids >= 0))
        xyxy = boxes.xywh_to_xyxy(results.xywh)
        negative = (results.xywh[keep, 2:] < 0).any(axis=1)
        if negative.any():
            notes += (f"{int(negative.sum())} boxes have a negative width or height and are left out.",)
            keep = keep[~negative]
        keep, self.clipped, self.outside = _count_edges(keep, rows, xyxy, dataset)
        if self.clipped:
            notes += (f"{self.clipped} boxes reach past their image and are clipped to it.",)
        if self.outside:
            notes += (f"{self.outside} boxes lie wholly outside their image and are left out.",)
        if len(results.scores) and how != "the sample id":
            notes += (f"Its images were found by {how}.",)
        order = keep[np.lexsort((keep, -scores[keep], rows[keep]))]
        self._xyxy, self._scores, self._class_ids = xyxy[order], scores[order], class_ids[order]
        self._offsets = np.searchsorted(rows[order], np.arange(len(dataset) + 1))
        self.info = DetectorInfo(
            name=name or path.stem,
            kind="predictions",
            class_map=class_map,
            weights_hash=hash_answers(hash_files([path]), class_map, {"dataset": dataset.fingerprint}),
            capabilities=frozenset({"low_scores"} if len(scores) and scores.min() < 0.1 else set()),
            source=str(path),
            settings={"images_by": how, "lowest_score": float(scores.min()) if len(scores) else None},
            notes=("Read from a results file: no network ran.", *notes),
        )

    def __len__(self) -> int:
        """Detections kept."""
        return len(self._scores)

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        check_images(images)
        return [
            self._answer(self._index.find(image), (image.shape[1], image.shape[0])).named(self.info.class_map)
            for image in images
        ]

    def detect_samples(self, sample_ids: Iterable[str]) -> list[Detections]:
        """The answers for samples by id, without reading their pixels where the data set states their size.

        Raises:
            InputError: the data set has no such sample.
        """
        return [self._answer(i, self._size(i)) for i in (self.dataset.position(s) for s in sample_ids)]

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """Raises CapabilityError: a results file holds final detections only."""
        raise CapabilityError(
            f"{self.info.name} is a results file, which holds final detections only and no candidates."
        )

    def _size(self, i: int) -> tuple[int, int]:
        width, height = (int(v) for v in self.dataset.sizes[i])
        if width and height:
            return width, height
        image = self.dataset.load_image(i)
        return image.shape[1], image.shape[0]

    def _answer(self, i: int | None, size: tuple[int, int]) -> Detections:
        if i is None:
            return Detections.empty(size)
        rows = slice(self._offsets[i], self._offsets[i + 1])
        return Detections(boxes.clip(self._xyxy[rows], size), self._scores[rows], self._class_ids[rows], size)


def _own_classes(results: Results) -> ClassMap | None:
    ids = [i for i in results.categories if isinstance(i, int)]
    names = [results.categories[i] for i in ids]
    return ClassMap(tuple(names), tuple(ids)) if ids and len(set(names)) == len(names) else None


def _id_text(value: object) -> str:
    """An id as text; 1.0, as tables write whole numbers, is "1"."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _class_ids(results: Results, class_map: ClassMap) -> np.ndarray:
    """int64 [D], -1 where the map lacks the category; categories may be ids, ids as text, or names."""
    table = {name: k for k, name in enumerate(class_map.names)} | {
        str(e): k for k, e in enumerate(class_map.external_ids)
    }
    return np.array([table.get(_id_text(c), -1) for c in results.category_ids], np.int64).reshape(-1)


def _rows_of(results: Results, dataset: Dataset) -> tuple[np.ndarray, str]:
    """Position of each row's image, -1 where there is none, and by what it was found."""

    def number(text: str) -> str:
        return text.lstrip("0") or "0" if text.isdigit() else text

    names = [Path(f).name or s for f, s in zip(dataset.files, dataset.sample_ids)]
    stems = [Path(n).stem for n in names]
    keys = {
        "the sample id": dataset.sample_ids,
        "the file name": names,
        "the file name without its ending": stems,
        "the number in the file name": [number(stem) for stem in stems],
        "the sample id without its folder": [s.rsplit("/", 1)[-1] for s in dataset.sample_ids],
    }
    listed = [str(results.file_names[i]) if i in results.file_names else None for i in results.image_ids]
    asked = {"as written": [_id_text(i) for i in results.image_ids]}
    if results.file_names:  # the file's own list of images says more than its ids, which may count otherwise
        asked = {"listed": [Path(f).name if f else str(i) for f, i in zip(listed, results.image_ids)]} | asked
    best, how = np.full(len(results.image_ids), -1, np.int64), "the sample id"
    for kind, ids in asked.items():
        for said, have in keys.items():
            if len(set(have)) < len(have):
                continue  # names that repeat across folders cannot tell images apart
            table = {key: i for i, key in enumerate(have)}
            wanted = (
                [Path(i).stem for i in ids]
                if "ending" in said
                else [number(i) for i in ids]
                if "number" in said
                else ids
            )
            rows = np.array([table.get(i, -1) for i in wanted], np.int64)
            if (rows >= 0).sum() > (best >= 0).sum():
                best, how = rows, said
        if kind == "listed" and len(best) and (best >= 0).mean() > 0.5:
            break
    return best, how


def _check(
    results: Results,
    rows: np.ndarray,
    class_ids: np.ndarray,
    class_map: ClassMap,
    dataset: Dataset,
    path: Path,
) -> tuple[str, ...]:
    """Notes about the file; raises DataError for a fault that would make every figure meaningless."""
    table = dataset.objects
    order = {name: k for k, name in enumerate(class_map.names)}
    kinds = (
        np.array([order.get(name, -1) for name in dataset.class_map.names], np.int64)[table.class_ids]
        if len(table)
        else np.zeros(0, np.int64)
    )
    known = kinds >= 0
    ids = [dataset.sample_ids[i] if i >= 0 else f"? {raw}" for i, raw in zip(rows, results.image_ids)]
    names_written = [
        class_map.external_ids[k] if k >= 0 else raw for k, raw in zip(class_ids, results.category_ids)
    ]
    mistakes = find_mistakes(
        results.xywh,
        results.scores,
        ids,
        names_written,
        truth_xywh=boxes.xyxy_to_xywh(table.xyxy[known].astype(np.float64)),
        truth_rows=table.rows[known].astype(np.int64),
        truth_kinds=kinds[known],
        truth_image_ids=dataset.sample_ids,
        truth_category_ids=class_map.external_ids,
        sizes=dataset.sizes,
    )
    fatal = [m for m in mistakes if m.fatal]
    if fatal:
        raise DataError(fatal[0].message.replace("'? ", "'"), path=path)
    return tuple(m.message.replace("'? ", "'") for m in mistakes if m.kind != "scores above 1")


def _count_edges(
    keep: np.ndarray, rows: np.ndarray, xyxy: np.ndarray, dataset: Dataset
) -> tuple[np.ndarray, int, int]:
    """Rows less those wholly outside an image of known size; how many reach past it, and how many are
    outside.
    """
    sizes = dataset.sizes[rows[keep]].astype(np.float64).reshape(-1, 2)
    known = (sizes > 0).all(axis=1)
    low, high = xyxy[keep, :2], xyxy[keep, 2:]
    outside = known & ((low >= sizes) | (high <= 0)).any(axis=1)
    past = known & ~outside & ((low < -EDGE) | (high > sizes + EDGE)).any(axis=1)
    return keep[~outside], int(past.sum()), int(outside.sum())
