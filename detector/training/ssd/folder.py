"""The folder of an SSD training: beside what `detector.training.common.folder` lists, the network as
`pipeline.config` and the detector.
"""

from __future__ import annotations

from detector.core import ClassMap
from detector.errors import ConfigError
from detector.ssd.config import SSDConfig
from detector.ssd.stored import write_ssd
from detector.training.common.folder import TrainFolder
from detector.training.ssd.recipe import TrainRecipe
from detector.training.ssd.recipe_pipeline import pipeline_of


class SSDFolder(TrainFolder):
    """A training's folder with an SSD as its result."""

    def write_detector(self, config: SSDConfig, classes: ClassMap) -> None:
        """Write the network and its classes; `detector.ssd.stored.read_ssd` reads them."""
        write_ssd(self.path, config, classes)

    def write_pipeline(self, recipe: TrainRecipe, config: SSDConfig) -> str:
        """Write pipeline.config; "written", or why there is none."""
        try:
            pipeline = pipeline_of(recipe, config)
        except ConfigError as error:  # a convenience for other tools: no reason to refuse a training
            return f"not written: {error}"
        pipeline.write(self / "pipeline.config")
        return "written"
