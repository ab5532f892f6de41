"""Dividing a data set into parts: stratified by class, by a seed, and never through a group of equal
pictures.

A picture counts once for each class in it (how many objects it holds does not matter); "nothing in it" and
"not labelled" count as classes too. Groups are dealt out by iterative stratification (Sechidis, Tsoumakas and
Vlahavas, "On the Stratification of Multi-Label Data", 2011: the rarest class first, each picture to the part
that lacks the class most), then pairs of pictures change places as long as that brings the classes nearer to
their shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detector.data.dataset import Dataset
from detector.data.duplicates import same_content
from detector.errors import InputError

STANFORD_CARS = {"train": 6500, "val": 1629}
"""Default counts for the 8,144 training pictures of Stanford Cars; 15 of them stay in no part."""
DEFAULT = {"train": 0.8, "val": 0.2}


@dataclass(frozen=True)
class Splits:
    """Which part each sample belongs to, and how that came about.

    Args:
        parts: sample id -> part, or None for a sample in no part; in the data set's order.
        asked: part -> fraction or count, as asked for.
        seed: decides which of equally good divisions it is.
        within: the split of the data set that was divided; the samples of the others keep theirs. None
            divides all.
        fingerprint: of the data set.
        notes: sentences about what could not be done as asked.
    """

    parts: dict[str, str | None]
    asked: dict[str, float | int]
    seed: int
    within: str | None = None
    fingerprint: str = ""
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Samples of each part, those asked for first."""
        names = [*self.asked, *sorted({p for p in self.parts.values() if p} - set(self.asked))]
        given = list(self.parts.values())
        return {name: given.count(name) for name in names}

    @property
    def unused(self) -> list[str]:
        """The samples in no part."""
        return [sample_id for sample_id, part in self.parts.items() if part is None]


def default_parts(dataset: Dataset) -> tuple[dict[str, float | int], str | None]:
    """(parts, within) where nobody said: 80 to 20 of everything, for the whole of Stanford Cars 6,500 to
    1,629 of its training half.
    """
    if dataset.format == "stanford_cars" and dataset.splits.count("train") == 8144:
        return dict(STANFORD_CARS), "train"
    return dict(DEFAULT), "train" if {"train", "test"} <= set(dataset.splits) else None


def draw_splits(
    dataset: Dataset,
    parts: Mapping[str, float | int],
    *,
    seed: int = 0,
    within: str | None = None,
    groups: Sequence[int] | None = None,
) -> Splits:
    """Divide a data set.

    Args:
        parts: name -> fraction (floats of at most 1 in all) or name -> exact count (ints). What they leave
            over stays in no part.
        seed: 0 or more.
        within: divide only the samples of this split.
        groups: a number a sample; those of one number stay together. None takes equal picture files for a
            group.

    Returns:
        Splits; the counts are exact unless a group of equal pictures does not fit, which `notes` says.

    Raises:
        InputError: no parts, fractions and counts mixed, more than there is, or a split that is not there.
    """
    rows = (
        np.arange(len(dataset))
        if within is None
        else np.array([i for i, s in enumerate(dataset.splits) if s == within], np.int64)
    )
    if not len(rows):
        known = sorted({s for s in dataset.splits if s})
        raise InputError(
            f"splits: {dataset.name} has no samples"
            + (f" in the split {within!r}; it has {', '.join(known) or 'none'}." if within else ".")
        )
    counts = part_counts(parts, len(rows))
    names = [*parts, None]
    wanted = np.array([*counts.values(), len(rows) - sum(counts.values())])
    members = same_content(dataset) if groups is None else np.asarray(groups)
    if members.shape != (len(dataset),):
        raise InputError(
            f"groups: expected one number a sample ({len(dataset)}), got shape {list(members.shape)}."
        )
    _, group_of = np.unique(members[rows], return_inverse=True)
    per_group = np.zeros((group_of.max() + 1, len(dataset.class_map) + 2), np.float32)
    np.add.at(per_group, group_of, _labels(dataset)[rows])
    sizes = np.bincount(group_of)
    chosen = assign(per_group, sizes, wanted, seed)[group_of]
    given: dict[str, str | None] = dict(zip(dataset.sample_ids, dataset.splits)) if within is not None else {}
    given.update({dataset.sample_ids[row]: names[part] for row, part in zip(rows, chosen)})
    got = np.bincount(chosen, minlength=len(names))
    notes = []
    if (got[:-1] != wanted[:-1]).any():
        said = ", ".join(f"{name} {g} instead of {w}" for name, g, w in zip(parts, got, wanted))
        notes.append(f"equal pictures stay together, the largest such group has {sizes.max()}: {said}.")
    return Splits(given, dict(parts), int(seed), within, dataset.fingerprint, tuple(notes))


