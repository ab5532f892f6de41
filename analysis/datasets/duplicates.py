"""The same picture twice in a data set, and across its splits: found by content, whatever the files are
called.

Three kinds, told apart: "same file" (equal bytes), "same pixels" (other bytes, equal pixels when decoded) and
"near" (a perceptual hash says so, and the thumbnails prove it). Measured on 1,800 real photographs of 100
pixels and more: a copy at half the size and JPEG quality 50, or made a fifth brighter, differs by up to 47 of
the 256 hash bits (99 in 100 copies) and correlates by 0.93 and more; different photographs differed by 56
bits and more, grey street scenes of one set by 39 with a correlation of 0.917. A mirrored copy, or one cut by
a twentieth on each side, is not found.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from detector.core import frozen_array
from detector.data.dataset import Dataset, Problem
from detector.data.images import picture_bytes, read_header, read_image, thumbnail
from detector.errors import ImageError

SIDE = 32
"""Side of the grey thumbnails pictures are compared by; each is stretched to a square."""
MOST_BITS = 48
"""Of the 256 bits of the difference hash, how many may differ in near-duplicates."""
LEAST_CORRELATION = 0.92
"""Least correlation of two thumbnails' grey values in near-duplicates."""
FLAT = 2.0
"""A thumbnail whose grey values deviate less than this has no pattern to compare; only exact copies of it are
found.
"""
KINDS = ("same file", "same pixels", "near")
_AHEAD = 64


@dataclass(frozen=True, eq=False)
class Look:
    """What one look at every picture kept.

    Args:
        digests: N hex digests of the files' bytes (of the pixels, for pictures in memory), "" where none was
            read.
        sizes: int32 [N, 2], (W, H) upright; zeros where the picture could not be read.
        thumbs: uint8 [N, 32, 32], grey, stretched; zeros where the picture could not be read.
        read: bool [N], whether it could be.
        problems: pictures that are damaged, missing, or of another size than the data set says.
    """

    digests: tuple[str, ...]
    sizes: np.ndarray
    thumbs: np.ndarray
    read: np.ndarray
    problems: tuple[Problem, ...] = ()

    def __post_init__(self) -> None:
        n, put = len(self.digests), object.__setattr__
        put(self, "sizes", frozen_array(self.sizes, np.int32, (n, 2), "Look.sizes"))
        thumbs = np.asarray(self.thumbs, np.uint8).reshape(n, SIDE, SIDE)
        thumbs.setflags(write=False)
        put(self, "thumbs", thumbs)
        put(self, "read", frozen_array(self.read, bool, (n,), "Look.read"))

    def __len__(self) -> int:
        return len(self.digests)


@dataclass(frozen=True)
class Copies:
    """Pictures of one content.

    Args:
        kind: one of `KINDS`; a group that holds several is called by the weakest that joins it.
        rows: their positions in the data set, ascending, two or more.
        splits: the names of the splits they lie in, sorted; one, or none, where nothing leaks.
    """

    kind: str
    rows: tuple[int, ...]
    splits: tuple[str, ...]

    @property
    def leaks(self) -> bool:
        return len(self.splits) > 1


def look_at_pictures(
    dataset: Dataset, *, progress: Callable[[int, int], None] | None = None, workers: int = 2
) -> Look:
    """Read every picture once: bytes, size, a thumbnail. About 1 KB a picture is kept.

    Args:
        progress: called with (done, total) after each; an error it raises ends the look.
    """
    n = len(dataset)
    sizes, read, digests = np.zeros((n, 2), np.int32), np.zeros(n, bool), [""] * n
    thumbs, problems = np.zeros((n, SIDE, SIDE), np.uint8), []
    with ThreadPoolExecutor(workers, thread_name_prefix="look") as pool:
        for i, (digest, size, thumb, faults) in enumerate(_ahead(pool, lambda i: _one(dataset, i), n)):
            digests[i] = digest
            problems += faults
            if thumb is not None:
                sizes[i], thumbs[i], read[i] = size, thumb, True
            if progress is not None:
                progress(i + 1, n)
    return Look(tuple(digests), sizes, thumbs, read, tuple(problems))


def _ahead(pool: ThreadPoolExecutor, work: Callable[[int], Any], n: int) -> Iterator[Any]:
    """Results in order, with a bounded number of images in memory."""
    places = iter(range(n))
    waiting = [pool.submit(work, i) for i in islice(places, _AHEAD)]
    try:
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(work, i) for i in islice(places, 1)]
    finally:
        for future in waiting:
            future.cancel()


def _one(dataset: Dataset, i: int) -> tuple[str, tuple[int, int], np.ndarray | None, list[Problem]]:
    file, sample_id = dataset.files[i], dataset.sample_ids[i]
    try:
        if not file:
            pixels = dataset.load_image(i)
            return (
                hashlib.sha256(np.ascontiguousarray(pixels)).hexdigest(),
                pixels.shape[1::-1],
                grey_thumb(pixels),
                [],
            )
        data = picture_bytes(file)
        digest = hashlib.sha256(data).hexdigest()
        size, thumb = read_header(data).size, grey_thumb(thumbnail(data, 2 * SIDE))
    except ImageError as error:
        kind = (
            "missing image"
            if "no such file" in error.message
            else "truncated image"
            if "truncated" in error.message
            else "unreadable image"
        )
        return "", (0, 0), None, [Problem(kind, error.message, file, None, sample_id)]
    stated = tuple(int(v) for v in dataset.sizes[i])
    if 0 in stated or stated == size:
        return digest, size, thumb, []
    return (
        digest,
        size,
        thumb,
        [
            Problem(
                "wrong size",
                f"the annotation states {stated[0]}x{stated[1]} pixels, the picture has {size[0]}x{size[1]}.",
                file,
                None,
                sample_id,
            )
        ],
    )


