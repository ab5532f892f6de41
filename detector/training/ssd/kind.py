"""SSD networks as a kind that can be trained."""

from __future__ import annotations

from detector.errors import ConfigError
from detector.training.common.batches import check_training_set, usable_boxes
from detector.training.common.kind import NetworkKind
from detector.training.common.material import refuse_shared
from detector.training.common.preview import TrainingPreview, epochs_line, preview_of_splits
from detector.training.ssd.recipe import TrainRecipe
from detector.training.ssd.training import load_splits, train


def preview_ssd(recipe: TrainRecipe) -> TrainingPreview:
    """Read a recipe's data and check it as the training will."""
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
        epochs_line(recipe, len(found.rows)),
    ]
    if validation is not None:
        refuse_shared(chosen, validation)
        objects = int((usable_boxes(validation) & ~validation.objects.crowd).sum())
        words.append(f"{int(validation.labelled.sum()):,} images with {objects:,} objects to validate on")
    if left_out:
        words.append("left out: " + ", ".join(left_out))
    words += splits.notes
    asked = recipe.with_(train_split=splits.train, val_split=splits.validation)
    return preview_of_splits(asked, words, chosen, validation, len(found.rows))


SSD = NetworkKind("ssd", TrainRecipe, train, preview_ssd, validates=True, has_anchors=True)
