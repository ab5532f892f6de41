"""The same object gets the same id on every push, so that a push that was killed or repeated doubles
nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np


def object_ids(
    kind: str, owner: str, sample_ids: Sequence[str], ordinals: Sequence[int] | np.ndarray
) -> list[bytes]:
    """12-byte ids, one per row: a digest of kind, owner, sample and ordinal.

    96 bits: among ten million objects the chance that any two agree is below 1e-15.
    """
    start = hashlib.blake2b(f"{kind}\0{owner}\0".encode(), digest_size=12)
    out = []
    previous, per_sample = None, start
    for sample_id, ordinal in zip(sample_ids, ordinals):
        if sample_id != previous:
            per_sample = start.copy()
            per_sample.update(f"{sample_id}\0".encode("utf-8", "surrogateescape"))
            previous = sample_id
        digest = per_sample.copy()
        digest.update(b"%d" % ordinal)
        out.append(digest.digest())
    return out


def sample_ids_of(owner: str, sample_ids: list[str], begin: int, end: int) -> list[bytes]:
    """Sample ids: the image's place first, so that FiftyOne shows the images in the run's order."""
    digests = object_ids("sample", owner, sample_ids[begin:end], [0] * (end - begin))
    return [i.to_bytes(4, "big") + digest[:8] for i, digest in zip(range(begin, end), digests)]


def owner_key(fingerprint: str) -> str:
    """What ids hang on: the image set and its annotations, not the detector, so that runs can lie side by
    side.
    """
    return hashlib.blake2b(fingerprint.encode(), digest_size=12).hexdigest()
