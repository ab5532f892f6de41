"""Two-head networks as a kind that can be trained."""

from __future__ import annotations

from detector.training.common.kind import NetworkKind
from detector.training.common.preview import HeldOut, TrainingPreview, epochs_line, preview_of_splits
from detector.training.two_head.recipe import KIND, TwoHeadRecipe
from detector.training.two_head.splits import load_split
from detector.training.two_head.training import train_two_head


def preview_two_head(recipe: TwoHeadRecipe) -> TrainingPreview:
    """Read a recipe's data and split it as the training will."""
    split = load_split(recipe)
    trained, judged = split.ids
    words = [
        f"{len(trained):,} pictures of one object, {len(split.dataset.class_map)} classes, to train on",
        epochs_line(recipe, len(trained)),
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
    return preview_of_splits(asked, words, split.dataset, own, len(trained), drawn)


TWO_HEAD = NetworkKind(KIND, TwoHeadRecipe, train_two_head, preview_two_head)
