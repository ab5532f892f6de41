"""What can be said about an object in a word: small, wide, at the image's edge, beside a bus, dark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.matching.greedy import fitting_pairs
from analysis.queries import SIZES, object_areas, size_mask

LEAST_OBJECTS = 20
"""A word that fewer objects share says nothing that could be tested."""
BORDER_PIXELS = 2.0
COVERED = 0.3
NEAR = 0.5
"""Two objects stand beside each other when the gap between their boxes is at most this share of the larger
side.
"""
MOST_NEIGHBOURS = 2_000_000


@dataclass(frozen=True, eq=False)
class Attributes:
    """P words over M objects.

    Args:
        words: of each, e.g. "small"; families: what it is a value of, e.g. "size". Two words of one family
            exclude each other, so no description holds both.
        holds: bool [P, M].
    """

    words: tuple[str, ...]
    families: tuple[str, ...]
    holds: np.ndarray


def attributes(run: Any, counted: np.ndarray, extra: Mapping[str, np.ndarray] | None = None) -> Attributes:
    """The words of a run's objects.

    Args:
        counted: bool [M], objects that are found or missed; words are only kept where at least 20 of them
            share one.
        extra: further columns by name, [M] each: numbers become low, middle and high thirds, everything else
            its values (pixels of `analysis.groups.pixels`, columns of one's own).
    """
    made: list[tuple[str, str, np.ndarray]] = []
    t = run.truth
    names = run.class_map.names
    areas = object_areas(t)
    made += [("size", name, size_mask(areas, name)) for name in SIZES]
    extent = np.maximum(t.xyxy[:, 2:] - t.xyxy[:, :2], 1e-6).astype(float)
    aspect = extent[:, 0] / extent[:, 1]
    made += [("shape", "wide", aspect >= 1.6), ("shape", "tall", aspect <= 1 / 1.6)]
    made.append(("border", "at the image's edge", _at_border(run)))
    covered, neighbour, alone = _neighbourhood(run)
    made += [("overlap", "covered by another object", covered >= COVERED)]
    flags = ("truncated", "occluded", "difficult")
    made += [(flag, flag, np.asarray(getattr(t, flag), bool)) for flag in flags]
    in_image = np.bincount(t.rows, minlength=len(run.sample_ids))[t.rows]
    middle = np.median(in_image[counted]) if counted.any() else 0
    made.append(("crowding", "the only object", in_image == 1))
    made.append(("crowding", f"among {int(2 * middle) + 1} or more", in_image > 2 * middle))
    made += [("class", name, t.class_ids == k) for k, name in enumerate(names)]
    made += [
        ("neighbour", f"beside a {name}", neighbour[k]) for k, name in enumerate(names) if k in neighbour
    ]
    made.append(("neighbour", "beside nothing", alone))
    for name, values in (extra or {}).items():
        if np.ndim(values) > 1:
            continue  # the look of a crop is no word
        made += _column(name, np.asarray(values), counted)
    kept = [w for w in made if LEAST_OBJECTS <= int((w[2] & counted).sum()) <= counted.sum() - LEAST_OBJECTS]
    holds = np.array([w[2] for w in kept], bool).reshape(len(kept), len(t.rows))
    return Attributes(tuple(w[1] for w in kept), tuple(w[0] for w in kept), holds)


def _at_border(run: Any) -> np.ndarray:
    t = run.truth
    sizes = np.asarray(run.sizes, float)[t.rows]
    low = (t.xyxy[:, :2] <= BORDER_PIXELS).any(axis=1)
    return low | ((t.xyxy[:, 2:] >= sizes - BORDER_PIXELS) & (sizes > 0)).any(axis=1)


def _neighbourhood(run: Any) -> tuple[np.ndarray, dict[int, np.ndarray], np.ndarray]:
    """(largest share covered by another object [M], class -> beside one of it [M], beside nothing [M])."""
    t = run.truth
    m = len(t.rows)
    xyxy = t.xyxy.astype(float)
    reach = NEAR / 2 * (xyxy[:, 2:] - xyxy[:, :2]).max(axis=1, initial=0)[:, None]
    wider = np.concatenate([xyxy[:, :2] - reach, xyxy[:, 2:] + reach], axis=1)
    pairs = fitting_pairs(
        t.rows.astype(np.int64), wider, t.rows.astype(np.int64), wider, np.zeros(m, bool), 0.0
    )
    apart = pairs.det != pairs.truth
    a, b = pairs.det[apart], pairs.truth[apart]
    beside: dict[int, np.ndarray] = {}
    for k in np.unique(t.class_ids):
        mask = np.zeros(m, bool)
        mask[a[t.class_ids[b] == k]] = True
        beside[int(k)] = mask
    width = np.minimum(xyxy[a, 2], xyxy[b, 2]) - np.maximum(xyxy[a, 0], xyxy[b, 0])
    height = np.minimum(xyxy[a, 3], xyxy[b, 3]) - np.maximum(xyxy[a, 1], xyxy[b, 1])
    inter = np.maximum(width, 0) * np.maximum(height, 0)
    area = np.maximum(np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1), 1e-9)
    covered = np.zeros(m)
    np.maximum.at(covered, a, inter / area[a])
    alone = np.ones(m, bool)
    alone[a] = False
    return covered, beside, alone


def _column(name: str, values: np.ndarray, counted: np.ndarray) -> list[tuple[str, str, np.ndarray]]:
    if values.dtype.kind in "fiu":
        known = counted & np.isfinite(values.astype(float))
        if len(np.unique(values[known])) < 4:
            return [(name, f"{name} {v:g}", values == v) for v in np.unique(values[known]).tolist()]
        low, high = np.quantile(values[known].astype(float), (1 / 3, 2 / 3))
        lower, upper = _ENDS.get(name, (f"low {name}", f"high {name}"))
        return [(name, lower, known & (values <= low)), (name, upper, known & (values >= high))]
    texts = values.astype(str)
    return [(name, f"{name} {v}", texts == v) for v in np.unique(texts[counted]).tolist() if v]


_ENDS = {
    "brightness": ("dark", "bright"),
    "contrast": ("low contrast", "high contrast"),
    "sharpness": ("blurred", "sharp"),
    "colour": ("grey", "colourful"),
}
