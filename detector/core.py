"""The value types of one image, and the protocol every detector follows; what all of them need comes from
here.

One frame inside: boxes are `xyxy`, absolute pixels of the upright original image (EXIF orientation
applied), float32. Conversion happens at the edge (`detector.boxes`). Every type is checked at birth and
frozen; its arrays are copies that cannot be written to. The error tree stands in `detector.errors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from detector.bridges import notebook, supervision, ultralytics
from detector.class_map import ClassMap
from detector.detector_info import CAPABILITIES, DetectorInfo
from detector.errors import InputError

__all__ = [
    "CAPABILITIES",
    "FLAGS",
    "Annotations",
    "Candidates",
    "ClassMap",
    "Detections",
    "Detector",
    "DetectorInfo",
    "Staged",
    "check_images",
    "frozen_array",
]

FLAGS = ("crowd", "difficult", "truncated", "occluded")


def frozen_array(values: Any, dtype: Any, shape: tuple[int | None, ...], what: str) -> np.ndarray:
    """A read-only copy of `values` with this dtype; `shape` may hold None for a free length.

    Raises:
        InputError: the shape differs, or a float is not finite.
    """
    array = np.array(values, dtype=dtype, copy=True)
    if array.size == 0 and len(shape) == 2 and array.ndim == 1:
        array = array.reshape(0, shape[1] or 0)
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape)
    )
    if not fits:
        want = "[" + ", ".join("N" if s is None else str(s) for s in shape) + "]"
        raise InputError(f"{what}: expected shape {want}, got {list(array.shape)}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise InputError(f"{what}: expected finite numbers, row {row} is {array[row]!r}.")
    array.setflags(write=False)
    return array


def _check_size(image_size: Any) -> tuple[int, int]:
    try:
        width, height = (int(v) for v in image_size)
    except (TypeError, ValueError):
        raise InputError(f"image_size: expected (width, height) in pixels, got {image_size!r}.") from None
    if width < 1 or height < 1:
        raise InputError(
            f"image_size: expected a width and height of at least 1 pixel, got {width}x{height}."
        )
    return width, height


def _check_boxes(xyxy: np.ndarray, image_size: tuple[int, int], what: str) -> None:
    if not len(xyxy):
        return
    width, height = image_size
    x1, y1, x2, y2 = xyxy.T
    bad = (x1 < 0) | (y1 < 0) | (x2 < x1) | (y2 < y1) | (x2 > width) | (y2 > height)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{what}: expected 0 <= x1 <= x2 <= {width} and 0 <= y1 <= y2 <= {height}, "
            f"box {row} is {xyxy[row].tolist()}; clip with detector.boxes.clip first."
        )


def _check_ids(class_ids: np.ndarray, what: str) -> None:
    if len(class_ids) and class_ids.min() < 0:
        row = int(np.argmin(class_ids))
        raise InputError(f"{what}: expected class ids of 0 and more, row {row} is {class_ids[row]}.")


@dataclass(frozen=True, eq=False)
class Detections:
    """What a detector found in one image.

    Args:
        xyxy: float32 [N, 4], absolute pixels of the upright original image, 0 <= x1 <= x2 <= W.
        scores: float32 [N] in 0..1.
        class_ids: int32 [N], 0..K-1.
        image_size: (W, H) of the upright original image.
        anchor_ids: int32 [N], the anchor (row of `Candidates`) each box came from, or None where unknown.
        class_map: the classes that `class_ids` count, or None where unknown. What comes from `detect` has the
            detector's, so that nothing compares class numbers of two label spaces.

    The empty case is N = 0 (`Detections.empty`). Rows keep the detector's order, best score first.

    Raises:
        InputError: lengths differ, a number is not finite, a box leaves the image, a score leaves 0..1.
    """

    xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    image_size: tuple[int, int]
    anchor_ids: np.ndarray | None = None
    class_map: ClassMap | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "image_size", _check_size(self.image_size))
        put(self, "xyxy", frozen_array(self.xyxy, np.float32, (None, 4), "Detections.xyxy"))
        n = len(self.xyxy)
        put(self, "scores", frozen_array(self.scores, np.float32, (n,), "Detections.scores"))
        put(self, "class_ids", frozen_array(self.class_ids, np.int32, (n,), "Detections.class_ids"))
        if self.anchor_ids is not None:
            put(self, "anchor_ids", frozen_array(self.anchor_ids, np.int32, (n,), "Detections.anchor_ids"))
        _check_boxes(self.xyxy, self.image_size, "Detections.xyxy")
        _check_ids(self.class_ids, "Detections.class_ids")
        if n and (self.scores.min() < 0 or self.scores.max() > 1):
            row = int(np.argmax((self.scores < 0) | (self.scores > 1)))
            raise InputError(
                f"Detections.scores: expected 0..1, row {row} is {self.scores[row]!r}; apply a sigmoid to"
                " logits first."
            )

    @classmethod
    def empty(cls, image_size: tuple[int, int]) -> Detections:
        return cls(np.zeros((0, 4)), np.zeros(0), np.zeros(0), image_size)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: np.ndarray | slice | Sequence[int]) -> Detections:
        """The rows of a mask, slice or index array, as a new Detections."""
        if not isinstance(rows, slice):
            rows = np.atleast_1d(np.asarray(rows))
            rows = rows.astype(np.int64) if rows.size == 0 else rows
        anchors = None if self.anchor_ids is None else self.anchor_ids[rows]
        return Detections(
            self.xyxy[rows], self.scores[rows], self.class_ids[rows], self.image_size, anchors, self.class_map
        )

    def named(self, class_map: ClassMap | None) -> Detections:
        """The same, with the classes that its ids count."""
        return replace(self, class_map=class_map)

    def above(self, threshold: float | Sequence[float]) -> Detections:
        """Rows whose score is at least the threshold: one number, or one per class ([K]).

        Compared in float32, as scores are kept: a score written as 0.7 passes the threshold 0.7.
        """
        least = np.asarray(threshold, dtype=np.float32)
        return self[self.scores >= (least if least.ndim == 0 else least[self.class_ids])]

    def of_classes(self, class_ids: Iterable[int]) -> Detections:
        return self[np.isin(self.class_ids, list(class_ids))]

    def equals(self, other: Detections, atol: float = 0.0) -> bool:
        """Same image size, same rows in the same order, numbers within `atol`."""
        return (
            self.image_size == other.image_size
            and len(self) == len(other)
            and np.array_equal(self.class_ids, other.class_ids)
            and np.allclose(self.xyxy, other.xyxy, rtol=0, atol=atol)
            and np.allclose(self.scores, other.scores, rtol=0, atol=atol)
        )

    @classmethod
    def from_supervision(
        cls, found: Any, *, image_size: tuple[int, int], class_map: ClassMap | None = None
    ) -> Detections:
        """A `supervision.Detections`, best score first, clipped to an image of (W, H).

        Args: see `detector.bridges.supervision.read`; without a class_map the names are not taken over.

        Raises:
            InputError: no scores, no classes, or classes that the class map lacks.
        """
        names = None if class_map is None else class_map.names
        return cls(*supervision.read(found, image_size, names), class_map=class_map)

    def to_supervision(self) -> Any:
        """A `supervision.Detections` with xyxy, confidence, class_id and, where known, class names.

        Raises:
            UnavailableError: supervision is not installed.
        """
        names = None if self.class_map is None else self.class_map.names
        return supervision.write(self.xyxy, self.scores, self.class_ids, names)

    @classmethod
    def from_ultralytics(cls, result: Any) -> Detections:
        """One entry of what an Ultralytics model returns, with the model's classes.

        Raises:
            InputError: a result without upright boxes (`detector.bridges.ultralytics.read`).
        """
        columns, classes = ultralytics.read(result)
        return cls(*columns, class_map=ClassMap(tuple(n for n, _ in classes), tuple(i for _, i in classes)))

    def _repr_html_(self) -> str:
        width, height = self.image_size
        names = None if self.class_map is None else self.class_map.names
        rows = [
            (
                int(k) if names is None else names[k],
                round(float(score), 4),
                *(round(float(v), 1) for v in box),
            )
            for k, score, box in zip(self.class_ids[: notebook.ROWS], self.scores, self.xyxy)
        ]
        caption = f"{len(self):,} detections in an image of {width}x{height}"
        return notebook.table(caption, ("class", "score", "x1", "y1", "x2", "y2"), rows, len(self))


@dataclass(frozen=True, eq=False)
class Annotations:
    """The ground truth of one image. A type apart from Detections, so that a score is never optional.

    Args:
        xyxy: float32 [N, 4], absolute pixels of the upright original image.
        class_ids: int32 [N], 0..K-1.
        image_size: (W, H).
        ids: int64 [N], each object's id: the file's own where it has one (COCO), else its position.
        crowd, difficult, truncated, occluded: bool [N], False where the format does not say.
        area: float32 [N] in square pixels as the file states it (COCO: of the mask), NaN where it does not.
        class_map: the classes that `class_ids` count, or None where unknown; a Dataset's have the data set's.

    The empty case (an image known to hold nothing) is N = 0; an image nobody labelled has None instead.

    Raises:
        InputError: as for Detections.
    """

    xyxy: np.ndarray
    class_ids: np.ndarray
    image_size: tuple[int, int]
    ids: np.ndarray | None = None
    crowd: np.ndarray | None = None
    difficult: np.ndarray | None = None
    truncated: np.ndarray | None = None
    occluded: np.ndarray | None = None
    area: np.ndarray | None = None
    class_map: ClassMap | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "image_size", _check_size(self.image_size))
        put(self, "xyxy", frozen_array(self.xyxy, np.float32, (None, 4), "Annotations.xyxy"))
        n = len(self.xyxy)
        put(self, "class_ids", frozen_array(self.class_ids, np.int32, (n,), "Annotations.class_ids"))
        put(
            self,
            "ids",
            frozen_array(np.arange(n) if self.ids is None else self.ids, np.int64, (n,), "Annotations.ids"),
        )
        for flag in FLAGS:
            value = getattr(self, flag)
            put(
                self,
                flag,
                frozen_array(np.zeros(n) if value is None else value, bool, (n,), f"Annotations.{flag}"),
            )
        area = np.array(np.full(n, np.nan) if self.area is None else self.area, np.float32)
        if area.shape != (n,):
            raise InputError(f"Annotations.area: expected shape [{n}], got {list(area.shape)}.")
        area.setflags(write=False)
        put(self, "area", area)
        _check_boxes(self.xyxy, self.image_size, "Annotations.xyxy")
        _check_ids(self.class_ids, "Annotations.class_ids")

    @classmethod
    def empty(cls, image_size: tuple[int, int]) -> Annotations:
        return cls(np.zeros((0, 4)), np.zeros(0), image_size)

    def __len__(self) -> int:
        return len(self.class_ids)

    def __getitem__(self, rows: np.ndarray | slice | Sequence[int]) -> Annotations:
        if not isinstance(rows, slice):
            rows = np.atleast_1d(np.asarray(rows))
            rows = rows.astype(np.int64) if rows.size == 0 else rows
        flags = {flag: getattr(self, flag)[rows] for flag in FLAGS}
        return Annotations(
            self.xyxy[rows],
            self.class_ids[rows],
            self.image_size,
            ids=np.asarray(self.ids)[rows],
            area=np.asarray(self.area)[rows],
            class_map=self.class_map,
            **flags,
        )


@dataclass(frozen=True, eq=False)
class Candidates:
    """What the network said about one image before NMS: one row an anchor.

    Args:
        xyxy: float32 [A, 4], decoded boxes in pixels of the upright original image, **not clipped**.
        scores: float32 [A, K] in 0..1, one column a class, no background column.
        image_size: (W, H).
        anchors: float32 [A, 4] anchor boxes in the same frame, or None where the network does not say.
        levels: int32 [A], feature level of each anchor, 0 the finest, or None.
        logits: float32 [A, K] before the sigmoid, or None.
        cells: float32 [A, 4], the part of the image that each row answers for where the network has a grid
            and no anchors, clipped to the image, else None.

    Raises:
        InputError: lengths differ or a number is not finite.
    """

    xyxy: np.ndarray
    scores: np.ndarray
    image_size: tuple[int, int]
    anchors: np.ndarray | None = None
    levels: np.ndarray | None = None
    logits: np.ndarray | None = None
    cells: np.ndarray | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "image_size", _check_size(self.image_size))
        put(self, "xyxy", frozen_array(self.xyxy, np.float32, (None, 4), "Candidates.xyxy"))
        a = len(self.xyxy)
        put(self, "scores", frozen_array(self.scores, np.float32, (a, None), "Candidates.scores"))
        if self.anchors is not None:
            put(self, "anchors", frozen_array(self.anchors, np.float32, (a, 4), "Candidates.anchors"))
        if self.cells is not None:
            put(self, "cells", frozen_array(self.cells, np.float32, (a, 4), "Candidates.cells"))
        if self.levels is not None:
            put(self, "levels", frozen_array(self.levels, np.int32, (a,), "Candidates.levels"))
        if self.logits is not None:
            put(self, "logits", frozen_array(self.logits, np.float32, self.scores.shape, "Candidates.logits"))

    def __len__(self) -> int:
        return len(self.xyxy)


@runtime_checkable
class Detector(Protocol):
    """Pixels to boxes. Every implementation passes `detector.testing.DetectorContract`.

    Images are RGB uint8 [H, W, 3], of any and differing sizes, and are never changed. The answer has one
    entry per image, in order; an empty list gives an empty list; a batch equals the same images one by one.
    """

    info: DetectorInfo

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Boxes of each image, best score first, nothing cut that the detector itself does not cut."""
        ...

    def candidates(self, images: Sequence[np.ndarray]) -> list[Candidates]:
        """Rows before NMS; raises CapabilityError where `info.capabilities` lacks "candidates"."""
        ...


