"""Intervals of a share: k of n objects found, k of n detections right."""

from __future__ import annotations

from statistics import NormalDist


def wilson(hits: float, total: float, confidence: float = 0.95) -> tuple[float, float] | None:
    """Wilson's score interval, (low, high) in 0..1; None without a trial.

    Unlike the shares themselves it has width where none or all of the trials succeed: 0 of 43 is 0 to .08.

    Args:
        hits, total: how many of how many; a share of independent units may stand for them, so they need not
            be whole numbers.
        confidence: of the two-sided interval.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not total:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, extra = hits / total, z * z / total
    middle = (share + extra / 2) / (1 + extra)
    half = z * (share * (1 - share) / total + extra / (4 * total)) ** 0.5 / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)
