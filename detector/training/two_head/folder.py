"""The folder of a two-head training; beside what `detector.training.common.folder` lists:

detector.json   kind, the network's config, classes, the detector's settings
weights.npz     the weights that are the result so far; last.npz the newest checkpoint
split.json      ids of the pictures that were held out
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detector.core import ClassMap
from detector.training.common.folder import TrainFolder
from detector.training.two_head.recipe import TwoHeadRecipe
from detector.two_head.config import TwoHeadConfig
from detector.two_head.stored import KIND, SCHEMA


class TwoHeadFolder(TrainFolder):
    """A training's folder with a two-head recipe."""

    def write_two_head(self, config: TwoHeadConfig, classes: ClassMap, recipe: TwoHeadRecipe) -> None:
        settings = {"top_k": recipe.top_k, "flip_average": recipe.flip_average, "score_threshold": 0.0}
        self.write_json(
            "detector.json",
            {
                "schema": SCHEMA,
                "kind": KIND,
                "name": recipe.name,
                "config": config.as_dict(),
                "classes": list(classes.names),
                "settings": settings,
                "weights": "weights.npz",
            },
        )

    def write_split(self, train: list[str], held_out: list[str], left_out: Mapping[str, Any]) -> None:
        self.write_json("split.json", {"train": train, "held_out": held_out, "left_out": dict(left_out)})
