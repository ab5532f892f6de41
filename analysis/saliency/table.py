"""Faithfulness over many objects: means with bootstrap intervals, in all and by size and score.

Every method and baseline is tried on the same objects, so the interval that matters is that of the difference
to the Gaussian on the box. Images are drawn anew in the bootstrap, not objects: objects of one image are not
independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

SIZES = ((0.0, 32.0**2, "small"), (32.0**2, 96.0**2, "medium"), (96.0**2, float("inf"), "large"))
SCORES = ((0.3, 0.5), (0.5, 0.7), (0.7, 0.85), (0.85, 1.01))
REFERENCE = "gaussian"


@dataclass(frozen=True)
class ObjectRow:
    """One ranking of one object.

    Args:
        image: which; object: its place among those tried; area: of its box in square pixels of the image;
            score: of its detection.
        method: a method or a baseline.
        deletion, insertion, gain: see `analysis.saliency.faithfulness.Curves`; inside_gain: energy in the box
            less its area's share, None for baselines. reliability, completeness, forwards, seconds: of the
            map.
    """

    image: str
    object: int
    area: float
    score: float
    method: str
    deletion: float
    insertion: float
    gain: float
    inside_gain: float | None = None
    reliability: float | None = None
    completeness: float | None = None
    forwards: int = 0
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Line:
    """One line of the table: means over objects, 95 % intervals as (low, high)."""

    method: str
    objects: int
    images: int
    deletion: float
    insertion: float
    gain: float
    gain_interval: tuple[float, float]
    over_gaussian: float
    over_interval: tuple[float, float]
    beats: float
    inside_gain: float | None

    @property
    def verdict(self) -> str:
        """ "better" or "worse" than the Gaussian on the box where the interval is clear of zero, else "not
        told apart".
        """
        low, high = self.over_interval
        return "better" if low > 0 else "worse" if high < 0 else "not told apart"


def summarise(rows: Iterable[ObjectRow], *, draws: int = 2000, seed: int = 0) -> list[Line]:
    """A line a method, best gain first; [] without rows. Objects without a Gaussian beside them are left
    out.
    """
    by_method: dict[str, dict[int, ObjectRow]] = {}
    for row in rows:
        by_method.setdefault(row.method, {})[row.object] = row
    reference = by_method.get(REFERENCE, {})
    lines = []
    for method, found in by_method.items():
        objects = sorted(set(found) & set(reference))
        if not objects:
            continue
        mine = [found[o] for o in objects]
        gains = np.array([r.gain for r in mine])
        over = gains - np.array([reference[o].gain for o in objects])
        images = np.unique([r.image for r in mine], return_inverse=True)[1]
        inside = [r.inside_gain for r in mine if r.inside_gain is not None]
        lines.append(
            Line(
                method,
                len(objects),
                int(images.max()) + 1,
                float(np.mean([r.deletion for r in mine])),
                float(np.mean([r.insertion for r in mine])),
                float(gains.mean()),
                bootstrap(gains, images, draws, seed),
                float(over.mean()),
                bootstrap(over, images, draws, seed),
                float((over > 0).mean()),
                float(np.mean(inside)) if inside else None,
            )
        )
    return sorted(lines, key=lambda line: -line.gain)


def bootstrap(
    values: np.ndarray, groups: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The 95 % interval of the mean when groups (images) are drawn anew, with all their values."""
    sums, counts = np.bincount(groups, values), np.bincount(groups)
    taken = np.random.default_rng(seed).integers(0, len(sums), (draws, len(sums)))
    means = sums[taken].sum(axis=1) / counts[taken].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def size_of(area: float) -> str:
    return next(name for low, high, name in SIZES if low <= area < high)


def score_of(score: float) -> str:
    return next(
        (f"{low:.2f}-{min(high, 1):.2f}" for low, high in SCORES if low <= score < high),
        f"under {SCORES[0][0]:.2f}",
    )


def by(rows: Sequence[ObjectRow], key: Callable[[ObjectRow], str]) -> dict[str, list[ObjectRow]]:
    out: dict[str, list[ObjectRow]] = {}
    for row in rows:
        out.setdefault(key(row), []).append(row)
    return dict(sorted(out.items()))


def markdown(lines: Sequence[Line]) -> str:
    """The lines as a table for the documentation."""
    head = (
        "| ranking | deletion | insertion | gain (95 %) | over the Gaussian (95 %) | beats it on | energy in"
        " box less area |\n|---|---|---|---|---|---|---|"
    )
    body = [
        f"| {line.method} | {line.deletion:.2f} | {line.insertion:.2f} | {line.gain:+.2f}"
        f" ({line.gain_interval[0]:+.2f} to {line.gain_interval[1]:+.2f}) | "
        + (
            ""
            if line.method == REFERENCE
            else f"{line.over_gaussian:+.2f} ({line.over_interval[0]:+.2f} to {line.over_interval[1]:+.2f})"
        )
        + " | "
        + ("" if line.method == REFERENCE else f"{100 * line.beats:.0f} %")
        + " | "
        + ("" if line.inside_gain is None else f"{line.inside_gain:+.2f}")
        + " |"
        for line in lines
    ]
    return "\n".join([head, *body])
