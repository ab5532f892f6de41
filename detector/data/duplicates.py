"""Which pictures of a data set are the same, byte for byte."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from detector.data.dataset import Dataset
from detector.data.images import picture_bytes, picture_length
from detector.errors import ImageError


def same_content(dataset: Dataset) -> np.ndarray:
    """int64 [N]: a group number a sample; samples whose picture files hold equal bytes share one.

    Only files of equal length are read, so a set without duplicates costs a look at its folders. A picture
    that is not there, cannot be read, or is no file is a group of its own. Numbers ascend with the first
    sample of each group.
    """
    lengths = [picture_length(file) if file else -1 for file in dataset.files]
    shared = {length for length, count in Counter(lengths).items() if count > 1 and length >= 0}
    numbers: dict[object, int] = {}
    groups = np.zeros(len(dataset), np.int64)
    for i, (file, length) in enumerate(zip(dataset.files, lengths)):
        digest = _digest(file) if length in shared else None
        groups[i] = numbers.setdefault(i if digest is None else digest, len(numbers))
    return groups


def _digest(file: str) -> bytes | None:
    try:
        return hashlib.sha256(picture_bytes(file)).digest()
    except ImageError:
        return None
