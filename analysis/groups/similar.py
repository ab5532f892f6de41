"""Objects that look alike, and a map on which they lie together."""

from __future__ import annotations

import numpy as np

from detector.errors import InputError

MOST_ON_MAP = 800
"""More points cost seconds and cannot be distinguished on a page."""


def comparable(looks: np.ndarray) -> np.ndarray:
    """float32 [M, F], each number at mean 0 and spread 1, each row of length 1; rows with NaN become 0."""
    known = np.isfinite(looks).all(axis=1)
    out = np.zeros(looks.shape, np.float32)
    if known.any():
        mean, spread = looks[known].mean(axis=0), looks[known].std(axis=0)
        out[known] = (looks[known] - mean) / np.where(spread > 0, spread, 1)
        out[known] /= np.maximum(np.linalg.norm(out[known], axis=1, keepdims=True), 1e-9)
    return out


def similar_objects(looks: np.ndarray, place: int, most: int = 20) -> list[tuple[int, float]]:
    """(place, likeness in -1..1) of the objects that look most like one, the likest first, itself left out.

    Args:
        looks: float32 [M, 112] of `analysis.groups.pixels`.

    Raises:
        InputError: no such object, or its picture could not be read.
    """
    if not 0 <= place < len(looks) or not np.isfinite(looks[place]).all():
        raise InputError(
            f"similar: object {place} has no look: there is none, or its picture cannot be read."
        )
    table = comparable(looks)
    likeness = table @ table[place]
    likeness[~np.isfinite(looks).all(axis=1)] = -np.inf
    likeness[place] = -np.inf
    order = np.argsort(-likeness, kind="stable")[:most]
    return [(int(i), float(likeness[i])) for i in order if np.isfinite(likeness[i])]


def map_of_objects(
    looks: np.ndarray, chosen: np.ndarray, most: int = MOST_ON_MAP, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """(places int64 [n], xy float64 [n, 2]): objects on a plane, alike ones near each other (t-SNE of
    scikit-learn).

    Args:
        chosen: bool [M], the objects that may be drawn; of more than `most` a random part is.

    The distances between far groups mean nothing. Fewer than 10 objects lie on a line.
    """
    places = np.flatnonzero(chosen & np.isfinite(looks).all(axis=1))
    if len(places) > most:
        places = np.sort(np.random.default_rng(seed).choice(places, most, replace=False))
    if len(places) < 10:
        return places, np.column_stack([np.arange(len(places)), np.zeros(len(places))]).astype(float)
    # Imported when first used: scikit-learn takes over a second to load.
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    table = comparable(looks)[places].astype(float)
    _, _, axes = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)
    reduced = table @ axes[: min(20, len(axes))].T
    with threadpool_limits(1):
        xy = TSNE(
            perplexity=min(30, (len(places) - 1) / 3), init="pca", max_iter=500, random_state=seed
        ).fit_transform(reduced)
    return places, np.asarray(xy, float)
