"""What a recipe trains on and what it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detector.core import ClassMap
from detector.data.dataset import Dataset
from detector.errors import DataError
from detector.two_head.data import OneObject, one_object, split_rows
from detector.two_head.recipe import TwoHeadRecipe


@dataclass(frozen=True)
class Split:
    """Pictures with one object each: `train` of `dataset`, `held_out` of `validation` (None where nothing is held out).

    Where one data set is split, both are the same.
    """

    dataset: Dataset
    train: OneObject
    validation: Dataset
    held_out: OneObject | None

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
        held_out = [] if self.held_out is None else [self.validation.sample_ids[i] for i in self.held_out.rows]
        return [self.dataset.sample_ids[i] for i in self.train.rows], held_out

    @property
    def left_out(self) -> dict[str, int]:
        counts = dict(self.train.left_out)
        if self.validation is not self.dataset and self.held_out is not None:
            counts |= {f"of the held-out data: {name}": n for name, n in self.held_out.left_out.items()}
        return counts


def load_split(recipe: TwoHeadRecipe, dataset: Dataset | None = None, validation: Dataset | None = None) -> Split:
    """The recipe's data, read and split.

    Args:
        dataset, validation: instead of what `recipe.data` and `recipe.val_data` name; the recipe's splits are still taken.

    Raises:
        DataError, InputError: the data cannot be read, has no such split, or no picture with one object.
    """
    from detector.data import load_dataset

    if dataset is None:
        if not recipe.data:
            raise DataError("expected `data` in the recipe: the path of a labelled data set.")
        dataset = load_dataset(recipe.data, format=recipe.data_format, images=recipe.images)
    boxes = recipe.heads != "class"
    if validation is None and recipe.val_data:
        validation = load_dataset(recipe.val_data, split=recipe.val_split)
    elif validation is None and recipe.val_split:
        validation = dataset.split(recipe.val_split)
    chosen = dataset.split(recipe.train_split) if recipe.train_split else dataset
    shown = one_object(chosen, recipe.many, boxes)
    if validation is not None:
        if validation.class_map.names != chosen.class_map.names:
            validation = validation.with_classes(chosen.class_map)
        return Split(chosen, _limited(chosen, shown, recipe), validation, one_object(validation, recipe.many, boxes))
    class_ids = chosen.objects.class_ids[shown.objects]
    train, held_out = split_rows(shown.rows, class_ids, recipe.held_out, recipe.train_images, recipe.seed)
    return Split(chosen, _of(shown, train), chosen, _of(shown, held_out) if len(held_out) else None)


def _limited(dataset: Dataset, shown: OneObject, recipe: TwoHeadRecipe) -> OneObject:
    rows, _ = split_rows(shown.rows, dataset.objects.class_ids[shown.objects], 0, recipe.train_images, recipe.seed)
    return _of(shown, rows)


def _of(shown: OneObject, rows: Sequence[int] | np.ndarray) -> OneObject:
    keep = np.isin(shown.rows, rows)
    return OneObject(shown.rows[keep], shown.objects[keep], shown.left_out)