def part_counts(parts: Mapping[str, float | int], total: int) -> dict[str, int]:
    """The exact number of samples of each part; fractions are rounded so that they add up (largest
    remainder).

    Raises:
        InputError: as `draw_splits`.
    """
    if not parts:
        raise InputError("splits: expected at least one part, such as train=0.8, got none.")
    values = list(parts.values())
    if any(not str(name).strip() for name in parts):
        raise InputError("splits: expected a name for every part, one is blank.")
    whole = [isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values]
    said = ", ".join(f"{n}={v}" for n, v in parts.items())
    if any(whole) and not all(whole):
        raise InputError(f"splits: expected fractions (train=0.8) or counts (train=6500), got both: {said}.")
    if any(not v > 0 for v in values):
        raise InputError(f"splits: expected parts above 0, got {said}.")
    if all(whole):
        if sum(values) > total:
            raise InputError(
                f"splits: expected counts of at most {total} in all, the samples there are, got {said},"
                f" {sum(values)} in all."
            )
        return {name: int(v) for name, v in parts.items()}
    if sum(values) > 1 + 1e-9:
        raise InputError(
            f"splits: expected fractions of at most 1 in all, got {said}, {sum(values):g} in all."
        )
    ideal = np.array([*values, max(0.0, 1 - sum(values))]) * total
    if ideal[-1] < 1e-6 * total:
        ideal[-1] = 0
    counts = np.floor(ideal + 1e-9).astype(int)
    order = np.argsort(-(ideal - counts), kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return {name: int(c) for name, c in zip(parts, counts)}


def pictures_by_class(dataset: Dataset, splits: Splits) -> tuple[list[str], np.ndarray]:
    """(names, int [parts, names]): how many pictures of each part hold each class; then "(nothing in it)" and
    "(not labelled)".
    """
    labels, names = _labels(dataset).astype(np.int64), list(splits.counts)
    table = np.zeros((len(names), labels.shape[1]), np.int64)
    for i, sample_id in enumerate(dataset.sample_ids):
        part = splits.parts.get(sample_id)
        if part is not None:
            table[names.index(part)] += labels[i]
    return [*dataset.class_map.names, "(nothing in it)", "(not labelled)"], table


def _labels(dataset: Dataset) -> np.ndarray:
    """float32 [N, K + 2]: 1 where the picture holds the class; then "labelled and empty" and "not
    labelled".
    """
    labels = np.zeros((len(dataset), len(dataset.class_map) + 2), np.float32)
    labels[dataset.objects.rows, dataset.objects.class_ids] = 1
    labels[:, -1] = ~dataset.labelled
    labels[:, -2] = dataset.labelled & ~labels[:, :-2].any(axis=1)
    return labels


def assign(labels: np.ndarray, sizes: np.ndarray, wanted: np.ndarray, seed: int) -> np.ndarray:
    """A part for each group.

    Args:
        labels: float32 [G, K], in how many pictures of a group each class occurs; every row has one.
        sizes: int [G], pictures of each group. wanted: int [S], pictures of each part, as many as there are
            in all.

    Returns:
        int64 [G], 0..S-1.
    """
    rng = np.random.default_rng(seed)
    shares = wanted[:, None] / wanted.sum() * labels.sum(axis=0)
    lack, room = shares.astype(np.float64), wanted.astype(np.float64)
    chosen = np.full(len(labels), -1, np.int64)

    def give(group: int, label: int) -> None:
        fitting = np.flatnonzero(room >= sizes[group])
        if not len(fitting):
            fitting = np.flatnonzero(room == room.max())
        best = fitting[np.lexsort((rng.random(len(fitting)), -room[fitting], -lack[fitting, label]))[0]]
        chosen[group] = best
        lack[best] -= labels[group]
        room[best] -= sizes[group]

    shuffled = rng.permutation(len(labels))
    rarity = labels.sum(axis=0)
    # Groups of several pictures first, the largest before others: single ones can fill what room they leave.
    for group in sorted((g for g in shuffled if sizes[g] > 1), key=lambda g: -sizes[g]):
        give(group, int(np.where(labels[group] > 0, rarity, np.inf).argmin()))
    single = shuffled[sizes[shuffled] == 1]
    left = labels[single].sum(axis=0)
    while len(single):
        label = int(np.where(left > 0, left, np.inf).argmin())
        has = labels[single, label] > 0
        for group in single[has]:
            give(int(group), label)
        left -= labels[single[has]].sum(axis=0)
        single = single[~has]
    _exchange(labels, sizes, chosen, shares)
    return chosen


_CANDIDATES = 48
"""Pictures on each side looked at for one exchange; the best first-order ones."""


def _exchange(labels: np.ndarray, sizes: np.ndarray, chosen: np.ndarray, shares: np.ndarray) -> None:
    """Let single pictures of two parts change places while the squared distance from the shares falls; in
    place.

    The counts of the parts do not change. With one class a picture and two parts no class ends further than
    one picture from its share: were one above by 1 or more, another is below, and an exchange would help.
    """
    parts = len(shares)
    excess = np.stack([labels[chosen == s].sum(axis=0) for s in range(parts)]) - shares
    single = np.flatnonzero(sizes == 1)
    for _ in range(4 * labels.shape[1] * parts):
        best, swap = -1e-6, None
        for a in range(parts):
            for b in range(a + 1, parts):
                slope = (excess[a] - excess[b]).astype(np.float32)
                if np.abs(slope).max(initial=0) < 1:
                    continue
                from_a, from_b = single[chosen[single] == a], single[chosen[single] == b]
                if not len(from_a) or not len(from_b):
                    continue
                score_a, score_b = labels[from_a] @ slope, labels[from_b] @ slope
                top, low = (
                    np.argsort(-score_a, kind="stable")[:_CANDIDATES],
                    np.argsort(score_b, kind="stable")[:_CANDIDATES],
                )
                apart = ((labels[from_a[top]][:, None] - labels[from_b[low]][None]) ** 2).sum(axis=2)
                change = apart - (score_a[top][:, None] - score_b[low][None])
                i, j = np.unravel_index(int(change.argmin()), change.shape)
                if change[i, j] < best:
                    best, swap = float(change[i, j]), (a, b, int(from_a[top[i]]), int(from_b[low[j]]))
        if swap is None:
            return
        a, b, out, back = swap
        chosen[out], chosen[back] = b, a
        moved = labels[out] - labels[back]
        excess[a] -= moved
        excess[b] += moved
