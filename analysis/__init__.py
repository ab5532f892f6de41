"""Boxes to understanding: matching, figures, errors, pictures of them. No network and no page is imported
here.

The public calls are imported when they are first used, so that `import analysis` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analysis.drawing.plots import plot_detections
    from analysis.fiftyone_bridge import pull_from_fiftyone, push_to_fiftyone
    from analysis.matching.counts import counts, image_counts, verdicts
    from analysis.matching.match import match
    from analysis.metrics.evaluate import evaluate
    from analysis.misses.run import autopsy, autopsy_columns
    from analysis.mistakes.compare import compare
    from analysis.mistakes.errors import find_errors
    from analysis.mistakes.export import export_run
    from analysis.mistakes.slices import slice_run
    from analysis.queries import find_images_with_classes
    from analysis.report.build import build_report
    from analysis.runs.detect import detect_run, request_cancel, watch
    from analysis.runs.store import open_run
    from analysis.runs.streamed import open_stored
    from analysis.saliency.confidence import confidence_map
    from analysis.saliency.methods import contrast, explain, find_target, heatmaps_for, offers
    from analysis.thresholds.files import load_thresholds

_HOME = {
    "autopsy": "analysis.misses.run",
    "autopsy_columns": "analysis.misses.run",
    "build_report": "analysis.report.build",
    "compare": "analysis.mistakes.compare",
    "confidence_map": "analysis.saliency.confidence",
    "contrast": "analysis.saliency.methods",
    "counts": "analysis.matching.counts",
    "detect_run": "analysis.runs.detect",
    "evaluate": "analysis.metrics.evaluate",
    "explain": "analysis.saliency.methods",
    "export_run": "analysis.mistakes.export",
    "find_errors": "analysis.mistakes.errors",
    "find_images_with_classes": "analysis.queries",
    "find_target": "analysis.saliency.methods",
    "heatmaps_for": "analysis.saliency.methods",
    "image_counts": "analysis.matching.counts",
    "load_thresholds": "analysis.thresholds.files",
    "match": "analysis.matching.match",
    "offers": "analysis.saliency.methods",
    "open_run": "analysis.runs.store",
    "open_stored": "analysis.runs.streamed",
    "plot_detections": "analysis.drawing.plots",
    "pull_from_fiftyone": "analysis.fiftyone_bridge",
    "push_to_fiftyone": "analysis.fiftyone_bridge",
    "request_cancel": "analysis.runs.detect",
    "slice_run": "analysis.mistakes.slices",
    "verdicts": "analysis.matching.counts",
    "watch": "analysis.runs.detect",
}

__all__ = [
    "autopsy",
    "autopsy_columns",
    "build_report",
    "compare",
    "confidence_map",
    "contrast",
    "counts",
    "detect_run",
    "evaluate",
    "explain",
    "export_run",
    "find_errors",
    "find_images_with_classes",
    "find_target",
    "heatmaps_for",
    "image_counts",
    "load_thresholds",
    "match",
    "offers",
    "open_run",
    "open_stored",
    "plot_detections",
    "pull_from_fiftyone",
    "push_to_fiftyone",
    "request_cancel",
    "slice_run",
    "verdicts",
    "watch",
]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
