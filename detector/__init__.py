"""Pixels to boxes: data sets, detectors, training and export.

`load_dataset` and `load_detector` are imported when they are first used, so that neither TensorFlow nor
an image library is loaded for the sake of a type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detector.catalogue import load_detector
    from detector.data import load_dataset

__all__ = ["load_dataset", "load_detector"]


def __getattr__(name: str):
    if name == "load_detector":
        from detector.catalogue import load_detector

        return load_detector
    if name == "load_dataset":
        from detector.data import load_dataset

        return load_dataset
    raise AttributeError(f"module 'detector' has no attribute {name!r}")