def grey_thumb(rgb: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] to grey uint8 [32, 32], stretched, each value the mean of what it covers."""
    import cv2

    return cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def difference_hash(thumbs: np.ndarray) -> np.ndarray:
    """uint8 [N, 32, 32] to uint64 [N, 4]: 16 x 16 bits, each whether the grey rises from a cell to the next
    on the right.
    """
    import cv2

    small = np.array(
        [cv2.resize(t, (17, 16), interpolation=cv2.INTER_AREA) for t in thumbs], np.int16
    ).reshape(len(thumbs), 16, 17)
    return np.packbits((small[:, :, 1:] > small[:, :, :-1]).reshape(len(thumbs), 256), axis=1).view(np.uint64)


def find_copies(dataset: Dataset, look: Look, *, near: bool = True) -> list[Copies]:
    """Groups of pictures with the same content, those that leak between splits first, then by kind and place.

    Comparing all pairs of hashes takes a third of a second for 5,000 pictures and grows with the square.
    Pairs that may be equal are decoded to see whether they are.

    Args:
        near: whether near-duplicates are looked for too.
    """
    n = len(look)
    strength = _Groups(n), _Groups(n), _Groups(n)  # by kind; each holds the stronger ones too
    first: dict[str, int] = {}
    for i, digest in enumerate(look.digests):
        if digest and (twin := first.setdefault(digest, i)) != i:
            for groups in strength:
                groups.join(twin, i)
    if near:
        _join_alike(dataset, look, [i for i in first.values() if look.read[i]], strength)
    found: list[Copies] = []
    seen: set[tuple[int, ...]] = set()
    for kind, groups in zip(KINDS, strength):
        for rows in groups.of_several():
            if rows not in seen:
                seen.add(rows)
                found.append(Copies(kind, rows, tuple(sorted({s for i in rows if (s := dataset.splits[i])}))))
    # A group within a bigger one of a weaker kind stays: both statements are true, and only the stronger can
    # be mended.
    return sorted(found, key=lambda c: (not c.leaks, KINDS.index(c.kind), c.rows))


class _Groups:
    """Union of rows, with the root of each row at hand as an array."""

    def __init__(self, n: int):
        self.root = np.arange(n)

    def join(self, i: int, j: int) -> None:
        a, b = sorted((int(self.root[i]), int(self.root[j])))
        if a != b:
            self.root[self.root == b] = a

    def of_several(self) -> list[tuple[int, ...]]:
        order = np.argsort(self.root, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(self.root[order])) + 1) if len(order) else []
        return [tuple(int(i) for i in part) for part in parts if len(part) > 1]


def _join_alike(
    dataset: Dataset, look: Look, rows: list[int], strength: tuple[_Groups, _Groups, _Groups]
) -> None:
    _, pixels, near = strength
    if len(rows) < 2:
        return
    at = np.array(rows, np.int64)
    thumbs = look.thumbs[at]
    hashes, flat = difference_hash(thumbs), thumbs.reshape(len(at), -1).std(axis=1) < FLAT
    for k, i in enumerate(rows[:-1]):
        bits = np.bitwise_count(hashes[k + 1 :] ^ hashes[k]).sum(axis=1)
        others = np.flatnonzero(bits <= MOST_BITS) + k + 1
        if not len(others):
            continue
        twins = others[
            (look.sizes[at[others]] == look.sizes[i]).all(axis=1)
            & (_difference(thumbs[others], thumbs[k]) <= 2)
        ]
        for other in twins:
            j = int(at[other])
            if pixels.root[i] != pixels.root[j] and _same_pixels(dataset, i, j):
                pixels.join(i, j)
                near.join(i, j)
        others = others[(near.root[at[others]] != near.root[i]) & ~flat[others]]
        if flat[k] or not len(others):
            continue
        for other in others[_correlation(thumbs[others], thumbs[k]) >= LEAST_CORRELATION]:
            near.join(i, int(at[other]))


def _difference(thumbs: np.ndarray, one: np.ndarray) -> np.ndarray:
    return np.abs(thumbs.astype(np.int16) - one).mean(axis=(1, 2))


def _correlation(thumbs: np.ndarray, one: np.ndarray) -> np.ndarray:
    a, b = thumbs.reshape(len(thumbs), -1).astype(np.float32), one.reshape(-1).astype(np.float32)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean()
    return a @ b / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b), 1e-6)


def _same_pixels(dataset: Dataset, i: int, j: int) -> bool:
    try:
        a, b = (read_image(dataset.files[k]) if dataset.files[k] else dataset.load_image(k) for k in (i, j))
    except ImageError:
        return False
    return bool(np.array_equal(a, b))


def _name_of(dataset: Dataset, i: int) -> str:
    name = os.path.basename(dataset.files[i]) or dataset.sample_ids[i]
    return f"{name} ({dataset.splits[i]})" if dataset.splits[i] else name


def describe_rows(dataset: Dataset, rows: tuple[int, ...]) -> str:
    """ "a.jpg (train), b.jpg (test)": at most four, and how many more."""
    names = [_name_of(dataset, i) for i in rows]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
