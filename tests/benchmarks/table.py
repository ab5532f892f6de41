"""What a benchmark tells `python -m tests.benchmarks`: rows of one table, and how large it should measure.

from tests.benchmarks.table import row, scaled

images = scaled(5_000)                      # a fiftieth of it in the small mode
row("threshold move", took.b, took.a, took.ratio, 3, took.spread)
"""

from __future__ import annotations

import json
import os
from typing import Any

ROWS, SMALL = "BOXSCOPE_BENCHMARK_ROWS", "BOXSCOPE_BENCHMARK_SMALL"
"""Environment of a benchmark: the file its rows go to, and whether it is to measure small."""


def small() -> bool:
    return bool(os.environ.get(SMALL))


def scaled(count: int) -> int:
    """This many, or in the small mode a fiftieth, at least 1."""
    return max(1, count // 50) if small() else count


def row(
    what: str,
    ours: float,
    peer: float | None,
    ratio: float | None,
    promised: float | None,
    spread: float | None = None,
    *,
    unit: str = "s",
    at_most: bool = False,
) -> None:
    """Add a row, where somebody collects them.

    Args:
        ours, peer: in `unit`; ratio: the figure that is promised, None where `ours` is.
        promised: the bound of `ratio` (or `ours`): at least, or `at_most`; None for no promise.
        spread: largest less smallest over the median of our repeats, None where it was measured once.
    """
    if not os.environ.get(ROWS):
        return
    value: dict[str, Any] = {"what": what, "unit": unit, "ours": ours, "peer": peer, "ratio": ratio}
    value |= {"promised": promised, "at_most": at_most, "spread": spread}
    with open(os.environ[ROWS], "a", encoding="utf-8") as file:
        file.write(json.dumps(value) + "\n")


def kept(value: dict[str, Any]) -> bool:
    """Whether a row keeps its promise."""
    if value["promised"] is None:
        return True
    figure = value["ours"] if value["ratio"] is None else value["ratio"]
    return figure <= value["promised"] if value["at_most"] else figure >= value["promised"]