@runtime_checkable
class Staged(Protocol):
    """A detector whose preprocessing comes apart from its network, so that another's can take its place.

    Handed over is the resized picture: float32 [height, width, 3] RGB, pixels 0..255, not rounded, of
    `info.input_size`; normalising and quantising it is the network's own business.
    Law: `detect_resized([resized(image)], [(W, H)])` is `detect([image])` up to rounding.
    """

    info: DetectorInfo

    def resized(self, image: np.ndarray) -> np.ndarray:
        """RGB uint8 [H, W, 3] as it goes into the network."""
        ...

    def detect_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Detections]:
        """Boxes of resized pictures, in the frames of the originals, whose (W, H) are `sizes`."""
        ...

    def candidates_resized(
        self, pixels: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]]
    ) -> list[Candidates]:
        """Rows before NMS; raises CapabilityError where `info.capabilities` lacks "candidates"."""
        ...


def check_images(images: Sequence[np.ndarray]) -> None:
    """Refuse anything but a sequence of RGB uint8 [H, W, 3] arrays.

    Raises:
        InputError: naming the image by its place in the batch.
    """
    if isinstance(images, np.ndarray) and images.ndim == 3:
        raise InputError("detect: expected a list of images, got one array; write detector.detect([image]).")
    for i, image in enumerate(images):
        ok = (
            isinstance(image, np.ndarray)
            and image.dtype == np.uint8
            and image.ndim == 3
            and image.shape[2] == 3
        )
        if not ok or 0 in image.shape:
            got = (
                f"{image.dtype} {list(image.shape)}"
                if isinstance(image, np.ndarray)
                else type(image).__name__
            )
            raise InputError(
                f"detect: expected RGB uint8 [height, width, 3], image {i} is {got}; detector.data.read_image"
                " makes one from any file."
            )
