"""Rules over classes: names alike, rare or absent ones, imbalance, and agreement with a label map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.datasets.findings import Finding, Place, Settings
from analysis.datasets.kinds import counted
from analysis.datasets.rules.places import listed_names, rows_of
from detector.core import ClassMap
from detector.data.dataset import Dataset
from detector.data.formats.class_names import look_alikes, plain_name

IMBALANCE = 20


def training_rows(dataset: Dataset) -> tuple[np.ndarray, str]:
    """bool [N], the images a training would see, and what they are called: the split "train" where there is
    one.
    """
    train = np.array([s == "train" for s in dataset.splits], bool)
    return (train, "train") if train.any() else (np.ones(len(dataset), bool), "")


def class_findings(dataset: Dataset, label_map: ClassMap | None, settings: Settings) -> list[Finding]:
    names, t = dataset.class_map.names, dataset.objects
    counts = np.bincount(t.class_ids[~t.crowd], minlength=len(names)) if len(names) else np.zeros(0, int)
    found: list[Finding] = []
    groups = [(p, _alike(names, p.message)) for p in look_alikes(names, dataset.source)]
    if groups:
        places = tuple(
            Place(
                f"{' and '.join(f'{names[k]!r} ({counts[k]:,} objects)' for k in ids)} differ only by case,"
                " blanks, - or _.",
                dataset.source,
                None,
                tuple(sorted({i for k in ids for i in rows_of(dataset, k)})),
            )
            for _, ids in groups
        )
        found.append(
            Finding(
                "similar class names",
                "warning",
                len(groups),
                counted(
                    "{n} group{s} of class names differ{v} only by case, blanks, - or _, and {are} read as"
                    " different classes.",
                    len(groups),
                ),
                "Use one spelling.",
                places,
                True,
            )
        )
    if label_map is not None:
        found += _label_map(dataset, label_map, counts)
    train, split = training_rows(dataset)
    trained = (
        np.bincount(t.class_ids[train[t.rows] & ~t.crowd], minlength=len(names)) if len(names) else counts
    )
    where = f" in {split}" if split else ""
    unseen = np.flatnonzero((trained == 0) & (counts > 0))
    if len(unseen):
        found.append(
            Finding(
                "class never trained",
                "error",
                len(unseen),
                counted("{n} class{es} occur{v} in other splits and never in train.", len(unseen)),
                "Split anew so that every class is trained, or take the class out.",
                tuple(
                    Place(
                        f"{names[k]}: {counts[k]:,} objects, none in train",
                        dataset.source,
                        None,
                        rows_of(dataset, k),
                    )
                    for k in unseen
                ),
            )
        )
    rare = np.flatnonzero((trained > 0) & (trained < settings.rare))
    rare = rare[np.argsort(trained[rare], kind="stable")]
    if len(rare):
        found.append(
            Finding(
                "rare class",
                "warning",
                len(rare),
                f"{counted('{n} class{es} {have}', len(rare))} fewer than {settings.rare} objects to learn"
                f" from{where}: {listed_names([f'{names[k]} {trained[k]}' for k in rare])}.",
                "Label more of them, or take the class out: so few are memorised, and a figure on them"
                " means little.",
                tuple(
                    Place(
                        f"{names[k]}: {trained[k]} object{'' if trained[k] == 1 else 's'}{where}",
                        dataset.source,
                        None,
                        rows_of(dataset, k),
                    )
                    for k in rare
                ),
            )
        )
    absent = np.flatnonzero(counts == 0)
    if len(absent) and len(t):
        found.append(
            Finding(
                "class without objects",
                "note",
                len(absent),
                f"{counted('{n} class{es} {have}', len(absent))} no object at all:"
                f" {listed_names([names[k] for k in absent])}.",
                "Nothing, or take them out: each costs outputs of the network that learn nothing.",
            )
        )
    some = counts[counts > 0]
    if len(some) > 1 and some.max() > IMBALANCE * some.min():
        most, least = int(np.argmax(counts)), int(np.argmin(np.where(counts > 0, counts, counts.max() + 1)))
        found.append(
            Finding(
                "class imbalance",
                "note",
                1,
                f"{names[most]} has {counts[most]:,} objects, {names[least]} {counts[least]:,}:"
                f" {counts[most] / counts[least]:.0f} for one.",
                "Look at figures by class; one figure over all objects speaks for the frequent ones.",
            )
        )
    return found


def _alike(names: Sequence[str], message: str) -> list[int]:
    return [k for k, name in enumerate(names) if repr(name) in message]


def _label_map(dataset: Dataset, label_map: ClassMap, counts: np.ndarray) -> list[Finding]:
    names = dataset.class_map.names
    wanted = {plain_name(name): name for name in label_map.names}
    near = {
        name: wanted[plain_name(name)]
        for name in names
        if name not in label_map and plain_name(name) in wanted
    }
    missing = [
        name
        for name in names
        if name not in label_map and name not in near and counts[dataset.class_map.index(name)]
    ]
    found = []

    def place(name: str, words: str) -> Place:
        k = dataset.class_map.index(name)
        return Place(f"{name} ({counts[k]:,} objects){words}", dataset.source, None, rows_of(dataset, k))

    if missing:
        found.append(
            Finding(
                "not in the label map",
                "error",
                len(missing),
                f"{counted('{n} class{es} of the data {are}', len(missing))} not in the label map:"
                f" {listed_names(missing)}.",
                "Add them to the label map, or take their objects out; a training refuses such data.",
                tuple(place(name, " is not in the label map") for name in missing),
            )
        )
    if near:
        found.append(
            Finding(
                "spelt differently",
                "error",
                len(near),
                f"{counted('{n} class{es} {are}', len(near))} spelt differently in the label map:"
                f" {listed_names([f'{a!r} there {b!r}' for a, b in near.items()])}.",
                "Use one spelling.",
                tuple(place(name, f" is called {other!r} in the label map") for name, other in near.items()),
                True,
            )
        )
    unused = [name for name in label_map.names if name not in dataset.class_map and name not in near.values()]
    if unused:
        found.append(
            Finding(
                "only in the label map",
                "note",
                len(unused),
                f"{counted('{n} class{es} of the label map {are}', len(unused))} not in the data:"
                f" {listed_names(unused)}.",
                "Nothing, if that is meant.",
            )
        )
    ids = dict(zip(label_map.names, label_map.external_ids))
    if dataset.format == "coco" and (
        differ := [
            name
            for name, number in zip(names, dataset.class_map.external_ids)
            if ids.get(name, number) != number
        ]
    ):
        found.append(
            Finding(
                "label map ids differ",
                "warning",
                len(differ),
                f"{counted('{n} class{es} {have}', len(differ))} another id in the label map than in the"
                f" data: {listed_names(differ)}.",
                "Boxscope goes by names; a tool that goes by ids would confuse them.",
            )
        )
    if min(label_map.external_ids, default=1) < 1:
        found.append(
            Finding(
                "label map has id 0",
                "error",
                1,
                "The label map gives a class the id 0, which the Object Detection API keeps for the"
                " background.",
                "Number classes from 1.",
            )
        )
    return found
