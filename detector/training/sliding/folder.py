"""The folder of a sliding-window training: what `detector.training.common.folder` lists, and the detector as
`detector.sliding.stored` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from detector.core import ClassMap
from detector.sliding.stored import CLASSIFIER, write_classifier, write_detector
from detector.training.common.folder import TrainFolder
from detector.training.sliding.recipe import SlidingRecipe

if TYPE_CHECKING:
    import keras


class SlidingFolder(TrainFolder):
    """A training's folder with a sliding-window recipe."""

    def write_result(
        self, recipe: SlidingRecipe, classifier: keras.Model, figures: Mapping[str, Any], step: int
    ) -> None:
        """The classifier as it is, as the detector of this folder."""
        write_classifier(self.path / CLASSIFIER, classifier)
        note = (
            f"Weights of step {step} of {recipe.steps}; on {figures['held-out patches']:.0f} held-out patches"
            f" the classifier's accuracy was {figures['accuracy']:.4f}."
        )
        write_detector(self.path, ClassMap((recipe.class_name,)), recipe.settings(), recipe.name, (note,))
