"""Which sample of a data set an image is, by its pixels: for detectors that answer from a table."""

from __future__ import annotations

import hashlib
import threading

import numpy as np

from detector.data.dataset import Dataset


class PixelIndex:
    """Finds samples by the hash of their pixels. Safe to use from several threads.

    Images are read and hashed only until the one asked for is found, and only those of the same size, so
    that walking through a data set in order reads each image once.
    """

    def __init__(self, dataset: Dataset):
        self._dataset = dataset
        self._lock = threading.Lock()
        self._found: dict[bytes, int] = {}
        self._waiting: dict[tuple[int, int] | None, list[int]] | None = None

    def find(self, image: np.ndarray) -> int | None:
        """The position of the first sample with exactly these pixels, or None."""
        digest, size = _digest(image), (image.shape[1], image.shape[0])
        with self._lock:
            if self._waiting is None:
                self._waiting = _group_by_size(self._dataset.sizes)
            queue = self._waiting.get(None, self._waiting.get(size, []))
            while digest not in self._found and queue:
                position = queue.pop()
                try:
                    pixels = self._dataset.load_image(position)
                except Exception:  # an unreadable image can never be the one asked for; its reader reports it
                    continue
                self._found.setdefault(_digest(pixels), position)
            return self._found.get(digest)


def _digest(image: np.ndarray) -> bytes:
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()


def _group_by_size(sizes: np.ndarray) -> dict[tuple[int, int] | None, list[int]]:
    """Positions of each size, last first (popped from the end); one group of all where a size is unknown."""
    if (sizes == 0).any():
        return {None: list(range(len(sizes)))[::-1]}
    groups: dict[tuple[int, int] | None, list[int]] = {}
    for position in range(len(sizes))[::-1]:
        groups.setdefault((int(sizes[position, 0]), int(sizes[position, 1])), []).append(position)
    return groups
