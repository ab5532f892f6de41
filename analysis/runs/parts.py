"""The parts of a stored run: which image each holds, and the detections of a range of images read from them.

What is known of every image (done, decoded size, number of detections, which part holds it) takes 25 bytes
per image; detections are read for the range asked for, from the parts that reach into it.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from analysis.runs import files
from analysis.runs.tables import DetectionTable
from detector.errors import RunError


@dataclass(frozen=True)
class Part:
    """One finished pair of files: its worker and number, the first and last image in it, the detections it
    promises.
    """

    worker: str
    number: int
    low: int
    high: int
    promised: int


@dataclass(eq=False)
class PartIndex:
    """What the images parts of a run say.

    Attributes:
        parts: in the order of worker and number.
        done: bool [N]; decoded: int32 [N, 2] (W, H), zeros where not done or failed.
        counts: int32 [N], detections of each image; owner: int32 [N], the position in `parts` that holds it,
            -1 for none.
        errors: row -> why it failed.
    """

    folder: Path
    parts: list[Part]
    done: np.ndarray
    decoded: np.ndarray
    counts: np.ndarray
    owner: np.ndarray
    errors: dict[int, str]
    _kept: OrderedDict[tuple[int, bool], tuple[np.ndarray, ...]] = field(default_factory=OrderedDict)

    KEPT: ClassVar[int] = 3
    """Parts kept in memory: neighbours of a range share them."""

    @property
    def total(self) -> int:
        """Detections in all."""
        return int(self.counts.sum(dtype=np.int64))

    def detections(self, first: int, last: int, *, boxes: bool = True) -> DetectionTable:
        """The detections of the images `first` to before `last`; rows count from `first`.

        Args:
            boxes: False leaves the corners and anchors unread (zeros and -1), for questions about classes and
                scores.

        Raises:
            RunError: a part is missing or broken, or holds other detections than promised.
        """
        found = []
        for position, part in enumerate(self.parts):
            if part.low < last and part.high >= first:
                columns = self._part(position, boxes)
                rows = columns[0]
                inside = (
                    slice(None) if part.low >= first and part.high < last else (rows >= first) & (rows < last)
                )
                found.append(tuple(c[inside] for c in columns))
        if not found:
            return DetectionTable.empty(last - first)
        rows, scores, class_ids, *rest = (np.concatenate(c) if len(found) > 1 else c[0] for c in zip(*found))
        xyxy, anchors = rest if boxes else (np.zeros((len(rows), 4), np.float32), None)
        return DetectionTable.build(
            rows - first, xyxy, scores, class_ids, anchor_ids=anchors, count=last - first
        )

    def _part(self, position: int, boxes: bool) -> tuple[np.ndarray, ...]:
        for key in ((position, True), (position, boxes)):
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key] if key[1] == boxes else self._kept[key][:3]
        columns = self._read(position, boxes)
        self._kept[position, boxes] = columns
        while len(self._kept) > self.KEPT:
            self._kept.popitem(last=False)
        return columns

    def _read(self, position: int, boxes: bool) -> tuple[np.ndarray, ...]:
        part = self.parts[position]
        path = files.part_path(self.folder, "detections", part.worker, part.number)
        narrow = ("row", "score", "class_id")
        table = files.read_table(path, files.DETECTIONS, columns=None if boxes else narrow)
        owners = files.numbers(table, "row")
        wrong = len(owners) != part.promised or (
            len(owners) > 0 and (owners.min() < part.low or owners.max() > part.high)
        )
        # Two workers may have done one image when work of a lost worker was given out again: the first
        # counts.
        mine = np.zeros(0, bool) if wrong else self.owner[owners] == position
        if not wrong:
            held = slice(part.low, part.high + 1)
            own = self.owner[held] == position
            counted = np.bincount(owners[mine] - part.low, minlength=len(own))
            wrong = not np.array_equal(counted[own], self.counts[held][own])
        if wrong:
            raise RunError(
                "It holds other detections than its images part counted; delete both and detect again.",
                path=path,
            )
        columns = [owners, files.numbers(table, "score"), files.numbers(table, "class_id")]
        if boxes:
            columns += [files.numbers(table, *files.BOX), files.numbers(table, "anchor_id")]
        return tuple(columns) if mine.all() else tuple(c[mine] for c in columns)


def read_parts(folder: Path, n: int) -> PartIndex:
    """What the finished images parts of a run of n images say.

    Raises:
        RunError: a part is broken, or speaks of an image that is not in the run.
    """
    index = PartIndex(
        folder,
        [],
        np.zeros(n, bool),
        np.zeros((n, 2), np.int32),
        np.zeros(n, np.int32),
        np.full(n, -1, np.int32),
        {},
    )
    for key in files.finished_parts(folder):
        path = files.part_path(folder, "images", *key)
        table = files.read_table(path, files.IMAGES)
        rows = files.numbers(table, "row")
        low, high = (int(rows.min()), int(rows.max())) if len(rows) else (0, -1)
        if low < 0 or high >= n:
            raise RunError(f"A row points outside the run's {n} images.", path=path)
        _take(index, table, rows)
        index.parts.append(Part(*key, low, high, int(files.numbers(table, "detections").sum(dtype=np.int64))))
    return index


def _take(index: PartIndex, table: pa.Table, rows: np.ndarray) -> None:
    fresh = np.flatnonzero(index.owner[rows] < 0)
    new = rows[fresh]
    index.done[new] = True
    index.owner[new] = len(index.parts)
    index.counts[new] = files.numbers(table, "detections")[fresh]
    index.decoded[new] = files.numbers(table, "width", "height")[fresh]
    if table.column("error").null_count < len(table):
        messages = files.as_texts(table.column("error"))
        index.errors |= {int(rows[k]): messages[k] for k in fresh if messages[k] is not None}
