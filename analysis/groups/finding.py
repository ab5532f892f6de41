"""Groups of objects with a low recall: found on one half of the images, tested on the other.

Whoever searches thousands of descriptions finds a bad one by chance. So the search sees one half only, the
other half tests each find once, with the image as the unit, and the false discovery rate of the list is held
(Benjamini and Hochberg 1995).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from analysis.groups.attributes import LEAST_OBJECTS, Attributes
from analysis.intervals import wilson
from analysis.matching.matches import Matches
from analysis.matching.operating_point import Threshold, class_thresholds
from detector.errors import InputError

DEPTH = 3
BEAM = 40
MOST_GROUPS = 24
LEAST_GAP = 2.5
"""Standard errors below the rest, on the searched half, from which on a group is worth a test."""
WORTH_A_WORD = 0.9
"""A word leaves the description if without it the group still fails this share as clearly."""
LEAST_IMAGES = 5


@dataclass(frozen=True)
class Group:
    """Objects that share a description and are missed more often than the rest.

    Args:
        words: the description; members: bool [M] of all objects.
        objects, found, images: over all images. recall, rest: shares found, of the group and of all other
            objects.
        interval: of the group's recall on the testing half (Wilson over objects, widened for shared images).
        gap: rest - recall on the testing half. p_value: of "not worse than the rest" there; adjusted: by
            Benjamini and Hochberg over all groups tested.
        missed_more: objects that would be found if the group did as well as the rest.
    """

    words: tuple[str, ...]
    members: np.ndarray
    objects: int
    found: int
    images: int
    recall: float
    rest: float
    interval: tuple[float, float]
    gap: float
    p_value: float
    adjusted: float
    missed_more: float

    @property
    def description(self) -> str:
        return ", ".join(self.words)

    def to_dict(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "members"}
        return {"description": self.description, **values}


@dataclass(frozen=True)
class Groups:
    """The groups that hold in the test, the costliest first.

    Args:
        groups: confirmed; tried: descriptions searched; tested: put to the test; level: false discovery rate.
        recall: of everything; objects, images: looked at.
    """

    groups: tuple[Group, ...]
    tried: int
    tested: int
    level: float
    recall: float
    objects: int
    images: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "objects": self.objects,
            "images": self.images,
            "recall": self.recall,
            "tried": self.tried,
            "tested": self.tested,
            "false_discovery_rate": self.level,
            "groups": [g.to_dict() for g in self.groups],
        }


def found_mask(matches: Matches, threshold: Threshold) -> np.ndarray:
    """bool [M], objects found at the threshold."""
    cuts = class_thresholds(threshold, matches.num_classes)
    return (matches.truth_det >= 0) & (matches.truth_score >= cuts[matches.truth_classes])


def find_groups(
    words: Attributes,
    rows: np.ndarray,
    counted: np.ndarray,
    found: np.ndarray,
    *,
    level: float = 0.05,
    seed: int = 0,
) -> Groups:
    """The groups of objects that fail.

    Args:
        words: over M objects. rows: int [M], the image of each. counted, found: bool [M].
        level: false discovery rate of the list.
        seed: of the halves.

    Raises:
        InputError: fewer than 40 counted objects or fewer than 10 images with one, or a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise InputError(f"level: expected more than 0 and less than 1, got {level!r}.")
    images = np.unique(rows[counted])
    if counted.sum() < 2 * LEAST_OBJECTS or len(images) < 2 * LEAST_IMAGES:
        raise InputError(
            f"groups: expected at least {2 * LEAST_OBJECTS} objects in {2 * LEAST_IMAGES} images, got"
            f" {int(counted.sum())} in {len(images)}."
        )
    search = np.zeros(int(rows.max(initial=0)) + 1, bool)
    search[np.random.default_rng(seed).permutation(images)[: len(images) // 2]] = True
    searched, tried = _search(words, counted & search[rows], found)
    tested = [
        group
        for chosen in searched
        if (group := _test(words, chosen, rows, counted, found, counted & ~search[rows])) is not None
    ]
    adjusted = benjamini_hochberg([g.p_value for g in tested])
    held = [replace(g, adjusted=float(p)) for g, p in zip(tested, adjusted) if p <= level]
    held.sort(key=lambda g: -g.missed_more)
    recall = float(found[counted].mean())
    return Groups(tuple(held), tried, len(tested), level, recall, int(counted.sum()), len(images))


def benjamini_hochberg(p_values: list[float]) -> np.ndarray:
    """Adjusted p-values, float64: rejecting those up to q holds the false discovery rate at q."""
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")[::-1]
    scaled = p[order] * len(p) / (len(p) - np.arange(len(p)))
    out = np.empty(len(p))
    out[order] = np.minimum(1, np.minimum.accumulate(scaled)) if len(p) else scaled
    return out


def _search(words: Attributes, mask: np.ndarray, found: np.ndarray) -> tuple[list[tuple[int, ...]], int]:
    """(descriptions worth a test, how many were looked at): the clearest failure, then the clearest among
    what the ones before do not cover, and so on."""
    places = np.flatnonzero(mask)
    holds = words.holds[:, places]
    hit = found[places].astype(np.float32)
    free = np.ones(len(places), bool)
    chosen: list[tuple[int, ...]] = []
    tried = 0
    for _ in range(MOST_GROUPS):
        best, looked = _clearest(words.families, holds[:, free].astype(np.float32), hit[free])
        tried = max(tried, looked)
        if best is None or best in chosen:
            break
        chosen.append(best)
        free &= ~holds[list(best)].all(axis=0)
        if free.sum() < 2 * LEAST_OBJECTS:
            break
    return chosen, tried


def _clearest(
    families: tuple[str, ...], holds: np.ndarray, hit: np.ndarray
) -> tuple[tuple[int, ...] | None, int]:
    """The description of at most DEPTH words that fails most clearly, float32 tables [P, m]; None below
    LEAST_GAP.
    """
    p = len(holds)
    whole, hits = float(len(hit)), float(hit.sum())
    family = np.array(families)
    beam: list[tuple[int, ...]] = [()]
    best: dict[tuple[int, ...], float] = {}
    for _ in range(DEPTH):
        members = np.array([holds[list(b)].all(axis=0) if b else np.ones(holds.shape[1], bool) for b in beam])
        members = members.astype(np.float32).reshape(len(beam), -1)
        sizes, right = members @ holds.T, (members * hit) @ holds.T
        clear = _clearness(sizes, right, whole, hits)
        fresh: dict[tuple[int, ...], float] = {}
        for i, b in enumerate(beam):
            taken = {families[j] for j in b}
            allowed = ~np.isin(family, list(taken)) if taken else np.ones(p, bool)
            for j in np.flatnonzero(allowed & (clear[i] > 0)).tolist():
                fresh[tuple(sorted((*b, j)))] = float(clear[i, j])
        best |= fresh
        beam = sorted(fresh, key=lambda d: -fresh[d])[:BEAM]
        if not beam:
            break
    if not best:
        return None, 0
    top = max(best, key=lambda d: best[d])
    if best[top] < LEAST_GAP:
        return None, len(best)
    return _shortest(top, best), len(best)


def _clearness(sizes: np.ndarray, right: np.ndarray, whole: float, hits: float) -> np.ndarray:
    """Standard errors by which each group's recall lies under the rest's; 0 for groups too small on either
    side.
    """
    others = whole - sizes
    usable = (sizes >= LEAST_OBJECTS / 2) & (others >= LEAST_OBJECTS / 2)
    inside = np.divide(right, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    outside = np.divide(hits - right, others, out=np.zeros_like(sizes), where=others > 0)
    pooled = hits / max(whole, 1)
    spread = np.sqrt(
        max(pooled * (1 - pooled), 1e-9) * (1 / np.maximum(sizes, 1) + 1 / np.maximum(others, 1))
    )
    return np.where(usable, np.maximum((outside - inside) / spread, 0), 0)


def _shortest(words: tuple[int, ...], clear: dict[tuple[int, ...], float]) -> tuple[int, ...]:
    """Without the words that add little."""
    whole = clear[words]
    while len(words) > 1:
        shorter = [tuple(w for w in words if w != left) for left in words]
        top = max(shorter, key=lambda d: clear.get(d, 0.0))
        if clear.get(top, 0.0) < WORTH_A_WORD * whole:
            break
        words = top
    return words


def _test(
    words: Attributes,
    chosen: tuple[int, ...],
    rows: np.ndarray,
    counted: np.ndarray,
    found: np.ndarray,
    testing: np.ndarray,
) -> Group | None:
    """The group on the half that did not find it; None where that half has too little of it."""
    members = words.holds[list(chosen)].all(axis=0)
    inside, outside = members & testing, ~members & testing
    groups = np.unique(rows[inside])
    if inside.sum() < LEAST_OBJECTS / 2 or outside.sum() < LEAST_OBJECTS / 2 or len(groups) < LEAST_IMAGES:
        return None
    recall, sway = _recall(inside, rows, found)
    rest, sway_rest = _recall(outside, rows, found)
    # At least a binomial's error: where every object of the half is missed, the images show no spread at all.
    smoothed = (found[inside].sum() + 1) / (inside.sum() + 2)
    binomial = smoothed * (1 - smoothed) / inside.sum()
    variance = max(float(((sway - sway_rest) ** 2).sum()), binomial)
    p = float(student.sf((rest - recall) / np.sqrt(variance), len(groups) - 1))
    everything = members & counted
    n, hits = int(everything.sum()), int((everything & found).sum())
    others = counted & ~members
    rest_all = float(found[others].mean())
    low, high = _interval(recall, int(inside.sum()), float((sway**2).sum()))
    return Group(
        tuple(words.words[j] for j in chosen),
        members,
        n,
        hits,
        len(np.unique(rows[everything])),
        hits / n,
        rest_all,
        (low, high),
        rest - recall,
        p,
        p,
        max(0.0, rest_all * n - hits),
    )


def _recall(mask: np.ndarray, rows: np.ndarray, found: np.ndarray) -> tuple[float, np.ndarray]:
    """(recall, its derivative by each image's weight)."""
    size = int(rows.max(initial=0)) + 1
    objects = np.bincount(rows[mask], minlength=size)
    hits = np.bincount(rows[mask & found], minlength=size)
    recall = hits.sum() / objects.sum()
    return float(recall), (hits - recall * objects) / objects.sum()


def _interval(recall: float, n: int, variance: float) -> tuple[float, float]:
    """Wilson's, of as many independent objects as the spread over images speaks for."""
    binomial = recall * (1 - recall) / n
    effective = n if variance <= binomial or not binomial else max(1.0, n * binomial / variance)
    return wilson(recall * effective, effective)
