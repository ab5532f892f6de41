"""Two sides measured alternately in one process, so that a busy machine slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Comparison(NamedTuple):
    """Median seconds of both sides; `ratio` is how many times b's time a takes; `spread` is b's largest less
    its smallest time over its median."""

    a: float
    b: float
    ratio: float
    spread: float = 0.0


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(a: Callable[[], object], b: Callable[[], object], repeats: int = 5) -> Comparison:
    """Run a and b in turn, `repeats` times each."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        times[0].append(seconds(a))
        times[1].append(seconds(b))
    first, second = (statistics.median(t) for t in times)
    return Comparison(first, second, first / second, (max(times[1]) - min(times[1])) / second)
