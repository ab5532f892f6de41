"""Pixels to boxes: data sets, detectors, training and export.

Each public name is imported from its module when it is first used, so that neither TensorFlow nor an image
library is loaded for the sake of a type.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detector.catalogue import load_detector
    from detector.data import load_dataset
    from detector.export.ssd_saved_model import export_saved_model
    from detector.export.ssd_tflite import export_tflite
    from detector.sliding.stored import save_sliding_window
    from detector.ssd.model import build_ssd
    from detector.training.common.batches import TrainingBatches, as_py_dataset
    from detector.training.common.schedules import CosineSchedule
    from detector.training.recipes import preview_training, read_recipe, train_recipe
    from detector.training.sliding.recipe import SlidingRecipe
    from detector.training.sliding.training import train_sliding_window
    from detector.training.ssd.optimizer import make_optimizer
    from detector.training.ssd.recipe import TrainRecipe
    from detector.training.ssd.trainer import SSDTrainer
    from detector.training.ssd.training import train
    from detector.training.two_head.recipe import TwoHeadRecipe
    from detector.training.two_head.training import train_two_head

_HOME = {
    "CosineSchedule": "detector.training.common.schedules",
    "SSDTrainer": "detector.training.ssd.trainer",
    "SlidingRecipe": "detector.training.sliding.recipe",
    "TrainRecipe": "detector.training.ssd.recipe",
    "TrainingBatches": "detector.training.common.batches",
    "TwoHeadRecipe": "detector.training.two_head.recipe",
    "as_py_dataset": "detector.training.common.batches",
    "build_ssd": "detector.ssd.model",
    "export_saved_model": "detector.export.ssd_saved_model",
    "export_tflite": "detector.export.ssd_tflite",
    "load_dataset": "detector.data",
    "load_detector": "detector.catalogue",
    "make_optimizer": "detector.training.ssd.optimizer",
    "preview_training": "detector.training.recipes",
    "read_recipe": "detector.training.recipes",
    "save_sliding_window": "detector.sliding.stored",
    "train": "detector.training.ssd.training",
    "train_recipe": "detector.training.recipes",
    "train_sliding_window": "detector.training.sliding.training",
    "train_two_head": "detector.training.two_head.training",
}

__all__ = [
    "CosineSchedule",
    "SSDTrainer",
    "SlidingRecipe",
    "TrainRecipe",
    "TrainingBatches",
    "TwoHeadRecipe",
    "as_py_dataset",
    "build_ssd",
    "export_saved_model",
    "export_tflite",
    "load_dataset",
    "load_detector",
    "make_optimizer",
    "preview_training",
    "read_recipe",
    "save_sliding_window",
    "train",
    "train_recipe",
    "train_sliding_window",
    "train_two_head",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'detector' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
