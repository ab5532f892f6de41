"""Which of the reference's numbers are carried: shared by the collector and the tests."""

from __future__ import annotations

import numpy as np

PICTURES = ("noise_native", "noise_odd", "smooth")


def rows_of(count: int, wanted: int) -> np.ndarray:
    """About `wanted` rows, spread over all and never at one anchor type or column only (odd steps)."""
    step = max(1, count // wanted) | 1
    return np.arange(0, count, step)


def anchor_rows(count: int) -> np.ndarray:
    """Rows spread over all anchors, and the last cells, which belong to the coarsest map."""
    return np.union1d(rows_of(count, 36), np.arange(count - 12, count))


def feature_slice(kept: np.ndarray) -> np.ndarray:
    """Of the reference's own slice f[0, ::max(1, h//5), ::max(1, w//5), ::max(1, c//64)], every second cell,
    every ninth channel.
    """
    return kept[::2, ::2, ::9]


def feature_values(feature: np.ndarray) -> np.ndarray:
    """The same values out of a whole map [h, w, c]."""
    h, w, c = feature.shape
    return feature_slice(feature[:: max(1, h // 5), :: max(1, w // 5), :: max(1, c // 64)])
