"""Greedy suppression itself, without caps, thresholds of the score, or images: which box goes because of
which.

Candidates come best first, in as many parts as one likes. They are looked at in blocks: a block against all
boxes kept so far, then within itself, as tables of float32 IoU; a walk box by box gives bit-equal answers and
takes two to three times as long (`tests/benchmarks/bench_nms.py`).
"""

from __future__ import annotations

import threading

import numpy as np

NOBODY, FULL = -1, -2
"""Instead of a suppressor: nothing suppressed it; it came when its group had all the boxes it may keep."""

_BLOCK = 256
_TABLE = 262_144
"""Cells of a table of IoUs: larger blocks walk less in Python, larger tables leave the processor's cache."""


class GreedyNMS:
    """Candidates best first, each suppressed by the first kept box of its group whose IoU with it is above
    the threshold.

    Args:
        iou_threshold: 0..1; strictly above it a box goes. IoU is computed in float32, corners in either
            order.
        most: boxes a group may keep, None for any number. The last of them suppresses nobody, for whoever
            comes then is `FULL` already: the reference stops there.
        together: look at all groups in one table, which is quicker for a few hundred candidates of several
            groups, and slower for thousands. The answer is the same.

    Attributes:
        by: int32 [N] of all candidates so far: the row of the box that suppressed each, `NOBODY` or `FULL`.
        rank: int32 [N]: the place of a kept box among those of its group, from 1; 0 for the others.
    """

    def __init__(self, iou_threshold: float, most: int | None = None, *, together: bool = False):
        self._threshold, self._most, self._together = np.float32(iou_threshold), most, together
        self.by, self.rank = np.zeros(0, np.int32), np.zeros(0, np.int32)
        self._kept: dict[int, _Table] = {}
        self._counts: dict[int, int] = {}

    def add(self, boxes: np.ndarray, groups: np.ndarray, guess: np.ndarray | None = None) -> None:
        """More candidates, none better than any before.

        Args:
            boxes: float32 [n, 4], corners; groups: int [n], boxes of different groups do not touch each
                other.
            guess: int [k], rising, which of these are thought to be kept. Looked at where they are the first
                candidates and `most` is not given: if each other one has one of them before it that
                suppresses it, and they have none, then the walk would have kept just these, and is saved.
        """
        first, n = len(self.by), len(boxes)
        self.by = np.concatenate([self.by, np.full(n, NOBODY, np.int32)])
        self.rank = np.concatenate([self.rank, np.zeros(n, np.int32)])
        sides, groups = _sides(boxes), np.asarray(groups, np.int32)
        if (
            guess is not None
            and len(guess)
            and not first
            and self._most is None
            and self._guessed(sides, groups, guess)
        ):
            return
        if self._together or not n:
            parts = [(0, np.arange(n))]
        else:
            order = np.argsort(groups, kind="stable")
            ids, starts = np.unique(groups[order], return_index=True)
            parts = zip(ids.tolist(), np.split(order, starts[1:]))
        for part, chosen in parts:
            kept, at = self._kept.setdefault(part, _Table()), 0
            while at < len(chosen):
                # A group that is full has no walk any more, so its blocks may be larger.
                most = _TABLE if not self._together and self._is_full(part) else _BLOCK
                block = chosen[at : at + min(most, max(16, _TABLE // max(1, kept.count)))]
                at += len(block)
                self._block(kept, sides[:, block], groups[block], first + block)

    def _guessed(self, sides: np.ndarray, groups: np.ndarray, guess: np.ndarray) -> bool:
        """Whether just these are kept; if so, they are."""
        n = len(groups)
        by = np.full(n, NOBODY, np.int32)
        for at in range(0, n, size := max(16, _TABLE // max(1, len(guess)))):
            here = slice(at, at + size)
            over = _over(sides[:, here], sides[:, guess], self._threshold) & (
                groups[here, None] == groups[guess]
            )
            over &= np.arange(at, min(at + size, n))[:, None] > guess
            first = over.argmax(axis=1)
            hit = over[np.arange(len(first)), first]
            by[here][hit] = guess[first[hit]]
        if not np.array_equal(np.flatnonzero(by == NOBODY), guess):
            return False
        self.by = by
        for group in np.unique(groups[guess]).tolist():
            mine = guess[groups[guess] == group]
            self.rank[mine] = np.arange(1, len(mine) + 1)
            self._counts[group] = len(mine)
            if not self._together:
                self._kept.setdefault(group, _Table()).append(sides[:, mine], groups[mine], mine)
        if self._together:
            self._kept.setdefault(0, _Table()).append(sides[:, guess], groups[guess], guess)
        return True

    def _block(self, kept: _Table, sides: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> None:
        """A few candidates: against the kept boxes of their part, then among themselves."""
        mixed = self._together
        by = np.full(len(rows), NOBODY, np.int32)
        if kept.count:
            over = _over(sides, kept.sides[:, : kept.count], self._threshold)
            if mixed:
                over &= groups[:, None] == kept.groups[: kept.count]
            first = over.argmax(axis=1)
            hit = over[np.arange(len(rows)), first]
            by[hit] = kept.rows[first[hit]]
        left = np.flatnonzero(by == NOBODY)
        if not len(left) or (not mixed and self._is_full(int(groups[0]))):
            by[left] = FULL
            self.by[rows] = by
            return
        here, own = sides[:, left], groups[left]
        over = _over(here, here, self._threshold)
        if mixed:
            over &= own[:, None] == own
        new, ranks, full = self._walk(over, own)
        # The first kept box above the threshold is a candidate's suppressor; one that fills its group
        # suppresses nobody.
        able = new[~full]
        inner = np.full(len(left), NOBODY, np.int32)
        if len(able):
            hits = over[able]
            first = hits.argmax(axis=0)
            hit = hits[first, np.arange(len(left))] & (able[first] < np.arange(len(left)))
            inner[hit] = rows[left[able[first[hit]]]]
        inner[new] = NOBODY
        kept.append(here[:, able], own[able], rows[left[able]])
        if self._most is not None:
            late = np.ones(len(left), bool)
            late[new] = False
            inner[late & (inner == NOBODY)] = FULL
        by[left] = inner
        self.by[rows], self.rank[rows[left[new]]] = by, ranks

    def _is_full(self, group: int) -> bool:
        return self._most is not None and self._counts.get(group, 0) >= self._most

    def _walk(self, over: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(places of the boxes kept, their ranks, which of them fill their group) among candidates nothing
        before suppressed.
        """
        n, most = len(groups), self._most
        # Rows as whole numbers, a bit a box: the walk itself costs a few operations on them for each kept
        # box.
        masks = [int.from_bytes(row, "little") for row in np.packbits(over, axis=1, bitorder="little")]
        alive, ids = (1 << n) - 1, groups.tolist()
        counts, new, ranks, full = self._counts, [], [], []
        if most is not None:
            for group in filter(self._is_full, set(ids)):
                alive &= ~_bits(groups == group)
        while alive:
            lowest = alive & -alive
            row = lowest.bit_length() - 1
            group = ids[row]
            count = counts[group] = counts.get(group, 0) + 1
            new.append(row)
            ranks.append(count)
            full.append(count == most)
            alive &= ~(masks[row] | lowest) if count != most else ~_bits(groups == group)
        return np.array(new, np.int64), np.array(ranks, np.int32), np.array(full, bool)


class _Table:
    """Kept boxes that can still suppress: columns x1, y1, x2, y2 and area, their groups and rows; it grows by
    doubling.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sides, self.groups, self.rows = (
            np.empty((5, 0), np.float32),
            np.empty(0, np.int32),
            np.empty(0, np.int32),
        )

    def append(self, sides: np.ndarray, groups: np.ndarray, rows: np.ndarray) -> None:
        need = self.count + len(rows)
        if need > len(self.rows):
            room = max(128, 2 * need) - len(self.rows)
            self.sides = np.concatenate([self.sides, np.empty((5, room), np.float32)], axis=1)
            self.groups = np.concatenate([self.groups, np.empty(room, np.int32)])
            self.rows = np.concatenate([self.rows, np.empty(room, np.int32)])
        self.sides[:, self.count : need], self.groups[self.count : need], self.rows[self.count : need] = (
            sides,
            groups,
            rows,
        )
        self.count = need


def _bits(flags: np.ndarray) -> int:
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def _sides(boxes: np.ndarray) -> np.ndarray:
    """float32 [5, n]: x1, y1, x2, y2 with the corners in order, and the area."""
    a1, b1, a2, b2 = np.ascontiguousarray(np.asarray(boxes, np.float32).reshape(-1, 4).T)
    low_a, low_b, high_a, high_b = (
        np.minimum(a1, a2),
        np.minimum(b1, b2),
        np.maximum(a1, a2),
        np.maximum(b1, b2),
    )
    return np.stack([low_a, low_b, high_a, high_b, (high_a - low_a) * (high_b - low_b)])


class _Scratch(threading.local):
    """Room for three tables, used again and again: new ones of this size would each time be fetched from the
    system.
    """

    def __init__(self) -> None:
        self.room = np.empty((3, 0), np.float32)

    def tables(self, n: int, m: int) -> tuple[np.ndarray, ...]:
        if n * m > self.room.shape[1]:
            self.room = np.empty((3, max(_TABLE, n * m)), np.float32)
        return tuple(row[: n * m].reshape(n, m) for row in self.room)


_scratch = _Scratch()


def _over(a: np.ndarray, b: np.ndarray, threshold: np.float32) -> np.ndarray:
    """bool [n, m]: which boxes of `a` [5, n] have an IoU above the threshold with which of `b` [5, m]."""
    inter, other, low = _scratch.tables(a.shape[1], b.shape[1])
    np.minimum(a[2][:, None], b[2], out=inter)
    inter -= np.maximum(a[0][:, None], b[0], out=low)
    np.maximum(inter, np.float32(0), out=inter)
    np.minimum(a[3][:, None], b[3], out=other)
    other -= np.maximum(a[1][:, None], b[1], out=low)
    np.maximum(other, np.float32(0), out=other)
    inter *= other
    union = np.add(a[4][:, None], b[4], out=other)
    union -= inter
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        # Boxes that do not touch give 0, or not a number where both are points: neither is above any
        # threshold.
        np.divide(inter, union, out=inter)
        return inter > threshold
