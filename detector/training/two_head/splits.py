"""What a recipe trains on and what it is judged by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from detector.core import ClassMap
from detector.data import load_dataset
from detector.data.dataset import Dataset
from detector.data.splits import default_parts, draw_splits
from detector.errors import DataError
from detector.training.common.material import Material, choose_splits
from detector.training.two_head.data import OneObject, one_object
from detector.training.two_head.recipe import TwoHeadRecipe


@dataclass(frozen=True)
class Split:
    """Pictures with one object each: `train` of `dataset`, `held_out` of `validation` (None where nothing is
    held out).

    Where one data set is split, both are the same. `notes`: what was chosen or left out, one sentence each;
    `train_split`: the split of the data that `dataset` is, None for all of it.
    """

    dataset: Dataset
    train: OneObject
    validation: Dataset
    held_out: OneObject | None
    notes: tuple[str, ...] = ()
    train_split: str | None = None

    def classes(self, recipe: TwoHeadRecipe) -> ClassMap:
        """The network's: the data's, or for a box head alone the data's one class or "object"."""
        names = self.dataset.class_map.names
        return ClassMap(names) if recipe.heads != "box" or len(names) == 1 else ClassMap(("object",))

    @property
    def fingerprints(self) -> dict[str, str]:
        return {"data": self.dataset.fingerprint, "validation": self.validation.fingerprint}

    @property
    def ids(self) -> tuple[list[str], list[str]]:
        """Sample ids that are trained on, and that are held out."""
        held_out = (
            [] if self.held_out is None else [self.validation.sample_ids[i] for i in self.held_out.rows]
        )
        return [self.dataset.sample_ids[i] for i in self.train.rows], held_out

    @property
    def left_out(self) -> dict[str, int]:
        counts = dict(self.train.left_out)
        if self.validation is not self.dataset and self.held_out is not None:
            counts |= {f"of the held-out data: {name}": n for name, n in self.held_out.left_out.items()}
        return counts


def load_split(
    recipe: TwoHeadRecipe,
    dataset: Dataset | None = None,
    validation: Dataset | None = None,
    *,
    sound: Callable[[Dataset, Dataset | None], Material] | None = None,
) -> Split:
    """The recipe's data, read and split.

    Args:
        dataset, validation: instead of what `recipe.data` and `recipe.val_data` name; the recipe's splits are
            still taken.
        sound: leaves out images that cannot be read, before they are split; None keeps all.

    Data with a train split are trained on and judged inside it alone, unless the recipe names another.

    Raises:
        DataError, InputError: the data cannot be read, has no such split, or no picture with one object.
    """
    boxes = recipe.heads != "class"
    reading = "keep" if boxes else "ignore"
    if dataset is None:
        if not recipe.data:
            raise DataError("expected `data` in the recipe: the path of a labelled data set.")
        dataset = load_dataset(recipe.data, format=recipe.data_format, images=recipe.images, boxes=reading)
    if validation is None and recipe.val_data:
        validation = load_dataset(recipe.val_data, split=recipe.val_split, boxes=reading)
    elif validation is None and recipe.val_split:
        validation = dataset.split(recipe.val_split)
    splits = choose_splits(dataset, recipe.train_split, recipe.val_split, other_validation=True)
    chosen = dataset.split(splits.train) if splits.train else dataset
    notes = splits.notes
    if sound is not None:
        material = sound(chosen, validation)
        chosen, validation, notes = material.train, material.validation, (*notes, *material.notes)
    shown = one_object(chosen, recipe.many, boxes)
    if validation is not None:
        if validation.class_map.names != chosen.class_map.names:
            validation = validation.with_classes(chosen.class_map)
        return Split(
            chosen,
            _limited(chosen, shown, recipe),
            validation,
            one_object(validation, recipe.many, boxes),
            notes,
            splits.train,
        )
    parts: Mapping[str, float | int] = {}
    if recipe.held_out is None and recipe.train_split is None:
        parts, _ = default_parts(dataset)
    train, held_out = _drawn(chosen, shown, recipe, parts)
    return Split(chosen, train, chosen, held_out, notes, splits.train)


def _drawn(
    dataset: Dataset, shown: OneObject, recipe: TwoHeadRecipe, default: Mapping[str, float | int]
) -> tuple[OneObject, OneObject | None]:
    """(training, held-out) pictures by `detector.data.splits`: stratified, by seed, equal pictures on one
    side.

    Args:
        default: the parts where the recipe states no `held_out`: counts for the whole of Stanford Cars, else
            shares.
    """
    total, counts = len(shown.rows), [int(n) for n in default.values() if isinstance(n, int)]
    if recipe.held_out is None and counts and sum(counts) <= total:
        wanted, most = counts[1], counts[0]
    else:
        share = 0.2 if recipe.held_out is None else recipe.held_out
        wanted = round(share * total) if share < 1 else int(share)
        most = total - wanted
    if most < 1:
        raise DataError(
            f"held_out: expected fewer than the {total} pictures, got {wanted}: nothing would be left to"
            " train on.",
            path=dataset.source or None,
        )
    parts = {"train": min(most, recipe.train_images or most)} | ({"held_out": wanted} if wanted else {})
    keep = np.zeros(len(dataset), bool)
    keep[shown.rows] = True
    splits = draw_splits(dataset.subset(keep), parts, seed=recipe.seed)
    part = np.array([splits.parts[dataset.sample_ids[row]] for row in shown.rows], object)
    return _of(shown, shown.rows[part == "train"]), (
        _of(shown, shown.rows[part == "held_out"]) if wanted else None
    )


def _limited(dataset: Dataset, shown: OneObject, recipe: TwoHeadRecipe) -> OneObject:
    return _drawn(dataset, shown, recipe.with_(held_out=0), {})[0]


def _of(shown: OneObject, rows: np.ndarray) -> OneObject:
    keep = np.isin(shown.rows, rows)
    return OneObject(shown.rows[keep], shown.objects[keep], shown.left_out)
