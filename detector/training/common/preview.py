"""What a recipe would train on: read, checked and put into words before anything is built; and what it leaves
to judge the result by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from detector.data import load_dataset
from detector.data.dataset import Dataset


class TrainsInSteps(Protocol):
    """A recipe of steps."""

    @property
    def steps(self) -> int: ...
    @property
    def batch_size(self) -> int: ...


class TrainsOnSplits(Protocol):
    """A recipe whose data is a data set with splits."""

    @property
    def data(self) -> str: ...
    @property
    def data_format(self) -> str | None: ...
    @property
    def images(self) -> str | None: ...
    @property
    def train_split(self) -> str | None: ...
    @property
    def val_split(self) -> str | None: ...
    @property
    def val_data(self) -> str | None: ...


@dataclass(frozen=True)
class HeldOut:
    """Labelled images to run the finished detector on.

    Args:
        data: their data set, as `load_dataset` takes it; split: one of its splits, ids: some of its samples;
            None for all.
        words: what they are.
        unseen: whether the network was trained without them. Those of a validation decide which weights are
            best.
    """

    data: str
    split: str | None
    ids: tuple[str, ...] | None
    words: str
    unseen: bool = True


@dataclass(frozen=True)
class TrainingPreview:
    """What a recipe would train on.

    Args:
        words: lines for people.
        datasets: the data sets it reads, for checks of where their pictures lie; splits: those of the
            training data.
        images: how many are trained on, an epoch.
        held_out: what to judge the result by, the best choice first; empty where nothing labelled is known.
    """

    words: tuple[str, ...]
    datasets: tuple[Dataset, ...]
    splits: tuple[str, ...]
    images: int
    held_out: tuple[HeldOut, ...]


def preview_of_splits(
    recipe: TrainsOnSplits,
    words: list[str],
    chosen: Dataset,
    validation: Dataset | None,
    images: int,
    first: list[HeldOut] | None = None,
) -> TrainingPreview:
    """The preview of a training on a data set with splits.

    Args:
        words: lines for people.
        chosen: the images to train on; validation: those to validate on, of another data set or split.
        images: how many of the chosen are trained on.
        first: what to judge the result by before any split.
    """
    whole = (
        load_dataset(recipe.data, format=recipe.data_format, images=recipe.images)
        if recipe.train_split
        else chosen
    )
    splits = tuple(dict.fromkeys(s for s in whole.splits if s))
    held_out = list(first or [])
    judged_by = None if recipe.val_data else recipe.val_split
    if recipe.train_split:
        unseen = [s for s in splits if s not in (recipe.train_split, judged_by)]
        held_out += [
            HeldOut(recipe.data, s, None, f"the split {s}") for s in sorted(unseen, key=lambda s: s != "test")
        ]
    if validation is not None:
        held_out.append(
            HeldOut(
                recipe.val_data or recipe.data,
                recipe.val_split,
                None,
                f"the split {recipe.val_split}" if recipe.val_split else validation.name,
            )
        )
    if not held_out:
        held_out.append(
            HeldOut(recipe.data, recipe.train_split, None, "the images it was trained on", unseen=False)
        )
    return TrainingPreview(
        tuple(words), tuple(d for d in (chosen, validation) if d is not None), splits, images, tuple(held_out)
    )


def epochs_line(recipe: TrainsInSteps, images: int) -> str:
    """How many times each of these images is seen."""
    rounds = recipe.steps * recipe.batch_size / images
    return f"{recipe.steps:,} steps of {recipe.batch_size} are {rounds:.1f} times each"
