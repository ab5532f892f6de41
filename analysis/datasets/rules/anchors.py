"""Rules over what a network's input and anchors reach: objects too small, objects without an anchor."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from analysis.datasets.anchor_reach import Part, Reach
from analysis.datasets.findings import Finding, Place
from analysis.datasets.kinds import counted
from analysis.datasets.rules.places import listed_names
from detector.data.dataset import Dataset

MANY, POOR = 20, 0.8
"""A class of at least so many objects, of which anchors reach a smaller share than this, is worth a
warning.
"""


def reach_findings(dataset: Dataset, found: Reach) -> list[Finding]:
    a, out = found.anchors, []
    size = f"{a.input_size[0]}x{a.input_size[1]}"
    names, ids = dataset.class_map.names, dataset.objects.class_ids
    small = found.judged & (found.shorter < a.cell)
    if small.any():
        counts = Counter(names[k] for k in ids[small])
        count = int(small.sum())
        words = (
            f"{counted('{n} object{s} {are}', count)} less than {a.cell:.0f} pixels wide or high at an input"
            f" of {size}, a cell of the finest feature map:"
            f" {listed_names([f'{n} {c:,}' for n, c in counts.most_common()])}."
        )
        out.append(
            Finding(
                "too small for the input",
                "warning" if count > 0.02 * found.whole.objects else "note",
                count,
                words,
                "Choose a larger input, cut the images into tiles, or do without these objects.",
                _by_image(
                    dataset,
                    small,
                    found.shorter,
                    "{n} less than " + f"{a.cell:.0f} pixels at the input, the smallest {{least:.1f}}",
                ),
            )
        )
    lost = found.unreached
    if lost.any():
        count = int(lost.sum())
        worst = sorted(
            (p for p in found.classes if p.reached < p.objects), key=lambda p: (p.ceiling or 0, -p.objects)
        )
        badly = any(p.objects >= MANY and (p.ceiling or 0) < POOR for p in found.classes)
        where = listed_names([f"{p.name} {_share(p)}" for p in worst], 4)
        by_size = ", ".join(
            f"{p.name} {_share(p)}" for p in found.sizes if p.objects and p.reached < p.objects
        )
        words = (
            f"{count:,} of {found.whole.objects:,} objects are reached by no anchor of {a.name} at {size}"
            f" with IoU {a.match_iou:g}; the anchors' recall ceiling is {_share(found.whole)} (by class:"
            f" {where}; by size at the input: {by_size})."
        )
        out.append(
            Finding(
                "no anchor",
                "warning" if count > 0.05 * found.whole.objects or badly else "note",
                count,
                words,
                "A larger input, tiles, or anchors of their scale and shape; each such object is learnt from"
                " one forced anchor only.",
                _by_image(dataset, lost, found.iou, "{n} reached by no anchor, the worst at IoU {least:.2f}"),
            )
        )
    return out


def _share(part: Part) -> str:
    return "undefined" if part.ceiling is None else f"{100 * part.ceiling:.1f} %"


def _by_image(dataset: Dataset, chosen: np.ndarray, values: np.ndarray, words: str) -> tuple[Place, ...]:
    """One place per image, the one with most of these objects first; one per object would be too many."""
    by_image: dict[int, list[int]] = defaultdict(list)
    for k in np.flatnonzero(chosen):
        by_image[int(dataset.objects.rows[k])].append(int(k))
    out = []
    for i, ks in sorted(by_image.items(), key=lambda item: -len(item[1])):
        path, line = dataset.place_of(ks[0])
        n = f"{len(ks)} object{'s are' if len(ks) > 1 else ' is'}"
        out.append(
            Place(
                words.format(n=n, least=float(np.nanmin(values[ks]))),
                path or dataset.files[i] or dataset.sample_ids[i],
                line,
                (i,),
                tuple(ks),
            )
        )
    return tuple(out)
