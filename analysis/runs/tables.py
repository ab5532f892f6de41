"""DetectionTable: the detections of all images of a run, in columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from detector.core import Detections, frozen_array
from detector.errors import InputError


@dataclass(frozen=True, eq=False)
class DetectionTable:
    """Every detection of a run, grouped by image in the order of its samples, best score first within an
    image.

    Args:
        rows: int32 [D], the sample's position in the run, ascending.
        xyxy: float32 [D, 4], absolute pixels of the upright original image.
        scores: float32 [D] in 0..1, descending within one image; ties keep the detector's order.
        class_ids: int32 [D], ids of the run's unified class map.
        anchor_ids: int32 [D], the anchor each box came from, -1 where unknown.
        count: N, the number of images, which bounds `rows`.

    Attributes:
        offsets: int64 [N + 1]; the detections of image i are rows `offsets[i]:offsets[i + 1]`.

    The empty case is D = 0 (`DetectionTable.empty(count)`). The arrays are copies and cannot be written to.

    Raises:
        InputError: lengths differ, rows do not ascend or leave 0..N-1, scores do not descend or leave 0..1.
    """

    rows: np.ndarray
    xyxy: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    anchor_ids: np.ndarray
    count: int
    offsets: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "rows", frozen_array(self.rows, np.int32, (None,), "DetectionTable.rows"))
        d = len(self.rows)
        put(self, "xyxy", frozen_array(self.xyxy, np.float32, (d, 4), "DetectionTable.xyxy"))
        put(self, "scores", frozen_array(self.scores, np.float32, (d,), "DetectionTable.scores"))
        put(self, "class_ids", frozen_array(self.class_ids, np.int32, (d,), "DetectionTable.class_ids"))
        put(self, "anchor_ids", frozen_array(self.anchor_ids, np.int32, (d,), "DetectionTable.anchor_ids"))
        if d:
            self._check()
        offsets = np.searchsorted(self.rows, np.arange(self.count + 1)).astype(np.int64)
        offsets.setflags(write=False)
        put(self, "offsets", offsets)

    def _check(self) -> None:
        step = np.diff(self.rows)
        if (step < 0).any() or self.rows[0] < 0 or self.rows[-1] >= self.count:
            raise InputError(
                f"DetectionTable.rows: expected ascending positions in 0..{self.count - 1};"
                " DetectionTable.build sorts."
            )
        if self.scores.min() < 0 or self.scores.max() > 1:
            raise InputError("DetectionTable.scores: expected 0..1.")
        if ((np.diff(self.scores) > 0) & (step == 0)).any():
            raise InputError(
                "DetectionTable.scores: expected the best score first within an image; DetectionTable.build"
                " sorts."
            )
        if self.class_ids.min() < 0:
            raise InputError("DetectionTable.class_ids: expected ids of 0 and more.")

    @classmethod
    def empty(cls, count: int) -> DetectionTable:
        return cls(np.zeros(0), np.zeros((0, 4)), np.zeros(0), np.zeros(0), np.zeros(0), count)

    @classmethod
    def build(cls, rows, xyxy, scores, class_ids, *, count: int, anchor_ids=None) -> DetectionTable:
        """From columns in any order of images; detections of one image with equal scores keep their order."""
        rows, scores = np.asarray(rows, np.int32).reshape(-1), np.asarray(scores, np.float32).reshape(-1)
        xyxy, class_ids = (
            np.asarray(xyxy, np.float32).reshape(-1, 4),
            np.asarray(class_ids, np.int32).reshape(-1),
        )
        anchor_ids = (
            np.full(len(rows), -1, np.int32)
            if anchor_ids is None
            else np.asarray(anchor_ids, np.int32).reshape(-1)
        )
        step = np.diff(rows)
        if (step < 0).any() or ((step == 0) & (np.diff(scores) > 0)).any():
            order = np.lexsort((-scores, rows))
            rows, xyxy, scores = rows[order], xyxy[order], scores[order]
            class_ids, anchor_ids = class_ids[order], anchor_ids[order]
        return cls(rows, xyxy, scores, class_ids, anchor_ids, count)

    @classmethod
    def from_detections(cls, detections: list[Detections | None]) -> DetectionTable:
        """From one Detections (or None for nothing) an image, in the order of the samples."""
        found = [(i, d) for i, d in enumerate(detections) if d is not None and len(d)]
        if not found:
            return cls.empty(len(detections))
        return cls.build(
            np.concatenate([np.full(len(d), i, np.int32) for i, d in found]),
            np.concatenate([d.xyxy for _, d in found]),
            np.concatenate([d.scores for _, d in found]),
            np.concatenate([d.class_ids for _, d in found]),
            anchor_ids=np.concatenate(
                [np.full(len(d), -1) if d.anchor_ids is None else d.anchor_ids for _, d in found]
            ),
            count=len(detections),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def of(self, i: int) -> slice:
        """The rows of this table that belong to image i."""
        return slice(int(self.offsets[i]), int(self.offsets[i + 1]))

    def take(self, mask: np.ndarray) -> DetectionTable:
        """The detections under a mask (or at ascending positions), for the same images."""
        return DetectionTable(
            self.rows[mask],
            self.xyxy[mask],
            self.scores[mask],
            self.class_ids[mask],
            self.anchor_ids[mask],
            self.count,
        )

    def equals(self, other: DetectionTable) -> bool:
        """Whether both hold exactly the same rows in the same order."""
        return self.count == other.count and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("rows", "xyxy", "scores", "class_ids", "anchor_ids")
        )
