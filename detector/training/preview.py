"""What a recipe would train on: read, checked and put into words before anything is built; and what it leaves
to judge the result by.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.errors import BoxscopeError, ConfigError

if TYPE_CHECKING:
    from detector.data.dataset import Dataset


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


def material(recipe: Any) -> TrainingPreview:
    """Read a recipe's data and check it as the training will; no network is built. Seconds for thousands of
    images.

    Raises:
        DataError, InputError: the data cannot be read, hold nothing to train on, or a class id out of range.
        ConfigError: they do not have the recipe's number of classes.
    """
    return _BY_KIND[getattr(recipe, "kind", "ssd")](recipe)


def _ssd(recipe: Any) -> TrainingPreview:
    from detector.training.common.batches import check_training_set, usable_boxes
    from detector.training.common.material import refuse_shared
    from detector.training.ssd.training import load_splits

    chosen, validation, splits = load_splits(recipe)
    classes = len(chosen.class_map)
    if recipe.num_classes not in (None, classes):
        raise ConfigError(
            f"num_classes: expected the data's number of classes, {classes}, got {recipe.num_classes}.",
            path=recipe.pipeline,
        )
    found = check_training_set(chosen, classes)
    left_out = [
        f"{count:,} {what}"
        for count, what in (
            (found.unlabelled, "unlabelled images"),
            (found.empty_boxes, "boxes without area"),
            (found.crowd, "crowd regions"),
        )
        if count
    ]
    words = [
        (
            f"{len(found.rows):,} images with {found.objects:,} objects of {classes}"
            f" class{'es' if classes != 1 else ''} to train on"
        ),
        _epochs(recipe, len(found.rows)),
    ]
    if validation is not None:
        refuse_shared(chosen, validation)
        objects = int((usable_boxes(validation) & ~validation.objects.crowd).sum())
        words.append(f"{int(validation.labelled.sum()):,} images with {objects:,} objects to validate on")
    if left_out:
        words.append("left out: " + ", ".join(left_out))
    words += splits.notes
    asked = recipe.with_(train_split=splits.train, val_split=splits.validation)
    return _split_material(asked, words, chosen, validation, len(found.rows))


def _two_head(recipe: Any) -> TrainingPreview:
    from detector.training.two_head.splits import load_split

    split = load_split(recipe)
    trained, judged = split.ids
    words = [
        f"{len(trained):,} pictures of one object, {len(split.dataset.class_map)} classes, to train on",
        _epochs(recipe, len(trained)),
    ]
    if judged:
        words.append(f"{len(judged):,} held out to judge by")
    if split.left_out:
        words.append("left out: " + ", ".join(f"{count:,} {what}" for what, count in split.left_out.items()))
    words += split.notes
    own = split.validation if split.validation is not split.dataset else None
    drawn = (
        []
        if own is not None or not judged
        else [HeldOut(recipe.data, None, tuple(judged), f"the {len(judged):,} pictures held out")]
    )
    asked = recipe.with_(train_split=split.train_split)
    return _split_material(asked, words, split.dataset, own, len(trained), drawn)


def _split_material(
    recipe: Any,
    words: list[str],
    chosen: Dataset,
    validation: Dataset | None,
    images: int,
    first: list[HeldOut] | None = None,
) -> TrainingPreview:
    from detector.data import load_dataset

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


def _sliding_window(recipe: Any) -> TrainingPreview:
    from detector.training.sliding.training import load_patches

    patches, unreadable = load_patches(recipe)
    objects = int(patches.labels.sum())
    train, judged = patches.split(recipe.held_out, recipe.seed)
    words = [
        (
            f"{objects:,} patches of the object, {len(patches.labels) - objects:,} of background,"
            f" {patches.size[0]}x{patches.size[1]} pixels"
        ),
        _epochs(recipe, len(train.labels)),
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
    from detector.data import load_dataset

    if not place or not Path(place).exists():
        return None
    try:
        found = load_dataset(place)
    except BoxscopeError:
        return None  # a folder of patches is no data set, and need not be one
    return found if found.labelled.any() else None


def _epochs(recipe: Any, images: int) -> str:
    return (
        f"{recipe.steps:,} steps of {recipe.batch_size} are {recipe.steps * recipe.batch_size / images:.1f}"
        " times each"
    )


_BY_KIND = {"ssd": _ssd, "sliding_window": _sliding_window, "two_head": _two_head}
