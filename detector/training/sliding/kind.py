"""Sliding-window networks as a kind that can be trained."""

from __future__ import annotations

from pathlib import Path

from detector.data import load_dataset
from detector.data.dataset import Dataset
from detector.errors import BoxscopeError
from detector.training.common.kind import NetworkKind
from detector.training.common.preview import HeldOut, TrainingPreview, epochs_line
from detector.training.sliding.recipe import KIND, SlidingRecipe
from detector.training.sliding.training import load_patches, train_sliding_window


def preview_sliding_window(recipe: SlidingRecipe) -> TrainingPreview:
    """Read a recipe's patches and split them as the training will."""
    patches, unreadable = load_patches(recipe)
    objects = int(patches.labels.sum())
    train, judged = patches.split(recipe.held_out, recipe.seed)
    words = [
        (
            f"{objects:,} patches of the object, {len(patches.labels) - objects:,} of background,"
            f" {patches.size[0]}x{patches.size[1]} pixels"
        ),
        epochs_line(recipe, len(train.labels)),
        f"{len(judged.labels):,} patches held out to judge by",
    ]
    if unreadable:
        words.append(f"left out: {unreadable:,} unreadable patches")
    datasets, held_out = [], []
    for place, split, what in (
        (recipe.data, None, "its test images"),
        (recipe.scenes, recipe.scenes_split, "the scenes"),
    ):
        found = _labelled(place)
        if found is not None:
            datasets.append(found)
            held_out.append(HeldOut(place, split, None, what, unseen=place == recipe.data))
    return TrainingPreview(tuple(words), tuple(datasets), (), len(train.labels), tuple(held_out))


def _labelled(place: str | None) -> Dataset | None:
    """The data set at a place, if pictures with known objects are there."""
    if not place or not Path(place).exists():
        return None
    try:
        found = load_dataset(place)
    except BoxscopeError:
        return None  # a folder of patches is no data set, and need not be one
    return found if found.labelled.any() else None


SLIDING_WINDOW = NetworkKind(KIND, SlidingRecipe, train_sliding_window, preview_sliding_window, exports=False)
