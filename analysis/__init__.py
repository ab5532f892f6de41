"""Boxes to understanding: matching, figures, errors, pictures of them. No network and no page is imported
here.

The public calls are imported when they are first used, so that `import analysis` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.drawing.plots import plot_detections
    from analysis.fiftyone_bridge import push_to_fiftyone
    from analysis.matching.match import match
    from analysis.metrics.evaluate import evaluate
    from analysis.misses.run import autopsy, autopsy_columns
    from analysis.queries import find_images_with_classes
    from analysis.runs.store import open_run
    from analysis.saliency.confidence import confidence_map

_HOME = {
    "autopsy": "analysis.misses.run",
    "autopsy_columns": "analysis.misses.run",
    "confidence_map": "analysis.saliency.confidence",
    "evaluate": "analysis.metrics.evaluate",
    "find_images_with_classes": "analysis.queries",
    "match": "analysis.matching.match",
    "open_run": "analysis.runs.store",
    "plot_detections": "analysis.drawing.plots",
    "push_to_fiftyone": "analysis.fiftyone_bridge",
}

__all__ = [
    "autopsy",
    "autopsy_columns",
    "confidence_map",
    "evaluate",
    "find_images_with_classes",
    "match",
    "open_run",
    "plot_detections",
    "push_to_fiftyone",
]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
