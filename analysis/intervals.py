"""Intervals of a share."""

from __future__ import annotations


def wilson(hits: float, total: float, z: float = 1.959964) -> tuple[float, float] | None:
    """Wilson's (1927) interval of hits / total, 95 % by default; None without a trial."""
    if not total:
        return None
    share, extra = hits / total, z * z / total
    middle = (share + extra / 2) / (1 + extra)
    half = z * (share * (1 - share) / total + extra / (4 * total)) ** 0.5 / (1 + extra)
    return max(0.0, middle - half), min(1.0, middle + half)
